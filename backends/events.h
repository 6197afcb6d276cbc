/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel announces: changes of nf_tables, routes, policy rules, links,
 * addresses and rp_filter. Its promise: whatever may make a difference to us is
 * told, events that were lost included; what the message itself shows to be
 * about something else costs no more than reading it. Not announced are names
 * of routing tables, which are a file.
 */
#ifndef BACKENDS_EVENTS_H
#define BACKENDS_EVENTS_H

#include <poll.h>

#include "backends/suspect.h"
#include "reconcile/document.h"
#include "reconcile/error.h"
#include "reconcile/plan.h"
#include "reconcile/state.h"

/* Bits of a set. */
enum event_cause {
	CAUSE_LINK = 1 << 0,      /* a gateway's interface, its addresses, what the kernel did to
				     its routes */
	CAUSE_ROUTE = 1 << 1,     /* a route in a gateway's table, by somebody's hand */
	CAUSE_RULE = 1 << 2,      /* a policy rule */
	CAUSE_TABLE = 1 << 3,     /* our nft table */
	CAUSE_RP_FILTER = 1 << 4, /* of an interface that we look at */
	CAUSE_LOST = 1 << 5,      /* too many at once: anything may have happened */
};

struct events;

enum { EVENTS_FDS = 2 };

/* 0, or -1 with *error. events_close() is due on 0. */
int events_open(struct events **out, struct error *error);

/* NULL is fine. */
void events_close(struct events *events);

/* What to poll. */
void events_poll(const struct events *events, struct pollfd fds[EVENTS_FDS]);

/*
 * What matters from now on: what the document names, and what a look has seen.
 * Events of nft that this look has covered already count no more.
 */
void events_concern(struct events *events, const struct document *document,
		    const struct state *observed, const struct plan *plan);

/* Takes all that has arrived. The set of causes; 0: nothing that matters to us. */
unsigned int events_read(struct events *events);

/* Who did the last of it of which that is known, and not we ourselves; pid 0: nobody. */
const struct suspect *events_suspect(const struct events *events);

#endif
