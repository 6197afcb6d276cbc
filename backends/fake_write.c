/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names, rp_filter, routes and rules. As with the live kernel, deleting what is
 * gone already is done, and creating what is there is an error.
 */
#include <errno.h>

#include "backends/fake_parts.h"

/* --- names --------------------------------------------------------------- */

static size_t own_name(const struct state *state, const struct rt_table *name)
{
	size_t i = 0;

	while (i < state->rt_table_count &&
	       !(state->rt_tables[i].own && state->rt_tables[i].id == name->id))
		i++;
	return i;
}

static int write_name(struct fake *fake, const struct step *step, struct error *error)
{
	struct state *state = &fake->state;
	size_t at = own_name(state, step->before ? step->before : step->after);
	bool exists = at < state->rt_table_count;

	if (!step->before && exists)
		return fake_refuse(step, EEXIST, error);
	if (exists)
		FAKE_REMOVE(state->rt_tables, state->rt_table_count, at);
	if (step->after)
		fake_name_add(fake, step->after);
	return OUTCOME_DONE;
}

/* --- rp_filter ----------------------------------------------------------- */

static int write_filter(struct fake *fake, const struct step *step)
{
	const struct rp_filter *wanted = step->after;

	for (size_t i = 0; i < fake->state.rp_filter_count; i++) {
		struct rp_filter *live = &fake->state.rp_filters[i];

		if (strcmp(live->interface, wanted->interface) != 0)
			continue;
		if (!live->recorded)
			live->before = live->value;
		live->value = wanted->value;
		live->recorded = live->value != live->before;
		live->overridden = false;
		return OUTCOME_DONE;
	}
	return OUTCOME_WAITS;
}

/* --- routes -------------------------------------------------------------- */

static size_t route_at(const struct state *state, const struct route *place)
{
	size_t i = 0;

	while (i < state->route_count && !route_same_place(&state->routes[i], place))
		i++;
	return i;
}

static int write_route(struct fake *fake, const struct step *step, struct error *error)
{
	struct state *state = &fake->state;
	const struct route *route = step->after;
	struct arena arena = { 0 };
	size_t at = route_at(state, route ? route : step->before);
	bool exists = at < state->route_count, waits;

	if (!route) {
		if (exists)
			FAKE_REMOVE(state->routes, state->route_count, at);
		return OUTCOME_DONE;
	}
	if (route->type != ROUTE_UNICAST || route->multipath)
		return fake_refuse(step, EINVAL, error);
	waits = fake_obstacle(fake, &arena, route->family, route->dev, route->gateway) != NULL;
	arena_free(&arena);
	if (waits)
		return OUTCOME_WAITS;
	if (exists != (step->before != NULL))
		return fake_refuse(step, exists ? EEXIST : ENOENT, error);
	if (exists)
		FAKE_REMOVE(state->routes, state->route_count, at);
	fake_route_add(fake, route);
	return OUTCOME_DONE;
}

/* --- rules --------------------------------------------------------------- */

static size_t rule_at(const struct state *state, const struct rule *rule)
{
	size_t i = 0;

	while (i < state->rule_count && !rule_equal(&state->rules[i], rule))
		i++;
	return i;
}

/* To the kernel a rule of another protocol is another rule, not a duplicate. */
static int write_rule(struct fake *fake, const struct step *step, struct error *error)
{
	struct state *state = &fake->state;
	size_t at;

	if (step->after) {
		if (rule_at(state, step->after) < state->rule_count)
			return fake_refuse(step, EEXIST, error);
		fake_rule_add(fake, step->after);
	}
	if (!step->before)
		return OUTCOME_DONE;
	at = rule_at(state, step->before);
	if (at < state->rule_count)
		FAKE_REMOVE(state->rules, state->rule_count, at);
	return OUTCOME_DONE;
}

int fake_write(struct fake *fake, const struct step *step, struct error *error)
{
	switch (step->kind) {
	case KIND_RT_TABLE:
		return write_name(fake, step, error);
	case KIND_RP_FILTER:
		return write_filter(fake, step);
	case KIND_ROUTE:
		return write_route(fake, step, error);
	case KIND_RULE:
		return write_rule(fake, step, error);
	case KIND_NFT_TABLE:
	case KIND_NFT_CHAIN:
	case KIND_NFT_SET:
	case KIND_NFT_ELEMENT:
	case KIND_NFT_RULE:
	case KIND_HAND_RULE:
	case KIND_COUNT:
		break;
	}
	return fake_refuse(step, EINVAL, error);
}
