/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Creating: name, rp_filter, route, rules, then the nft table, so that traffic
 * is diverted only once its path stands. Removing: the reverse. In between,
 * connections that bear a retired mark are forgotten. What was made by hand goes
 * when ours stands, and is back before ours goes.
 */
#include "reconcile/plan.h"

#include <stdlib.h>
#include <string.h>

#include "reconcile/diff.h"

const char *kind_name(enum kind kind)
{
	static const char *const names[KIND_COUNT] = {
		[KIND_RT_TABLE] = "rt_table",   [KIND_RP_FILTER] = "rp_filter",
		[KIND_ROUTE] = "route",         [KIND_RULE] = "rule",
		[KIND_NFT_TABLE] = "nft_table", [KIND_NFT_CHAIN] = "nft_chain",
		[KIND_NFT_SET] = "nft_set",     [KIND_NFT_ELEMENT] = "nft_element",
		[KIND_NFT_RULE] = "nft_rule",   [KIND_HAND_RULE] = "nft_rule",
	};

	return names[kind];
}

const char *action_name(enum action action)
{
	static const char *const names[] = { "create", "update", "move", "delete" };

	return names[action];
}

const char *drift_name(enum drift drift)
{
	static const char *const names[] = { "missing", "changed", "misordered", "extra" };

	return names[drift];
}

const char *effect_name(enum effect effect)
{
	static const char *const names[] = { "none", "exposed", "outage", "leak" };

	return names[effect];
}

static bool selects_traffic(const struct document *document)
{
	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled)
			return true;
	return false;
}

struct step *diff_step(struct diff *diff, enum kind kind, enum action action, enum effect effect)
{
	static const enum drift drifts[] = {
		[ACTION_CREATE] = DRIFT_MISSING,
		[ACTION_UPDATE] = DRIFT_CHANGED,
		[ACTION_MOVE] = DRIFT_MISORDERED,
		[ACTION_DELETE] = DRIFT_EXTRA,
	};
	struct plan *plan = diff->plan;
	struct step *step =
		ARENA_PUSH(&plan->arena, plan->steps, plan->step_count, plan->step_room);

	if (!selects_traffic(diff->document))
		effect = EFFECT_NONE;
	/* Nothing is lost as it stands, whatever may come. */
	if (diff->observed->is_by_hand && effect != EFFECT_EXPOSED)
		effect = EFFECT_NONE;
	*step = (struct step){
		.kind = kind,
		.action = action,
		.drift = drifts[action],
		.effect = effect,
		.count = 1,
	};
	if (effect > plan->effect)
		plan->effect = effect;
	return step;
}

static const char **names_of(struct diff *diff, const struct gateway *gateway, size_t *count)
{
	const struct document *document = diff->document;
	const char **names =
		arena_alloc(&diff->plan->arena, document->redirect_count * sizeof(*names));

	*count = 0;
	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled &&
		    (!gateway || document->redirects[i].gateway == gateway))
			names[(*count)++] = document->redirects[i].name;
	return names;
}

void diff_concerns_gateway(struct diff *diff, struct step *step, const struct gateway *gateway)
{
	if (!gateway)
		return;
	step->gateway = gateway->name;
	step->redirects = names_of(diff, gateway, &step->redirect_count);
}

void diff_concerns_all(struct diff *diff, struct step *step)
{
	step->redirects = names_of(diff, NULL, &step->redirect_count);
}

