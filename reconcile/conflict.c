/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Foreign objects that stand where one of ours should. All are listed, nothing
 * is written. Only families that the gateway has are judged.
 */
#include "reconcile/diff.h"

#include <string.h>

static struct conflict *conflict(struct diff *diff, enum kind kind)
{
	struct plan *plan = diff->plan;
	struct conflict *item = ARENA_PUSH(&plan->arena, plan->conflicts, plan->conflict_count,
					   plan->conflict_room);

	item->kind = kind;
	return item;
}

static void name_conflict(struct diff *diff, const struct rt_table *found,
			  const struct gateway *gateway)
{
	struct arena *arena = &diff->plan->arena;
	struct conflict *item = conflict(diff, KIND_RT_TABLE);

	item->object = arena_printf(arena, "%u %s", gateway->table, gateway->name);
	item->found = arena_printf(arena, "%u %s in %s", found->id, found->name, found->file);
	item->wanted =
		arena_printf(arena, "the name %s for table %u", gateway->name, gateway->table);
	item->hint = arena_printf(arena,
				  "name the gateway like the table, give it another table, or "
				  "take the line out of %s",
				  found->file);
}

static void name_conflicts(struct diff *diff, const struct gateway *gateway)
{
	for (size_t i = 0; i < diff->observed->rt_table_count; i++) {
		const struct rt_table *name = &diff->observed->rt_tables[i];
		bool same_name = !strcmp(name->name, gateway->name);

		if (!name->own && !name->taken && (name->id == gateway->table) != same_name)
			name_conflict(diff, name, gateway);
	}
}

static void route_conflicts(struct diff *diff, const struct gateway *gateway)
{
	struct arena *arena = &diff->plan->arena;

	for (size_t i = 0; i < diff->observed->route_count; i++) {
		const struct route *route = &diff->observed->routes[i];
		struct conflict *item;

		if (route->table != gateway->table || route_is_managed(route) ||
		    !gateway->has_address[route->family])
			continue;
		item = conflict(diff, KIND_ROUTE);
		item->object = arena_printf(arena, "%s table %u", family_name(route->family),
					    route->table);
		item->found = arena_printf(arena, "%s protocol %u", route_way(arena, route),
					   route->protocol);
		item->wanted = arena_printf(
			arena, "a table with nothing but the route to gateway %s", gateway->name);
		item->hint = "remove that route, or give the gateway a table of its own";
	}
}

static bool stands_in_the_way(const struct rule *rule, const struct gateway *gateway)
{
	if (rule_is_managed(rule) || !gateway->has_address[rule->family])
		return false;
	return rule->priority == gateway->priority ||
	       (gateway->on_loss == ON_LOSS_BLOCK && rule->priority == gateway->priority + 1) ||
	       (rule->action == RULE_LOOKUP && rule->table == gateway->table);
}

static void rule_conflict(struct diff *diff, const struct rule *rule, const struct gateway *gateway)
{
	struct arena *arena = &diff->plan->arena;
	struct conflict *item = conflict(diff, KIND_RULE);

	item->object =
		arena_printf(arena, "%s priority %u", family_name(rule->family), rule->priority);
	item->found =
		arena_printf(arena, "a rule of protocol %u%s", rule->protocol,
			     rule->action == RULE_LOOKUP && rule->table == gateway->table
				     ? arena_printf(arena, " that looks up table %u", rule->table)
				     : "");
	item->wanted = arena_printf(arena, "priority %u%s and table %u for gateway %s alone",
				    gateway->priority,
				    gateway->on_loss == ON_LOSS_BLOCK
					    ? arena_printf(arena, ", %u", gateway->priority + 1)
					    : "",
				    gateway->table, gateway->name);
	item->hint = "remove that rule, or give the gateway another priority or table";
}

static void rule_conflicts(struct diff *diff, const struct gateway *gateway)
{
	for (size_t i = 0; i < diff->observed->rule_count; i++)
		if (stands_in_the_way(&diff->observed->rules[i], gateway))
			rule_conflict(diff, &diff->observed->rules[i], gateway);
}

static void table_conflict(struct diff *diff)
{
	struct conflict *item = conflict(diff, KIND_NFT_TABLE);

	item->object = "inet " NFT_TABLE;
	item->found = arena_printf(&diff->plan->arena,
				   "a table that another program owns (netlink port id %u)",
				   diff->observed->nft.owner);
	item->wanted = "a table that detour can change";
	item->hint = "end that program";
}

void diff_conflicts(struct diff *diff)
{
	if (diff->observed->nft.is_owned)
		table_conflict(diff);
	for (size_t i = 0; i < diff->document->gateway_count; i++) {
		name_conflicts(diff, &diff->document->gateways[i]);
		route_conflicts(diff, &diff->document->gateways[i]);
		rule_conflicts(diff, &diff->document->gateways[i]);
	}
}
