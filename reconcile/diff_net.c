/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names, rp_filter, routes and policy rules: kinds whose objects stand alone. */
#include "reconcile/diff.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* --- names --------------------------------------------------------------- */

static const struct rt_table *own_name(const struct state *state, uint32_t id)
{
	for (size_t i = 0; i < state->rt_table_count; i++)
		if (state->rt_tables[i].own && state->rt_tables[i].id == id)
			return &state->rt_tables[i];
	return NULL;
}

/*
 * A name that an administrator already gave that id is accepted, unless it is
 * taken over. One that was taken over stands when it is back in its own file.
 */
static bool name_stands(const struct state *state, const struct rt_table *name)
{
	for (size_t i = 0; i < state->rt_table_count; i++) {
		const struct rt_table *other = &state->rt_tables[i];

		if (other->id == name->id && !strcmp(other->name, name->name) && !other->taken &&
		    (name->own || !other->own))
			return true;
	}
	return false;
}

static void name_step(struct diff *diff, enum action action, const struct rt_table *before,
		      const struct rt_table *after)
{
	const struct rt_table *name = after ? after : before;
	struct step *step = diff_step(diff, KIND_RT_TABLE, action, EFFECT_NONE);

	step->before = before;
	step->after = after;
	step->object = arena_printf(&diff->plan->arena, "%u %s%s%s", name->id, name->name,
				    name->taken ? " in " : "", name->taken ? name->file : "");
	step->why = after ? arena_printf(&diff->plan->arena, "name of gateway %s's routing table",
					 name->name)
		    : name->taken ? WHY_BY_HAND
				  : "no gateway uses this name";
	diff_concerns_gateway(diff, step, document_gateway_of_table(diff->document, name->id));
}

void diff_names_create(struct diff *diff)
{
	for (size_t i = 0; i < diff->desired->rt_table_count; i++) {
		const struct rt_table *name = &diff->desired->rt_tables[i];
		const struct rt_table *live = name->own ? own_name(diff->observed, name->id) : NULL;

		if ((name->own || name->taken) && !name_stands(diff->observed, name))
			name_step(diff, live ? ACTION_UPDATE : ACTION_CREATE, live, name);
	}
}

void diff_names_delete(struct diff *diff)
{
	for (size_t i = 0; i < diff->observed->rt_table_count; i++) {
		const struct rt_table *name = &diff->observed->rt_tables[i];

		if (name->taken || (name->own && !own_name(diff->desired, name->id)))
			name_step(diff, ACTION_DELETE, name, NULL);
	}
}

/* --- rp_filter ----------------------------------------------------------- */

static const struct gateway *gateway_on(const struct diff *diff, const char *interface)
{
	for (size_t i = 0; i < diff->document->gateway_count; i++)
		if (!strcmp(diff->document->gateways[i].interface, interface))
			return &diff->document->gateways[i];
	return NULL;
}

static bool restores(const struct rp_filter *live, const struct rp_filter *wanted)
{
	return live && live->recorded && live->before == wanted->value;
}

/* The kernel goes by the greater value; one that is not there yet will be what makes a step. */
static bool is_strict(const struct diff *diff, const struct rp_filter *live)
{
	const struct rp_filter *all = state_rp_filter(diff->observed, "all");
	int value = all ? all->value : 0;

	if (!live)
		return true;
	return (live->value > value ? live->value : value) == 1;
}

