/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a router as far as `detour` is concerned: what should be
 * (expanded from a document) and what is (observed) are the same type, and the
 * planner compares the two.
 */
#ifndef RECONCILE_STATE_H
#define RECONCILE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"
#include "reconcile/document.h"
#include "reconcile/nft.h"

enum {
	PROTOCOL_DETOUR = 103,    /* rtm_protocol and FRA_PROTOCOL of all that we own */
	ROUTE_METRIC_IPV6 = 1024, /* what the kernel makes of no metric in IPv6 */
};

/* A name in rt_tables: procedure step 4. */
struct rt_table {
	uint32_t id;
	const char *name;
	bool own;         /* in our file; false: an administrator's */
	const char *file; /* observed: where it stands */
	/* Observed, of others': its line as it is, with the newline, and which line that is. */
	const char *text;
	uint32_t line;
	bool can_go; /* observed: the line can be taken out of the file */
	bool taken;  /* made by hand, and replaced by the document: see take_over.h */
};

/* net.ipv4.conf.INTERFACE.rp_filter: step 7. "all" and "default" are interfaces here. */
struct rp_filter {
	const char *interface;
	int value; /* 0 off, 1 strict, 2 loose */
	/* Observed: value is of our own writing, and this is what it was before our first write. */
	bool recorded;
	int before;
	bool overridden; /* observed: we wrote it once, and somebody else did since */
};

enum route_type { ROUTE_UNICAST, ROUTE_OTHER };

/* A route in a gateway's table: step 5. */
struct route {
	enum family family;
	uint32_t table;
	uint32_t metric;
	uint8_t protocol;
	enum route_type type;
	bool is_default; /* dst is all zero; false: another destination, in `dst` */
	bool multipath;  /* observed: several next hops, none of them below */
	struct span dst;
	bool has_gateway;
	uint8_t gateway[SPAN_BYTES];
	const char *dev; /* "" when the kernel names none */
	bool has_more;   /* observed: attributes that we never set (src, mtu, onlink, ...) */
	bool taken;      /* see struct rt_table */
};

enum rule_action { RULE_LOOKUP, RULE_UNREACHABLE, RULE_OTHER };

/* A policy rule: step 6. */
struct rule {
	enum family family;
	uint32_t priority;
	struct mark mark; /* mask 0: none */
	enum rule_action action;
	uint32_t table; /* of a lookup */
	uint8_t protocol;
	bool has_more; /* observed: selectors that we never set (from, iif, invert, ...) */
	/* Observed rules with has_more: the message as received, to delete or restore exactly it.
	 */
	const void *raw;
	size_t raw_size;
	bool taken; /* see struct rt_table */
};

/* A rule in a chain of somebody else's. */
struct hand_rule {
	const char *place;  /* "ip mangle PREROUTING handle 7" */
	const char *words;  /* what it does, as nft(8) says it; NULL when it was noted only */
	const char *family; /* "ip", "ip6" or "inet" */
	uint8_t nfproto;    /* the same: NFPROTO_*, as in the kernel */
	const char *table, *chain;
	uint64_t handle;
	uint64_t successor; /* the handle of the rule behind it; 0: it is the last */
	/* What makes it what it is, as received, with counters of 0: to tell it, or put it back. */
	const void *raw;
	size_t raw_size;
	uint32_t protocol; /* the only one that it takes, which xt extensions want to know; 0 */
};

/* A link that the document names. Only its existence and whether it is up matter. */
struct link {
	const char *name;
	uint32_t index;
	bool up;
	bool has_carrier; /* up, and the other end is there */
};

/* What the kernel knows of a neighbour: linux/neighbour.h, NUD_*. Words: neighbour_name(). */
enum neighbour_state {
	NEIGHBOUR_UNKNOWN,    /* not asked */
	NEIGHBOUR_NONE,       /* there is no entry: nothing was sent there lately */
	NEIGHBOUR_INCOMPLETE, /* it is being asked for the first time */
	NEIGHBOUR_REACHABLE,  /* it answered lately */
	NEIGHBOUR_STALE,      /* it answered once; the next packet to it has that confirmed */
	NEIGHBOUR_DELAY,      /* such a packet was sent; it is asked soon */
	NEIGHBOUR_PROBE,      /* it is being asked again */
	NEIGHBOUR_FAILED,     /* it does not answer */
	NEIGHBOUR_NOARP,      /* the link needs no link-layer addresses */
	NEIGHBOUR_PERMANENT,  /* an administrator said so; it is never asked */
};

