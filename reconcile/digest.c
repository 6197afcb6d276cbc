/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/digest.h"

#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sha2.h>

/* What json_dump_callback() makes the canonical text. */
enum { CANONICAL = JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY };

struct text {
	struct arena *arena;
	char *bytes;
	size_t size, room;
};

static int append(const char *bytes, size_t size, void *context)
{
	struct text *text = context;

	if (text->size + size >= text->room) {
		char *grown = arena_alloc(text->arena, text->room = 2 * (text->size + size + 1));

		if (text->size)
			memcpy(grown, text->bytes, text->size);
		text->bytes = grown;
	}
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
	return 0;
}

const char *digest_canonical(struct arena *arena, const json_t *json)
{
	struct text text = { .arena = arena };

	/* The arena's memory is zeroed: a NUL ends the text. */
	json_dump_callback(json, append, &text, CANONICAL);
	return text.bytes ? text.bytes : "";
}

static int feed(const char *bytes, size_t size, void *context)
{
	SHA256Update(context, (const uint8_t *)bytes, size);
	return 0;
}

void digest_text(const char *bytes, size_t size, char hex[DIGEST_TEXT])
{
	SHA2_CTX context;

	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)bytes, size);
	SHA256End(&context, hex);
}

void digest_json(const json_t *json, char hex[DIGEST_TEXT])
{
	SHA2_CTX context;

	SHA256Init(&context);
	/* Fed piece by piece: a document may have 100,000 networks. */
	json_dump_callback(json, feed, &context, CANONICAL);
	SHA256End(&context, hex);
}

json_t *digest_or_null(const char *hex)
{
	return *hex ? json_string(hex) : json_null();
}
