/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules that somebody made by hand, in chains that are not ours. They go when
 * they are taken over, and come back when a state that had them is restored.
 */
#include "reconcile/diff.h"

#include <string.h>

#include "reconcile/foreign.h"

static struct step *hand_rule_step(struct diff *diff, enum action action,
				   const struct hand_rule *rule)
{
	struct step *step = diff_step(diff, KIND_HAND_RULE, action, EFFECT_NONE);

	step->object = rule->place;
	step->why = WHY_BY_HAND;
	diff_concerns_all(diff, step);
	return step;
}

void diff_hand_rules_delete(struct diff *diff)
{
	for (size_t i = 0; i < diff->observed->hand_rule_count; i++)
		hand_rule_step(diff, ACTION_DELETE, &diff->observed->hand_rules[i])->before =
			&diff->observed->hand_rules[i];
}

static size_t count_noted(const struct hand_rule *rules, size_t count, const struct hand_rule *rule)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += hand_rule_equal(&rules[i], rule);
	return found;
}

static size_t count_live(const struct foreign *foreign, const struct hand_rule *rule)
{
	size_t found = 0;

	for (size_t i = 0; i < foreign->rule_count; i++)
		found += hand_rule_equal(&foreign->rules[i].hand, rule);
	return found;
}

static bool is_live(const struct foreign *foreign, const struct hand_rule *rule, uint64_t handle)
{
	for (size_t i = 0; i < foreign->rule_count; i++) {
		const struct hand_rule *other = &foreign->rules[i].hand;

		if (other->handle == handle && other->nfproto == rule->nfproto &&
		    !strcmp(other->table, rule->table) && !strcmp(other->chain, rule->chain))
			return true;
	}
	return false;
}

/* At the end of its chain when the rule that it stood before is gone. */
static const struct hand_rule *placed(struct diff *diff, const struct hand_rule *rule)
{
	struct hand_rule *last;

	if (!rule->successor || is_live(diff->observed->foreign, rule, rule->successor))
		return rule;
	last = arena_alloc(&diff->plan->arena, sizeof(*last));
	*last = *rule;
	last->successor = 0;
	return last;
}

/* As many of each as there were. */
void diff_hand_rules_create(struct diff *diff)
{
	const struct state *desired = diff->desired;

	for (size_t i = 0; i < desired->hand_rule_count; i++) {
		const struct hand_rule *rule = &desired->hand_rules[i];

		if (count_noted(desired->hand_rules, i, rule) >=
		    count_live(diff->observed->foreign, rule))
			hand_rule_step(diff, ACTION_CREATE, rule)->after = placed(diff, rule);
	}
}