static void rp_filter_step(struct diff *diff, const struct rp_filter *live,
			   const struct rp_filter *wanted)
{
	const struct gateway *gateway = gateway_on(diff, wanted->interface);
	bool restoring = restores(live, wanted);
	/* An IPv4 answer that a strict interface drops; other interfaces only keep their value. */
	enum effect effect =
		gateway && !restoring && gateway->has_address[FAMILY_IPV4] && is_strict(diff, live)
			? EFFECT_OUTAGE
			: EFFECT_NONE;
	struct step *step =
		diff_step(diff, KIND_RP_FILTER, live ? ACTION_UPDATE : ACTION_CREATE, effect);

	step->before = live;
	step->after = wanted;
	step->object =
		arena_printf(&diff->plan->arena, "net.ipv4.conf.%s.rp_filter", wanted->interface);
	if (restoring)
		step->why = "restores the value from before detour";
	else if (gateway)
		step->why = arena_printf(&diff->plan->arena,
					 "gateway %s answers from the servers' addresses",
					 gateway->name);
	else
		step->why = !strcmp(wanted->interface, "all")
				    ? "rp_filter \"off\" as in the documented procedure"
				    : "keeps the effective value that `all` gave";
	if (!live)
		step->waits = arena_printf(&diff->plan->arena, "interface %s does not exist",
					   wanted->interface);
	diff_concerns_gateway(diff, step, gateway);
}

/*
 * The interfaces take over what `all` did before `all` goes to 0, gateways
 * follow. `default` comes before them all: the kernel passes it on to
 * interfaces that nobody has written to.
 */
static int rp_filter_rank(const struct rp_filter *filter)
{
	if (!strcmp(filter->interface, "default"))
		return 0;
	if (!strcmp(filter->interface, "all"))
		return 2;
	return filter->value == 0 ? 3 : 1;
}

static void rp_filters_ranked(struct diff *diff, bool restoring, int rank)
{
	for (size_t i = 0; i < diff->desired->rp_filter_count; i++) {
		const struct rp_filter *wanted = &diff->desired->rp_filters[i];
		const struct rp_filter *live = state_rp_filter(diff->observed, wanted->interface);

		if (rp_filter_rank(wanted) != rank || (live && live->value == wanted->value) ||
		    restores(live, wanted) != restoring)
			continue;
		rp_filter_step(diff, live, wanted);
	}
}

void diff_rp_filters_set(struct diff *diff)
{
	for (int rank = 0; rank <= 3; rank++)
		rp_filters_ranked(diff, false, rank);
}

/* `all` first, so that no interface is weaker in between than it was or will be. */
void diff_rp_filters_restore(struct diff *diff)
{
	static const int ranks[] = { 2, 0, 1, 3 };

	for (size_t i = 0; i < 4; i++)
		rp_filters_ranked(diff, true, ranks[i]);
}

/* --- routes -------------------------------------------------------------- */

static const char *route_text(struct diff *diff, const struct route *route)
{
	char dst[SPAN_TEXT] = "default";

	if (!route->is_default)
		span_format(&route->dst, route->family, dst);
	return arena_printf(&diff->plan->arena, "%s table %u %s", family_name(route->family),
			    route->table, dst);
}

static void route_step(struct diff *diff, enum action action, const struct route *before,
		       const struct route *after)
{
	const struct route *route = after ? after : before;
	const struct gateway *gateway = document_gateway_of_table(diff->document, route->table);
	enum effect effect = EFFECT_NONE;
	struct step *step;

	if (after && gateway)
		effect = !before         ? effect_of_loss(diff, gateway)
			 : before->taken ? EFFECT_NONE
					 : EFFECT_OUTAGE;
	step = diff_step(diff, KIND_ROUTE, action, effect);
	step->before = before;
	step->after = after;
	step->object = route_text(diff, route);
	step->why = after && gateway ? arena_printf(&diff->plan->arena, "next hop of gateway %s",
						    gateway->name)
		    : route->taken   ? WHY_BY_HAND
				     : "no gateway needs this route";
	diff_concerns_gateway(diff, step, gateway);
}

static void route_waits(struct diff *diff, const struct route *route)
{
	const struct next_hop *hop =
		state_next_hop(diff->observed, route->family, route->dev, route->gateway);

	if (hop && hop->obstacle)
		diff->plan->steps[diff->plan->step_count - 1].waits = hop->obstacle;
}

static const struct route *route_at(const struct state *state, const struct route *place)
{
	for (size_t i = 0; i < state->route_count; i++)
		if (route_is_managed(&state->routes[i]) &&
		    route_same_place(&state->routes[i], place))
			return &state->routes[i];
	return NULL;
}

