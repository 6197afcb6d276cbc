/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routes, policy rules, links and rp_filter over rtnetlink (linux/rtnetlink.h,
 * linux/fib_rules.h, linux/netconf.h). What is read is whole: absence is never
 * the work of a dump that raced with a change. What is written carries every
 * field, because the kernel takes an omitted one for a wildcard.
 *
 * All readers append to *out, unsorted, and return 0, or -1 with *error. All
 * writers take one step of their kind and return OUTCOME_*, or -1 with *error;
 * deleting what is gone already is OUTCOME_DONE.
 */
#ifndef BACKENDS_RTNL_H
#define BACKENDS_RTNL_H

#include "backends/netlink.h"
#include "backends/record.h"
#include "reconcile/error.h"
#include "reconcile/kernel.h"
#include "reconcile/plan.h"
#include "reconcile/policy.h"
#include "reconcile/state.h"

/* Routing table ids: sorted and unique after tables_sort(). */
struct tables {
	uint32_t *ids;
	size_t count, room;
};

void tables_add(struct arena *arena, struct tables *tables, uint32_t id);
void tables_sort(struct tables *tables);
bool tables_contain(const struct tables *tables, uint32_t id);

/* AF_INET or AF_INET6. */
uint8_t rtnl_family(enum family family);

/*
 * netlink_dump() until two dumps in a row have the same digest: a change during
 * a dump of IPv4 routes or of rules can hide a live object, and the kernel does
 * not flag it (NLM_F_DUMP_INTR). The reader computes *digest, over what it keeps,
 * with digest_add(); its begin() resets it to 0.
 */
int rtnl_dump_settled(struct netlink *nl, struct nlmsghdr *request,
		      const struct netlink_reader *reader, const uint64_t *digest);
void digest_add(uint64_t *digest, const void *bytes, size_t size);

/*
 * Attributes behind a family header of that size, by type; those beyond `max`
 * are left out. The array has max + 1 items, NULL where there is none.
 */
void rtnl_attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **found,
		     uint16_t max);

/* The addresses of a network, of that many bytes each. The span must be zero. */
void prefix_to_span(const uint8_t *address, size_t bytes, unsigned int length, struct span *span);

/* The number in an attribute; `absent` when it is NULL or too short. */
uint32_t attribute_u32(const struct nlattr *attribute, uint32_t absent);

/*
 * What a failed write means: OUTCOME_UNKNOWN when its answer was lost, else -1
 * with "WHAT: cannot be DONE: reason; remedy".
 */
int rtnl_refused(struct netlink *nl, int code, const char *what, const char *done,
		 struct error *error);

/* -1 with "WHAT cannot be read: reason". */
int rtnl_unreadable(struct netlink *nl, int code, const char *what, struct error *error);

/* rtnl_route.c: everything in one table. A table that does not exist is empty. */
int rtnl_read_table(struct netlink *nl, enum family family, uint32_t table, struct state *out,
		    struct error *error);
/* Our own routes in all tables but those read before. */
int rtnl_read_own_routes(struct netlink *nl, enum family family, const struct tables *read_before,
			 struct state *out, struct error *error);
int rtnl_write_route(struct netlink *nl, const struct step *step, struct error *error);

/*
 * rtnl_rule.c: our own rules, and those of others that stand at a gateway's
 * priority or the next one, or look up a gateway's table; without a document, all.
 */
int rtnl_read_rules(struct netlink *nl, const struct document *document, struct state *out,
		    struct error *error);
int rtnl_write_rule(struct netlink *nl, const struct step *step, struct error *error);

/*
 * A settled dump of all rules of a family; of a family that the kernel lacks
 * there are none. take() gets each, an RTM_NEWRULE with its header; begin()
 * forgets what an attempt that did not count has taken.
 */
struct rule_reader {
	void (*begin)(void *context);
	void (*take)(const struct nlmsghdr *message, enum family family, void *context);
	void *context;
};

int rtnl_dump_rules(struct netlink *nl, enum family family, const struct rule_reader *reader,
		    struct error *error);

/* rtnl_policy.c: every rule of a family, in the kernel's order. The arena owns them. */
int rtnl_read_policy(struct netlink *nl, enum family family, struct arena *arena,
		     struct policy *out, struct error *error);

/*
 * rtnl_course.c: where the kernel itself would send such a packet. It is asked,
 * nothing is sent. An interface or a family that is not there is an answer, too.
 */
int rtnl_read_course(struct netlink *nl, const struct flow *flow, struct arena *arena,
		     struct course *out, struct error *error);

/* rtnl_link.c: the interfaces that the document names in full; missing ones are left out. */
int rtnl_read_links(struct netlink *nl, const struct document *document, struct state *out,
		    struct error *error);
/* Fills the link of that name. 0 or a negative errno, -ENODEV when there is none. */
int rtnl_get_link(struct netlink *nl, struct link *link);
/* For each gateway's addresses, after rtnl_read_links(). */
int rtnl_read_next_hops(struct netlink *nl, const struct document *document, struct state *out,
			struct error *error);

/*
 * The interface by which unmarked packets to the address leave; NULL when there
 * is none, or several, or the address is the router's own. The arena owns it.
 */
const char *rtnl_way_out(struct netlink *nl, enum family family, const uint8_t *address,
			 struct arena *arena);

/*
 * rtnl_neighbour.c: the entry for one address on one interface, asked for by
 * itself, so that the cost does not depend on how many neighbours there are.
 * The arena owns the text.
 */
int rtnl_read_neighbour(struct netlink *nl, uint32_t index, enum family family,
			const uint8_t *address, struct arena *arena, struct neighbour *out,
			struct error *error);
/* For each next hop whose interface is there, after rtnl_read_next_hops(). */
int rtnl_read_neighbours(struct netlink *nl, struct state *out, struct error *error);

/*
 * rtnl_rp_filter.c: `all`, `default` and the gateways' interfaces; every
 * interface when a gateway turns rp_filter off, when something is recorded,
 * or when the scope asks for it.
 */
int rtnl_read_rp_filters(struct netlink *nl, const struct scope *scope, const struct record *record,
			 struct state *out, struct error *error);
/* Records before it writes, see record.h. A missing interface is OUTCOME_WAITS. */
int rtnl_write_rp_filter(struct netlink *nl, const struct step *step, struct error *error);

#endif
