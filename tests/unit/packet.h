/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nf_tables does with a packet, for the statements that we use: so that
 * tests can ask the rules themselves, not what we believe of them.
 */
#ifndef TESTS_UNIT_PACKET_H
#define TESTS_UNIT_PACKET_H

#include "reconcile/nft.h"

struct packet {
	enum family family;
	char iif[IFNAME_SIZE], oif[IFNAME_SIZE];
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

	/* What the rules made of it, beside the marks. */
	bool dropped;
	char counted_by[NAME_SIZE]; /* the redirect that counted it; "" for none */
	unsigned counted_times;
};

/* Takes the packet through the base chain of that name. Unsound rules fail the test. */
void packet_run(const struct nft_table *table, const char *chain, struct packet *packet);

#endif