/* What is put back may never have gone. */
static bool route_stands(const struct state *state, const struct route *route)
{
	for (size_t i = 0; i < state->route_count; i++)
		if (route_equal(&state->routes[i], route))
			return true;
	return false;
}

void diff_routes_create(struct diff *diff)
{
	for (size_t i = 0; i < diff->desired->route_count; i++) {
		const struct route *route = &diff->desired->routes[i];
		const struct route *live = route_at(diff->observed, route);

		if (!route_is_managed(route) || route_stands(diff->observed, route))
			continue;
		route_step(diff, live ? ACTION_UPDATE : ACTION_CREATE, live, route);
		route_waits(diff, route);
	}
}

void diff_routes_delete(struct diff *diff)
{
	for (size_t i = 0; i < diff->observed->route_count; i++) {
		const struct route *route = &diff->observed->routes[i];

		if (route_is_managed(route) && !route_at(diff->desired, route))
			route_step(diff, ACTION_DELETE, route, NULL);
	}
}

/* --- policy rules -------------------------------------------------------- */

static const char *rule_text(struct diff *diff, const struct rule *rule)
{
	struct arena *arena = &diff->plan->arena;
	const char *base =
		arena_printf(arena, "%s priority %u fwmark 0x%x/0x%x", family_name(rule->family),
			     rule->priority, rule->mark.value, rule->mark.mask);

	switch (rule->action) {
	case RULE_LOOKUP:
		return arena_printf(arena, "%s lookup %u", base, rule->table);
	case RULE_UNREACHABLE:
		return arena_printf(arena, "%s unreachable", base);
	case RULE_OTHER:
		break;
	}
	return arena_printf(arena, "%s with another action", base);
}

static const char *rule_why(struct diff *diff, const struct rule *rule,
			    const struct gateway *gateway)
{
	if (!gateway)
		return "no gateway needs this rule";
	return arena_printf(&diff->plan->arena,
			    rule->action == RULE_LOOKUP ? "sends marked packets to gateway %s"
							: "refuses when gateway %s's route is gone",
			    gateway->name);
}

static void rule_step(struct diff *diff, const struct rule *before, const struct rule *after)
{
	const struct rule *rule = after ? after : before;
	const struct gateway *gateway = document_gateway_of_mark(diff->document, &rule->mark);
	enum effect effect = EFFECT_NONE;
	struct step *step;

	if (after && gateway)
		effect = rule->action == RULE_LOOKUP ? effect_of_loss(diff, gateway)
						     : effect_of_exposure(diff, gateway);
	step = diff_step(diff, KIND_RULE, after ? ACTION_CREATE : ACTION_DELETE, effect);
	step->before = before;
	step->after = after;
	step->object = rule_text(diff, rule);
	step->why = rule->taken ? WHY_BY_HAND
		    : after     ? rule_why(diff, rule, gateway)
				: "no gateway needs this rule";
	diff_concerns_gateway(diff, step, gateway);
}

static bool rule_in(const struct state *state, const struct rule *rule)
{
	for (size_t i = 0; i < state->rule_count; i++)
		if (rule_equal(&state->rules[i], rule))
			return true;
	return false;
}

void diff_rules_create(struct diff *diff)
{
	for (size_t i = 0; i < diff->desired->rule_count; i++) {
		const struct rule *rule = &diff->desired->rules[i];

		if (rule_is_managed(rule) && !rule_in(diff->observed, rule))
			rule_step(diff, NULL, rule);
	}
}

/* Of two that are the same, the second one goes. The kernel accepts none, but others may ask. */
static bool rule_is_twin(const struct state *state, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (rule_equal(&state->rules[i], &state->rules[index]))
			return true;
	return false;
}

/* The refusal first: what it refuses has its lookup until the end. */
static void rules_delete(struct diff *diff, bool has_more)
{
	size_t i = diff->observed->rule_count;

	while (i-- > 0) {
		const struct rule *rule = &diff->observed->rules[i];

		if (rule_is_managed(rule) && rule->has_more == has_more &&
		    (!rule_in(diff->desired, rule) || rule_is_twin(diff->observed, i)))
			rule_step(diff, rule, NULL);
	}
}

