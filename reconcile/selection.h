/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A selection is what a redirect takes in the end: its clients and servers less
 * the exceptions, in the families in which it works.
 */
#ifndef RECONCILE_SELECTION_H
#define RECONCILE_SELECTION_H

#include <stddef.h>

#include "reconcile/arena.h"
#include "reconcile/document.h"
#include "reconcile/span.h"

struct selection {
	const struct redirect *redirect;
	size_t index; /* in the document */
	struct spans interfaces;
	struct spans clients[FAMILY_COUNT], servers[FAMILY_COUNT];
};

/* The redirect must have its gateway, and outlive the selection. */
void selection_build(struct arena *arena, const struct redirect *redirect, size_t index,
		     struct selection *out);

/* Those of all enabled redirects, in the document's order. The arena owns them. */
size_t selections_build(struct arena *arena, const struct document *document,
			const struct selection **out);

/*
 * Where a redirect's packets come in: from its clients, and from a spoofing
 * gateway in their name. The arena owns the spans, unless they are the redirect's.
 */
void selection_interfaces(struct arena *arena, const struct redirect *redirect, struct spans *out);

/* Two selections that take the same connections to different gateways. */
struct overlap {
	const struct selection *earlier, *later;
	enum family family;
};

/*
 * All of them, by later and earlier redirect, one for each pair. At most
 * OVERLAPS_MAX: nobody reads more. The arena owns the result.
 */
enum { OVERLAPS_MAX = 100000 };
size_t selections_overlap(struct arena *arena, const struct selection *selections, size_t count,
			  struct overlap **out);

/* One connection that both take: "3389/tcp from 10.0.0.0/24 (eth0) to 10.1.0.7". */
const char *overlap_example(struct arena *arena, const struct overlap *overlap);

#endif
