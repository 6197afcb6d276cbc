/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A box is a set of connections of one family: any of its interfaces, clients,
 * servers and services with any other. Rules and redirects are boxes, so that
 * they can be held against each other whole.
 */
#ifndef RECONCILE_BOX_H
#define RECONCILE_BOX_H

#include <stdbool.h>
#include <stddef.h>

#include "reconcile/arena.h"
#include "reconcile/span.h"

/* Keys of 16 bytes (names), 4 or 16 (addresses), and 3 (protocol, port). */
enum side { SIDE_INTERFACES, SIDE_CLIENTS, SIDE_SERVERS, SIDE_SERVICES, SIDE_COUNT };

struct box {
	enum family family;
	struct spans sides[SIDE_COUNT]; /* normalized */
};

size_t side_bytes(enum side side, enum family family);

/* The key of a port. Room for a span: see span.h. */
void service_key(uint8_t protocol, uint16_t port, uint8_t key[SPAN_BYTES]);

bool box_intersects(const struct box *a, const struct box *b);
bool box_equal(const struct box *a, const struct box *b);

/* Makes *a both of them, when that is a box. False when it is not. The arena owns the spans. */
bool box_merge(struct arena *arena, struct box *a, const struct box *b);

/* Whether each connection of the box is in one of the others. */
bool box_is_covered(struct arena *arena, const struct box *box, const struct box *others,
		    size_t count);

#endif
