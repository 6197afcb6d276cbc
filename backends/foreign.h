/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What others on the router do with marks, see reconcile/foreign.h. Nothing
 * here writes. Our own table is left out.
 */
#ifndef BACKENDS_FOREIGN_H
#define BACKENDS_FOREIGN_H

#include "backends/netlink.h"
#include "reconcile/error.h"
#include "reconcile/foreign.h"
#include "reconcile/state.h"

/*
 * Fills out->foreign, after out->nft: when the ruleset has changed since, the
 * generation there becomes one that is gone, so that nothing is committed to
 * it. 0, or -1 with *error.
 */
int foreign_read(struct netlink *netfilter, struct state *out, struct error *error);

/*
 * foreign_nft.c: the rules of chains at the prerouting hook, and the rules that
 * write marks in the chains which those may jump to, of one moment. The state
 * of each is its own: *generation is the ruleset's.
 */
int foreign_read_nft(struct netlink *nl, struct foreign *out, uint32_t *generation,
		     struct error *error);

/* foreign_legacy.c: best effort; a kernel without ip_tables has none. */
void foreign_read_legacy(struct foreign *out);

#endif
