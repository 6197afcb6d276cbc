/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routing in memory: the first policy rule that matches and finds a route, in it
 * the longest prefix, and rp_filter as net/ipv4/fib_frontend.c has it. The
 * router has no addresses of its own.
 */
#include "backends/fake_parts.h"

/* Behind all others, in every kernel. */
enum { PRIORITY_MAIN = 32766, PRIORITY_DEFAULT = 32767, TABLE_MAIN = 254 };

/* --- policy rules -------------------------------------------------------- */

/* Behind those of the same priority, as the kernel adds it. */
static struct fib_rule *policy_add(struct arena *arena, struct policy *out, enum family family,
				   uint32_t priority)
{
	struct fib_rule *rule = ARENA_PUSH(arena, out->rules, out->count, out->room);

	for (; rule > out->rules && rule[-1].priority > priority; rule--)
		*rule = rule[-1];
	*rule = (struct fib_rule){
		.family = family,
		.priority = priority,
		.suppress_prefix = -1,
	};
	return rule;
}

static void lookup_add(struct arena *arena, struct policy *out, enum family family,
		       uint32_t priority, uint32_t table)
{
	struct fib_rule *rule = policy_add(arena, out, family, priority);

	rule->action = FIB_LOOKUP;
	rule->table = table;
}

static enum fib_action action_of(const struct rule *rule)
{
	switch (rule->action) {
	case RULE_LOOKUP:
		return FIB_LOOKUP;
	case RULE_UNREACHABLE:
		return FIB_UNREACHABLE;
	case RULE_OTHER:
		break;
	}
	return FIB_OTHER;
}

void fake_read_policy(const struct fake *fake, enum family family, struct arena *arena,
		      struct policy *out)
{
	*out = (struct policy){ 0 };
	lookup_add(arena, out, family, 0, TABLE_LOCAL);
	for (size_t i = 0; i < fake->state.rule_count; i++) {
		const struct rule *from = &fake->state.rules[i];
		struct fib_rule *rule;

		if (from->family != family)
			continue;
		rule = policy_add(arena, out, family, from->priority);
		rule->action = action_of(from);
		rule->table = from->table;
		rule->protocol = from->protocol;
		rule->mark = from->mark;
		rule->unknown = from->has_more ? "more" : NULL;
	}
	lookup_add(arena, out, family, PRIORITY_MAIN, TABLE_MAIN);
	lookup_add(arena, out, family, PRIORITY_DEFAULT, TABLE_DEFAULT);
}

/* --- tables -------------------------------------------------------------- */

/* Takes the route unless the address is not in it, or a longer prefix was found before. */
static void found(struct course *course, const struct flow *flow, const struct span *span,
		  const char *dev, const struct route *route)
{
	uint8_t prefix = (uint8_t)span_prefix(span, flow->family);

	if (memcmp(span->from, flow->daddr, SPAN_BYTES) > 0 ||
	    memcmp(flow->daddr, span->to, SPAN_BYTES) > 0 ||
	    (*course->dev && prefix <= course->prefix))
		return;
	course->prefix = prefix;
	course->route = *span;
	course->dev = dev;
	course->has_gateway = route && route->has_gateway;
	if (course->has_gateway)
		memcpy(course->gateway, route->gateway, SPAN_BYTES);
}

/* True when it has a route to the packet's target. */
static bool table_finds(const struct fake *fake, uint32_t table, const struct flow *flow,
			struct course *course)
{
	for (size_t i = 0; i < fake->state.route_count; i++) {
		const struct route *route = &fake->state.routes[i];

		if (route->family == flow->family && route->table == table)
			found(course, flow,
			      route->is_default ? family_span(flow->family) : &route->dst,
			      route->dev, route);
	}
	for (size_t i = 0; table == TABLE_MAIN && i < fake->network_count; i++) {
		const struct fake_network *network = &fake->networks[i];

		if (network->family == flow->family && state_link(&fake->state, network->link)->up)
			found(course, flow, &network->span, network->link, NULL);
	}
	if (!*course->dev)
		return false;
	course->fate = FATE_FORWARDED;
	course->table = table;
	course->gateway_family = flow->family;
	return true;
}

/* True when the rule ends the search. One of which it knows not whether it matches does not. */
static bool rule_ends(const struct fake *fake, const struct fib_rule *rule, const struct flow *flow,
		      struct course *course)
{
	if (fib_rule_match(rule, flow) != MATCH_YES)
		return false;
	if (rule->action == FIB_LOOKUP)
		return table_finds(fake, rule->table, flow, course);
	return rule->action == FIB_UNREACHABLE;
}

static void look_up(const struct fake *fake, const struct flow *flow, struct arena *arena,
		    struct course *out)
{
	struct policy policy;

	*out = (struct course){ .fate = FATE_NO_ROUTE, .words = "there is no route", .dev = "" };
	fake_read_policy(fake, flow->family, arena, &policy);
	for (size_t i = 0; i < policy.count; i++)
		if (rule_ends(fake, &policy.rules[i], flow, out))
			return;
}

/* --- the packet ---------------------------------------------------------- */

/* rp_filter looks the way back up without the mark. */
static bool source_is_refused(const struct fake *fake, const struct flow *flow, struct arena *arena)
{
	struct flow back = { .family = flow->family };
	int all = state_rp_filter(&fake->state, "all")->value;
	int own = state_rp_filter(&fake->state, flow->iif)->value;
	struct course course;

	if (flow->family != FAMILY_IPV4 || (!all && !own))
		return false;
	memcpy(back.saddr, flow->daddr, SPAN_BYTES);
	memcpy(back.daddr, flow->saddr, SPAN_BYTES);
	look_up(fake, &back, arena, &course);
	return course.fate != FATE_FORWARDED ||
	       (all < 2 && own < 2 && strcmp(course.dev, flow->iif) != 0);
}

static void neighbour_read(const struct fake *fake, const struct flow *flow, struct course *course)
{
	const uint8_t *address = course->has_gateway ? course->gateway : flow->daddr;
	const struct fake_neighbour *known =
		fake_neighbour_find(fake, flow->family, course->dev, address);

	course->neighbour = known ? known->known : (struct neighbour){ .state = NEIGHBOUR_NONE };
}

void fake_read_course(const struct fake *fake, const struct flow *flow, struct arena *arena,
		      struct course *out)
{
	const struct link *in = flow->iif ? state_link(&fake->state, flow->iif) : NULL;

	if (flow->iif && (!in || !in->up)) {
		*out = (struct course){ .fate = FATE_STOPPED, .dev = "" };
		out->words = arena_printf(arena, "interface %s %s", flow->iif,
					  in ? "is down" : "does not exist");
	} else if (in && source_is_refused(fake, flow, arena)) {
		*out = (struct course){ .fate = FATE_INVALID, .words = "rp_filter", .dev = "" };
	} else {
		look_up(fake, flow, arena, out);
		neighbour_read(fake, flow, out);
	}
}
