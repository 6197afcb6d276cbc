/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "a, b, c and 17 more": lists in sentences, however long. */
#ifndef RECONCILE_LISTING_H
#define RECONCILE_LISTING_H

#include <stddef.h>

#include "reconcile/arena.h"

enum { LISTING_SHOWN = 3 };

/* Begins as { arena, "", 0 }. What is not shown may be added to the count alone. */
struct listing {
	struct arena *arena;
	const char *text;
	size_t count;
};

void listing_add(struct listing *listing, const char *item);

/* The arena owns it. "" for an empty list. */
const char *listing_text(const struct listing *listing);

#endif
