/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else is on the router: one file for each source. All readers append to
 * *out, sorted, and leave out what cannot be read.
 */
#ifndef BACKENDS_SURROUND_H
#define BACKENDS_SURROUND_H

#include "backends/netlink.h"
#include "reconcile/surroundings.h"

/* All of it. The sockets are on NETLINK_ROUTE and NETLINK_NETFILTER. */
void surround_read(struct netlink *route, struct netlink *netfilter,
		   const struct document *document, struct surroundings *out);

/* surround_device.c: all interfaces, and the sysctls of those that concern the document. */
void surround_devices(struct netlink *route, const struct document *document,
		      struct surroundings *out);

/*
 * surround_policy.c: policy rules that are not ours, and where those lead that
 * may take a redirect's packets; after surround_devices().
 */
void surround_policy(struct netlink *route, const struct document *document,
		     struct surroundings *out);

/* surround_way.c: where servers are routed, where that matters. */
void surround_ways(struct netlink *route, const struct document *document,
		   struct surroundings *out);

/* surround_session.c: connections that a redirect would select, without a gateway's mark. */
void surround_sessions(struct netlink *route, struct netlink *netfilter,
		       const struct document *document, struct surroundings *out);

/* surround_xfrm.c: IPsec policies. */
void surround_xfrm(struct surroundings *out);

/* surround_host.c: files, network managers, iptables-legacy; after surround_devices(). */
void surround_host(const struct document *document, struct surroundings *out);

/* surround_nft.c: the chains of others, and what their rules do. Of one moment, or nothing. */
void surround_nft(struct netlink *netfilter, struct surroundings *out);

/* surround_expr.c: appends what the rule in the message does, and notes where it jumps to. */
struct rule_reading {
	struct surroundings *out;
	struct other_chain *chain;
	uint64_t handle;     /* of the rule */
	bool may_be_left;    /* an earlier rule of the chain may keep packets from later ones */
	bool jumps_anywhere; /* by a verdict map */
	struct other_jump {
		const struct other_chain *from;
		const char *to; /* of the same table */
	} * jumps;
	size_t jump_count, jump_room;
};

void surround_rule(struct rule_reading *reading, const struct nlattr *expressions);

#endif
