/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy rules of others, and the routes to servers in the tables of those rules
 * that may take our packets: a rule whose table has no route is passed over by
 * the kernel. No other table is read.
 */
#include "backends/surround.h"

#include "backends/rtnl.h"

static bool rules_read(struct netlink *route, enum family family, struct surroundings *out)
{
	struct policy policy;
	struct error ignored;

	if (rtnl_read_policy(route, family, &out->arena, &policy, &ignored))
		return false;
	for (size_t i = 0; i < policy.count; i++)
		if (policy.rules[i].protocol != PROTOCOL_DETOUR)
			*ARENA_PUSH(&out->arena, out->rules, out->rule_count, out->rule_room) =
				(struct other_rule){ .rule = policy.rules[i] };
	return true;
}

/* --- where a rule leads -------------------------------------------------- */

static bool may_take(const struct surroundings *out, const struct fib_rule *rule,
		     const struct selection *selections, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fib_rule_meets(out, rule, &selections[i]))
			return true;
	return false;
}

static bool leads_to_servers(const struct span *destination, enum family family,
			     const struct selection *selections, size_t count)
{
	struct spans one = { (struct span *)destination, 1, 1 };

	for (size_t i = 0; i < count; i++)
		if (spans_intersect(&selections[i].servers[family], &one))
			return true;
	return false;
}

/* A default route has length 0, every other one more. */
static bool is_suppressed(const struct fib_rule *rule, const struct route *route)
{
	return rule->suppress_prefix >=
	       (route->is_default ? 0 : span_prefix(&route->dst, rule->family));
}

static void routes_keep(struct surroundings *out, struct other_rule *other,
			const struct state *table, const struct selection *selections, size_t count)
{
	const struct fib_rule *rule = &other->rule;

	for (size_t i = 0; i < table->route_count; i++) {
		const struct route *route = &table->routes[i];
		struct span span = { 0 };

		prefix_to_span(route->dst.from, family_bytes(rule->family),
			       route->is_default
				       ? 0
				       : (unsigned int)span_prefix(&route->dst, rule->family),
			       &span);
		if (is_suppressed(rule, route) ||
		    !leads_to_servers(&span, rule->family, selections, count))
			continue;
		*ARENA_PUSH(&out->arena, other->routes.items, other->routes.count,
			    other->routes.room) = span;
		other->has_default |= route->is_default;
	}
	spans_normalize(&other->routes);
}

static void routes_read(struct netlink *route, struct surroundings *out, struct other_rule *other,
			const struct selection *selections, size_t count)
{
	struct state table = { 0 };
	struct error ignored;

	if (rtnl_read_table(route, other->rule.family, other->rule.table, &table, &ignored) == 0)
		routes_keep(out, other, &table, selections, count);
	state_free(&table);
}

void surround_policy(struct netlink *route, const struct document *document,
		     struct surroundings *out)
{
	const struct selection *selections;
	size_t count = selections_build(&out->arena, document, &selections);

	out->has_rules = true;
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		out->has_rules &= rules_read(route, family, out);
	for (size_t i = 0; i < out->rule_count; i++) {
		const struct fib_rule *rule = &out->rules[i].rule;

		/* The local table is about the router's own addresses alone. */
		if (rule->action == FIB_LOOKUP && !rule->l3mdev && rule->table != TABLE_LOCAL &&
		    may_take(out, rule, selections, count))
			routes_read(route, out, &out->rules[i], selections, count);
	}
}
