/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/dispatch.h"

#include <string.h>

#include "reconcile/parts.h"
#include "reconcile/rule_build.h"
#include "reconcile/sort.h"

enum level { LEVEL_SERVER, LEVEL_SERVICE, LEVEL_CLIENT, LEVEL_COUNT };

/* Exceptions are left to the redirects' own chains: what is tried here is a superset. */
struct dispatch {
	struct arena *arena;
	enum family family;
	uint32_t masks;
	struct nft_table *table;
	size_t told_apart; /* elements of the maps behind the first one */
};

/*
 * Each set of redirects that share servers gets maps of its own, so their size
 * grows with the third power of how many overlap. Behind that many elements,
 * those that share a server are tried in order.
 */
enum { TOLD_APART_MAX = 200000 };

/* Redirects that cannot be told apart by the levels above, in the document's order. */
struct members {
	const struct redirect **items;
	size_t count;
};

/* Where a member's span begins, or the first key behind it. */
struct edge {
	uint8_t key[SPAN_BYTES];
	uint32_t member;
	bool opens;
};

/* The chain for each set of members met so far, by the sum of their hashes. */
struct groups {
	struct group {
		uint64_t hash;
		const char *chain;
	} * slots;
	size_t count, size; /* size is a power of two */
};

struct sweep {
	struct dispatch *dispatch;
	enum level level;
	const struct members *members;
	size_t bytes; /* of a key at this level */
	bool *active;
	size_t active_count;
	uint64_t hash; /* of the active members */
	struct groups groups;
	struct nft_set built; /* pushed to the table when complete */
};

static const char *chain_for(struct dispatch *dispatch, enum level level,
			     const struct members *members);

/* splitmix64: spreads small numbers over 64 bits. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Three bytes without the padding of span.h, so that one port follows the other. */
static void service_spans(struct arena *arena, const struct redirect *redirect, struct spans *out)
{
	out->items = arena_alloc(arena, redirect->service_count * sizeof(*out->items));
	for (size_t i = 0; i < redirect->service_count; i++) {
		const struct service *service = &redirect->services[i];
		struct span *span = &out->items[out->count++];

		span->from[0] = span->to[0] = service->protocol;
		span->from[1] = service->from >> 8;
		span->from[2] = service->from & 0xff;
		span->to[1] = service->to >> 8;
		span->to[2] = service->to & 0xff;
	}
}

static void any_address(struct arena *arena, enum family family, struct spans *out)
{
	out->items = arena_alloc(arena, sizeof(*out->items));
	memset(out->items[0].to, 0xff, family_bytes(family));
	out->count = 1;
}

static struct spans member_spans(struct dispatch *dispatch, enum level level,
				 const struct redirect *redirect)
{
	struct spans spans = { 0 };

	if (level == LEVEL_SERVER)
		return redirect->servers.networks[dispatch->family];
	if (level == LEVEL_SERVICE)
		service_spans(dispatch->arena, redirect, &spans);
	else if (redirect->any_client)
		any_address(dispatch->arena, dispatch->family, &spans);
	else
		return redirect->clients.networks[dispatch->family];
	return spans;
}

static size_t level_bytes(const struct dispatch *dispatch, enum level level)
{
	return level == LEVEL_SERVICE ? 3 : family_bytes(dispatch->family);
}

static int edge_compare(const void *a, const void *b)
{
	return memcmp(((const struct edge *)a)->key, ((const struct edge *)b)->key, SPAN_BYTES);
}

static struct edge *edges_build(struct sweep *sweep, size_t *count)
{
	struct edge *edges = NULL;
	size_t room = 0;

	*count = 0;
	for (size_t m = 0; m < sweep->members->count; m++) {
		struct spans spans =
			member_spans(sweep->dispatch, sweep->level, sweep->members->items[m]);

		for (size_t i = 0; i < spans.count; i++) {
			struct edge edge = { .member = (uint32_t)m, .opens = true };

			memcpy(edge.key, spans.items[i].from, SPAN_BYTES);
			*ARENA_PUSH(sweep->dispatch->arena, edges, *count, room) = edge;
			edge.opens = false;
			memcpy(edge.key, spans.items[i].to, SPAN_BYTES);
			/* A span that reaches the last key has nothing behind it. */
			if (key_increment(edge.key, sweep->bytes))
				*ARENA_PUSH(sweep->dispatch->arena, edges, *count, room) = edge;
		}
	}
	sort(edges, *count, sizeof(*edges), edge_compare);
	return edges;
}

static struct group *group_slot(struct groups *groups, uint64_t hash)
{
	size_t i = hash & (groups->size - 1);

	while (groups->slots[i].chain && groups->slots[i].hash != hash)
		i = (i + 1) & (groups->size - 1);
	return &groups->slots[i];
}

