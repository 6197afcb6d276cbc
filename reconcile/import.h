/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what was done by hand to the document that describes it. The promise: a
 * rule is used when all of it is understood and a document can say it, or it is
 * listed with the reason; no condition is dropped in silence.
 */
#ifndef RECONCILE_IMPORT_H
#define RECONCILE_IMPORT_H

#include <jansson.h>

#include "reconcile/arena.h"
#include "reconcile/foreign.h"
#include "reconcile/state.h"
#include "reconcile/plan.h"

/* An object of somebody else's, and why it is not in the document, or of what it is a twin. */
struct finding {
	const char *kind; /* kind_name(), or "iptables-legacy" */
	const char *object, *found, *why;
};

struct findings {
	struct finding *items;
	size_t count, room;
};

struct import {
	struct arena arena;
	json_t *document;            /* a good one; of nothing, it names nothing. Owned */
	struct findings unexpressed; /* in the order of evaluation */
	struct findings duplicates;  /* of what the document says already */
	struct warning *notes;       /* what the document says differently, or what to look at */
	size_t note_count, note_room;
};

/*
 * observed->foreign is there, and all names, policy rules, rp_filter values and
 * routes of tables that rules with a mark look up. *out does not point into it;
 * import_free() is due.
 */
void import_infer(const struct state *observed, struct import *out);
void import_free(struct import *import);

#endif
