/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel in memory that refuses what the real one refuses: for tests, and
 * for planning without a router. Its state is public, so that a test is
 * another program on the same router: it changes what it likes, by the
 * functions below where one change brings others along.
 */
#ifndef BACKENDS_FAKE_H
#define BACKENDS_FAKE_H

#include <stdio.h>

#include "reconcile/kernel.h"

/* What goes wrong with the writes number first, first + 1, ...; the first of all is 1. */
struct fake_fault {
	size_t first, count;
	int outcome; /* what is answered: OUTCOME_* or -1 */
	bool done;   /* and yet it is written */
};

struct fake {
	struct kernel kernel; /* first: a struct kernel of ours is a struct fake */
	/* Without links' networks and nft. An rp_filter that is `recorded` is ours. */
	struct state state;
	struct fake_network {
		const char *link;
		enum family family;
		struct span span;
	} * networks;
	size_t network_count, network_room;
	struct fake_neighbour {
		const char *link;
		enum family family;
		struct span address;
		struct neighbour known;
	} * neighbours;
	size_t neighbour_count, neighbour_room;
	struct connections {
		uint32_t mark;
		size_t count;
	} * connections;
	size_t connections_count, connections_room;

	struct nft_table nft;
	struct arena nft_arena; /* owns it; each transaction makes both anew */
	uint64_t last_handle;

	/* What a look around finds; the test owns it. Left at zero: nothing. */
	struct surroundings around;

	size_t writes; /* that changed something, or were to: write, commit, forget */
	struct fake_fault fault;
	/* Called before each operation, observations included; the first is number 1. */
	void (*meanwhile)(struct fake *fake, size_t operation);
	size_t operations;
};

/* `all` and `default` have the given rp_filter; there are no links. Never NULL. */
struct fake *fake_open(int rp_filter);
void fake_close(struct fake *fake);

/* An interface that is up, with rp_filter of `default` and the networks (NULL at the end). */
void fake_link_add(struct fake *fake, const char *name, const char *network, ...)
	__attribute__((sentinel));
/* Down: the routes over it vanish, without a word. Up: they do not come back. */
void fake_link_set(struct fake *fake, const char *name, bool up);
void fake_link_remove(struct fake *fake, const char *name);

/* A neighbour's entry, made or changed; the text is an address. link_address: see struct neighbour.
 */
void fake_neighbour_set(struct fake *fake, const char *link, const char *address,
			enum neighbour_state known, const char *link_address);

/* By somebody else's hand; a link's name, `all` or `default`. */
void fake_rp_filter_set(struct fake *fake, const char *interface, int value);

/* Items at the end of the state's arrays. The texts are copied. */
void fake_route_add(struct fake *fake, const struct route *route);
void fake_rule_add(struct fake *fake, const struct rule *rule);
void fake_name_add(struct fake *fake, const struct rt_table *name);
void fake_connections_add(struct fake *fake, uint32_t mark, size_t count);

/* The table, for somebody else's change: the generation goes up. nft_arena owns additions. */
struct nft_table *fake_nft(struct fake *fake);

/*
 * One object a line, in an order that does not depend on history; without
 * handles, counters, links and facts that are only observed.
 */
void state_dump(const struct state *state, FILE *out);
void nft_table_dump(const struct nft_table *table, FILE *out);
/* Everything that the fake holds. The caller frees it. */
char *fake_dump(const struct fake *fake);

#endif
