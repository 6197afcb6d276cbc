/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/diff_order.h"

#include <string.h>

enum { UNMATCHED = -1 };

/* Which live rule is which wanted rule, by index; UNMATCHED where there is none. */
struct match {
	const struct nft_chain *wanted, *live;
	int *live_of;   /* of each wanted rule */
	int *wanted_of; /* of each live rule */
	bool *stays;    /* of each live rule: it need not move */
};

static bool is_of_gateway(enum role role)
{
	return role == ROLE_CLEAR || role == ROLE_KEEP || role == ROLE_ANSWER ||
	       role == ROLE_MARK || role == ROLE_PASS || role == ROLE_CONVERT || role == ROLE_GUARD;
}

static void describe(struct diff *diff, struct step *step, const char *chain,
		     const struct nft_rule *rule)
{
	struct arena *arena = &diff->plan->arena;
	const char *subject = nft_rule_subject(arena, rule);

	step->container = chain;
	step->object = arena_printf(arena, "%s: %s", chain,
				    *rule->comment ? rule->comment : nft_rule_format(arena, rule));
	for (size_t i = 0; i < diff->document->gateway_count; i++)
		if (is_of_gateway(rule->role) &&
		    !strcmp(diff->document->gateways[i].name, subject)) {
			diff_concerns_gateway(diff, step, &diff->document->gateways[i]);
			return;
		}
	if (rule->role == ROLE_CONVERT || rule->role == ROLE_GUARD)
		return;
	/* In a chain that redirects share, a rule of ours is about its gateway. */
	if (rule->role == ROLE_NONE || !is_shared(chain))
		diff_concerns_name(diff, step, chain);
}

void diff_rule_delete(struct diff *diff, const char *chain, const struct nft_rule *rule)
{
	struct step *step = diff_step(diff, KIND_NFT_RULE, ACTION_DELETE,
				      effect_of_rule(diff, chain, rule, DRIFT_EXTRA));

	step->before = rule;
	step->why = rule->role == ROLE_NONE ? "a foreign rule in our table" : "not in the document";
	describe(diff, step, chain, rule);
}

static void rule_step(struct diff *diff, enum action action, const struct match *match,
		      const struct nft_rule *before, const struct nft_rule *after,
		      const struct nft_rule *successor)
{
	static const enum drift drifts[] = { DRIFT_MISSING, DRIFT_CHANGED, DRIFT_MISORDERED };
	static const char *const whys[] = { "part of our table", "differs from the document",
					    "stands in the wrong place" };
	const char *chain = match->wanted->name;
	enum effect effect = action == ACTION_UPDATE
				     ? effect_of_update(diff, chain, before, after)
				     : effect_of_rule(diff, chain, after, drifts[action]);
	struct step *step = diff_step(diff, KIND_NFT_RULE, action, effect);

	step->before = before;
	step->after = after;
	step->successor = successor;
	step->why = whys[action];
	describe(diff, step, chain, after);
}

bool diff_rule_is_retired(const struct diff *diff, const struct nft_rule *rule)
{
	struct mark mark;

	if ((rule->role != ROLE_CONVERT && rule->role != ROLE_GUARD) || !nft_rule_mark(rule, &mark))
		return false;
	for (size_t i = 0; i < diff->plan->retired_count; i++)
		if (mark_equal(&diff->plan->retired[i], &mark))
			return !nft_converts(&diff->desired->nft, &mark);
	return false;
}

static bool same_purpose(const struct diff *diff, const struct nft_rule *wanted,
			 const struct nft_rule *live)
{
	return *wanted->comment && !strcmp(wanted->comment, live->comment) &&
	       !diff_rule_is_retired(diff, live);
}

static bool same_content(const struct diff *diff, const struct nft_rule *wanted,
			 const struct nft_rule *live)
{
	(void)diff;
	return nft_rule_equal(wanted, live);
}

