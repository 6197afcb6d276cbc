/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/listing.h"

void listing_add(struct listing *listing, const char *item)
{
	if (listing->count++ < LISTING_SHOWN)
		listing->text = arena_printf(listing->arena, "%s%s%s", listing->text,
					     listing->count > 1 ? ", " : "", item);
}

const char *listing_text(const struct listing *listing)
{
	if (listing->count <= LISTING_SHOWN)
		return listing->text;
	return arena_printf(listing->arena, "%s and %zu more", listing->text,
			    listing->count - LISTING_SHOWN);
}
