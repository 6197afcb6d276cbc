/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/parts.h"

#include <string.h>

#include "reconcile/rule_build.h"

/* How many bits of the key are zero behind the last one that is set. */
static size_t zero_bits(const uint8_t *key, size_t bytes)
{
	size_t end = bytes;

	while (end && !key[end - 1])
		end--;
	return 8 * (bytes - end) + (end ? (size_t)__builtin_ctz(key[end - 1]) : 0);
}

/*
 * Where the part that begins there ends: before the roundest address within
 * reach. It stays there when elements come and go around it, so that one
 * network more or less is one element more or less, and it is easy to read.
 */
static size_t part_end(const struct nft_set *map, size_t begin)
{
	size_t bytes = key_bytes(map->key), left = map->element_count - begin;
	size_t end = begin + PART_LEAST;
	size_t last = begin + (left - PART_LEAST < PART_MOST ? left - PART_LEAST : PART_MOST);

	if (left <= PART_MOST)
		return map->element_count;
	for (size_t i = end + 1; i <= last; i++)
		if (zero_bits(map->elements[i].span.from, bytes) >
		    zero_bits(map->elements[end].span.from, bytes))
			end = i;
	return end;
}

/* "servers4_10.32.0.0"; nft(8) takes no colon in a name. */
static const char *part_name(struct arena *arena, const struct nft_set *map,
			     const uint8_t first[SPAN_BYTES])
{
	struct span span;
	char text[SPAN_TEXT];

	memcpy(span.from, first, SPAN_BYTES);
	memcpy(span.to, first, SPAN_BYTES);
	span_format(&span, map->key == KEY_IPV4 ? FAMILY_IPV4 : FAMILY_IPV6, text);
	for (char *c = text; *c; c++)
		if (*c == ':')
			*c = '-';
	return arena_printf(arena, "%s_%s", map->name, text);
}

static void part_build(struct arena *arena, struct nft_table *table, enum field field,
		       const char *name, const struct nft_set *map, size_t begin, size_t end)
{
	struct nft_set *part = set_build(arena, table, name, map->key, true);
	struct nft_rule *rule =
		rule_build(arena, chain_build(arena, table, name), ROLE_DISPATCH, "by address");

	part->elements = map->elements + begin;
	part->element_count = end - begin;
	stmt_vmap(arena, rule, field, name);
}

/* From its first element, or the first key of all, to the next part. */
static void part_span(const struct nft_set *map, size_t begin, size_t end, struct span *out)
{
	size_t bytes = key_bytes(map->key);

	if (begin)
		memcpy(out->from, map->elements[begin].span.from, SPAN_BYTES);
	memset(out->to, 0xff, bytes);
	if (end == map->element_count)
		return;
	memcpy(out->to, map->elements[end].span.from, SPAN_BYTES);
	key_decrement(out->to, bytes);
}

void parts_divide(struct arena *arena, struct nft_table *table, enum field field,
		  struct nft_set *map)
{
	struct nft_set parts = { 0 };
	size_t end;

	if (map->element_count <= PART_MOST)
		return;
	for (size_t begin = 0; begin < map->element_count; begin = end) {
		struct element *part =
			ARENA_PUSH(arena, parts.elements, parts.element_count, parts.element_room);

		end = part_end(map, begin);
		part_span(map, begin, end, &part->span);
		part->chain = part_name(arena, map, part->span.from);
		part_build(arena, table, field, part->chain, map, begin, end);
	}
	map->elements = parts.elements;
	map->element_count = parts.element_count;
	map->element_room = parts.element_room;
}
