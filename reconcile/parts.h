/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Big maps of addresses stand in parts. The kernel hands out a set's elements
 * 32 KiB at a time and walks all those before again each time, so that the time
 * to read a set, for whoever lists it, grows with the square of its size. A
 * packet pays a few nanoseconds for the second look-up (docs/layout.md).
 */
#ifndef RECONCILE_PARTS_H
#define RECONCILE_PARTS_H

#include "reconcile/arena.h"
#include "reconcile/nft.h"

/* A map of up to PART_MOST elements stays whole; the parts of a bigger one have PART_LEAST or more.
 */
enum { PART_LEAST = 8192, PART_MOST = 2 * PART_LEAST };

/*
 * Divides a map of ipv4 or ipv6 keys, not yet in the table: its elements, which
 * are sorted, go to maps of their own in the table, each behind a chain that
 * looks `field` up in it, and the map leads to these. Its chains end where it
 * is searched with jump or goto, as if it had been whole.
 */
void parts_divide(struct arena *arena, struct nft_table *table, enum field field,
		  struct nft_set *map);

#endif
