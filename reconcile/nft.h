/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `detour` keeps in nf_tables, as data: one table of family inet with
 * chains of rules and sets of spans. A rule is a list of statements, each of
 * which nft(8) would print as a few words; the backend translates them to and
 * from the kernel's expressions. What it cannot translate becomes STMT_OTHER,
 * which equals nothing that we want.
 */
#ifndef RECONCILE_NFT_H
#define RECONCILE_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"
#include "reconcile/document.h"
#include "reconcile/span.h"

#define NFT_TABLE "detour"

/* What a statement looks at. nft.c has the table of names and sizes. */
enum field {
	FIELD_NFPROTO,
	FIELD_L4PROTO,
	FIELD_IIFNAME,
	FIELD_OIFNAME,
	FIELD_META_MARK,
	FIELD_CT_STATE,
	FIELD_CT_STATUS,
	FIELD_CT_DIRECTION,
	FIELD_CT_MARK,
	FIELD_IP_SADDR,
	FIELD_IP_DADDR,
	FIELD_IP6_SADDR,
	FIELD_IP6_DADDR,
	FIELD_TCP_FLAGS,  /* 1 byte at 13 of the transport header */
	FIELD_SCTP_CHUNK, /* 1 byte at 12: type of the first chunk */
	FIELD_SERVICE,    /* th dport . meta l4proto, the 8 byte key of span.h */
	FIELD_COUNT
};

/* How many bytes of stmt.value or of a set's key the field takes. */
size_t field_bytes(enum field field);

/* Whether it is a number of 32 bits in host order: stmt.number, not stmt.bytes. */
bool field_is_number(enum field field);

/* What FIELD_NFPROTO is for packets of the family. */
uint8_t family_nfproto(enum family family);

/* linux/netfilter/nf_conntrack_common.h: bits of ct status, and of ct state as nft loads it. */
enum {
	CT_STATUS_CONFIRMED = 0x08,
	CT_STATE_INVALID = 0x01,
	CT_STATE_ESTABLISHED = 0x02,
	CT_STATE_RELATED = 0x04,
	CT_STATE_NEW = 0x08,
	CT_STATE_UNTRACKED = 0x40,
};

enum verdict { VERDICT_ACCEPT, VERDICT_DROP, VERDICT_RETURN, VERDICT_JUMP, VERDICT_GOTO };

enum stmt_type {
	STMT_MATCH,   /* (field & mask) ==/!= value; mask only on u32 and 1 byte fields */
	STMT_LOOKUP,  /* field in/not in @name */
	STMT_VMAP,    /* field vmap @name */
	STMT_MARK,    /* field (ct or meta mark) = field & ~mask | value */
	STMT_COUNTER, /* packets, bytes: never compared */
	STMT_VERDICT, /* verdict, with a chain's name for jump and goto */
	STMT_OTHER,   /* an expression that is not ours; name is the kernel's word for it */
};

struct stmt {
	enum stmt_type type;
	enum field field;
	enum verdict verdict;
	bool negate;
	uint32_t mask;             /* MATCH: 0 means the whole field. MARK: the bits written */
	uint32_t number;           /* MATCH on u32 fields (host order), MARK: the value */
	uint8_t bytes[SPAN_BYTES]; /* MATCH on every other field, as in the packet */
	const char *name;          /* set or chain */
	uint64_t packet_count, byte_count;
};

/*
 * What a rule is for. It stands as the first word of the rule's comment, so
 * that `nft list` explains itself and a rule that is left over can be told
 * apart from a foreign one.
 */
enum role {
	ROLE_NONE,     /* no comment of ours: put there by somebody else */
	ROLE_CLEAR,    /* takes our bits off packets and connections that must not bear them */
	ROLE_DISPATCH, /* towards the redirects */
	ROLE_SELECT,   /* a redirect's conditions; a rule per family where addresses count */
	ROLE_TAKE,     /* counts the connections that a redirect took */
	ROLE_REFUSE,   /* drops a redirect's invalid and untracked packets */
	ROLE_KEEP,     /* leaves existing connections alone */
	ROLE_ANSWER,   /* marks connections that a spoofing gateway opens */
	ROLE_MARK,     /* marks the connection */
	ROLE_PASS,     /* packets from a gateway are never converted */
	ROLE_CONVERT,  /* connection mark to packet mark */
	ROLE_GUARD,    /* the forward hook's refusal */
	ROLE_COUNT
};

