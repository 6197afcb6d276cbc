/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/selection.h"

#include <stdlib.h>
#include <string.h>

#include "reconcile/document_fields.h"

static void clients_build(struct arena *arena, const struct redirect *redirect, enum family family,
			  struct spans *out)
{
	struct spans clients = redirect->clients.networks[family];

	if (redirect->any_client) {
		struct span *all = arena_alloc(arena, sizeof(*all));

		*all = *family_span(family);
		clients = (struct spans){ all, 1, 1 };
	}
	spans_subtract(arena, &clients, &redirect->clients.except[family], family_bytes(family),
		       out);
}

/*
 * The connections that a spoofing gateway opens arrive by its own interface,
 * and are selected by servers and services like a client's.
 */
void selection_interfaces(struct arena *arena, const struct redirect *redirect, struct spans *out)
{
	const struct spans *spans = &redirect->interface_spans;
	struct span *items;

	*out = *spans;
	if (!redirect->gateway->spoofs_clients || !redirect->gateway->interface)
		return;
	items = arena_alloc(arena, (spans->count + 1) * sizeof(*items));
	if (spans->count)
		memcpy(items, spans->items, spans->count * sizeof(*items));
	items[spans->count] = interface_span(redirect->gateway->interface);
	*out = (struct spans){ items, spans->count + 1, spans->count + 1 };
	spans_normalize(out);
}

void selection_build(struct arena *arena, const struct redirect *redirect, size_t index,
		     struct selection *out)
{
	*out = (struct selection){ .redirect = redirect, .index = index };
	selection_interfaces(arena, redirect, &out->interfaces);
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		if (!redirect_works_in(redirect, family))
			continue;
		clients_build(arena, redirect, family, &out->clients[family]);
		spans_subtract(arena, &redirect->servers.networks[family],
			       &redirect->servers.except[family], family_bytes(family),
			       &out->servers[family]);
	}
}

size_t selections_build(struct arena *arena, const struct document *document,
			const struct selection **out)
{
	struct selection *selections =
		arena_alloc(arena, (document->redirect_count + 1) * sizeof(*selections));
	size_t count = 0;

	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled)
			selection_build(arena, &document->redirects[i], i, &selections[count++]);
	*out = selections;
	return count;
}

/*
 * Overlaps are looked for by a sweep over the servers of all selections in the
 * order of addresses, so that selections with different servers never meet:
 * with 1,000 redirects of 100 networks each, pairs are far too many.
 */
struct target {
	const struct span *span;
	const struct selection *selection;
};

struct sweep {
	struct arena *arena;
	enum family family;
	size_t count;
	/* A bit for each pair that has met already; NULL when there are too many for that. */
	uint8_t *met;
	struct overlap *overlaps;
	size_t overlap_count, overlap_room;
};

enum { MET_BYTES_MAX = 32 * 1024 * 1024 };

static bool pair_met(struct sweep *sweep, const struct selection *a, const struct selection *b)
{
	size_t pair = a->index < b->index ? a->index * sweep->count + b->index
					  : b->index * sweep->count + a->index;
	bool met;

	if (!sweep->met)
		return false;
	met = sweep->met[pair / 8] >> pair % 8 & 1;
	sweep->met[pair / 8] |= (uint8_t)(1 << pair % 8);
	return met;
}

/* The first service that both have, or NULL when there is none. */
static const struct service *service_common(const struct redirect *a, const struct redirect *b,
					    struct service *common)
{
	for (size_t i = 0, j = 0; i < a->service_count && j < b->service_count;) {
		const struct service *left = &a->services[i], *right = &b->services[j];

		if (left->protocol == right->protocol && left->from <= right->to &&
		    right->from <= left->to) {
			common->protocol = left->protocol;
			common->from = left->from > right->from ? left->from : right->from;
			common->to = left->to < right->to ? left->to : right->to;
			return common;
		}
		if (left->protocol < right->protocol ||
		    (left->protocol == right->protocol && left->to < right->to))
			i++;
		else
			j++;
	}
	return NULL;
}

static void pair_meet(struct sweep *sweep, const struct selection *a, const struct selection *b)
{
	struct service common;
	struct overlap *overlap;

	if (a->redirect->gateway == b->redirect->gateway || pair_met(sweep, a, b) ||
	    !service_common(a->redirect, b->redirect, &common) ||
	    !spans_intersect(&a->interfaces, &b->interfaces) ||
	    !spans_intersect(&a->clients[sweep->family], &b->clients[sweep->family]) ||
	    sweep->overlap_count == OVERLAPS_MAX)
		return;
	overlap = ARENA_PUSH(sweep->arena, sweep->overlaps, sweep->overlap_count,
			     sweep->overlap_room);
	overlap->earlier = a->index < b->index ? a : b;
	overlap->later = a->index < b->index ? b : a;
	overlap->family = sweep->family;
}

static int target_compare(const void *a, const void *b)
{
	const struct target *left = a, *right = b;

	return memcmp(left->span->from, right->span->from, SPAN_BYTES);
}