static void groups_grow(struct arena *arena, struct groups *groups)
{
	struct groups grown = { .count = groups->count,
				.size = groups->size ? groups->size * 2 : 64 };

	grown.slots = arena_alloc(arena, grown.size * sizeof(*grown.slots));
	for (size_t i = 0; i < groups->size; i++)
		if (groups->slots[i].chain)
			*group_slot(&grown, groups->slots[i].hash) = groups->slots[i];
	*groups = grown;
}

static const char *active_chain(struct sweep *sweep)
{
	struct arena *arena = sweep->dispatch->arena;
	struct members active = { 0 };

	active.items = arena_alloc(arena, sweep->active_count * sizeof(*active.items));
	for (size_t m = 0; m < sweep->members->count; m++)
		if (sweep->active[m])
			active.items[active.count++] = sweep->members->items[m];
	return chain_for(sweep->dispatch, sweep->level + 1, &active);
}

/* The chain for the members that are active now. */
static const char *group_chain(struct sweep *sweep)
{
	struct group *group;

	if (sweep->groups.count * 2 >= sweep->groups.size)
		groups_grow(sweep->dispatch->arena, &sweep->groups);
	group = group_slot(&sweep->groups, sweep->hash);
	if (!group->chain) {
		*group = (struct group){ .hash = sweep->hash, .chain = active_chain(sweep) };
		sweep->groups.count++;
	}
	return group->chain;
}

/* From the sweep's compact keys to those of span.h. */
static void span_emit(const struct sweep *sweep, const uint8_t *from, const uint8_t *to,
		      struct span *span)
{
	if (sweep->level == LEVEL_SERVICE) {
		struct service service = { .protocol = from[0],
					   .from = (uint16_t)(from[1] << 8 | from[2]),
					   .to = (uint16_t)(to[1] << 8 | to[2]) };

		service_span(&service, span);
		return;
	}
	memcpy(span->from, from, SPAN_BYTES);
	memcpy(span->to, to, SPAN_BYTES);
}

static void segment_emit(struct sweep *sweep, const uint8_t *from, const uint8_t *to)
{
	const char *chain = group_chain(sweep);
	struct element *element = ARENA_PUSH(sweep->dispatch->arena, sweep->built.elements,
					     sweep->built.element_count, sweep->built.element_room);

	span_emit(sweep, from, to, &element->span);
	element->chain = chain;
}

static void edge_apply(struct sweep *sweep, const struct edge *edge)
{
	sweep->active[edge->member] = edge->opens;
	sweep->active_count += edge->opens ? 1 : (size_t)-1;
	/* A sum, so that the order in which members come and go does not matter. */
	sweep->hash += edge->opens ? mix(edge->member) : -mix(edge->member);
}

/*
 * Walks the edges in order. Between two of them the set of active members does
 * not change: that is one element. Adjacent networks stay apart, so that one
 * network of the document is one element wherever nothing overlaps it.
 */
static void sweep_run(struct sweep *sweep)
{
	size_t count, i = 0;
	struct edge *edges = edges_build(sweep, &count);
	uint8_t last[SPAN_BYTES] = { 0 };

	sweep->active = arena_alloc(sweep->dispatch->arena, sweep->members->count);
	while (i < count) {
		const uint8_t *from = edges[i].key;

		/* Closing before opening, so that a member's adjacent spans do not cancel out. */
		for (size_t j = i; j < count && !edge_compare(&edges[j], &edges[i]); j++)
			if (!edges[j].opens)
				edge_apply(sweep, &edges[j]);
		for (; i < count && !memcmp(edges[i].key, from, SPAN_BYTES); i++)
			if (edges[i].opens)
				edge_apply(sweep, &edges[i]);
		if (!sweep->active_count)
			continue;
		memset(last, 0xff, sweep->bytes);
		if (i < count) {
			memcpy(last, edges[i].key, SPAN_BYTES);
			key_decrement(last, sweep->bytes);
		}
		segment_emit(sweep, from, last);
	}
}

static enum field level_field(const struct dispatch *dispatch, enum level level)
{
	static const enum field fields[LEVEL_COUNT][FAMILY_COUNT] = {
		[LEVEL_SERVER] = { FIELD_IP_DADDR, FIELD_IP6_DADDR },
		[LEVEL_SERVICE] = { FIELD_SERVICE, FIELD_SERVICE },
		[LEVEL_CLIENT] = { FIELD_IP_SADDR, FIELD_IP6_SADDR },
	};

	return fields[level][dispatch->family];
}

