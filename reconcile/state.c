/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/state.h"

#include <string.h>

#include "reconcile/sort.h"

void state_free(struct state *state)
{
	arena_free(&state->arena);
	*state = (struct state){ 0 };
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

/* Lines of others are put back from the first one on: each has its number with those above. */
static int rt_table_compare(const void *a, const void *b)
{
	const struct rt_table *x = a, *y = b;
	int order = COMPARE(x->taken ? x->line : 0, y->taken ? y->line : 0);

	if (!order)
		order = COMPARE(x->id, y->id);
	if (!order)
		order = strcmp(x->name, y->name);
	return order ? order : COMPARE(x->line, y->line);
}

static int rp_filter_compare(const void *a, const void *b)
{
	return strcmp(((const struct rp_filter *)a)->interface,
		      ((const struct rp_filter *)b)->interface);
}

static int route_compare(const void *a, const void *b)
{
	const struct route *x = a, *y = b;
	int order = COMPARE(x->family, y->family);

	if (!order)
		order = COMPARE(x->table, y->table);
	if (!order)
		order = COMPARE(y->is_default, x->is_default);
	if (!order)
		order = memcmp(&x->dst, &y->dst, sizeof(x->dst));
	return order ? order : COMPARE(x->metric, y->metric);
}

static int rule_compare(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;
	int order = COMPARE(x->family, y->family);

	if (!order)
		order = COMPARE(x->priority, y->priority);
	if (!order)
		order = COMPARE(x->action, y->action);
	if (!order)
		order = COMPARE(x->mark.value, y->mark.value);
	return order ? order : COMPARE(x->table, y->table);
}

void state_sort(struct state *state)
{
	sort(state->rt_tables, state->rt_table_count, sizeof(*state->rt_tables), rt_table_compare);
	sort(state->rp_filters, state->rp_filter_count, sizeof(*state->rp_filters),
	     rp_filter_compare);
	sort(state->routes, state->route_count, sizeof(*state->routes), route_compare);
	sort(state->rules, state->rule_count, sizeof(*state->rules), rule_compare);
	nft_table_sort(&state->nft);
}

const struct link *state_link(const struct state *state, const char *name)
{
	for (size_t i = 0; i < state->link_count; i++)
		if (!strcmp(state->links[i].name, name))
			return &state->links[i];
	return NULL;
}

const struct rp_filter *state_rp_filter(const struct state *state, const char *interface)
{
	for (size_t i = 0; i < state->rp_filter_count; i++)
		if (!strcmp(state->rp_filters[i].interface, interface))
			return &state->rp_filters[i];
	return NULL;
}

const struct next_hop *state_next_hop(const struct state *state, enum family family,
				      const char *interface, const uint8_t *address)
{
	for (size_t i = 0; i < state->next_hop_count; i++) {
		const struct next_hop *hop = &state->next_hops[i];

		if (hop->family == family && !strcmp(hop->interface, interface) &&
		    !memcmp(hop->address, address, SPAN_BYTES))
			return hop;
	}
	return NULL;
}

const char *neighbour_name(enum neighbour_state state)
{
	static const char *const names[] = {
		[NEIGHBOUR_UNKNOWN] = "unknown",       [NEIGHBOUR_NONE] = "none",
		[NEIGHBOUR_INCOMPLETE] = "incomplete", [NEIGHBOUR_REACHABLE] = "reachable",
		[NEIGHBOUR_STALE] = "stale",           [NEIGHBOUR_DELAY] = "delay",
		[NEIGHBOUR_PROBE] = "probe",           [NEIGHBOUR_FAILED] = "failed",
		[NEIGHBOUR_NOARP] = "noarp",           [NEIGHBOUR_PERMANENT] = "permanent",
	};

	return names[state];
}

size_t state_marked(const struct state *state, const struct mark *mark)
{
	for (size_t i = 0; i < state->marked_count; i++)
		if (mark_equal(&state->marked[i].mark, mark))
			return state->marked[i].connections;
	return 0;
}

bool mark_equal(const struct mark *a, const struct mark *b)
{
	return a->value == b->value && a->mask == b->mask;
}

bool route_same_place(const struct route *a, const struct route *b)
{
	return route_compare(a, b) == 0;
}

const char *route_way(struct arena *arena, const struct route *route)
{
	char dst[SPAN_TEXT] = "default", via[SPAN_TEXT] = "";

	if (!route->is_default)
		span_format(&route->dst, route->family, dst);
	if (route->has_gateway)
		address_format(route->gateway, route->family, via);
	return arena_printf(arena, "%s%s%s%s%s", dst, *via ? " via " : "", via,
			    *route->dev ? " dev " : "", route->dev);
}

bool route_equal(const struct route *a, const struct route *b)
{
	return route_same_place(a, b) && a->protocol == b->protocol && a->type == b->type &&
	       a->multipath == b->multipath && a->has_gateway == b->has_gateway &&
	       !memcmp(a->gateway, b->gateway, SPAN_BYTES) && !strcmp(a->dev, b->dev);
}

/* The raw message repeats the rest, and its sequence number and flags differ each time. */
bool rule_equal(const struct rule *a, const struct rule *b)
{
	return a->family == b->family && a->priority == b->priority &&
	       mark_equal(&a->mark, &b->mark) && a->action == b->action && a->table == b->table &&
	       a->protocol == b->protocol && a->has_more == b->has_more;
}

/* Neither handle nor successor: they are other ones once it was put back. */
bool hand_rule_equal(const struct hand_rule *a, const struct hand_rule *b)
{
	return a->nfproto == b->nfproto && !strcmp(a->table, b->table) &&
	       !strcmp(a->chain, b->chain) && a->raw_size == b->raw_size &&
	       !memcmp(a->raw, b->raw, a->raw_size);
}

bool route_is_managed(const struct route *route)
{
	return route->protocol == PROTOCOL_DETOUR || route->taken;
}

bool rule_is_managed(const struct rule *rule)
{
	return rule->protocol == PROTOCOL_DETOUR || rule->taken;
}