static void sweep_targets(struct sweep *sweep, struct target *targets, size_t count)
{
	struct target *open = arena_alloc(sweep->arena, (count + 1) * sizeof(*open));
	size_t open_count = 0;

	qsort(targets, count, sizeof(*targets), target_compare);
	for (size_t i = 0; i < count; i++) {
		size_t kept = 0;

		for (size_t j = 0; j < open_count; j++) {
			if (memcmp(open[j].span->to, targets[i].span->from, SPAN_BYTES) < 0)
				continue;
			pair_meet(sweep, open[j].selection, targets[i].selection);
			open[kept++] = open[j];
		}
		open[kept++] = targets[i];
		open_count = kept;
	}
}

static void sweep_family(struct sweep *sweep, const struct selection *selections, size_t count)
{
	struct target *targets = NULL;
	size_t target_count = 0, target_room = 0;

	for (size_t i = 0; i < count; i++) {
		const struct spans *servers = &selections[i].servers[sweep->family];

		for (size_t j = 0; j < servers->count; j++)
			*ARENA_PUSH(sweep->arena, targets, target_count, target_room) =
				(struct target){ &servers->items[j], &selections[i] };
	}
	if (target_count)
		sweep_targets(sweep, targets, target_count);
}

static int overlap_compare(const void *a, const void *b)
{
	const struct overlap *left = a, *right = b;

	if (left->later != right->later)
		return left->later->index < right->later->index ? -1 : 1;
	if (left->earlier != right->earlier)
		return left->earlier->index < right->earlier->index ? -1 : 1;
	return (int)left->family - (int)right->family;
}

static bool one_gateway_for_all(const struct selection *selections, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (selections[i].redirect->gateway != selections[0].redirect->gateway)
			return false;
	return true;
}

/* The families of one pair, and what met again for want of memory, count once. */
static size_t overlaps_unique(struct overlap *overlaps, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!kept || overlaps[i].later != overlaps[kept - 1].later ||
		    overlaps[i].earlier != overlaps[kept - 1].earlier)
			overlaps[kept++] = overlaps[i];
	return kept;
}

size_t selections_overlap(struct arena *arena, const struct selection *selections, size_t count,
			  struct overlap **out)
{
	struct sweep sweep = { .arena = arena };
	size_t met_bytes;

	if (one_gateway_for_all(selections, count))
		return 0;
	sweep.count = selections[count - 1].index + 1;
	met_bytes = sweep.count * sweep.count / 8 + 1;
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		sweep.family = family;
		if (met_bytes <= MET_BYTES_MAX)
			sweep.met = arena_alloc(arena, met_bytes);
		sweep_family(&sweep, selections, count);
	}
	if (!sweep.overlap_count)
		return 0;
	qsort(sweep.overlaps, sweep.overlap_count, sizeof(*sweep.overlaps), overlap_compare);
	*out = sweep.overlaps;
	return overlaps_unique(sweep.overlaps, sweep.overlap_count);
}

/* Both are normalized and intersect. */
static struct span span_common(const struct spans *a, const struct spans *b)
{
	struct span common = { 0 };
	size_t i = 0, j = 0;

	while (memcmp(a->items[i].to, b->items[j].from, SPAN_BYTES) < 0 ||
	       memcmp(b->items[j].to, a->items[i].from, SPAN_BYTES) < 0) {
		if (memcmp(a->items[i].to, b->items[j].to, SPAN_BYTES) < 0)
			i++;
		else
			j++;
	}
	memcpy(common.from,
	       memcmp(a->items[i].from, b->items[j].from, SPAN_BYTES) > 0 ? a->items[i].from
									  : b->items[j].from,
	       SPAN_BYTES);
	memcpy(common.to,
	       memcmp(a->items[i].to, b->items[j].to, SPAN_BYTES) < 0 ? a->items[i].to
								      : b->items[j].to,
	       SPAN_BYTES);
	return common;
}

static const char *clients_example(struct arena *arena, const struct overlap *overlap)
{
	const struct selection *a = overlap->earlier, *b = overlap->later;
	enum family family = overlap->family;
	struct span clients = span_common(&a->clients[family], &b->clients[family]);
	char text[SPAN_TEXT];

	if (memcmp(&clients, family_span(family), sizeof(clients)) == 0)
		return "anywhere";
	return arena_strdup(arena, span_format(&clients, family, text));
}

const char *overlap_example(struct arena *arena, const struct overlap *overlap)
{
	const struct selection *a = overlap->earlier, *b = overlap->later;
	enum family family = overlap->family;
	struct span interface = span_common(&a->interfaces, &b->interfaces);
	struct span servers = span_common(&a->servers[family], &b->servers[family]);
	bool pattern = memcmp(interface.from, interface.to, SPAN_BYTES) != 0;
	char service_text[SPAN_TEXT], servers_text[SPAN_TEXT];
	struct service service = { 0 };

	service_common(a->redirect, b->redirect, &service);
	return arena_printf(arena, "%s from %s (%.15s%s) to %s",
			    service_format(&service, service_text), clients_example(arena, overlap),
			    (char *)interface.from, pattern ? "*" : "",
			    span_format(&servers, family, servers_text));
}
