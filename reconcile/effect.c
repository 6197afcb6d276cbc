/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a difference means for the traffic that the document selects, as it
 * stands: it leaks, it is dropped, it would leak at the next loss, or nothing.
 * Where that cannot be told, the worse is said.
 */
#include "reconcile/diff.h"

#include <string.h>

static const struct nft_rule *find_guard(const struct nft_table *table, const char *gateway)
{
	const struct nft_chain *chain = nft_chain_find(table, "forward");

	for (size_t i = 0; chain && i < chain->rule_count; i++)
		if (chain->rules[i].role == ROLE_GUARD &&
		    !strcmp(strchr(chain->rules[i].comment, ' ') + 1, gateway))
			return &chain->rules[i];
	return NULL;
}

static bool is_guarded(const struct diff *diff, const struct gateway *gateway)
{
	const struct nft_rule *wanted = find_guard(&diff->desired->nft, gateway->name);
	const struct nft_rule *live = find_guard(&diff->observed->nft, gateway->name);

	return wanted && live && nft_rule_equal(wanted, live);
}

static bool has_redirects(const struct diff *diff, const struct gateway *gateway)
{
	for (size_t i = 0; i < diff->document->redirect_count; i++)
		if (diff->document->redirects[i].enabled &&
		    diff->document->redirects[i].gateway == gateway)
			return true;
	return false;
}

static bool leads_to(const struct diff *diff, const struct rule *rule,
		     const struct gateway *gateway)
{
	for (size_t i = 0; i < diff->observed->route_count; i++) {
		const struct route *route = &diff->observed->routes[i];

		if (route->table == rule->table && route->family == rule->family &&
		    route->is_default && !strcmp(route->dev, gateway->interface) &&
		    !memcmp(route->gateway, gateway->address[rule->family], SPAN_BYTES))
			return true;
	}
	return false;
}

/* Another mark or table still leads to the gateway: the change is wanted, nothing is lost. */
static bool is_served(const struct diff *diff, const struct gateway *gateway, enum family family)
{
	for (size_t i = 0; i < diff->observed->rule_count; i++) {
		const struct rule *rule = &diff->observed->rules[i];

		if (rule->family == family && rule->protocol == PROTOCOL_DETOUR &&
		    rule->action == RULE_LOOKUP && leads_to(diff, rule, gateway) &&
		    nft_converts(&diff->observed->nft, &rule->mark))
			return true;
	}
	return false;
}

static bool is_served_in_all(const struct diff *diff, const struct gateway *gateway)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (gateway->has_address[family] && !is_served(diff, gateway, family))
			return false;
	return true;
}

enum effect effect_of_loss(const struct diff *diff, const struct gateway *gateway)
{
	if (!has_redirects(diff, gateway) || is_served_in_all(diff, gateway))
		return EFFECT_NONE;
	return is_guarded(diff, gateway) ? EFFECT_OUTAGE : EFFECT_LEAK;
}

static bool is_exception(const struct nft_set *set)
{
	return strstr(set->name, "-except") != NULL;
}

enum effect effect_of_element(const struct nft_set *set, enum drift drift)
{
	if (!strcmp(set->name, "gateway_interfaces"))
		return drift == DRIFT_MISSING ? EFFECT_OUTAGE : EFFECT_LEAK;
	if (is_exception(set))
		return drift == DRIFT_EXTRA ? EFFECT_LEAK : EFFECT_NONE;
	return drift == DRIFT_EXTRA ? EFFECT_NONE : EFFECT_LEAK;
}

enum effect effect_of_set(const struct nft_set *set, enum drift drift)
{
	return drift == DRIFT_EXTRA ? EFFECT_NONE : effect_of_element(set, drift);
}

enum effect effect_of_chain(const struct nft_chain *chain, enum drift drift)
{
	if (drift == DRIFT_EXTRA)
		/* A foreign base chain in our table sees every packet; ours are never left over. */
		return chain->hook == HOOK_NONE ? EFFECT_NONE : EFFECT_LEAK;
	return chain->hook == HOOK_FORWARD ? EFFECT_EXPOSED : EFFECT_LEAK;
}

static enum effect effect_of_gateway_rule(const struct diff *diff, const struct nft_rule *rule)
{
	const char *name = strchr(rule->comment, ' ') + 1;

	for (size_t i = 0; i < diff->document->gateway_count; i++)
		if (!strcmp(diff->document->gateways[i].name, name))
			return effect_of_loss(diff, &diff->document->gateways[i]);
	return EFFECT_NONE;
}

static enum effect effect_of_lacking(const struct diff *diff, const struct nft_rule *rule)
{
	switch (rule->role) {
	case ROLE_CONVERT:
		return effect_of_gateway_rule(diff, rule);
	/* A session that is left alone goes on unaudited when conntrack loses it. */
	case ROLE_KEEP:
	case ROLE_GUARD:
		return EFFECT_EXPOSED;
	case ROLE_CLEAR:
	case ROLE_PASS:
	case ROLE_ANSWER:
		return EFFECT_OUTAGE;
	case ROLE_NONE:
	case ROLE_DISPATCH:
	case ROLE_SELECT:
	case ROLE_REFUSE:
	case ROLE_MARK:
	case ROLE_COUNT:
		break;
	}
	return EFFECT_LEAK;
}

/* Ends the chain, or our part in it, for packets that later rules should see. */
static bool cuts_short(const struct nft_rule *rule)
{
	const struct stmt *last = rule->stmt_count ? &rule->stmts[rule->stmt_count - 1] : NULL;

	return last && last->type == STMT_VERDICT && last->verdict != VERDICT_JUMP &&
	       last->verdict != VERDICT_DROP;
}

enum effect effect_of_rule(const struct diff *diff, const char *chain, const struct nft_rule *rule,
			   enum drift drift)
{
	if (drift != DRIFT_EXTRA)
		return effect_of_lacking(diff, rule);
	if (!nft_chain_find(&diff->desired->nft, chain))
		return EFFECT_NONE;
	if (rule->role == ROLE_KEEP)
		return EFFECT_EXPOSED;
	if (rule->role == ROLE_SELECT || rule->role == ROLE_ANSWER)
		return EFFECT_NONE;
	return rule->role == ROLE_NONE || cuts_short(rule) ? EFFECT_LEAK : EFFECT_NONE;
}