/* Pairs each wanted rule that has none yet with the first free live rule that is alike. */
static void pair(const struct diff *diff, struct match *match,
		 bool (*alike)(const struct diff *, const struct nft_rule *,
			       const struct nft_rule *))
{
	for (size_t w = 0; w < match->wanted->rule_count; w++)
		for (size_t l = 0; l < match->live->rule_count; l++) {
			if (match->live_of[w] != UNMATCHED)
				break;
			if (match->wanted_of[l] != UNMATCHED ||
			    !alike(diff, &match->wanted->rules[w], &match->live->rules[l]))
				continue;
			match->live_of[w] = (int)l;
			match->wanted_of[l] = (int)w;
		}
}

/*
 * The longest run of live rules whose order is right: they stay, the others
 * move. Quadratic, in the number of rules of one chain, which is small.
 */
static void keep_longest_run(struct arena *arena, struct match *match)
{
	size_t count = match->live->rule_count;
	int *length = arena_alloc(arena, count * sizeof(*length));
	int *previous = arena_alloc(arena, count * sizeof(*previous));
	int best = UNMATCHED;

	for (size_t l = 0; l < count; l++) {
		previous[l] = UNMATCHED;
		if (match->wanted_of[l] == UNMATCHED)
			continue;
		length[l] = 1;
		for (size_t k = 0; k < l; k++)
			if (match->wanted_of[k] != UNMATCHED &&
			    match->wanted_of[k] < match->wanted_of[l] &&
			    length[k] + 1 > length[l]) {
				length[l] = length[k] + 1;
				previous[l] = (int)k;
			}
		if (best == UNMATCHED || length[l] > length[best])
			best = (int)l;
	}
	for (; best != UNMATCHED; best = previous[best])
		match->stays[best] = true;
}

static int *unmatched(struct arena *arena, size_t count)
{
	int *indices = arena_alloc(arena, count * sizeof(*indices));

	for (size_t i = 0; i < count; i++)
		indices[i] = UNMATCHED;
	return indices;
}

static struct match match_rules(struct diff *diff, const struct nft_chain *wanted,
				const struct nft_chain *live)
{
	struct arena *arena = &diff->plan->arena;
	struct match match = { .wanted = wanted, .live = live };

	match.live_of = unmatched(arena, wanted->rule_count);
	match.wanted_of = unmatched(arena, live->rule_count);
	match.stays = arena_alloc(arena, live->rule_count * sizeof(*match.stays));
	pair(diff, &match, same_content);
	pair(diff, &match, same_purpose);
	keep_longest_run(arena, &match);
	return match;
}

/* The live rule before which a wanted rule belongs: the next one that does not move. */
static const struct nft_rule *successor_of(const struct match *match, size_t w)
{
	while (++w < match->wanted->rule_count) {
		int l = match->live_of[w];

		if (l != UNMATCHED && match->stays[l])
			return &match->live->rules[l];
	}
	return NULL;
}

static void rule_place(struct diff *diff, const struct match *match, size_t w)
{
	const struct nft_rule *wanted = &match->wanted->rules[w];
	int l = match->live_of[w];
	const struct nft_rule *live = l == UNMATCHED ? NULL : &match->live->rules[l];

	if (!live)
		rule_step(diff, ACTION_CREATE, match, NULL, wanted, successor_of(match, w));
	else if (!match->stays[l])
		rule_step(diff, ACTION_MOVE, match, live, wanted, successor_of(match, w));
	else if (!nft_rule_equal(wanted, live))
		rule_step(diff, ACTION_UPDATE, match, live, wanted, NULL);
}

void diff_rule_order(struct diff *diff, const struct nft_chain *wanted,
		     const struct nft_chain *live)
{
	struct match match = match_rules(diff, wanted, live);

	for (size_t l = 0; l < live->rule_count; l++)
		if (match.wanted_of[l] == UNMATCHED && !diff_rule_is_retired(diff, &live->rules[l]))
			diff_rule_delete(diff, wanted->name, &live->rules[l]);
	for (size_t w = 0; w < wanted->rule_count; w++)
		rule_place(diff, &match, w);
}
