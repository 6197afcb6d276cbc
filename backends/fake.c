/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/fake.h"

#include <stdarg.h>
#include <stdlib.h>

#include "backends/fake_parts.h"
#include "reconcile/foreign.h"

static struct fake *fake_of(struct kernel *kernel)
{
	return (struct fake *)kernel;
}

int fake_refuse(const struct step *step, int code, struct error *error)
{
	return error_set(error, "kernel-refused", "%s %s: %s", kind_name(step->kind), step->object,
			 strerror(code));
}

/* --- observing ----------------------------------------------------------- */

static bool name_matters(const struct document *document, const struct rt_table *name)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (document->gateways[i].table == name->id ||
		    !strcmp(document->gateways[i].name, name->name))
			return true;
	return name->own;
}

static bool rule_matters(const struct document *document, const struct rule *rule)
{
	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct gateway *gateway = &document->gateways[i];

		if (rule->priority == gateway->priority ||
		    rule->priority == gateway->priority + 1 ||
		    (rule->action == RULE_LOOKUP && rule->table == gateway->table))
			return true;
	}
	return rule->protocol == PROTOCOL_DETOUR;
}

static bool table_matters(const struct fake *fake, const struct document *document, uint32_t table)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (document->gateways[i].table == table)
			return true;
	for (size_t i = 0; i < fake->state.rt_table_count; i++)
		if (fake->state.rt_tables[i].own && fake->state.rt_tables[i].id == table)
			return true;
	for (size_t i = 0; i < fake->state.rule_count; i++)
		if (fake->state.rules[i].protocol == PROTOCOL_DETOUR &&
		    fake->state.rules[i].action == RULE_LOOKUP &&
		    fake->state.rules[i].table == table)
			return true;
	return false;
}

static void observe_objects(const struct fake *fake, const struct scope *scope, struct state *out)
{
	const struct state *live = &fake->state;

	for (size_t i = 0; i < live->rt_table_count; i++)
		if (name_matters(scope->document, &live->rt_tables[i]))
			*ARENA_PUSH(&out->arena, out->rt_tables, out->rt_table_count,
				    out->rt_table_room) = live->rt_tables[i];
	for (size_t i = 0; i < live->rule_count; i++)
		if (rule_matters(scope->document, &live->rules[i]))
			*ARENA_PUSH(&out->arena, out->rules, out->rule_count, out->rule_room) =
				live->rules[i];
	for (size_t i = 0; i < live->route_count; i++)
		if (table_matters(fake, scope->document, live->routes[i].table) ||
		    (scope->everything && live->routes[i].protocol == PROTOCOL_DETOUR))
			*ARENA_PUSH(&out->arena, out->routes, out->route_count, out->route_room) =
				live->routes[i];
}

static bool reads_every_filter(const struct fake *fake, const struct scope *scope)
{
	const struct document *document = scope->document;

	if (scope->every_rp_filter)
		return true;
	for (size_t i = 0; i < document->gateway_count; i++)
		if (document->gateways[i].rp_filter == RP_FILTER_OFF)
			return true;
	for (size_t i = 0; i < fake->state.rp_filter_count; i++)
		if (fake->state.rp_filters[i].recorded || fake->state.rp_filters[i].overridden)
			return true;
	return false;
}

static bool is_gateway_interface(const struct document *document, const char *interface)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (!strcmp(document->gateways[i].interface, interface))
			return true;
	return !strcmp(interface, "all") || !strcmp(interface, "default");
}

static void observe_filters(const struct fake *fake, const struct scope *scope, struct state *out)
{
	bool every = reads_every_filter(fake, scope);

	for (size_t i = 0; i < fake->state.rp_filter_count; i++) {
		const struct rp_filter *filter = &fake->state.rp_filters[i];

		if (every || is_gateway_interface(scope->document, filter->interface))
			*ARENA_PUSH(&out->arena, out->rp_filters, out->rp_filter_count,
				    out->rp_filter_room) = *filter;
	}
}

