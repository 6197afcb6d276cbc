/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The nft kinds: table, chains, sets, elements. The order of rules is in diff_order.c. */
#include "reconcile/diff.h"

#include <string.h>

#include "reconcile/diff_order.h"

static const struct nft_table empty;

bool nft_converts(const struct nft_table *table, const struct mark *mark)
{
	const struct nft_chain *chain = nft_chain_find(table, "prerouting");

	for (size_t i = 0; chain && i < chain->rule_count; i++) {
		struct mark other;

		if (chain->rules[i].role == ROLE_CONVERT &&
		    nft_rule_mark(&chain->rules[i], &other) && mark_equal(mark, &other))
			return true;
	}
	return false;
}

/* "redirect_rdp", "clients4_rdp": the redirect whose object alone this is, or NULL. */
static const char *redirect_of_name(const char *name)
{
	static const char *const prefixes[] = {
		"redirect_",        "clients4_",        "clients6_",        "clients-except4_",
		"clients-except6_", "servers-except4_", "servers-except6_",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return name + strlen(prefixes[i]);
	return NULL;
}

/* Both states count: a redirect that changes leaves one set for another. */
static const struct sharers *diff_sharers(struct diff *diff)
{
	struct arena *arena = &diff->plan->arena;

	if (!diff->knows_sharers) {
		sharers_add(arena, &diff->desired->nft, &diff->sharers);
		sharers_add(arena, &diff->observed->nft, &diff->sharers);
		diff->knows_sharers = true;
	}
	return &diff->sharers;
}

static void concerns_sharers(struct diff *diff, struct step *step, const char *name)
{
	size_t count;
	const struct sharer *sharers = sharers_find(diff_sharers(diff), name, &count);
	const char **names;

	if (count == 1) {
		diff_concerns_redirect(diff, step, sharers->redirect);
		return;
	}
	names = arena_alloc(&diff->plan->arena, count * sizeof(*names));
	for (size_t i = 0; i < count; i++)
		names[i] = sharers[i].redirect;
	step->redirects = names;
	step->redirect_count = count;
}

void diff_concerns_name(struct diff *diff, struct step *step, const char *name)
{
	const char *redirect = redirect_of_name(name);

	if (redirect)
		diff_concerns_redirect(diff, step, redirect);
	else if (is_shared(name))
		concerns_sharers(diff, step, name);
	else
		diff_concerns_all(diff, step);
}

static void table_step(struct diff *diff, enum action action, const char *why)
{
	struct step *step = diff_step(diff, KIND_NFT_TABLE, action,
				      action == ACTION_DELETE ? EFFECT_NONE : EFFECT_LEAK);

	step->object = "inet " NFT_TABLE;
	step->why = why;
	diff_concerns_all(diff, step);
}

/* --- chains and sets ----------------------------------------------------- */

static void chain_step(struct diff *diff, enum action action, const struct nft_chain *chain)
{
	enum drift drift = action == ACTION_CREATE ? DRIFT_MISSING : DRIFT_EXTRA;
	struct step *step = diff_step(diff, KIND_NFT_CHAIN, action, effect_of_chain(chain, drift));

	if (action == ACTION_CREATE)
		step->after = chain;
	else
		step->before = chain;
	step->object = chain->name;
	step->container = chain->name;
	step->why = action == ACTION_CREATE ? "part of our table" : "not in the document";
	diff_concerns_name(diff, step, chain->name);
}

static void set_step(struct diff *diff, enum action action, const struct nft_set *set)
{
	enum drift drift = action == ACTION_CREATE ? DRIFT_MISSING : DRIFT_EXTRA;
	struct step *step = diff_step(diff, KIND_NFT_SET, action, effect_of_set(set, drift));

	if (action == ACTION_CREATE)
		step->after = set;
	else
		step->before = set;
	step->object = set->name;
	step->container = set->name;
	step->set = set;
	step->why = action == ACTION_CREATE ? "part of our table" : "not in the document";
	diff_concerns_name(diff, step, set->name);
}

static void chains_create(struct diff *diff, const struct nft_table *live)
{
	const struct nft_table *wanted = &diff->desired->nft;

	for (size_t i = 0; i < wanted->chain_count; i++)
		if (!nft_chain_find(live, wanted->chains[i].name))
			chain_step(diff, ACTION_CREATE, &wanted->chains[i]);
}

static void sets_create(struct diff *diff, const struct nft_table *live)
{
	const struct nft_table *wanted = &diff->desired->nft;

	for (size_t i = 0; i < wanted->set_count; i++)
		if (!nft_set_find(live, wanted->sets[i].name))
			set_step(diff, ACTION_CREATE, &wanted->sets[i]);
}

/* A chain takes its rules along; a set, its elements. Rules go before what they refer to. */
static void chains_delete(struct diff *diff, const struct nft_table *live)
{
	for (size_t i = 0; i < live->chain_count; i++)
		if (!nft_chain_find(&diff->desired->nft, live->chains[i].name))
			chain_step(diff, ACTION_DELETE, &live->chains[i]);
}

static void sets_delete(struct diff *diff, const struct nft_table *live)
{
	for (size_t i = 0; i < live->set_count; i++)
		if (!nft_set_find(&diff->desired->nft, live->sets[i].name))
			set_step(diff, ACTION_DELETE, &live->sets[i]);
}

/* --- elements ------------------------------------------------------------ */

struct changes {
	struct element *before, *after;
	size_t count, before_room, after_room;
};

struct names {
	const char **items;
	size_t count, room;
};

/* The redirects that elements of a map lead to. False when one leads elsewhere, or to several. */
static bool names_take(struct arena *arena, const struct element *elements, size_t count,
		       struct names *names)
{
	const char *last = NULL;

	for (size_t i = 0; i < count; i++) {
		const char *name = elements[i].chain ? redirect_of_name(elements[i].chain) : NULL;

		if (!name)
			return false;
		if (!last || strcmp(last, name) != 0)
			*ARENA_PUSH(arena, names->items, names->count, names->room) = name;
		last = name;
	}
	return true;
}

static void elements_concern(struct diff *diff, struct step *step, const char *set)
{
	struct arena *arena = &diff->plan->arena;
	struct names names = { 0 };

	if (names_take(arena, step->before, step->before ? step->count : 0, &names) &&
	    names_take(arena, step->after, step->after ? step->count : 0, &names))
		diff_concerns_redirects(diff, step, names.items, names.count);
	else
		diff_concerns_name(diff, step, set);
}

static void elements_step(struct diff *diff, const struct nft_set *set, enum action action,
			  const struct changes *changes)
{
	struct arena *arena = &diff->plan->arena;
	const struct element *first = action == ACTION_DELETE ? changes->before : changes->after;
	enum drift drift = action == ACTION_CREATE   ? DRIFT_MISSING
			   : action == ACTION_DELETE ? DRIFT_EXTRA
						     : DRIFT_CHANGED;
	struct step *step;

	if (!changes->count)
		return;
	step = diff_step(diff, KIND_NFT_ELEMENT, action, effect_of_elements(diff, set, drift));
	step->before = action == ACTION_CREATE ? NULL : changes->before;
	step->after = action == ACTION_DELETE ? NULL : changes->after;
	step->count = changes->count;
	step->container = set->name;
	step->set = set;
	step->object = changes->count == 1 ? arena_printf(arena, "%s %s", set->name,
							  element_format(arena, set->key, first))
					   : arena_printf(arena, "%s %s and %zu more", set->name,
							  element_format(arena, set->key, first),
							  changes->count - 1);
	step->why = action == ACTION_DELETE ? "not in the document" : "named by the document";
	elements_concern(diff, step, set->name);
}

static int element_order(const struct element *a, const struct element *b)
{
	return memcmp(&a->span, &b->span, sizeof(a->span));
}

static bool element_same_data(const struct element *a, const struct element *b)
{
	if (a->foreign_verdict || b->foreign_verdict)
		return false;
	return a->chain == b->chain || (a->chain && b->chain && !strcmp(a->chain, b->chain));
}

static void note(struct diff *diff, struct changes *changes, const struct element *before,
		 const struct element *after)
{
	struct arena *arena = &diff->plan->arena;
	size_t count = changes->count;

	if (before)
		*ARENA_PUSH(arena, changes->before, count, changes->before_room) = *before;
	count = changes->count;
	if (after)
		*ARENA_PUSH(arena, changes->after, count, changes->after_room) = *after;
	changes->count++;
}

/* Both arrays are sorted: one walk. */
static void elements_diff(struct diff *diff, const struct nft_set *wanted,
			  const struct nft_set *live)
{
	struct changes created = { 0 }, updated = { 0 }, deleted = { 0 };
	size_t w = 0, l = 0, live_count = live ? live->element_count : 0;

	while (w < wanted->element_count || l < live_count) {
		const struct element *want =
			w < wanted->element_count ? &wanted->elements[w] : NULL;
		const struct element *have = l < live_count ? &live->elements[l] : NULL;
		int order = !want ? 1 : !have ? -1 : element_order(want, have);

		if (order < 0)
			note(diff, &created, NULL, want);
		else if (order > 0)
			note(diff, &deleted, have, NULL);
		else if (!element_same_data(want, have))
			note(diff, &updated, have, want);
		w += order <= 0;
		l += order >= 0;
	}
	/* Deletions first: a new span may overlap an old one. */
	elements_step(diff, wanted, ACTION_DELETE, &deleted);
	elements_step(diff, wanted, ACTION_UPDATE, &updated);
	elements_step(diff, wanted, ACTION_CREATE, &created);
}

static void all_elements_diff(struct diff *diff, const struct nft_table *live)
{
	const struct nft_table *wanted = &diff->desired->nft;

	for (size_t i = 0; i < wanted->set_count; i++)
		elements_diff(diff, &wanted->sets[i], nft_set_find(live, wanted->sets[i].name));
}

/* --- rules --------------------------------------------------------------- */

static void all_rules_diff(struct diff *diff, const struct nft_table *live)
{
	static const struct nft_chain no_chain;
	const struct nft_table *wanted = &diff->desired->nft;

	for (size_t i = 0; i < wanted->chain_count; i++) {
		const struct nft_chain *chain = nft_chain_find(live, wanted->chains[i].name);

		diff_rule_order(diff, &wanted->chains[i], chain ? chain : &no_chain);
	}
	for (size_t i = 0; i < live->chain_count; i++) {
		const struct nft_chain *chain = &live->chains[i];

		if (!nft_chain_find(wanted, chain->name))
			for (size_t r = 0; r < chain->rule_count; r++)
				diff_rule_delete(diff, chain->name, &chain->rules[r]);
	}
}

void diff_nft_retired(struct diff *diff)
{
	const struct nft_table *live = &diff->observed->nft;

	if (!diff->desired->nft.exists || nft_needs_rebuild(&diff->desired->nft, live))
		return;
	for (size_t i = 0; i < live->chain_count; i++)
		for (size_t r = 0; r < live->chains[i].rule_count; r++)
			if (diff_rule_is_retired(diff, &live->chains[i].rules[r]))
				diff_rule_delete(diff, live->chains[i].name,
						 &live->chains[i].rules[r]);
}

/* --- the table ----------------------------------------------------------- */

static bool chain_differs(const struct nft_chain *a, const struct nft_chain *b)
{
	if (a->hook != b->hook)
		return true;
	return a->hook != HOOK_NONE &&
	       (a->priority != b->priority || a->drops != b->drops || a->is_filter != b->is_filter);
}

static bool set_differs(const struct nft_set *a, const struct nft_set *b)
{
	return a->key != b->key || a->is_map != b->is_map || a->foreign_flags != b->foreign_flags;
}

/*
 * What cannot be changed in place (hook and priority of a chain, type of a
 * set, flags of the table) is rebuilt with all around it: one transaction, so
 * no packet sees the table half done.
 */
bool nft_needs_rebuild(const struct nft_table *wanted, const struct nft_table *live)
{
	if (live->foreign_flags != wanted->foreign_flags)
		return live->exists;
	for (size_t i = 0; i < wanted->chain_count; i++) {
		const struct nft_chain *chain = nft_chain_find(live, wanted->chains[i].name);

		if (chain && chain_differs(&wanted->chains[i], chain))
			return true;
	}
	for (size_t i = 0; i < wanted->set_count; i++) {
		const struct nft_set *set = nft_set_find(live, wanted->sets[i].name);

		if (set && set_differs(&wanted->sets[i], set))
			return true;
	}
	return false;
}

void diff_nft(struct diff *diff)
{
	const struct nft_table *wanted = &diff->desired->nft, *live = &diff->observed->nft;

	if (!wanted->exists) {
		if (live->exists)
			table_step(diff, ACTION_DELETE, "the document names no gateway");
		return;
	}
	if (!live->exists) {
		table_step(diff, ACTION_CREATE, "holds all that classifies packets");
	} else if (nft_needs_rebuild(wanted, live)) {
		table_step(diff, ACTION_UPDATE, "built differently; made anew in one transaction");
		live = &empty;
	}
	chains_create(diff, live);
	sets_create(diff, live);
	all_elements_diff(diff, live);
	all_rules_diff(diff, live);
	sets_delete(diff, live);
	chains_delete(diff, live);
}
