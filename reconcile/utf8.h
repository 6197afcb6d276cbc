/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text that may come from strangers, as the UTF-8 that it should be (RFC 3629). */
#ifndef RECONCILE_UTF8_H
#define RECONCILE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the first character has; 0 at the end, and for what is no UTF-8. */
size_t utf8_bytes(const char *text);

bool utf8_is_valid(const char *text);

/* Characters, of valid text. */
size_t utf8_length(const char *text);

/*
 * Where to cut valid text of which there is room for `size` bytes, which it has:
 * between characters, a last one of several bytes left out.
 */
size_t utf8_whole(const char *text, size_t size);

/* Whether the text begins with one that terminals obey: C0, DEL or C1. */
bool utf8_is_control(const char *text);

bool utf8_has_control(const char *text);

#endif
