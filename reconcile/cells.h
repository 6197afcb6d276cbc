/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text in cells of a fixed width, in characters of UTF-8. The arena owns what is returned. */
#ifndef RECONCILE_CELLS_H
#define RECONCILE_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"

/* At most that wide; what is cut off ends in the ellipsis, which is one wide. */
const char *text_cut(struct arena *arena, const char *text, size_t width, const char *ellipsis);

/* The bytes of the next line, broken between words where that is possible. */
size_t text_line_bytes(const char *text, size_t width);

/* "42 packets"; from 100000 on "1.25 M packets", "1.25 MB". */
const char *text_number(struct arena *arena, uint64_t value, const char *unit);

#endif
