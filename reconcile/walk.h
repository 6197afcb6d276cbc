/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the rules of our table do with one packet, and which of them did it.
 * Nothing is guessed: where a packet meets what cannot be evaluated (a foreign
 * statement, a set of another kind), the walk ends and says where.
 */
#ifndef RECONCILE_WALK_H
#define RECONCILE_WALK_H

#include "reconcile/nft.h"

struct packet {
	enum family family;
	char iif[IFNAME_SIZE], oif[IFNAME_SIZE]; /* oif: "" before routing */
	uint8_t saddr[SPAN_BYTES], daddr[SPAN_BYTES];
	uint8_t protocol;
	uint16_t port;      /* destination */
	uint8_t tcp_flags;  /* of a TCP packet */
	uint8_t sctp_chunk; /* type of the first one of an SCTP packet */
	uint32_t mark;
	/* conntrack: all but the state is there for tracked packets only. */
	bool tracked;
	uint32_t state, status, connection_mark;
	uint8_t direction; /* 1: reply */
};

/* A rule that the packet came to. */
struct walk_step {
	const struct nft_chain *chain;
	const struct nft_rule *rule;
	bool held;                     /* every condition did */
	const struct stmt *stmt;       /* the condition that did not, or the last statement */
	const struct element *element; /* that the last look-up found; NULL: none */
};

struct walk {
	struct walk_step *steps;
	size_t step_count, step_room;
	bool dropped;
	const struct nft_chain *policy; /* of this base chain dropped it; NULL: a rule did */
	const char *unknown; /* NULL, or what cannot be evaluated; the rest was not walked */
};

/*
 * Takes the packet through our base chains of the hook, in the order of their
 * priorities; its marks become what the rules make of them. The arena owns the
 * steps, which point into the table.
 */
void walk_hook(struct arena *arena, const struct nft_table *table, enum hook hook,
	       struct packet *packet, struct walk *out);

/* The last step by a rule of that role whose conditions held, or NULL. */
const struct walk_step *walk_held(const struct walk *walk, enum role role);

#endif
