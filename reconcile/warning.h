/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What will go wrong although every object is in place, or what a change costs. */
#ifndef RECONCILE_WARNING_H
#define RECONCILE_WARNING_H

#include "reconcile/plan.h"
#include "reconcile/surroundings.h"

/* Those that need no kernel. */
void warnings_of_document(const struct document *document, struct plan *plan);

/* A document without redirects, where some are live: not for a destroy, which means it. */
void warnings_of_emptying(const struct document *document, const struct state *observed,
			  struct plan *plan);

/*
 * Those that an observation of our own objects and interfaces shows, and those
 * that a look around does; around is NULL when there was none.
 */
void warnings_of_state(const struct document *document, const struct state *observed,
		       const struct surroundings *around, struct plan *plan);

#endif