static bool is_on_link(const struct fake *fake, enum family family, const char *link,
		       const uint8_t *address)
{
	for (size_t i = 0; i < fake->network_count; i++) {
		const struct fake_network *network = &fake->networks[i];

		if (network->family == family && !strcmp(network->link, link) &&
		    memcmp(network->span.from, address, SPAN_BYTES) <= 0 &&
		    memcmp(address, network->span.to, SPAN_BYTES) <= 0)
			return true;
	}
	return false;
}

const char *fake_obstacle(const struct fake *fake, struct arena *arena, enum family family,
			  const char *link, const uint8_t *address)
{
	const struct link *found = state_link(&fake->state, link);
	char text[SPAN_TEXT];

	if (!found || !found->up)
		return arena_printf(arena, "interface %s %s", link,
				    found ? "is down" : "does not exist");
	if (is_on_link(fake, family, link, address))
		return NULL;
	return arena_printf(arena, "%s is not on the link of %s",
			    address_format(address, family, text), link);
}

struct fake_neighbour *fake_neighbour_find(const struct fake *fake, enum family family,
					   const char *link, const uint8_t *address)
{
	for (size_t i = 0; i < fake->neighbour_count; i++) {
		struct fake_neighbour *neighbour = &fake->neighbours[i];

		if (neighbour->family == family && !strcmp(neighbour->link, link) &&
		    !memcmp(neighbour->address.from, address, SPAN_BYTES))
			return neighbour;
	}
	return NULL;
}

static void observe_neighbour(const struct fake *fake, struct next_hop *hop)
{
	const struct fake_neighbour *found =
		fake_neighbour_find(fake, hop->family, hop->interface, hop->address);

	if (state_link(&fake->state, hop->interface))
		hop->neighbour =
			found ? found->known : (struct neighbour){ .state = NEIGHBOUR_NONE };
}

static void observe_next_hops(const struct fake *fake, const struct gateway *gateway,
			      const struct scope *scope, struct state *out)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct next_hop *hop;

		if (!gateway->has_address[family])
			continue;
		hop = ARENA_PUSH(&out->arena, out->next_hops, out->next_hop_count,
				 out->next_hop_room);
		hop->family = family;
		hop->interface = gateway->interface;
		memcpy(hop->address, gateway->address[family], SPAN_BYTES);
		hop->obstacle =
			fake_obstacle(fake, &out->arena, family, gateway->interface, hop->address);
		if (scope->neighbours)
			observe_neighbour(fake, hop);
	}
}

static void observe_mark(const struct fake *fake, const struct mark *mark, struct state *out)
{
	struct marked marked = { .mark = *mark };

	for (size_t i = 0; i < fake->connections_count; i++)
		if ((fake->connections[i].mark & mark->mask) == mark->value)
			marked.connections += fake->connections[i].count;
	if (!state_marked(out, mark))
		*ARENA_PUSH(&out->arena, out->marked, out->marked_count, out->marked_room) = marked;
}

static void observe_facts(const struct fake *fake, const struct scope *scope, struct state *out)
{
	const struct document *document = scope->document;

	for (size_t i = 0; i < fake->state.link_count; i++)
		*ARENA_PUSH(&out->arena, out->links, out->link_count, out->link_room) =
			fake->state.links[i];
	for (size_t i = 0; i < document->gateway_count; i++) {
		observe_next_hops(fake, &document->gateways[i], scope, out);
		observe_mark(fake, &document->gateways[i].mark, out);
	}
	for (size_t i = 0; i < out->rule_count; i++)
		if (out->rules[i].protocol == PROTOCOL_DETOUR && out->rules[i].mark.mask)
			observe_mark(fake, &out->rules[i].mark, out);
}

/* Nobody else has chains. */
static void observe_foreign(struct state *out)
{
	out->foreign = arena_alloc(&out->arena, sizeof(*out->foreign));
	out->foreign->arena = &out->arena;
}

/* The texts are the fake's, which keeps them until the end; the rest is a copy. */
static int kernel_observe(struct kernel *kernel, const struct scope *scope, struct state *out,
			  struct error *error)
{
	struct fake *fake = fake_of(kernel);

