/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A state as JSON: what a rollback needs after the process that began the
 * change is gone, and what a plan's fingerprint is taken of. Byte strings are
 * hexadecimal, enumerations are their numbers. The format is private to one
 * version of the program; whoever stores it notes the version beside it.
 */
#ifndef RECONCILE_STATE_JSON_H
#define RECONCILE_STATE_JSON_H

#include <jansson.h>

#include "reconcile/error.h"
#include "reconcile/plan.h"
#include "reconcile/state.h"

/*
 * What a change can touch: names, rp_filter, routes, rules, the nft table;
 * neither handles nor counters nor what only the observation knows. Elements
 * of sets that the plan does not touch are left out; nothing is when plan is
 * NULL. The caller owns the value.
 */
json_t *state_to_json(const struct state *state, const struct plan *plan);

/*
 * Fills *state, sorted. Elements that were left out are taken from `now`, or
 * from nowhere when it is NULL. 0, or -1 with *error when the JSON is not what
 * state_to_json() makes. state_free() is due in either case; *state points
 * into `now`.
 */
int state_from_json(const json_t *json, const struct state *now, struct state *state,
		    struct error *error);

/* A set whose elements were left out, and that is not in `now` either; NULL: there is none. */
const char *state_lost_set(const json_t *json, const struct state *now);

#endif