void diff_concerns_redirect(struct diff *diff, struct step *step, const char *redirect)
{
	const struct document *document = diff->document;

	step->redirects = arena_alloc(&diff->plan->arena, sizeof(*step->redirects));
	step->redirects[0] = redirect;
	step->redirect_count = 1;
	for (size_t i = 0; i < document->redirect_count; i++)
		if (!strcmp(document->redirects[i].name, redirect))
			step->gateway = document->redirects[i].gateway->name;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t names_unique(const char **names, size_t count)
{
	size_t kept = 0;

	qsort(names, count, sizeof(*names), name_compare);
	for (size_t i = 0; i < count; i++)
		if (!kept || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	return kept;
}

void diff_concerns_redirects(struct diff *diff, struct step *step, const char **names, size_t count)
{
	const struct document *document = diff->document;
	size_t known = 0;

	count = names_unique(names, count);
	if (count == 1) {
		diff_concerns_redirect(diff, step, names[0]);
		return;
	}
	step->redirects = arena_alloc(&diff->plan->arena, count * sizeof(*names));
	for (size_t i = 0; i < document->redirect_count; i++) {
		const char *name = document->redirects[i].name;

		if (bsearch(&name, names, count, sizeof(*names), name_compare))
			step->redirects[known++] = name;
	}
	step->redirect_count = known;
}

const struct gateway *document_gateway_of_table(const struct document *document, uint32_t table)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (document->gateways[i].table == table)
			return &document->gateways[i];
	return NULL;
}

const struct gateway *document_gateway_of_mark(const struct document *document,
					       const struct mark *mark)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (mark_equal(&document->gateways[i].mark, mark))
			return &document->gateways[i];
	return NULL;
}

/* Comments, interfaces and names that others chose may hold what a terminal obeys. */
static void make_printable(struct plan *plan)
{
	for (size_t i = 0; i < plan->step_count; i++)
		plan->steps[i].object = arena_printable(&plan->arena, plan->steps[i].object);
	for (size_t i = 0; i < plan->conflict_count; i++) {
		struct conflict *conflict = &plan->conflicts[i];

		conflict->object = arena_printable(&plan->arena, conflict->object);
		conflict->found = arena_printable(&plan->arena, conflict->found);
		conflict->hint = arena_printable(&plan->arena, conflict->hint);
	}
}

void plan_build(const struct document *document, const struct state *desired,
		const struct state *observed, struct plan *plan)
{
	struct diff diff = {
		.document = document, .desired = desired, .observed = observed, .plan = plan
	};

	*plan = (struct plan){ .is_by_hand = observed->is_by_hand };
	diff_conflicts(&diff);
	diff_marks_retired(&diff);
	diff_names_create(&diff);
	diff_rp_filters_set(&diff);
	diff_routes_create(&diff);
	diff_rules_create(&diff);
	diff_hand_rules_create(&diff);
	diff_nft(&diff);
	plan->forget_at = plan->step_count;
	diff_nft_retired(&diff);
	diff_hand_rules_delete(&diff);
	diff_rules_delete(&diff);
	diff_routes_delete(&diff);
	diff_rp_filters_restore(&diff);
	diff_names_delete(&diff);
	make_printable(plan);
}

void plan_free(struct plan *plan)
{
	arena_free(&plan->arena);
	*plan = (struct plan){ 0 };
}

bool steps_touch_set(const struct step *steps, size_t count, const char *set)
{
	for (size_t i = 0; i < count; i++) {
		const struct step *step = &steps[i];

		/* A table that is made anew or goes takes all elements along. */
		if (step->kind == KIND_NFT_TABLE)
			return true;
		if ((step->kind == KIND_NFT_SET || step->kind == KIND_NFT_ELEMENT) &&
		    !strcmp(step->container, set))
			return true;
	}
	return false;
}

size_t plan_ready_count(const struct plan *plan)
{
	size_t ready = 0;

	for (size_t i = 0; i < plan->step_count; i++)
		ready += !plan->steps[i].waits;
	return ready;
}

bool plan_in_sync(const struct plan *plan)
{
	return !plan->step_count && !plan->conflict_count;
}

const struct warning *plan_fatal(const struct plan *plan)
{
	for (size_t i = 0; i < plan->warning_count; i++)
		if (plan->warnings[i].fatal)
			return &plan->warnings[i];
	return NULL;
}