	(void)error;
	*out = (struct state){ 0 };
	if (fake->meanwhile)
		fake->meanwhile(fake, ++fake->operations);
	observe_objects(fake, scope, out);
	observe_filters(fake, scope, out);
	observe_facts(fake, scope, out);
	nft_table_copy(&out->arena, &fake->nft, &out->nft);
	if (scope->foreign)
		observe_foreign(out);
	state_sort(out);
	return 0;
}

static void kernel_look_around(struct kernel *kernel, const struct document *document,
			       struct surroundings *out)
{
	(void)document;
	*out = fake_of(kernel)->around;
	out->arena = (struct arena){ 0 };
}

/* --- writing ------------------------------------------------------------- */

/* Counts the write. True when it is to go wrong; then *outcome is what to say. */
static bool goes_wrong(struct fake *fake, int *outcome, struct error *error)
{
	const struct fake_fault *fault = &fake->fault;

	if (fake->meanwhile)
		fake->meanwhile(fake, ++fake->operations);
	fake->writes++;
	if (fake->writes < fault->first || fake->writes >= fault->first + fault->count)
		return false;
	*outcome = fault->outcome;
	if (fault->outcome < 0)
		error_set(error, "kernel-refused", "write %zu was made to fail", fake->writes);
	return true;
}

static int kernel_write(struct kernel *kernel, const struct step *step, struct error *error)
{
	struct fake *fake = fake_of(kernel);
	int outcome;

	if (!goes_wrong(fake, &outcome, error))
		return fake_write(fake, step, error);
	if (fake->fault.done)
		fake_write(fake, step, error);
	return outcome;
}

static int kernel_commit(struct kernel *kernel, const struct step *steps, size_t count,
			 uint32_t generation, struct error *error)
{
	struct fake *fake = fake_of(kernel);
	int outcome;

	if (!goes_wrong(fake, &outcome, error))
		return fake_commit(fake, steps, count, generation, error);
	if (fake->fault.done)
		fake_commit(fake, steps, count, generation, error);
	return outcome;
}

static int kernel_forget(struct kernel *kernel, const struct mark *mark, struct error *error)
{
	struct fake *fake = fake_of(kernel);
	size_t kept = 0;
	int outcome;

	/* It knows no outcome but done and failed. */
	if (goes_wrong(fake, &outcome, error) && outcome < 0)
		return -1;
	for (size_t i = 0; i < fake->connections_count; i++)
		if ((fake->connections[i].mark & mark->mask) != mark->value)
			fake->connections[kept++] = fake->connections[i];
	fake->connections_count = kept;
	return 0;
}

static int kernel_read_policy(struct kernel *kernel, enum family family, struct arena *arena,
			      struct policy *out, struct error *error)
{
	(void)error;
	fake_read_policy(fake_of(kernel), family, arena, out);
	return 0;
}

static int kernel_read_course(struct kernel *kernel, const struct flow *flow, struct arena *arena,
			      struct course *out, struct error *error)
{
	(void)error;
	fake_read_course(fake_of(kernel), flow, arena, out);
	return 0;
}

/* --- life ---------------------------------------------------------------- */

static const struct kernel_ops fake_ops = {
	.observe = kernel_observe,
	.look_around = kernel_look_around,
	.write = kernel_write,
	.commit = kernel_commit,
	.read_policy = kernel_read_policy,
	.read_course = kernel_read_course,
	.forget = kernel_forget,
};

static void filter_add(struct fake *fake, const char *interface, int value)
{
	struct state *state = &fake->state;

	*ARENA_PUSH(&state->arena, state->rp_filters, state->rp_filter_count,
		    state->rp_filter_room) =
		(struct rp_filter){ .interface = interface, .value = value };
}

struct fake *fake_open(int rp_filter)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	if (!fake)
		abort();
	fake->kernel.ops = &fake_ops;
	fake->nft.generation = 1;
	filter_add(fake, "all", rp_filter);
	filter_add(fake, "default", rp_filter);
	return fake;
}

void fake_close(struct fake *fake)
{
	arena_free(&fake->nft_arena);
	state_free(&fake->state);
	free(fake);
}