/* The kernel deletes the first rule that has all that is named: those with more go first. */
void diff_rules_delete(struct diff *diff)
{
	rules_delete(diff, true);
	rules_delete(diff, false);
}

/* --- marks --------------------------------------------------------------- */

static void retire(struct diff *diff, const struct mark *mark)
{
	struct plan *plan = diff->plan;

	for (size_t i = 0; i < plan->retired_count; i++)
		if (mark_equal(&plan->retired[i], mark))
			return;
	*ARENA_PUSH(&plan->arena, plan->retired, plan->retired_count, plan->retired_room) = *mark;
}

/* The live route of the gateway's table leads to one of its addresses. */
static bool leads_to(const struct diff *diff, const struct gateway *gateway, uint32_t table)
{
	for (size_t i = 0; i < diff->observed->route_count; i++) {
		const struct route *route = &diff->observed->routes[i];

		if (route->table == table && gateway->has_address[route->family] &&
		    !memcmp(route->gateway, gateway->address[route->family], SPAN_BYTES))
			return true;
	}
	return false;
}

/* The gateway that the live convert rule for the mark names; "" when there is none. */
static const char *converts_for(const struct diff *diff, const struct mark *mark)
{
	const struct nft_chain *chain = nft_chain_find(&diff->observed->nft, "prerouting");
	struct mark other;

	for (size_t i = 0; chain && i < chain->rule_count; i++)
		if (chain->rules[i].role == ROLE_CONVERT &&
		    nft_rule_mark(&chain->rules[i], &other) && mark_equal(mark, &other))
			return nft_rule_subject(&diff->plan->arena, &chain->rules[i]);
	return "";
}

/* What was made by hand is put back, and goes on with the mark. */
static bool mark_is_handed_back(const struct diff *diff, const struct mark *mark)
{
	for (size_t i = 0; i < diff->desired->rule_count; i++) {
		const struct rule *rule = &diff->desired->rules[i];

		if (rule->taken && (rule->mark.value & mark->mask) == mark->value)
			return true;
	}
	return false;
}

/*
 * A gateway that is renamed, or whose table or address moves, is the same box.
 * With another name and another address the mark means another box, which must
 * not get the connections of this one. Where the name is lost with our nft
 * table, the routing table decides: a repair cuts nothing.
 */
static bool mark_stays(const struct diff *diff, const struct rule *live)
{
	const struct gateway *gateway = document_gateway_of_mark(diff->document, &live->mark);
	const char *name;

	/* A state is restored: the mark stays where that state had it. */
	if (!gateway)
		return rule_in(diff->desired, live) || mark_is_handed_back(diff, &live->mark);
	if (live->action != RULE_LOOKUP || leads_to(diff, gateway, live->table))
		return true;
	name = converts_for(diff, &live->mark);
	return *name ? !strcmp(name, gateway->name) : live->table == gateway->table;
}

static void retire_converted(struct diff *diff)
{
	const struct nft_chain *chain = nft_chain_find(&diff->observed->nft, "prerouting");

	for (size_t i = 0; chain && i < chain->rule_count; i++) {
		const struct nft_rule *rule = &chain->rules[i];
		struct mark mark;

		if (rule->role == ROLE_CONVERT && nft_rule_mark(rule, &mark) &&
		    !document_gateway_of_mark(diff->document, &mark) &&
		    !nft_converts(&diff->desired->nft, &mark) && !mark_is_handed_back(diff, &mark))
			retire(diff, &mark);
	}
}

void diff_marks_retired(struct diff *diff)
{
	for (size_t i = 0; i < diff->observed->rule_count; i++) {
		const struct rule *rule = &diff->observed->rules[i];

		if (rule->protocol == PROTOCOL_DETOUR && rule->mark.mask && !rule->has_more &&
		    !mark_stays(diff, rule))
			retire(diff, &rule->mark);
	}
	retire_converted(diff);
}
