/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/expand.h"

#include <string.h>

static void expand_name(struct state *desired, const struct gateway *gateway)
{
	struct rt_table *name = ARENA_PUSH(&desired->arena, desired->rt_tables,
					   desired->rt_table_count, desired->rt_table_room);

	*name = (struct rt_table){ .id = gateway->table, .name = gateway->name, .own = true };
}

static void expand_route(struct state *desired, const struct gateway *gateway, enum family family)
{
	struct route *route = ARENA_PUSH(&desired->arena, desired->routes, desired->route_count,
					 desired->route_room);

	*route = (struct route){
		.family = family,
		.table = gateway->table,
		.metric = family == FAMILY_IPV6 ? ROUTE_METRIC_IPV6 : 0,
		.protocol = PROTOCOL_DETOUR,
		.type = ROUTE_UNICAST,
		.is_default = true,
		.has_gateway = true,
		.dev = gateway->interface,
	};
	memcpy(route->gateway, gateway->address[family], SPAN_BYTES);
}

static void expand_rule(struct state *desired, const struct gateway *gateway, enum family family,
			enum rule_action action)
{
	struct rule *rule = ARENA_PUSH(&desired->arena, desired->rules, desired->rule_count,
				       desired->rule_room);

	*rule = (struct rule){
		.family = family,
		.priority = gateway->priority + (action == RULE_UNREACHABLE),
		.mark = gateway->mark,
		.action = action,
		.table = action == RULE_LOOKUP ? gateway->table : 0,
		.protocol = PROTOCOL_DETOUR,
	};
}

static void expand_gateway(struct state *desired, const struct gateway *gateway)
{
	expand_name(desired, gateway);
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		if (!gateway->has_address[family])
			continue;
		expand_route(desired, gateway, family);
		expand_rule(desired, gateway, family, RULE_LOOKUP);
		if (gateway->on_loss == ON_LOSS_BLOCK)
			expand_rule(desired, gateway, family, RULE_UNREACHABLE);
	}
}

void expand(const struct document *document, const struct state *observed,
	    const struct nft_table *table, struct state *desired)
{
	*desired = (struct state){ 0 };
	for (size_t i = 0; i < document->gateway_count; i++)
		expand_gateway(desired, &document->gateways[i]);
	rp_filter_expand(document, observed, desired);
	if (table)
		desired->nft = *table;
	else if (document->gateway_count)
		layout_build(&desired->arena, document, &desired->nft);
	state_sort(desired);
}