void fake_link_add(struct fake *fake, const char *name, const char *network, ...)
{
	struct state *state = &fake->state;
	const char *kept = arena_strdup(&state->arena, name);
	va_list args;

	*ARENA_PUSH(&state->arena, state->links, state->link_count, state->link_room) =
		(struct link){ kept, (uint32_t)state->link_count + 1, true, true };
	filter_add(fake, kept, state_rp_filter(state, "default")->value);
	va_start(args, network);
	for (; network; network = va_arg(args, const char *)) {
		struct fake_network *added = ARENA_PUSH(&state->arena, fake->networks,
							fake->network_count, fake->network_room);

		added->link = kept;
		if (span_parse(network, &added->family, &added->span))
			abort();
	}
	va_end(args);
}

static void routes_vanish(struct fake *fake, const char *link)
{
	struct state *state = &fake->state;
	size_t i = state->route_count;

	while (i-- > 0)
		if (!strcmp(state->routes[i].dev, link))
			FAKE_REMOVE(state->routes, state->route_count, i);
}

void fake_link_set(struct fake *fake, const char *name, bool up)
{
	for (size_t i = 0; i < fake->state.link_count; i++)
		if (!strcmp(fake->state.links[i].name, name))
			fake->state.links[i].up = up;
	if (!up)
		routes_vanish(fake, name);
}

void fake_link_remove(struct fake *fake, const char *name)
{
	struct state *state = &fake->state;
	size_t i;

	routes_vanish(fake, name);
	for (i = state->rp_filter_count; i-- > 0;)
		if (!strcmp(state->rp_filters[i].interface, name))
			FAKE_REMOVE(state->rp_filters, state->rp_filter_count, i);
	for (i = fake->network_count; i-- > 0;)
		if (!strcmp(fake->networks[i].link, name))
			FAKE_REMOVE(fake->networks, fake->network_count, i);
	for (i = state->link_count; i-- > 0;)
		if (!strcmp(state->links[i].name, name))
			FAKE_REMOVE(state->links, state->link_count, i);
}

void fake_neighbour_set(struct fake *fake, const char *link, const char *address,
			enum neighbour_state known, const char *link_address)
{
	struct fake_neighbour given = { .known = { known, link_address } }, *entry;
	struct arena *arena = &fake->state.arena;

	if (span_parse(address, &given.family, &given.address))
		abort();
	given.link = arena_strdup(arena, link);
	entry = fake_neighbour_find(fake, given.family, link, given.address.from);
	if (!entry)
		entry = ARENA_PUSH(arena, fake->neighbours, fake->neighbour_count,
				   fake->neighbour_room);
	*entry = given;
}

void fake_rp_filter_set(struct fake *fake, const char *interface, int value)
{
	for (size_t i = 0; i < fake->state.rp_filter_count; i++) {
		struct rp_filter *filter = &fake->state.rp_filters[i];

		if (strcmp(filter->interface, interface) != 0)
			continue;
		filter->overridden |= filter->recorded;
		filter->recorded = false;
		filter->value = value;
	}
}

void fake_route_add(struct fake *fake, const struct route *route)
{
	struct state *state = &fake->state;
	struct route *added =
		ARENA_PUSH(&state->arena, state->routes, state->route_count, state->route_room);

	*added = *route;
	added->dev = arena_strdup(&state->arena, route->dev);
}

void fake_rule_add(struct fake *fake, const struct rule *rule)
{
	struct state *state = &fake->state;

	*ARENA_PUSH(&state->arena, state->rules, state->rule_count, state->rule_room) = *rule;
}

void fake_name_add(struct fake *fake, const struct rt_table *name)
{
	struct state *state = &fake->state;
	struct rt_table *added = ARENA_PUSH(&state->arena, state->rt_tables, state->rt_table_count,
					    state->rt_table_room);

	*added = *name;
	added->name = arena_strdup(&state->arena, name->name);
	added->file = arena_strdup(&state->arena, name->file ? name->file : "detour.conf");
}

void fake_connections_add(struct fake *fake, uint32_t mark, size_t count)
{
	*ARENA_PUSH(&fake->state.arena, fake->connections, fake->connections_count,
		    fake->connections_room) = (struct connections){ mark, count };
}

struct nft_table *fake_nft(struct fake *fake)
{
	fake->nft.generation++;
	return &fake->nft;
}
