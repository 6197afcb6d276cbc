/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of a trace share. */
#ifndef RECONCILE_TRACE_PARTS_H
#define RECONCILE_TRACE_PARTS_H

#include "reconcile/trace.h"
#include "reconcile/walk.h"

struct tracer {
	struct kernel *kernel;
	const struct document *document;
	const struct state *live;
	struct policy policy; /* of the connection's family */
	struct trace *out;
	struct arena *arena; /* out's */
	struct error *error;
};

enum passage_end { PASSAGE_FORWARDED, PASSAGE_DELIVERED, PASSAGE_DROPPED, PASSAGE_UNKNOWN };

/* One packet's way through the router. */
struct passage {
	enum leg leg;
	struct packet packet; /* as the rules left it */
	struct flow flow;
	struct walk prerouting, forward;
	struct course course;
	struct policy_verdict verdict;
	enum passage_end end;
	const char *why; /* unless forwarded */
};

/*
 * trace_leg.c: takes a packet through prerouting, routing and the forward hook,
 * and notes the stages. sport: its source port, 0 when it is any. 0 or -1.
 */
int passage_run(struct tracer *tracer, enum leg leg, const struct packet *packet, uint16_t sport,
		struct passage *out);

/* The flow that the packet is to the kernel's routing. */
struct flow flow_of(const struct packet *packet, uint16_t sport);

/* Takes it through the forward hook and notes that. NULL, or why it goes no further. */
const char *guard_run(struct tracer *tracer, struct passage *passage, const char *dev);

void stage_add(struct tracer *tracer, enum leg leg, enum stage stage, bool stops,
	       const char *result, const char *object);

/* Why the rules that the walk came to select nothing: "rdp: 22/tcp is no service of it". */
const char *unselected_text(struct arena *arena, const struct nft_table *table,
			    const struct walk *walk, const struct packet *packet);

/* The second word of the comment of the last held rule of that role, or NULL. */
const char *walk_name(struct arena *arena, const struct walk *walk, enum role role);

/* The redirect that took the packet's connection, or NULL. */
const char *walk_redirect(struct arena *arena, const struct walk *walk);

const char *address_text(struct arena *arena, enum family family, const uint8_t *address);

/* "via 10.2.0.10 dev eth2" */
const char *course_text(struct arena *arena, const struct course *course);

/* trace_loss.c: what the live rules do with it once the gateway's link is down. 0 or -1. */
int loss_run(struct tracer *tracer, const struct passage *request, const struct gateway *gateway);

#endif
