/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy rules of others that come before ours, or go by our bits. It is
 * certain only that a rule without any condition takes what it has a route for.
 */
#include <string.h>

#include "reconcile/listing.h"
#include "reconcile/warning_parts.h"

static const char *network_text(struct arena *arena, const char *word, bool has_network,
				const struct span *network, enum family family)
{
	char text[SPAN_TEXT];

	if (!has_network)
		return "";
	return arena_printf(arena, "%s %s ", word, span_format(network, family, text));
}

static const char *action_text(struct arena *arena, const struct policy_rule *rule)
{
	switch (rule->action) {
	case POLICY_LOOKUP:
		return rule->l3mdev ? "lookup [l3mdev-table]"
				    : arena_printf(arena, "lookup %u", rule->table);
	case POLICY_JUMP:
		return arena_printf(arena, "goto %u", rule->target);
	case POLICY_REFUSE:
		return "refuse";
	case POLICY_NOTHING:
		break;
	}
	return "nop";
}

/* Much as `ip rule` shows it: "ipv4 rule 50: from 10.0.0.0/24 lookup 200". */
static const char *rule_text(struct arena *arena, const struct policy_rule *rule)
{
	const char *mark = "", *interface = "";

	if (rule->mark.mask)
		mark = arena_printf(arena, "fwmark 0x%x/0x%x ", rule->mark.value, rule->mark.mask);
	if (rule->interface)
		interface = arena_printf(arena, "iif %s ", rule->interface);
	return arena_printf(arena, "%s rule %u: %s%s%s%s%s%s%s", family_name(rule->family),
			    rule->priority, rule->invert ? "not " : "",
			    network_text(arena, "from", rule->has_from, &rule->from, rule->family),
			    network_text(arena, "to", rule->has_to, &rule->to, rule->family), mark,
			    interface, rule->has_more ? "(and more) " : "",
			    action_text(arena, rule));
}

/* Why the rule takes packets of the selection; NULL when it lets them pass. */
static const char *capture_text(struct arena *arena, const struct policy_rule *rule,
				const struct selection *selection)
{
	struct spans both = { 0 };
	char text[SPAN_TEXT];

	switch (rule->action) {
	case POLICY_LOOKUP:
		if (rule->l3mdev)
			return "they belong to a VRF";
		spans_common(arena, &rule->routes, &selection->servers[rule->family],
			     family_bytes(rule->family), &both);
		if (!both.count)
			return NULL;
		return arena_printf(arena, "table %u has a route for %s", rule->table,
				    span_format(&both.items[0], rule->family, text));
	case POLICY_JUMP:
		return rule->target > selection->redirect->gateway->priority
			       ? "it skips the gateway's rule"
			       : NULL;
	case POLICY_REFUSE:
		return "it refuses them";
	case POLICY_NOTHING:
		break;
	}
	return NULL;
}

/* Every packet with the gateway's mark meets it, and it has a way for each. */
static bool is_certain(const struct policy_rule *rule, const struct gateway *gateway)
{
	return !rule->invert && !rule->l3mdev && !rule->has_more && !rule->has_from &&
	       !rule->has_to && !rule->interface && !rule->ip_protocol && !rule->dport_to &&
	       !(rule->mark.mask & ~gateway->mark.mask) &&
	       (rule->action == POLICY_REFUSE ||
		(rule->action == POLICY_LOOKUP && rule->has_default));
}

/* True when it was warned of. */
static bool warn_earlier(const struct judgement *judgement, const struct policy_rule *rule,
			 const struct gateway *gateway, const struct selection *selections,
			 size_t count)
{
	struct arena *arena = &judgement->plan->arena;
	struct listing listing = { arena, "", 0 };
	const char *why = NULL;

	for (size_t i = 0; i < count; i++) {
		const char *capture = NULL;

		if (selections[i].redirect->gateway == gateway &&
		    policy_rule_meets(judgement->around, rule, &selections[i]))
			capture = capture_text(arena, rule, &selections[i]);
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
	     rule_text(arena, rule), gateway->name, gateway->priority, listing.count > 1 ? "s" : "",
	     listing_text(&listing), why)
		->fatal = is_certain(rule, gateway);
	return true;
}

static void warn_tested(const struct judgement *judgement, const struct policy_rule *rule,
			const struct gateway *gateway)
{
	struct arena *arena = &judgement->plan->arena;

	if (gateway->has_address[rule->family] && rule->mark.mask & gateway->mark.mask)
		warn(judgement->plan, "mark-tested",
		     "give that rule a mask of its own bits; or give the gateway other bits",
		     "%s: it tests bits 0x%x of the packet mark, where gateway %s has its mark",
		     rule_text(arena, rule), rule->mark.mask & gateway->mark.mask, gateway->name);
}

void warnings_of_policy(const struct judgement *judgement)
{
	const struct document *document = judgement->document;
	const struct selection *selections;
	size_t count = selections_build(&judgement->plan->arena, document, &selections);

	for (size_t i = 0; i < judgement->around->rule_count; i++)
		for (size_t j = 0; j < document->gateway_count; j++) {
			const struct policy_rule *rule = &judgement->around->rules[i];
			const struct gateway *gateway = &document->gateways[j];

			if (!warn_earlier(judgement, rule, gateway, selections, count))
				warn_tested(judgement, rule, gateway);
		}
}
