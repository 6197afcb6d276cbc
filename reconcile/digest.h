/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SHA-256: what tells one document, plan or state from another. */
#ifndef RECONCILE_DIGEST_H
#define RECONCILE_DIGEST_H

#include <stddef.h>

#include <jansson.h>

#include "reconcile/arena.h"

enum { DIGEST_TEXT = 65 }; /* 64 hexadecimal digits and the end */

void digest_text(const char *bytes, size_t size, char hex[DIGEST_TEXT]);

/* With sorted keys and no white space: equal values are equal texts. The arena owns it. */
const char *digest_canonical(struct arena *arena, const json_t *json);

/* Of the canonical text. NULL has a digest of its own. */
void digest_json(const json_t *json, char hex[DIGEST_TEXT]);

/* For reports: the digest, or null for "", of no document. The caller owns it. */
json_t *digest_or_null(const char *hex);

#endif
