/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/json_pointer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * Keys past the first few thousand of an object all count as one place: the
 * objects that we know have a dozen, and a list of keys is slow to walk.
 */
enum { ORDER_DEPTH = 12, KEYS_WALKED = 4096, AT_END = KEYS_WALKED + 1 };

static char *key_escape(struct arena *arena, const char *key)
{
	char *escaped = arena_alloc(arena, strlen(key) * 2 + 1);
	char *end = escaped;

	for (; *key; key++) {
		if (*key != '~' && *key != '/') {
			*end++ = *key;
			continue;
		}
		*end++ = '~';
		*end++ = *key == '~' ? '0' : '1';
	}
	return escaped;
}

char *place_pointer(struct arena *arena, const struct place *place)
{
	const char *up;

	if (!place->up)
		return arena_strdup(arena, "");
	up = place_pointer(arena, place->up);
	if (place->key)
		return arena_printf(arena, "%s/%s", up, key_escape(arena, place->key));
	return arena_printf(arena, "%s/%zu", up, place->index);
}

/* Whether the first token of the pointer (behind its '/') is that key, escaped. */
static bool token_is(const char *token, size_t length, const char *key)
{
	const char *end = token + length;

	for (; *key && token < end; key++, token++) {
		char c = *token;

		if (c == '~' && token + 1 < end)
			c = *++token == '0' ? '~' : '/';
		if (c != *key)
			return false;
	}
	return !*key && token == end;
}

static const json_t *object_step(const json_t *object, const char *token, size_t length,
				 uint32_t *position)
{
	/* jansson's iterators take no const, and change nothing. */
	json_t *open = (json_t *)object;
	void *at = json_object_iter(open);

	for (*position = 1; at && *position < KEYS_WALKED; ++*position) {
		if (token_is(token, length, json_object_iter_key(at)))
			return json_object_iter_value(at);
		at = json_object_iter_next(open, at);
	}
	*position = at ? KEYS_WALKED : AT_END;
	return NULL;
}

/* Goes one token down, and moves the pointer past it. position counts from 1. */
static const json_t *pointer_step(const json_t *value, const char **pointer, uint32_t *position)
{
	const char *token = *pointer + 1;
	size_t length = strcspn(token, "/");

	*pointer = token + length;
	if (json_is_object(value))
		return object_step(value, token, length, position);
	*position = (uint32_t)strtoul(token, NULL, 10) + 1;
	return json_array_get(value, *position - 1);
}

const json_t *pointer_value(const json_t *root, const char *pointer)
{
	uint32_t position;

	while (root && *pointer)
		root = pointer_step(root, &pointer, &position);
	return root;
}

/* A fault, where it stands, and when it was found. */
struct sorted {
	uint32_t positions[ORDER_DEPTH];
	size_t found;
	struct fault fault;
};

static int sorted_compare(const void *a, const void *b)
{
	const struct sorted *left = a, *right = b;

	for (size_t i = 0; i < ORDER_DEPTH; i++)
		if (left->positions[i] != right->positions[i])
			return left->positions[i] < right->positions[i] ? -1 : 1;
	return left->found < right->found ? -1 : 1;
}

void faults_sort(struct faults *faults, const json_t *root)
{
	struct arena arena = { 0 };
	struct sorted *sorted = arena_alloc(&arena, (faults->count + 1) * sizeof(*sorted));

	for (size_t i = 0; i < faults->count; i++) {
		const char *pointer = faults->items[i].pointer;
		const json_t *value = root;

		sorted[i].fault = faults->items[i];
		sorted[i].found = i;
		for (size_t depth = 0; *pointer && depth < ORDER_DEPTH; depth++)
			value = pointer_step(value, &pointer, &sorted[i].positions[depth]);
	}
	qsort(sorted, faults->count, sizeof(*sorted), sorted_compare);
	for (size_t i = 0; i < faults->count; i++)
		faults->items[i] = sorted[i].fault;
	arena_free(&arena);
}
