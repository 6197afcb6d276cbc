/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has gone through the gateways, by the counters of our live rules. A
 * counter begins with its rule, and an apply that changes the rule lets it go on.
 */
#ifndef RECONCILE_TALLY_H
#define RECONCILE_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"
#include "reconcile/state.h"

struct count {
	uint64_t packets, bytes;
};

/* A gateway or a redirect that is live. */
struct tally {
	const char *name;
	/*
	 * Gateway: all packets sent to it; what comes from it is not counted.
	 * Redirect: the first packet of each connection that it selected, again
	 * for each time that it was sent in vain.
	 */
	struct count taken;
	/* Gateway: by the guard. Redirect: invalid and untracked packets. */
	struct count refused;
	/*
	 * Gateway: conntrack entries that bear its mark now, if the scope asks
	 * for them. A gateway that spoofs clients has two for each connection,
	 * the client's and its own.
	 */
	size_t connections;
};

/* Sorted by name, one of each. */
struct tallies {
	struct tally *items;
	size_t count, room;
};

/* The arena owns the items and their names. */
void tally_gateways(struct arena *arena, const struct state *observed, struct tallies *out);
void tally_redirects(struct arena *arena, const struct state *observed, struct tallies *out);

/* NULL: nothing of that name is live. */
const struct tally *tally_find(const struct tallies *tallies, const char *name);

#endif
