/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/foreign.h"

int foreign_read(struct netlink *netfilter, struct state *out, struct error *error)
{
	struct foreign *foreign = arena_alloc(&out->arena, sizeof(*foreign));
	uint32_t generation;

	foreign->arena = &out->arena;
	if (foreign_read_nft(netfilter, foreign, &generation, error) < 0)
		return -1;
	foreign_read_legacy(foreign);
	out->foreign = foreign;
	/* Two moments: the earlier one is over, which a commit will be told. */
	if (generation != out->nft.generation)
		out->nft.generation = generation - 1;
	return 0;
}
