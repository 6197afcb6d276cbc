/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which redirects may a packet belong to? A decision tree over server address,
 * service and client address, each level one look-up in an interval map, so
 * that a packet's cost does not grow with the number of redirects.
 */
#ifndef RECONCILE_DISPATCH_H
#define RECONCILE_DISPATCH_H

#include "reconcile/document.h"
#include "reconcile/nft.h"

/*
 * Builds the map of that name for one family, and the shared chains that it
 * leads to. masks: the bits that tell that a redirect has taken the
 * connection. False, and nothing built, when no redirect works in the family.
 */
bool dispatch_build(struct arena *arena, const struct document *document, enum family family,
		    uint32_t masks, const char *map, struct nft_table *table);

#endif