struct neighbour {
	enum neighbour_state state;
	const char *link_address; /* "02:00:00:00:00:01"; NULL when it is not known */
};

/* Whether a gateway's next hop can be reached over its interface right now. */
struct next_hop {
	enum family family;
	const char *interface;
	uint8_t address[SPAN_BYTES];
	const char *obstacle;       /* NULL: on-link. Else what is in the way, in words */
	bool is_own;                /* the obstacle is that the address is this router's */
	const char *elsewhere;      /* NULL, or the interface by which routing would reach it */
	struct neighbour neighbour; /* who answers there, when the scope asks for it */
};

/* How many connections conntrack knows that bear a mark. */
struct marked {
	struct mark mark;
	size_t connections;
};

struct foreign;
struct leftovers;

struct state {
	struct arena arena;
	struct rt_table *rt_tables;
	size_t rt_table_count, rt_table_room;
	struct rp_filter *rp_filters;
	size_t rp_filter_count, rp_filter_room;
	struct route *routes;
	size_t route_count, route_room;
	struct rule *rules;
	size_t rule_count, rule_room;
	struct nft_table nft;

	/* What others do with marks; only when the scope asks for it. In the arena. */
	struct foreign *foreign;
	/* Of that: made by hand, and replaced by the document. In the order of their chains. */
	struct hand_rule *hand_rules;
	size_t hand_rule_count, hand_rule_room;
	bool is_by_hand;                   /* they do all that the document redirects */
	const struct leftovers *leftovers; /* what is not replaced; NULL when that was not asked */

	/* Observed only: facts that decide what can be done, never differences by themselves. */
	struct link *links;
	size_t link_count, link_room;
	struct next_hop *next_hops;
	size_t next_hop_count, next_hop_room;
	struct marked *marked;
	size_t marked_count, marked_room;
};

/*
 * What an observation has to look at, so that its cost depends on the document
 * and on what we own, never on what else the router holds.
 */
struct scope {
	const struct document *document;
	/* What is known from before, so that less has to be read (plan.h); NULL: nothing. */
	const struct since *since;
	bool everything; /* destroy: look for our routes in every table */
	/* Undoing: an interface that no document names has lost our value already. */
	bool every_rp_filter;
	bool foreign; /* what others do with marks, all policy rules and names included */
	/*
	 * Replace what was made by hand, where it is understood: see take_over.h.
	 * NULL state: what can be; else what was found to be in that earlier look.
	 */
	bool take_over;
	const struct state *taken;
	bool neighbours;  /* whether the next hops answer */
	bool connections; /* how many connections bear the mark of each gateway and rule of ours */
	/* Look at what else the router holds, too, for more warnings: at a cost that it decides. */
	bool surroundings;
};

void state_free(struct state *state);

/* Sorts every array by key: family, table, priority, name, ... */
void state_sort(struct state *state);

const struct link *state_link(const struct state *state, const char *name);
const struct rp_filter *state_rp_filter(const struct state *state, const char *interface);
const struct next_hop *state_next_hop(const struct state *state, enum family family,
				      const char *interface, const uint8_t *address);

/* "reachable", "failed", ... as in `ip neighbour`. */
const char *neighbour_name(enum neighbour_state state);

/* How many connections bear the mark; 0 when that was not asked. */
size_t state_marked(const struct state *state, const struct mark *mark);

bool mark_equal(const struct mark *a, const struct mark *b);

/* Same family, table, destination and metric: the kernel holds one such route at a time. */
bool route_same_place(const struct route *a, const struct route *b);

/* "default via 10.2.0.10 dev eth2". The arena owns it. */
const char *route_way(struct arena *arena, const struct route *route);

/* Fields that the kernel keeps; not what an observation adds. */
bool route_equal(const struct route *a, const struct route *b);
bool rule_equal(const struct rule *a, const struct rule *b);
bool hand_rule_equal(const struct hand_rule *a, const struct hand_rule *b);

/* Ours to create and delete: of our making, or made by hand and taken over. */
bool route_is_managed(const struct route *route);
bool rule_is_managed(const struct rule *rule);

#endif
