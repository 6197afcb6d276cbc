/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets and chains that redirects share, so that what many of them have in
 * common stays in the router's caches (docs/layout.md). Their names say what
 * they hold, whatever the document's order: a redirect that changes takes
 * another one, and those with which it shared the former keep it as it is.
 */
#ifndef RECONCILE_SHARING_H
#define RECONCILE_SHARING_H

#include <stdbool.h>
#include <stddef.h>

#include "reconcile/arena.h"
#include "reconcile/document.h"
#include "reconcile/nft.h"

/*
 * "interfaces_eth0/eth1", "services_22/tcp_5900-5910/tcp". A digest stands for
 * more than three, and for interfaces whose names nft(8) cannot read. The spans
 * are normalized. The arena owns the name.
 */
const char *interfaces_name(struct arena *arena, const struct spans *interfaces);
const char *services_name(struct arena *arena, const struct redirect *redirect,
			  const struct spans *services);

/* "mark-keep_scb": for what is sent to a gateway and treats existing connections alike. */
const char *mark_chain_name(struct arena *arena, const struct gateway *gateway,
			    enum existing existing);

/* Whether the set or chain is one of these. */
bool is_shared(const char *name);

/* What is shared, and a redirect whose rules refer to it: sorted pairs, one of each. */
struct sharers {
	struct sharer {
		const char *name, *redirect;
	} * items;
	size_t count, room;
};

/* Adds the table's, which owns the names, as the arena does. */
void sharers_add(struct arena *arena, const struct nft_table *table, struct sharers *sharers);

/* The first one of that set or chain; *count says how many there are, one behind the other. */
const struct sharer *sharers_find(const struct sharers *sharers, const char *name, size_t *count);

#endif
