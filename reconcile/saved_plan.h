/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plan as a file: the steps that were looked at and no others, good only for
 * the state that they were planned against. schemas/plan.schema.json has its
 * shape. The digest tells a plan that was edited; it is no signature.
 */
#ifndef RECONCILE_SAVED_PLAN_H
#define RECONCILE_SAVED_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "reconcile/error.h"
#include "reconcile/reconcile.h"

/* Where a plan may be applied: on this machine, since this boot, in this network namespace. */
struct host {
	char boot_id[64], machine_id[64], netns[32];
};

/* Those of the largest documents have about half of it; a larger one is neither written nor read.
 */
enum { PLAN_MAX_BYTES = 1024 * 1024 * 1024 };

/*
 * Whether a file is a saved plan, damaged or not, rather than a document: it
 * has a key format_version, which no document has. plan --out writes it first,
 * so the beginning of a plan tells.
 */
bool saved_plan_is(const char *text, size_t size);

/* NULL with *error when it is too large or damaged. The caller owns the value. */
json_t *saved_plan_parse(const char *text, size_t size, struct error *error);

/* The caller owns the value. */
json_t *saved_plan_make(const json_t *document, const struct comparison *comparison,
			const struct host *host);

/* 0, or -1 with *error: edited, of another version, or of another boot, machine or namespace. */
int saved_plan_check(const json_t *plan, const struct host *host, struct error *error);

/* Whether it replaces what was made by hand: see take_over.h. */
bool saved_plan_takes_over(const json_t *plan);

/* The plan's document. The plan owns it. */
const json_t *saved_plan_document(const json_t *plan);

/* Whether the comparison finds the very state, and would take the very steps, of the plan. */
bool saved_plan_holds(const json_t *plan, const struct comparison *now);

/* Whether each of the steps that could be done now is one of the plan's. */
bool saved_plan_covers(const json_t *plan, const struct plan *remaining);

/*
 * What has changed since: the steps that would lead back to what the plan saw.
 * *seen is the state that they point to; plan_free() and state_free() are due.
 */
void saved_plan_differences(const json_t *plan, const struct state *now, struct state *seen,
			    struct plan *differences);

#endif
