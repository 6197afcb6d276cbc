/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All policy rules of a family, whoever made them (linux/fib_rules.h, as
 * ip-rule(8) shows them), which of them a packet meets, and what the kernel's
 * own routing answered for it.
 */
#ifndef RECONCILE_POLICY_H
#define RECONCILE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"
#include "reconcile/document.h"
#include "reconcile/span.h"
#include "reconcile/state.h"

/* A packet as routing sees it. */
struct flow {
	enum family family;
	const char *iif; /* NULL: the router itself sends it */
	uint8_t saddr[SPAN_BYTES], daddr[SPAN_BYTES];
	uint8_t protocol;
	uint16_t sport, dport; /* 0: not known */
	uint32_t mark;
};

enum fib_action {
	FIB_LOOKUP,
	FIB_GOTO,
	FIB_NOP,
	FIB_UNREACHABLE,
	FIB_PROHIBIT,
	FIB_BLACKHOLE,
	FIB_OTHER,
};

struct ports {
	uint16_t from, to; /* both 0: any */
	uint16_t mask;     /* of a single port; 0: all bits */
};

struct fib_rule {
	enum family family;
	uint32_t priority;
	enum fib_action action;
	uint32_t table;  /* of a lookup */
	uint32_t target; /* of a goto: a priority */
	/* A lookup does not count when the prefix that it finds is no longer; -1: it always does.
	 */
	int32_t suppress_prefix;
	uint8_t protocol; /* who made it: PROTOCOL_DETOUR, ... */
	bool invert;
	bool l3mdev;           /* only for packets of a VRF, and looks up the table of that */
	struct mark mark;      /* mask 0: any */
	const char *iif, *oif; /* NULL: any */
	bool has_src, has_dst;
	struct span src, dst;
	uint8_t ip_protocol; /* 0: any */
	struct ports sports, dports;
	const char *never;   /* NULL, or the name of a selector that nothing forwarded meets */
	const char *unknown; /* NULL, or the name of a selector that cannot be evaluated */
};

/* In the kernel's order. */
struct policy {
	struct fib_rule *rules;
	size_t count, room;
};

enum policy_match { MATCH_NO, MATCH_MAYBE, MATCH_YES };

enum policy_match fib_rule_match(const struct fib_rule *rule, const struct flow *flow);

/* "ipv4 rule 100: fwmark 0x10/0xf0 lookup 103". The arena owns it. */
const char *fib_rule_format(struct arena *arena, const struct fib_rule *rule);

/* What becomes of a packet by the kernel's routing. */
enum fate {
	FATE_FORWARDED,
	FATE_DELIVERED,   /* to the router itself */
	FATE_NO_ROUTE,    /* ENETUNREACH: none, or a rule that says so */
	FATE_UNREACHABLE, /* EHOSTUNREACH: a route of that type */
	FATE_PROHIBITED,  /* EACCES: a rule or a route */
	FATE_INVALID,     /* EINVAL: its source is refused (rp_filter), or a blackhole */
	FATE_STOPPED,     /* what routing is not asked: forwarding is off, or a link is down */
};

/* The kernel's answer for one flow. */
struct course {
	enum fate fate;
	const char *words; /* unless forwarded: what is in the way */
	/* Forwarded or delivered: */
	uint32_t table;
	uint8_t prefix;    /* of the matching route: its length */
	struct span route; /* and the addresses that it covers */
	bool multipath; /* the route has several next hops; another connection may take another */
	const char *dev;
	bool has_gateway;
	enum family gateway_family;
	uint8_t gateway[SPAN_BYTES];
	struct neighbour neighbour; /* of the gateway, or else of the target */
};

/* How the answer came about. */
struct policy_verdict {
	const struct fib_rule *rule; /* that decided; NULL: none of them */
	/* The first one before it of which it cannot be told whether it matches; NULL: none. */
	const struct fib_rule *doubt;
	bool contradicts; /* by the rules as they were read, the kernel should have said otherwise
			   */
};

void policy_explain(const struct policy *policy, const struct flow *flow,
		    const struct course *course, struct policy_verdict *out);

/* The rule that comes after this one, for a packet that it matched or not; NULL at the end. */
const struct fib_rule *policy_next(const struct policy *policy, const struct fib_rule *rule,
				   enum policy_match match);

#endif
