/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/json_repair.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As deep as jansson goes. */
enum { NESTING_MAX = 2048 };

struct scan {
	struct decoder *decoder;
	struct arena *arena;
	char *at; /* the text ends with a NUL, which no rule below takes */
	size_t nesting;
	const char **keys; /* of all objects that are open */
	size_t key_count, key_room;
};

static bool scan_value(struct scan *scan, const struct place *place);

/* Takes the character, with the white space around it. */
static bool scan_char(struct scan *scan, char c)
{
	scan->at += strspn(scan->at, " \t\r\n");
	if (*scan->at != c)
		return false;
	scan->at++;
	scan->at += strspn(scan->at, " \t\r\n");
	return true;
}

/* Takes a string with its quotes; returns where it begins. */
static const char *scan_string(struct scan *scan)
{
	const char *from = scan->at;

	if (*scan->at != '"')
		return NULL;
	for (scan->at++; *scan->at && *scan->at != '"'; scan->at++)
		if (*scan->at == '\\' && scan->at[1])
			scan->at++;
	if (!*scan->at)
		return NULL;
	scan->at++;
	return from;
}

static const char *scan_key(struct scan *scan)
{
	const char *from = scan_string(scan);
	json_t *decoded = NULL;
	const char *key;

	if (from)
		decoded = json_loadb(from, (size_t)(scan->at - from), JSON_DECODE_ANY, NULL);
	if (!decoded)
		return NULL;
	key = arena_strdup(scan->arena, json_string_value(decoded));
	json_decref(decoded);
	return key;
}

static int key_compare(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

static void fault_duplicate(struct scan *scan, const struct place *object, const char *key,
			    size_t times)
{
	struct place place = { object, key, 0 };
	json_t *text = json_string(key);
	struct value value = { place, text, NULL };

	value_fault(scan->decoder, &value, "stands %zu times in this object; write it once", times);
	json_decref(text);
}

/* Takes the keys of an object off the stack. */
static void keys_check(struct scan *scan, size_t first, const struct place *object)
{
	const char **keys = scan->keys + first;
	size_t count = scan->key_count - first;

	if (count > 1)
		qsort(keys, count, sizeof(*keys), key_compare);
	for (size_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && strcmp(keys[i], keys[next]) == 0;)
			next++;
		if (next - i > 1)
			fault_duplicate(scan, object, keys[i], next - i);
	}
	scan->key_count = first;
}

static bool scan_members(struct scan *scan, const struct place *object)
{
	do {
		const char *key = scan_key(scan);
		struct place place = { object, key, 0 };

		if (!key || !scan_char(scan, ':'))
			return false;
		*ARENA_PUSH(scan->arena, scan->keys, scan->key_count, scan->key_room) = key;
		if (!scan_value(scan, &place))
			return false;
	} while (scan_char(scan, ','));
	return scan_char(scan, '}');
}

static bool scan_object(struct scan *scan, const struct place *object)
{
	size_t first = scan->key_count;
	bool whole = scan_char(scan, '}') || scan_members(scan, object);

	keys_check(scan, first, object);
	return whole;
}

static bool scan_array(struct scan *scan, const struct place *array)
{
	struct place place = { array, NULL, 0 };

	if (scan_char(scan, ']'))
		return true;
	for (;; place.index++) {
		if (!scan_value(scan, &place))
			return false;
		if (!scan_char(scan, ','))
			return scan_char(scan, ']');
	}
}

static bool number_is_too_large(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (strchr(".eE", text[i]))
			return isinf(strtod(text, NULL));
	errno = 0;
	strtoll(text, NULL, 10);
	return errno == ERANGE;
}

static bool scan_word(struct scan *scan, const struct place *place)
{
	static const char substitute[] = "null";
	size_t length = strcspn(scan->at, ",:]}\" \t\r\n");
	char *word = scan->at;
	struct arena arena = { 0 };

	scan->at += length;
	if (strspn(word, "+-.0123456789eE") != length || !number_is_too_large(word, length))
		return length > 0;
	decoder_fault(scan->decoder, place_pointer(&arena, place),
		      "%.*s: this number is too large for any field",
		      (int)(length < VALUE_TEXT ? length : VALUE_TEXT), word);
	/* No number shorter than 1e309 is too large, so the substitute fits. */
	memset(word, ' ', length);
	memcpy(word, substitute, sizeof(substitute) - 1);
	arena_free(&arena);
	return true;
}

static bool scan_value(struct scan *scan, const struct place *place)
{
	bool whole;

	if (scan->nesting == NESTING_MAX)
		return false;
	scan->nesting++;
	scan->at += strspn(scan->at, " \t\r\n");
	if (scan_char(scan, '{'))
		whole = scan_object(scan, place);
	else if (scan_char(scan, '['))
		whole = scan_array(scan, place);
	else if (*scan->at == '"')
		whole = scan_string(scan) != NULL;
	else
		whole = scan_word(scan, place);
	scan->nesting--;
	return whole;
}

const char *json_repair(struct decoder *decoder, struct arena *arena, const char *text, size_t size)
{
	char *copy = arena_alloc(arena, size + 1);
	struct scan scan = { .decoder = decoder, .arena = arena, .at = copy };
	struct place root = { 0 };

	memcpy(copy, text, size);
	scan_value(&scan, &root);
	return copy;
}
