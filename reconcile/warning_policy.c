/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy rules of others that come before ours, or go by our bits. It is
 * certain only that a rule without any condition takes what it has a route for.
 */
#include <string.h>

#include "reconcile/listing.h"
#include "reconcile/warning_parts.h"

/* Why the rule takes packets of the selection; NULL when it lets them pass. */
static const char *capture_text(struct arena *arena, const struct other_rule *other,
				const struct selection *selection)
{
	const struct fib_rule *rule = &other->rule;
	struct spans both = { 0 };
	char text[SPAN_TEXT];

	switch (rule->action) {
	case FIB_LOOKUP:
		if (rule->l3mdev)
			return "they belong to a VRF";
		spans_common(arena, &other->routes, &selection->servers[rule->family],
			     family_bytes(rule->family), &both);
		if (!both.count)
			return NULL;
		return arena_printf(arena, "table %u has a route for %s", rule->table,
				    span_format(&both.items[0], rule->family, text));
	case FIB_GOTO:
		return rule->target > selection->redirect->gateway->priority
			       ? "it skips the gateway's rule"
			       : NULL;
	case FIB_UNREACHABLE:
	case FIB_PROHIBIT:
	case FIB_BLACKHOLE:
	case FIB_OTHER:
		return "it refuses them";
	case FIB_NOP:
		break;
	}
	return NULL;
}

static bool selects_by_mark_alone(const struct fib_rule *rule)
{
	return !rule->invert && !rule->l3mdev && !rule->unknown && !rule->has_src &&
	       !rule->has_dst && !rule->iif && !rule->ip_protocol && !rule->sports.to &&
	       !rule->dports.to;
}

/* Every packet with the gateway's mark meets it, and it has a way for each. */
static bool is_certain(const struct other_rule *other, const struct gateway *gateway)
{
	const struct fib_rule *rule = &other->rule;

	if (!selects_by_mark_alone(rule) || rule->mark.mask & ~gateway->mark.mask)
		return false;
	return rule->action == FIB_LOOKUP ? other->has_default : rule->action != FIB_GOTO;
}

/* True when it was warned of. */
static bool warn_earlier(const struct judgement *judgement, const struct other_rule *other,
			 const struct gateway *gateway, const struct selection *selections,
			 size_t count)
{
	const struct fib_rule *rule = &other->rule;
	struct arena *arena = &judgement->plan->arena;
	struct listing listing = { arena, "", 0 };
	const char *why = NULL;

	for (size_t i = 0; i < count; i++) {
		const char *capture = NULL;

		if (selections[i].redirect->gateway == gateway &&
		    fib_rule_meets(judgement->around, rule, &selections[i]))
			capture = capture_text(arena, other, &selections[i]);
		if (!capture)
			continue;
		why = why ? why : capture;
		listing_add(&listing, selections[i].redirect->name);
	}
	if (!why)
		return false;
	warn(judgement->plan, "rule-earlier",
	     arena_printf(
		     arena,
		     "ip %s rule del priority %u, if it can go; or give the gateway a priority "
		     "below %u",
		     rule->family == FAMILY_IPV4 ? "-4" : "-6", rule->priority, rule->priority),
	     "%s: comes before gateway %s at %u and takes packets of redirect%s %s: %s",
	     fib_rule_format(arena, rule), gateway->name, gateway->priority,
	     listing.count > 1 ? "s" : "", listing_text(&listing), why)
		->fatal = is_certain(other, gateway);
	return true;
}

static void warn_tested(const struct judgement *judgement, const struct fib_rule *rule,
			const struct gateway *gateway)
{
	struct arena *arena = &judgement->plan->arena;

	if (gateway->has_address[rule->family] && rule->mark.mask & gateway->mark.mask)
		warn(judgement->plan, "mark-tested",
		     "give that rule a mask of its own bits; or give the gateway other bits",
		     "%s: it tests bits 0x%x of the packet mark, where gateway %s has its mark",
		     fib_rule_format(arena, rule), rule->mark.mask & gateway->mark.mask,
		     gateway->name);
}

/* One that the plan removes. */
static bool is_taken(const struct judgement *judgement, const struct fib_rule *rule)
{
	const struct state *observed = judgement->observed;

	for (size_t i = 0; i < observed->rule_count; i++) {
		const struct rule *taken = &observed->rules[i];

		if (taken->taken && taken->family == rule->family &&
		    taken->priority == rule->priority && taken->table == rule->table &&
		    mark_equal(&taken->mark, &rule->mark))
			return true;
	}
	return false;
}

void warnings_of_policy(const struct judgement *judgement)
{
	const struct document *document = judgement->document;
	const struct selection *selections;
	size_t count = selections_build(&judgement->plan->arena, document, &selections);

	for (size_t i = 0; i < judgement->around->rule_count; i++)
		for (size_t j = 0; j < document->gateway_count; j++) {
			const struct other_rule *other = &judgement->around->rules[i];
			const struct gateway *gateway = &document->gateways[j];

			if (!is_taken(judgement, &other->rule) &&
			    !warn_earlier(judgement, other, gateway, selections, count))
				warn_tested(judgement, &other->rule, gateway);
		}
}