const char *role_name(enum role role);

enum { NFT_RULE_STMTS = 16, NFT_COMMENT_SIZE = 128 };

struct nft_rule {
	enum role role;
	const char *comment; /* "role redirect-or-gateway"; "" when there is none */
	struct stmt *stmts;
	size_t stmt_count, stmt_room;
	uint64_t handle; /* observed rules only: the kernel's name for it */
	/* Observed rules with a STMT_OTHER: NFTA_RULE_EXPRESSIONS as received, to put it back. */
	const void *raw;
	size_t raw_size;
};

enum hook { HOOK_NONE, HOOK_PREROUTING, HOOK_FORWARD, HOOK_OTHER };

struct nft_chain {
	const char *name;
	enum hook hook;   /* HOOK_NONE: a chain that others jump to */
	int32_t priority; /* of a base chain */
	bool drops;       /* policy of a base chain */
	bool is_filter;   /* type filter; false for a base chain of another type */
	struct nft_rule *rules;
	size_t rule_count, rule_room;
};

enum key_type { KEY_IPV4, KEY_IPV6, KEY_IFNAME, KEY_SERVICE, KEY_OTHER };

/* Elements are what a plan counts: one span, with its verdict in a map. */
struct element {
	struct span span;
	/*
	 * Maps: the chain to go to. NULL in a plain set. Desired and observed
	 * elements of one set share the pointer for one name, so that 100,000
	 * elements cost 100,000 pointers.
	 */
	const char *chain;
	bool foreign_verdict; /* observed: a verdict other than goto */
};

struct nft_set {
	const char *name;
	enum key_type key;
	bool is_map;              /* of verdicts */
	bool foreign_flags;       /* observed: not what the backend would create */
	struct element *elements; /* sorted by span */
	size_t element_count, element_room;
};

struct nft_table {
	bool exists;
	bool foreign_flags;       /* dormant, or whatever else ours has not */
	bool is_dormant;          /* its hooks see no packet: NFT_TABLE_F_DORMANT */
	uint32_t owner;           /* port id of the socket that alone may change it; 0: any may */
	bool is_owned;            /* by another program than a watcher of ours */
	bool is_persistent;       /* outlives its owner, and can be owned again */
	uint32_t generation;      /* of the whole ruleset when this was read; 0: not read */
	struct nft_chain *chains; /* sorted by name */
	size_t chain_count, chain_room;
	struct nft_set *sets; /* sorted by name */
	size_t set_count, set_room;
};

size_t key_bytes(enum key_type key);

/* The chains and sets arrays must be sorted. NULL when there is none. */
struct nft_chain *nft_chain_find(const struct nft_table *table, const char *name);
struct nft_set *nft_set_find(const struct nft_table *table, const char *name);
void nft_table_sort(struct nft_table *table);

/* How many redirects the table holds. */
size_t nft_redirect_count(const struct nft_table *table);

/* A set or chain is its name. */
bool nft_stmt_equal(const struct stmt *a, const struct stmt *b);

/* Statements and comment; neither handle nor counters. */
bool nft_rule_equal(const struct nft_rule *a, const struct nft_rule *b);

/* The second word of our comments: a redirect's or gateway's name. The arena owns it. */
const char *nft_rule_subject(struct arena *arena, const struct nft_rule *rule);

/* The mark that a convert or guard rule tests. False when it tests none. */
bool nft_rule_mark(const struct nft_rule *rule, struct mark *mark);

/* Its only counter; NULL when it has none, or several. */
const struct stmt *nft_rule_counter(const struct nft_rule *rule);

/* The role that a comment states: ROLE_NONE when it is not one of ours. */
enum role role_of_comment(const char *comment);

/* As nft(8) prints it, without the comment. The arena owns the text. */
const char *nft_rule_format(struct arena *arena, const struct nft_rule *rule);

/* "10.1.0.0/24", "5900-5910 . tcp", "\"eth*\"", with ": goto chain" in a map. */
const char *element_format(struct arena *arena, enum key_type key, const struct element *element);

#endif
