/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Spans: inclusive ranges of keys as the kernel orders them, that is as byte
 * strings in network byte order. One type serves addresses (4 or 16 bytes),
 * interface names (16 bytes, zero padded) and port + protocol pairs (8 bytes:
 * port, two zero bytes, protocol, three zero bytes). Unused bytes are zero.
 */
#ifndef RECONCILE_SPAN_H
#define RECONCILE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"

enum { SPAN_BYTES = 16, SPAN_TEXT = 96 };

enum family { FAMILY_IPV4, FAMILY_IPV6, FAMILY_COUNT };

struct span {
	uint8_t from[SPAN_BYTES], to[SPAN_BYTES];
};

struct spans {
	struct span *items;
	size_t count, room;
};

static inline size_t family_bytes(enum family family)
{
	return family == FAMILY_IPV4 ? 4 : 16;
}

/* "ipv4" or "ipv6". */
const char *family_name(enum family family);

/* Every address. */
const struct span *family_span(enum family family);

/*
 * Parses "10.1.0.0/24", "10.1.0.7" or "10.1.0.1-10.1.0.9" (or IPv6 likewise).
 * Returns NULL, or a static or span-owned sentence that says what would be
 * right, e.g. "has host bits set; the network is 10.1.0.0/24".
 */
const char *span_parse(const char *text, enum family *family, struct span *span);

/* The shortest form that span_parse accepts. text has SPAN_TEXT bytes. */
const char *span_format(const struct span *span, enum family family, char *text);

/* The prefix length when the span is exactly a network, or -1. */
int span_prefix(const struct span *span, enum family family);

/* Likewise one address, of which family_bytes() count. */
const char *address_format(const uint8_t *address, enum family family, char *text);

/* Sorts by from; overlapping spans become one, adjacent ones stay apart. */
void spans_normalize(struct spans *spans);

/*
 * a minus b, of keys with that many bytes. Both are normalized; the result is
 * too. It shares a's items when there is nothing to subtract.
 */
void spans_subtract(struct arena *arena, const struct spans *a, const struct spans *b, size_t bytes,
		    struct spans *out);

/* What both have; otherwise like spans_subtract(). */
void spans_common(struct arena *arena, const struct spans *a, const struct spans *b, size_t bytes,
		  struct spans *out);

/* Both are normalized. */
bool spans_intersect(const struct spans *a, const struct spans *b);
bool spans_contain(const struct spans *spans, const uint8_t key[SPAN_BYTES]);

/* Adds or subtracts one in the first `bytes` bytes; false on wrap-around. */
bool key_increment(uint8_t *key, size_t bytes);
bool key_decrement(uint8_t *key, size_t bytes);

#endif
