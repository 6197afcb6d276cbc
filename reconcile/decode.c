/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/utf8.h"

enum { SHOWN_BYTES = 60, KEY_MAX = 32 };

struct excerpt {
	char *text;
	size_t length;
};

static int excerpt_append(const char *bytes, size_t size, void *data)
{
	struct excerpt *excerpt = data;
	size_t room = SHOWN_BYTES - excerpt->length;
	size_t taken = size < room ? size : room;

	memcpy(excerpt->text + excerpt->length, bytes, taken);
	excerpt->length += taken;
	return taken == size ? 0 : -1;
}

static void value_excerpt(const json_t *json, size_t flags, char *text)
{
	struct excerpt excerpt = { text, 0 };

	flags |= JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15);
	if (json_dump_callback(json, excerpt_append, &excerpt, flags) == 0) {
		text[excerpt.length] = '\0';
		return;
	}
	excerpt.length = utf8_whole(text, excerpt.length);
	snprintf(text + excerpt.length, VALUE_TEXT - excerpt.length,
		 json_is_string(json) ? "...\"" : "...");
}

const char *value_text(const json_t *json, char *text)
{
	value_excerpt(json, 0, text);
	/* JSON does not escape C1. */
	if (utf8_has_control(text))
		value_excerpt(json, JSON_ENSURE_ASCII, text);
	return text;
}

/* What was repaired has its fault already; null is not what its author wrote. */
static bool fault_known(const struct decoder *decoder, const struct value *value,
			const char *pointer)
{
	if (!decoder->repaired || !json_is_null(value->json))
		return false;
	for (size_t i = 0; i < decoder->faults->count; i++)
		if (strcmp(decoder->faults->items[i].pointer, pointer) == 0)
			return true;
	return false;
}

/* Past the limit faults are counted and nothing else, however many there are. */
static bool fault_is_over_limit(struct decoder *decoder)
{
	if (decoder->faults->count < FAULTS_MAX)
		return false;
	decoder->unreported++;
	return true;
}

void decoder_fault(struct decoder *decoder, const char *pointer, const char *format, ...)
{
	char message[768];
	va_list args;
	int length;

	if (fault_is_over_limit(decoder))
		return;
	va_start(args, format);
	length = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (length >= (int)sizeof(message))
		message[utf8_whole(message, sizeof(message) - 1)] = '\0';
	faults_add(decoder->faults, pointer, "%s", message);
}

void value_fault(struct decoder *decoder, const struct value *value, const char *format, ...)
{
	char text[VALUE_TEXT], message[640];
	struct arena arena = { 0 };
	const char *pointer;
	va_list args;

	if (fault_is_over_limit(decoder))
		return;
	pointer = place_pointer(&arena, &value->place);
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (!fault_known(decoder, value, pointer))
		decoder_fault(decoder, pointer, "%s: %s", value_text(value->json, text), message);
	arena_free(&arena);
}

void value_fault_kind(struct decoder *decoder, const struct value *value)
{
	value_fault(decoder, value, "must be %s", value->what);
}

const char *decode_text(struct decoder *decoder, const struct value *value)
{
	const char *text = json_string_value(value->json);

	if (!text)
		value_fault_kind(decoder, value);
	else if (strlen(text) == json_string_length(value->json))
		return text;
	else
		value_fault(decoder, value, "must not contain a NUL character");
	return NULL;
}

/* How many letters must be inserted, deleted or replaced to make one word the other. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[KEY_MAX + 1];
	size_t length = strlen(b);

	for (size_t i = 0; i <= length; i++)
		row[i] = i;
	for (size_t i = 1; *a; a++, i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t replaced = diagonal + (*a != b[j - 1]);
			size_t shifted = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = replaced < shifted ? replaced : shifted;
		}
	}
	return row[length];
}

static const char *nearest_key(const char *key, const struct member *members, size_t count)
{
	const char *nearest = NULL;
	size_t least = 3;

	if (strlen(key) > KEY_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t distance = edit_distance(key, members[i].key);

		if (distance >= least || distance >= strlen(members[i].key) / 2)
			continue;
		nearest = members[i].key;
		least = distance;
	}
	return nearest;
}

static void fault_unknown(struct decoder *decoder, const struct value *value,
			  const struct member *members, size_t count)
{
	struct value shown = { value->place, NULL, NULL };
	char known[256] = "";
	const char *nearest;
	json_t *key;

	if (fault_is_over_limit(decoder))
		return;
	nearest = nearest_key(value->place.key, members, count);
	key = json_string(value->place.key);
	shown.json = key;
	for (size_t i = 0, used = 0; i < count && used < sizeof(known); i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
					 members[i].key);
	if (nearest)
		value_fault(decoder, &shown, "unknown key; is \"%s\" meant?", nearest);
	else
		value_fault(decoder, &shown, "unknown key; known here: %s", known);
	json_decref(key);
}

static void fault_missing(struct decoder *decoder, const struct value *object,
			  const struct member *member)
{
	struct place place = { &object->place, member->key, 0 };
	struct arena arena = { 0 };

	if (fault_is_over_limit(decoder))
		return;
	decoder_fault(decoder, place_pointer(&arena, &place), "missing: must be %s", member->what);
	arena_free(&arena);
}

static const struct member *member_find(const struct member *members, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(members[i].key, key) == 0)
			return &members[i];
	return NULL;
}

void decode_object(struct decoder *decoder, const struct value *value, const struct member *members,
		   size_t count, void *out)
{
	const char *key;
	json_t *json;

	if (!json_is_object(value->json)) {
		value_fault_kind(decoder, value);
		return;
	}
	json_object_foreach((json_t *)value->json, key, json)
	{
		const struct member *member = member_find(members, count, key);
		struct value inner = { { &value->place, key, 0 }, json, NULL };

		if (!member) {
			fault_unknown(decoder, &inner, members, count);
			continue;
		}
		inner.what = member->what;
		member->decode(decoder, &inner, (char *)out + member->offset);
	}
	for (size_t i = 0; i < count; i++)
		if (members[i].required && !json_object_get(value->json, members[i].key))
			fault_missing(decoder, value, &members[i]);
}

struct value value_element(const struct value *array, size_t index, const char *what)
{
	return (struct value){ { &array->place, NULL, index },
			       json_array_get(array->json, index),
			       what };
}

void decode_list(struct decoder *decoder, const struct value *value, const struct list *list,
		 void *out)
{
	size_t count = json_array_size(value->json);

	if (!json_is_array(value->json) || count < list->least) {
		value_fault_kind(decoder, value);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct value element = value_element(value, i, list->what);

		list->decode(decoder, &element, out);
	}
}
