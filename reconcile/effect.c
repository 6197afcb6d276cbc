/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a difference means for the traffic that the document selects, as it
 * stands: it leaks, it is dropped, it would leak at the next loss, or nothing.
 * Where that cannot be told, the worse is said.
 */
#include "reconcile/diff.h"

#include <string.h>

/* Whether the rule's comment is our word and then that name. Others may write half of it. */
static bool is_about(const struct nft_rule *rule, const char *name)
{
	const char *space = strchr(rule->comment, ' ');

	return space && !strcmp(space + 1, name);
}

static const struct nft_rule *find_guard(const struct nft_table *table, const char *gateway)
{
	const struct nft_chain *chain = nft_chain_find(table, "forward");

	for (size_t i = 0; chain && i < chain->rule_count; i++)
		if (chain->rules[i].role == ROLE_GUARD && is_about(&chain->rules[i], gateway))
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

static enum effect effect_of_straying(const struct diff *diff, const struct gateway *gateway)
{
	if (!has_redirects(diff, gateway))
		return EFFECT_NONE;
	return is_guarded(diff, gateway) ? EFFECT_OUTAGE : EFFECT_LEAK;
}

enum effect effect_of_loss(const struct diff *diff, const struct gateway *gateway)
{
	return is_served_in_all(diff, gateway) ? EFFECT_NONE : effect_of_straying(diff, gateway);
}

/* Nothing bears a new mark yet, while another one leads to the gateway. */
static bool is_to_be_marked_anew(const struct diff *diff, const struct gateway *gateway)
{
	return !nft_converts(&diff->observed->nft, &gateway->mark) &&
	       is_served_in_all(diff, gateway);
}

enum effect effect_of_exposure(const struct diff *diff, const struct gateway *gateway)
{
	return has_redirects(diff, gateway) && !is_to_be_marked_anew(diff, gateway) ? EFFECT_EXPOSED
										    : EFFECT_NONE;
}

static bool is_exception(const struct nft_set *set)
{
	return !strncmp(set->name, "clients-except", 14) ||
	       !strncmp(set->name, "servers-except", 14);
}

static enum effect effect_of_spans(const struct nft_set *set, enum drift drift)
{
	if (is_exception(set))
		return drift == DRIFT_EXTRA ? EFFECT_LEAK : EFFECT_NONE;
	return drift == DRIFT_EXTRA ? EFFECT_NONE : EFFECT_LEAK;
}

enum effect effect_of_elements(const struct diff *diff, const struct nft_set *set, enum drift drift)
{
	if (is_shared(set->name) && !nft_set_find(&diff->observed->nft, set->name))
		return EFFECT_NONE;
	return effect_of_spans(set, drift);
}

/* Where something shared is missing, so are the rules that refer to it, which tell what it means.
 */
enum effect effect_of_set(const struct nft_set *set, enum drift drift)
{
	return drift == DRIFT_EXTRA || is_shared(set->name) ? EFFECT_NONE
							    : effect_of_spans(set, drift);
}

enum effect effect_of_chain(const struct nft_chain *chain, enum drift drift)
{
	if (drift == DRIFT_EXTRA)
		/* A foreign base chain in our table sees every packet; ours are never left over. */
		return chain->hook == HOOK_NONE ? EFFECT_NONE : EFFECT_LEAK;
	if (is_shared(chain->name))
		return EFFECT_NONE;
	return chain->hook == HOOK_FORWARD ? EFFECT_EXPOSED : EFFECT_LEAK;
}

static const struct gateway *gateway_of_rule(const struct diff *diff, const struct nft_rule *rule)
{
	for (size_t i = 0; i < diff->document->gateway_count; i++)
		if (is_about(rule, diff->document->gateways[i].name))
			return &diff->document->gateways[i];
	return NULL;
}

static enum effect effect_of_gateway_rule(const struct diff *diff, const struct nft_rule *rule,
					  enum drift drift)
{
	const struct gateway *gateway = gateway_of_rule(diff, rule);

	if (!gateway)
		return EFFECT_NONE;
	if (rule->role == ROLE_GUARD)
		return effect_of_exposure(diff, gateway);
	/* There is a conversion, but it misses the packets that are marked behind it. */
	return drift == DRIFT_MISSING ? effect_of_loss(diff, gateway)
				      : effect_of_straying(diff, gateway);
}

static enum effect effect_of_lacking(const struct diff *diff, const struct nft_rule *rule,
				     enum drift drift)
{
	switch (rule->role) {
	case ROLE_CONVERT:
	case ROLE_GUARD:
		return effect_of_gateway_rule(diff, rule, drift);
	/* A session that is left alone goes on unaudited when conntrack loses it. */
	case ROLE_KEEP:
		return EFFECT_EXPOSED;
	case ROLE_CLEAR:
	case ROLE_PASS:
	case ROLE_ANSWER:
		return EFFECT_OUTAGE;
	case ROLE_TAKE:
		return EFFECT_NONE;
	case ROLE_NONE:
	case ROLE_DISPATCH:
	case ROLE_REFUSE:
	case ROLE_SELECT:
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

static bool is_clients_interface(const struct diff *diff, const uint8_t name[SPAN_BYTES])
{
	for (size_t i = 0; i < diff->document->redirect_count; i++)
		if (diff->document->redirects[i].enabled &&
		    spans_contain(&diff->document->redirects[i].interface_spans, name))
			return true;
	return false;
}

/* What comes in there is never sent to a gateway: right for one's own interface only. */
static enum effect effect_of_pass(const struct diff *diff, const struct nft_rule *rule)
{
	const struct stmt *first = rule->stmts;
	bool names_interface = rule->stmt_count == 2 && first->type == STMT_MATCH &&
			       first->field == FIELD_IIFNAME && !first->negate;

	return names_interface && !is_clients_interface(diff, first->bytes) ? EFFECT_NONE
									    : EFFECT_LEAK;
}

enum effect effect_of_rule(const struct diff *diff, const char *chain, const struct nft_rule *rule,
			   enum drift drift)
{
	if (is_shared(chain) && !nft_chain_find(&diff->observed->nft, chain))
		return EFFECT_NONE;
	if (drift != DRIFT_EXTRA)
		return effect_of_lacking(diff, rule, drift);
	if (!nft_chain_find(&diff->desired->nft, chain))
		return EFFECT_NONE;
	if (rule->role == ROLE_KEEP)
		return EFFECT_EXPOSED;
	if (rule->role == ROLE_SELECT || rule->role == ROLE_TAKE || rule->role == ROLE_ANSWER)
		return EFFECT_NONE;
	if (rule->role == ROLE_PASS)
		return effect_of_pass(diff, rule);
	return rule->role == ROLE_NONE || cuts_short(rule) ? EFFECT_LEAK : EFFECT_NONE;
}

static bool marks_live_mark(const struct diff *diff, const struct nft_rule *rule)
{
	for (size_t i = 0; i < rule->stmt_count; i++) {
		const struct stmt *stmt = &rule->stmts[i];
		struct mark mark = { stmt->number, stmt->mask };

		if (stmt->type == STMT_MARK && nft_converts(&diff->observed->nft, &mark))
			return true;
	}
	return false;
}

/* --- a redirect's conditions ------------------------------------------------ */

/* What a condition accepts. */
struct accepted {
	const struct element *items;
	size_t count;
	struct element value;
};

/* False for conditions that are not of a redirect's interfaces or services. */
static bool accepted_by(const struct nft_table *table, const struct stmt *stmt,
			struct accepted *out)
{
	const struct nft_set *set;

	if ((stmt->field != FIELD_IIFNAME && stmt->field != FIELD_SERVICE) || stmt->negate)
		return false;
	if (stmt->type == STMT_MATCH) {
		memcpy(out->value.span.from, stmt->bytes, SPAN_BYTES);
		memcpy(out->value.span.to, stmt->bytes, SPAN_BYTES);
		out->items = &out->value;
		out->count = 1;
		return true;
	}
	set = stmt->type == STMT_LOOKUP ? nft_set_find(table, stmt->name) : NULL;
	if (!set)
		return false;
	out->items = set->elements;
	out->count = set->element_count;
	return true;
}

/* Both are sorted and disjoint. */
static bool accepts_all(const struct accepted *live, const struct accepted *wanted)
{
	size_t l = 0;

	for (size_t w = 0; w < wanted->count; w++) {
		const struct span *span = &wanted->items[w].span;

		while (l < live->count &&
		       memcmp(live->items[l].span.to, span->from, SPAN_BYTES) < 0)
			l++;
		if (l == live->count ||
		    memcmp(live->items[l].span.from, span->from, SPAN_BYTES) > 0 ||
		    memcmp(live->items[l].span.to, span->to, SPAN_BYTES) < 0)
			return false;
	}
	return true;
}

static bool is_as_wide(const struct diff *diff, const struct stmt *before, const struct stmt *after)
{
	struct accepted live = { 0 }, wanted = { 0 };

	return nft_stmt_equal(before, after) ||
	       (before->field == after->field && accepted_by(&diff->observed->nft, before, &live) &&
		accepted_by(&diff->desired->nft, after, &wanted) && accepts_all(&live, &wanted));
}

/* The next rule that leaves existing connections alone, or NULL. */
static const struct nft_rule *next_keep(const struct nft_chain *chain, size_t *index)
{
	while (*index < chain->rule_count)
		if (chain->rules[(*index)++].role == ROLE_KEEP)
			return &chain->rules[*index - 1];
	return NULL;
}

static bool keeps_alike(struct arena *arena, const struct nft_chain *a, const struct nft_chain *b)
{
	const struct nft_rule *left, *right;
	size_t i = 0, j = 0;

	do {
		left = next_keep(a, &i);
		right = next_keep(b, &j);
		if (left && right &&
		    strcmp(nft_rule_format(arena, left), nft_rule_format(arena, right)) != 0)
			return false;
	} while (left && right);
	return !left && !right;
}

/* Another chain marks what is selected. */
static enum effect effect_of_leading(const struct diff *diff, const struct stmt *before,
				     const struct stmt *after)
{
	const struct nft_chain *live, *wanted;
	bool marks = false;

	if (nft_stmt_equal(before, after))
		return EFFECT_NONE;
	if (before->type != STMT_VERDICT || before->verdict != after->verdict)
		return EFFECT_LEAK;
	live = nft_chain_find(&diff->observed->nft, before->name);
	wanted = nft_chain_find(&diff->desired->nft, after->name);
	for (size_t i = 0; live && i < live->rule_count; i++)
		marks |= live->rules[i].role == ROLE_MARK && marks_live_mark(diff, &live->rules[i]);
	if (!marks || !wanted)
		return EFFECT_LEAK;
	return keeps_alike(&diff->plan->arena, live, wanted) ? EFFECT_NONE : EFFECT_EXPOSED;
}

static enum effect effect_of_selection(const struct diff *diff, const struct nft_rule *before,
				       const struct nft_rule *after)
{
	size_t last = after->stmt_count - 1;

	if (before->stmt_count != after->stmt_count)
		return EFFECT_LEAK;
	for (size_t i = 0; i < last; i++)
		if (!is_as_wide(diff, &before->stmts[i], &after->stmts[i]))
			return EFFECT_LEAK;
	return effect_of_leading(diff, &before->stmts[last], &after->stmts[last]);
}

enum effect effect_of_update(const struct diff *diff, const char *chain,
			     const struct nft_rule *before, const struct nft_rule *after)
{
	/* The mark changes, and the old one still does its work. */
	if ((after->role == ROLE_MARK || after->role == ROLE_ANSWER) &&
	    before->stmt_count == after->stmt_count && marks_live_mark(diff, before))
		return EFFECT_NONE;
	if (after->role == ROLE_REFUSE || after->role == ROLE_SELECT)
		return effect_of_selection(diff, before, after);
	return effect_of_rule(diff, chain, after, DRIFT_CHANGED);
}
