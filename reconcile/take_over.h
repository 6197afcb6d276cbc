/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the objects made by hand a document replaces. The import finds them,
 * and they belong to a gateway as a whole: the document must have that gateway
 * (interface, addresses, table, and a mark that its connections bear already),
 * and its redirects must take every connection that the rules took. Else
 * nothing of the gateway is taken, with the reason.
 */
#ifndef RECONCILE_TAKE_OVER_H
#define RECONCILE_TAKE_OVER_H

#include "reconcile/document.h"
#include "reconcile/import.h"
#include "reconcile/plan.h"
#include "reconcile/state.h"

struct leftovers {
	struct findings refused; /* understood, of a gateway of the document, and cannot go */
	struct findings left;    /* stay, and may do something to the gateways' connections */
};

/*
 * Marks what is replaced as taken, lists the rules in observed->hand_rules, and
 * all else in observed->leftovers. observed->foreign is there.
 */
void take_over(const struct document *document, struct state *observed);

/*
 * The same objects once more: what was taken in an earlier look, and is still
 * there. What was left then is left; what marks a gateway's connections and was
 * not there then is refused. `earlier` outlives *observed.
 */
void take_over_again(const struct document *document, const struct state *earlier,
		     struct state *observed);

/* Those that are refused are conflicts. NULL: there are none. The plan points into them. */
void leftovers_refuse(const struct leftovers *leftovers, struct plan *plan);

#endif
