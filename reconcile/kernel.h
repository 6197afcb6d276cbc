/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the reconciler asks of a backend. Two exist: the live kernel, and a
 * strict one in memory for tests. A backend reads and writes; it has no notion
 * of equality and makes no decisions.
 */
#ifndef RECONCILE_KERNEL_H
#define RECONCILE_KERNEL_H

#include "reconcile/error.h"
#include "reconcile/plan.h"
#include "reconcile/policy.h"
#include "reconcile/state.h"
#include "reconcile/surroundings.h"

/* Positive results are outcomes that the caller handles; -1 is an error, in *error. */
enum outcome {
	OUTCOME_DONE = 0,
	OUTCOME_STALE = 1,   /* the ruleset changed since it was read; nothing was written */
	OUTCOME_WAITS = 2,   /* the interface or the next hop is not there; nothing was written */
	OUTCOME_UNKNOWN = 3, /* the answer was lost: observe again */
};

struct kernel;

struct kernel_ops {
	/*
	 * Reads all that the scope names into *out, sorted. 0, or -1 with
	 * *error. state_free() is due in either case. An object that is absent
	 * from *out is absent from the kernel, not hidden by a racing dump.
	 */
	int (*observe)(struct kernel *kernel, const struct scope *scope, struct state *out,
		       struct error *error);
	/*
	 * Reads what else the router holds into *out, as far as it can be read:
	 * it decides about no step, so there is no error. surroundings_free() is
	 * due.
	 */
	void (*look_around)(struct kernel *kernel, const struct document *document,
			    struct surroundings *out);
	/* One step of kind rt_table, rp_filter, route or rule. OUTCOME_* or -1. */
	int (*write)(struct kernel *kernel, const struct step *step, struct error *error);
	/*
	 * Steps of the nft kinds, as one transaction that fails with
	 * OUTCOME_STALE unless the ruleset is still of that generation.
	 */
	int (*commit)(struct kernel *kernel, const struct step *steps, size_t count,
		      uint32_t generation, struct error *error);
	/*
	 * All policy rules of a family, in the kernel's order, and where the
	 * kernel's own routing would send such a packet. The arena owns what is
	 * found. 0 or -1.
	 */
	int (*read_policy)(struct kernel *kernel, enum family family, struct arena *arena,
			   struct policy *out, struct error *error);
	int (*read_course)(struct kernel *kernel, const struct flow *flow, struct arena *arena,
			   struct course *out, struct error *error);
	/* Deletes the conntrack entries that bear the mark. 0 or -1. */
	int (*forget)(struct kernel *kernel, const struct mark *mark, struct error *error);
};

struct kernel {
	const struct kernel_ops *ops;
};

#endif
