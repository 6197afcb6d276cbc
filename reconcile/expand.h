/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a document to the state that it asks for. rp_filter is the one kind
 * whose wanted value depends on what is: "not strict" means something else on
 * every router. Hence the observation as an argument.
 */
#ifndef RECONCILE_EXPAND_H
#define RECONCILE_EXPAND_H

#include "reconcile/document.h"
#include "reconcile/state.h"

/*
 * Fills *desired, sorted. It points into the document, the observation and the
 * table, which is what an earlier expansion of the document made of it; NULL:
 * there was none.
 */
void expand(const struct document *document, const struct state *observed,
	    const struct nft_table *table, struct state *desired);

/* layout.c: the nftables part, see there for the shape. The arena owns it. */
void layout_build(struct arena *arena, const struct document *document, struct nft_table *table);

/* rp_filter.c: values that differ from what the router would have without us. */
void rp_filter_expand(const struct document *document, const struct state *observed,
		      struct state *desired);

#endif
