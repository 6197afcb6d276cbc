/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules of a chain: few writes, and the fewest moves. */
#ifndef RECONCILE_DIFF_ORDER_H
#define RECONCILE_DIFF_ORDER_H

#include "reconcile/diff.h"

/* Steps that turn the live chain's rules into the wanted ones; retired rules stay for now. */
void diff_rule_order(struct diff *diff, const struct nft_chain *wanted,
		     const struct nft_chain *live);

void diff_rule_delete(struct diff *diff, const char *chain, const struct nft_rule *rule);

/* The rule honours a mark that no gateway uses any longer. */
bool diff_rule_is_retired(const struct diff *diff, const struct nft_rule *rule);

/* Chains or sets of the same name are of another make. */
bool nft_needs_rebuild(const struct nft_table *wanted, const struct nft_table *live);

#endif
