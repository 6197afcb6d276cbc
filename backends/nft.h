/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table `inet detour` in the live kernel. Its promise: what nft_read()
 * returns stood in the kernel at one moment, and nft_commit() makes all of its
 * steps true at one moment, or none.
 */
#ifndef BACKENDS_NFT_H
#define BACKENDS_NFT_H

#include <stddef.h>
#include <stdint.h>

#include "backends/netlink.h"
#include "reconcile/arena.h"
#include "reconcile/error.h"
#include "reconcile/nft.h"
#include "reconcile/plan.h"

/*
 * Reads our table, sorted, and the generation of the ruleset it belongs to.
 * nl is on NETLINK_NETFILTER; the arena owns all that *out points to, but what
 * is taken from since->table, which has to outlive it (NULL: all is read). 0, or
 * -1 with *error.
 */
int nft_read(struct netlink *nl, const struct since *since, struct arena *arena,
	     struct nft_table *out, struct error *error);

/*
 * Applies steps of the nft kinds in their order, as one transaction. OUTCOME_DONE;
 * OUTCOME_STALE when the ruleset is no longer of that generation;
 * OUTCOME_UNKNOWN when the answer was lost; or -1 with *error: nothing was written.
 */
int nft_commit(struct netlink *nl, const struct step *steps, size_t count, uint32_t generation,
	       struct error *error);

/*
 * Makes the table as it was read that of the socket, which is an owner. The
 * kernel lets nobody own a table that was made without that in mind: such a one
 * is made anew in one transaction, with its counters. Returns as nft_commit().
 */
int nft_protect(struct netlink *nl, const struct nft_table *table, struct error *error);

#endif
