/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes as text: two lower-case digits each. */
#ifndef RECONCILE_HEX_H
#define RECONCILE_HEX_H

#include <stdbool.h>
#include <stddef.h>

#include "reconcile/arena.h"

/* The arena owns it. */
char *hex_format(struct arena *arena, const void *bytes, size_t size);

/* False when the text is not just that many bytes; what was written then is of no use. */
bool hex_parse(const char *text, void *bytes, size_t size);

#endif
