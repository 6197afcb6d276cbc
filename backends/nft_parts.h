/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the nf_tables backend share. Nobody else includes this, so
 * that libnftnl's types stay in this one place.
 */
#ifndef BACKENDS_NFT_PARTS_H
#define BACKENDS_NFT_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>

#include "backends/nft.h"

#ifndef NFT_TABLE_F_PERSIST /* linux/netfilter/nf_tables.h, since Linux 6.9 */
#define NFT_TABLE_F_PERSIST 0x4
#endif

/* Flags of a table that a watcher protects: see owner.h. */
enum { TABLE_PROTECTED = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST };

/* How nf_tables and nft(8) describe a key. */
struct key_wire {
	uint32_t datatype;   /* nft(8)'s numbers, 6 bits a field */
	uint32_t bytes;      /* fields padded to registers */
	uint32_t byte_order; /* nft(8)'s: 1 host, 2 big endian */
	uint8_t fields[2];   /* of a concatenation: unpadded bytes each */
};

extern const struct key_wire key_wires[KEY_OTHER];

/* NFT_SET_* flags of a set of ours. */
uint32_t set_flags(const struct nft_set *set);

/* A message type of nf_tables (NFT_MSG_*) as netlink wants it. */
uint16_t nft_type(int type);

/* The attributes that make a rule what it is, as they came, to send them back. */
void nft_raw_keep(struct arena *arena, const struct nlmsghdr *message, const void **raw,
		  size_t *size);

/* The ruleset's generation. 0 or a negative errno. */
int nft_generation(struct netlink *nl, uint32_t *out);

/*
 * Has all that read() reads be of one moment: the ruleset's generation, which
 * read() is told, is the same before and after. read() is called again when it
 * is not, or when it says -EINTR or -ENOENT, since something has gone meanwhile.
 * 0 with *generation, 1: it never was of one moment, or a negative errno.
 */
int nft_settle(struct netlink *nl, int (*read)(void *context, uint32_t generation), void *context,
	       uint32_t *generation);

/* For a dump of chains: hands each to add(). 0 or a negative errno. */
int nft_chain_take(const struct nlmsghdr *message,
		   void (*add)(void *context, const struct nftnl_chain *chain), void *context);

/* The header behind the header; most messages have the family inet and no resource. */
void nft_family_put(struct nlmsghdr *message, uint8_t family, uint16_t resource);

/* nft_expr.c: statements to and from expressions. */

/*
 * Appends the rule's statements to a message, as NFTA_RULE_EXPRESSIONS. counter,
 * when not NULL, is where its counter goes on from. 0, or -1 when memory is short.
 */
int expr_encode(struct nlmsghdr *message, const struct nft_rule *rule, const struct stmt *counter);

/* Fills rule->stmts. True when every expression is one that expr_encode() makes. */
bool expr_decode(struct arena *arena, struct nftnl_rule *in, struct nft_rule *rule);

/* Makes one STMT_OTHER of something that cannot be decoded. */
void expr_other(struct arena *arena, struct nft_rule *rule, const char *name);

/* nft_elements.c: the elements of one set. */

struct item;

struct element_reader {
	struct arena *arena;
	size_t bytes;                  /* of a key */
	bool has_ends;                 /* spans are pairs of elements; else each is one, alone */
	const struct nft_table *table; /* its chains are sorted; their names are shared */
	struct nft_set *set;
	const char *last_chain;
	struct item *items; /* as dumped: elements or halves of them */
	size_t count, room;
};

/* For a dump of elements: begin() and message() of struct netlink_reader. */
void elements_begin(void *reader);
int elements_message(const struct nlmsghdr *message, void *reader);

/* Turns what was dumped into the set's elements, and releases the rest. */
void elements_finish(struct element_reader *reader);

/*
 * nft_batch.c: a transaction, in one growing buffer. What returns -1 or NULL
 * has filled *batch->error.
 */

struct batch {
	struct netlink *nl;
	struct error *error;
	char *bytes;
	size_t size, room, last; /* last: where the last message begins */
	struct sent *sent;       /* one a message */
	size_t sent_count, sent_room;
	const struct step *step; /* that the messages now being added belong to */
};

/* A message may take that many bytes: a rule has attributes of up to 64 KiB twice. */
enum { BATCH_MESSAGE = 160 * 1024 };

/* Comes first. 0 or -1. */
int batch_begin(struct batch *batch, uint32_t generation);

/* Begins a message (NFT_MSG_*); batch_close() ends it. NULL: no memory. */
struct nlmsghdr *batch_add(struct batch *batch, int type, uint16_t flags);
void batch_close(struct batch *batch, const struct nlmsghdr *message);

/* Sends it all and reads what the kernel says: OUTCOME_*, or -1. */
int batch_commit(struct batch *batch);

/* The error of whoever runs out of memory while a message is built. -1. */
int batch_no_memory(const struct batch *batch);

void batch_free(struct batch *batch);

/* Adds messages that create or delete elements. type: NFT_MSG_NEWSETELEM or _DELSETELEM. */
int elements_write(struct batch *batch, int type, const struct nft_set *set,
		   const struct element *elements, size_t count);

#endif
