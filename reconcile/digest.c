/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/digest.h"

#include <stdint.h>
#include <sys/types.h>
#include <sha2.h>

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
	json_dump_callback(json, feed, &context, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
	SHA256End(&context, hex);
}

json_t *digest_or_null(const char *hex)
{
	return *hex ? json_string(hex) : json_null();
}
