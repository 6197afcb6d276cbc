/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the planner: one function for each kind and direction. Each appends
 * the steps of its kind; plan.c calls them in the order of application.
 */
#ifndef RECONCILE_DIFF_H
#define RECONCILE_DIFF_H

#include "reconcile/plan.h"
#include "reconcile/sharing.h"

struct diff {
	const struct document *document;
	const struct state *desired, *observed;
	struct plan *plan;
	bool knows_sharers;
	struct sharers sharers; /* of both states; diff_sharers() fills them in */
};

#define WHY_BY_HAND "made by hand; the document takes its place"

/* A new step at the end of the plan; the caller sets the rest. */
struct step *diff_step(struct diff *diff, enum kind kind, enum action action, enum effect effect);

/* The step concerns a gateway, hence all its redirects. NULL is allowed. */
void diff_concerns_gateway(struct diff *diff, struct step *step, const struct gateway *gateway);
/* The step concerns one redirect, by name; unknown names are kept. */
void diff_concerns_redirect(struct diff *diff, struct step *step, const char *redirect);
/* It concerns several, of any order and number: those that the document has. Sorts the names. */
void diff_concerns_redirects(struct diff *diff, struct step *step, const char **names,
			     size_t count);
void diff_concerns_all(struct diff *diff, struct step *step);
/* It is about the set or chain of that name in our table, or about something in it. */
void diff_concerns_name(struct diff *diff, struct step *step, const char *name);

void diff_conflicts(struct diff *diff);
void diff_names_create(struct diff *diff);
void diff_names_delete(struct diff *diff);
void diff_rp_filters_set(struct diff *diff);
void diff_rp_filters_restore(struct diff *diff);
void diff_routes_create(struct diff *diff);
void diff_routes_delete(struct diff *diff);
void diff_rules_create(struct diff *diff);
void diff_rules_delete(struct diff *diff);
void diff_nft(struct diff *diff);
/* diff_hand.c: rules in chains of others that are put back, or taken over. */
void diff_hand_rules_create(struct diff *diff);
void diff_hand_rules_delete(struct diff *diff);
/* The nft rules that honour a retired mark: after the connections are forgotten. */
void diff_nft_retired(struct diff *diff);
void diff_marks_retired(struct diff *diff);

const struct gateway *document_gateway_of_table(const struct document *document, uint32_t table);
const struct gateway *document_gateway_of_mark(const struct document *document,
					       const struct mark *mark);

/* effect.c: what a difference means for traffic as it stands. */

/* The gateway's traffic has lost its way: refused where something live refuses it. */
enum effect effect_of_loss(const struct diff *diff, const struct gateway *gateway);
/* It would leak at the next loss, if anything is redirected to the gateway. */
enum effect effect_of_exposure(const struct diff *diff, const struct gateway *gateway);
enum effect effect_of_elements(const struct diff *diff, const struct nft_set *set,
			       enum drift drift);
enum effect effect_of_chain(const struct nft_chain *chain, enum drift drift);
enum effect effect_of_set(const struct nft_set *set, enum drift drift);
enum effect effect_of_rule(const struct diff *diff, const char *chain, const struct nft_rule *rule,
			   enum drift drift);
/* before stands where after should. */
enum effect effect_of_update(const struct diff *diff, const char *chain,
			     const struct nft_rule *before, const struct nft_rule *after);

/* Whether the table has a convert rule for the mark. */
bool nft_converts(const struct nft_table *table, const struct mark *mark);

#endif
