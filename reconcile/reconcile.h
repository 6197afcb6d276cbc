/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Observe, plan, execute, observe again. Whatever the kernel answers, what is
 * reported is what the last observation saw.
 */
#ifndef RECONCILE_RECONCILE_H
#define RECONCILE_RECONCILE_H

#include <jansson.h>

#include "reconcile/error.h"
#include "reconcile/kernel.h"
#include "reconcile/plan.h"
#include "reconcile/state.h"
#include "reconcile/surroundings.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_ERROR = 1,         /* nothing was changed */
	EXIT_DIFFERENT = 2,     /* something to do, or something remains */
	EXIT_CONFLICT = 3,      /* nothing was changed */
	EXIT_STALE = 4,         /* nothing was changed */
	EXIT_ROLLED_BACK = 5,   /* the live state is as before */
	EXIT_UNKNOWN_STATE = 6, /* run it again */
	EXIT_USAGE = 64,
	EXIT_BUSY = 75, /* nothing was changed */
};

/* One look at the kernel beside what should be. */
struct comparison {
	bool made;       /* false: the kernel could not be read, and the rest is empty */
	bool takes_over; /* the scope asked for it */
	struct state observed, desired;
	struct surroundings around; /* what the scope asks for of it */
	struct plan plan;
};

struct apply_options {
	bool allow_empty; /* the last live redirect may go */
	bool strict;      /* a fatal warning is refused, with EXIT_CONFLICT */
	/*
	 * Whether these differences are those that were asked for; called for
	 * each look, with whether something has been written since the first.
	 * NULL: any are.
	 */
	bool (*accept)(void *context, const struct comparison *look, bool wrote);
	/*
	 * Called once, before the first write, with all that is known then: the
	 * time to note how to undo it. -1 with *error: nothing is written. NULL
	 * for none.
	 */
	int (*prepare)(void *context, const struct comparison *first, struct error *error);
	void *context;
	/* Set by a signal: stop and undo. NULL when there is none. */
	const volatile int *interrupted;
};

struct apply_result {
	enum exit_code exit;
	bool changed; /* something was written and is still there */
	bool rolled_back;
	char failed_step[256]; /* "" when none failed */
	struct error error;
	/* What was planned at first, and a later look; `latest` is the one that holds now. */
	struct comparison first, later;
	const struct comparison *latest;
};

/* 0, or -1 with *error. comparison_free() is due in either case. */
int comparison_make(struct kernel *kernel, const struct scope *scope, struct comparison *comparison,
		    struct error *error);
void comparison_free(struct comparison *comparison);

/* Fills *result, which apply_result_free() releases. */
void apply(struct kernel *kernel, const struct scope *scope, const struct apply_options *options,
	   struct apply_result *result);
void apply_result_free(struct apply_result *result);

/*
 * Leads the router back to a state that state_to_json() noted, with the same
 * planner and the same steps, and looks whether it is there. True when it is;
 * else *error says what is in the way. The scope is that of the change which
 * is undone.
 */
bool restore(struct kernel *kernel, const struct scope *scope, const json_t *before,
	     struct error *error);

#endif
