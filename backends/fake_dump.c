/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A state as text, one object a line: what tests compare. */
#include <stdlib.h>

#include "backends/fake_parts.h"

static void dump_filter(const struct rp_filter *filter, FILE *out)
{
	fprintf(out, "rp_filter %s %d", filter->interface, filter->value);
	if (filter->recorded)
		fprintf(out, " before %d", filter->before);
	fputc('\n', out);
}

static void dump_route(const struct route *route, FILE *out)
{
	char text[SPAN_TEXT];

	fprintf(out, "route %s table %u %s", family_name(route->family), route->table,
		route->is_default ? "default" : span_format(&route->dst, route->family, text));
	if (route->has_gateway)
		fprintf(out, " via %s", address_format(route->gateway, route->family, text));
	fprintf(out, " dev %s metric %u protocol %u%s%s\n", route->dev, route->metric,
		route->protocol, route->multipath ? " multipath" : "",
		route->type == ROUTE_OTHER ? " other" : "");
}

static void dump_rule(const struct rule *rule, FILE *out)
{
	fprintf(out, "rule %s priority %u fwmark 0x%x/0x%x ", family_name(rule->family),
		rule->priority, rule->mark.value, rule->mark.mask);
	if (rule->action == RULE_LOOKUP)
		fprintf(out, "lookup %u", rule->table);
	else
		fputs(rule->action == RULE_UNREACHABLE ? "unreachable" : "other", out);
	fprintf(out, " protocol %u%s\n", rule->protocol, rule->has_more ? " and more" : "");
}

static void dump_chain(struct arena *arena, const struct nft_chain *chain, FILE *out)
{
	static const char *const hooks[] = { "", " prerouting", " forward", " other" };

	fprintf(out, "chain %s%s", chain->name, hooks[chain->hook]);
	if (chain->hook != HOOK_NONE)
		fprintf(out, " priority %d policy %s", chain->priority,
			chain->drops ? "drop" : "accept");
	fputc('\n', out);
	for (size_t i = 0; i < chain->rule_count; i++)
		fprintf(out, "  %s # %s\n", nft_rule_format(arena, &chain->rules[i]),
			chain->rules[i].comment);
}

static void dump_set(struct arena *arena, const struct nft_set *set, FILE *out)
{
	static const char *const keys[] = { "ipv4", "ipv6", "ifname", "service", "other" };

	fprintf(out, "%s %s of %s%s\n", set->is_map ? "map" : "set", set->name, keys[set->key],
		set->foreign_flags ? " with foreign flags" : "");
	for (size_t i = 0; i < set->element_count; i++)
		fprintf(out, "  %s\n", element_format(arena, set->key, &set->elements[i]));
}

void nft_table_dump(const struct nft_table *table, FILE *out)
{
	struct arena arena = { 0 };

	if (table->exists)
		fprintf(out, "table%s\n", table->foreign_flags ? " with foreign flags" : "");
	for (size_t i = 0; i < table->set_count; i++)
		dump_set(&arena, &table->sets[i], out);
	for (size_t i = 0; i < table->chain_count; i++)
		dump_chain(&arena, &table->chains[i], out);
	arena_free(&arena);
}

void state_dump(const struct state *state, FILE *out)
{
	for (size_t i = 0; i < state->rt_table_count; i++)
		fprintf(out, "rt_table %u %s%s\n", state->rt_tables[i].id, state->rt_tables[i].name,
			state->rt_tables[i].own ? "" : " by others");
	for (size_t i = 0; i < state->rp_filter_count; i++)
		dump_filter(&state->rp_filters[i], out);
	for (size_t i = 0; i < state->route_count; i++)
		dump_route(&state->routes[i], out);
	for (size_t i = 0; i < state->rule_count; i++)
		dump_rule(&state->rules[i], out);
	nft_table_dump(&state->nft, out);
}

#define COPY(state, copy, items, count)                                                            \
	((copy).items = memcpy(arena_alloc(&(copy).arena, (state).count * sizeof(*(copy).items)),  \
			       (state).items, (state).count * sizeof(*(copy).items)))

char *fake_dump(const struct fake *fake)
{
	struct state copy = fake->state;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	copy.arena = (struct arena){ 0 };
	COPY(fake->state, copy, rp_filters, rp_filter_count);
	if (copy.rt_table_count)
		COPY(fake->state, copy, rt_tables, rt_table_count);
	if (copy.route_count)
		COPY(fake->state, copy, routes, route_count);
	if (copy.rule_count)
		COPY(fake->state, copy, rules, rule_count);
	nft_table_copy(&copy.arena, &fake->nft, &copy.nft);
	state_sort(&copy);
	state_dump(&copy, out);
	for (size_t i = 0; i < fake->connections_count; i++)
		fprintf(out, "connections 0x%x %zu\n", fake->connections[i].mark,
			fake->connections[i].count);
	state_free(&copy);
	fclose(out);
	return text;
}