/* A map that leads each key of the level to the chain for those that cover it; how many keys. */
static size_t map_build(struct dispatch *dispatch, enum level level, const struct members *members,
			const char *name)
{
	static const enum key_type address[FAMILY_COUNT] = { KEY_IPV4, KEY_IPV6 };
	struct sweep sweep = {
		.dispatch = dispatch,
		.level = level,
		.members = members,
		.bytes = level_bytes(dispatch, level),
	};
	size_t count;

	sweep_run(&sweep);
	sweep.built.name = name;
	sweep.built.key = level == LEVEL_SERVICE ? KEY_SERVICE : address[dispatch->family];
	sweep.built.is_map = true;
	count = sweep.built.element_count;
	if (level != LEVEL_SERVICE)
		parts_divide(dispatch->arena, dispatch->table, level_field(dispatch, level),
			     &sweep.built);
	*ARENA_PUSH(dispatch->arena, dispatch->table->sets, dispatch->table->set_count,
		    dispatch->table->set_room) = sweep.built;
	return count;
}

static bool spans_equal(const struct spans *a, const struct spans *b)
{
	return a->count == b->count &&
	       (!a->count || !memcmp(a->items, b->items, a->count * sizeof(*a->items)));
}

/* Whether a look-up at this level would tell any of the members apart. */
static bool level_divides(struct dispatch *dispatch, enum level level,
			  const struct members *members)
{
	struct spans first = member_spans(dispatch, level, members->items[0]);

	for (size_t m = 1; m < members->count; m++) {
		struct spans other = member_spans(dispatch, level, members->items[m]);

		if (!spans_equal(&first, &other))
			return true;
	}
	return false;
}

/* FNV-1a over the names: the chain keeps its name while its members stay the same. */
static uint64_t members_hash(const struct members *members, enum level level)
{
	uint64_t hash = 0xcbf29ce484222325u + level;

	for (size_t m = 0; m < members->count; m++)
		for (const char *c = members->items[m]->name;; c++) {
			hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
			if (!*c)
				break;
		}
	return hash;
}

/* Tried in order; the first that takes the connection has marked it. */
static void chain_try(struct dispatch *dispatch, const char *name, const struct members *members)
{
	struct nft_chain *chain = chain_build(dispatch->arena, dispatch->table, name);

	for (size_t m = 0; m < members->count; m++) {
		const char *redirect = members->items[m]->name;
		struct nft_rule *rule;

		if (m) {
			rule = rule_build(dispatch->arena, chain, ROLE_DISPATCH, "%s untaken",
					  redirect);
			stmt_match(dispatch->arena, rule, FIELD_CT_MARK, dispatch->masks, 0, true);
			stmt_verdict(dispatch->arena, rule, VERDICT_RETURN, NULL);
		}
		rule = rule_build(dispatch->arena, chain, ROLE_DISPATCH, "%s", redirect);
		stmt_verdict(dispatch->arena, rule, VERDICT_JUMP,
			     arena_printf(dispatch->arena, "redirect_%s", redirect));
	}
}

static void chain_divide(struct dispatch *dispatch, enum level level, const char *name,
			 const struct members *members)
{
	const char *map = arena_printf(dispatch->arena, "by-%s_%s",
				       level == LEVEL_SERVICE ? "service" : "client", name);
	struct nft_chain *chain;
	struct nft_rule *rule;

	dispatch->told_apart += map_build(dispatch, level, members, map);
	chain = chain_build(dispatch->arena, dispatch->table, name);
	rule = rule_build(dispatch->arena, chain, ROLE_DISPATCH, "by %s",
			  level == LEVEL_SERVICE ? "service" : "client");
	stmt_vmap(dispatch->arena, rule, level_field(dispatch, level), map);
}

/* The chain that finds the one redirect of these to which a packet belongs. */
static const char *chain_for(struct dispatch *dispatch, enum level level,
			     const struct members *members)
{
	const char *name;

	if (members->count == 1)
		return arena_printf(dispatch->arena, "redirect_%s", members->items[0]->name);
	while (level < LEVEL_COUNT && !level_divides(dispatch, level, members))
		level++;
	if (dispatch->told_apart >= TOLD_APART_MAX)
		level = LEVEL_COUNT;
	name = arena_printf(dispatch->arena, "shared%d_%016llx",
			    dispatch->family == FAMILY_IPV4 ? 4 : 6,
			    (unsigned long long)members_hash(members, level));
	/* Two spans above may lead to the same members. */
	if (chain_named(dispatch->table, name, ""))
		return name;
	if (level < LEVEL_COUNT)
		chain_divide(dispatch, level, name, members);
	else
		chain_try(dispatch, name, members);
	return name;
}

bool dispatch_build(struct arena *arena, const struct document *document, enum family family,
		    uint32_t masks, const char *map, struct nft_table *table)
{
	struct dispatch dispatch = {
		.arena = arena, .family = family, .masks = masks, .table = table
	};
	struct members members = { 0 };

	members.items = arena_alloc(arena, document->redirect_count * sizeof(*members.items));
	for (size_t i = 0; i < document->redirect_count; i++) {
		const struct redirect *redirect = &document->redirects[i];

		if (redirect->enabled && redirect_works_in(redirect, family))
			members.items[members.count++] = redirect;
	}
	if (!members.count)
		return false;
	map_build(&dispatch, LEVEL_SERVER, &members, map);
	return true;
}
