/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/box.h"

#include <string.h>

enum { NAME_BYTES = 16, SERVICE_BYTES = 3 };

size_t side_bytes(enum side side, enum family family)
{
	if (side == SIDE_INTERFACES)
		return NAME_BYTES;
	return side == SIDE_SERVICES ? SERVICE_BYTES : family_bytes(family);
}

void service_key(uint8_t protocol, uint16_t port, uint8_t key[SPAN_BYTES])
{
	memset(key, 0, SPAN_BYTES);
	key[0] = protocol;
	key[1] = (uint8_t)(port >> 8);
	key[2] = (uint8_t)port;
}

bool box_intersects(const struct box *a, const struct box *b)
{
	for (enum side side = 0; side < SIDE_COUNT; side++)
		if (!spans_intersect(&a->sides[side], &b->sides[side]))
			return false;
	return a->family == b->family;
}

static bool spans_equal(const struct spans *a, const struct spans *b)
{
	return a->count == b->count &&
	       (!a->count || !memcmp(a->items, b->items, a->count * sizeof(*a->items)));
}

bool box_equal(const struct box *a, const struct box *b)
{
	for (enum side side = 0; side < SIDE_COUNT; side++)
		if (!spans_equal(&a->sides[side], &b->sides[side]))
			return false;
	return a->family == b->family;
}

static void spans_join(struct arena *arena, struct spans *a, const struct spans *b)
{
	struct spans both = { .count = a->count + b->count, .room = a->count + b->count };

	both.items = arena_alloc(arena, both.count * sizeof(*both.items));
	memcpy(both.items, a->items, a->count * sizeof(*both.items));
	memcpy(both.items + a->count, b->items, b->count * sizeof(*both.items));
	spans_normalize(&both);
	*a = both;
}

bool box_merge(struct arena *arena, struct box *a, const struct box *b)
{
	size_t differences = 0;
	enum side differs = SIDE_INTERFACES;

	for (enum side side = 0; side < SIDE_COUNT; side++)
		if (!spans_equal(&a->sides[side], &b->sides[side])) {
			differences++;
			differs = side;
		}
	if (a->family != b->family || differences > 1)
		return false;
	if (differences)
		spans_join(arena, &a->sides[differs], &b->sides[differs]);
	return true;
}

/*
 * Cuts the box along each side of the first of the others that it meets: what
 * lies outside of it must be covered by the rest.
 */
bool box_is_covered(struct arena *arena, const struct box *box, const struct box *others,
		    size_t count)
{
	struct box inner = *box;

	while (count && !box_intersects(box, others)) {
		others++;
		count--;
	}
	if (!count)
		return false;
	for (enum side side = 0; side < SIDE_COUNT; side++) {
		size_t bytes = side_bytes(side, box->family);
		struct box outer = inner;

		spans_subtract(arena, &inner.sides[side], &others->sides[side], bytes,
			       &outer.sides[side]);
		if (outer.sides[side].count &&
		    !box_is_covered(arena, &outer, others + 1, count - 1))
			return false;
		spans_common(arena, &inner.sides[side], &others->sides[side], bytes,
			     &inner.sides[side]);
	}
	return true;
}
