/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One new connection, followed through what is live: our rules evaluated
 * packet by packet, the kernel itself asked where it would route each, and the
 * end compared with what the document says. Nothing is sent. What others'
 * filters and address translation do on the way is not known; that they are
 * there is.
 */
#ifndef RECONCILE_TRACE_H
#define RECONCILE_TRACE_H

#include "reconcile/kernel.h"
#include "reconcile/reconcile.h"
#include "reconcile/surroundings.h"

struct connection {
	enum family family;
	uint8_t client[SPAN_BYTES], server[SPAN_BYTES];
	struct service service; /* one port */
	const char *interface;  /* by which the client comes in; NULL: the kernel's way to it */
};

/* The packets that are followed. */
enum leg {
	LEG_REQUEST,         /* the client's first */
	LEG_ANSWER,          /* back to the client, from the gateway or the server */
	LEG_GATEWAY_REQUEST, /* the gateway's own connection to the server */
	LEG_GATEWAY_ANSWER,  /* back to the gateway */
	LEG_LOSS,            /* the client's first, were the gateway's link down */
	LEG_COUNT
};

enum stage {
	STAGE_CLASSIFICATION,
	STAGE_CONNECTION_MARK,
	STAGE_PACKET_MARK,
	STAGE_RULE,
	STAGE_ROUTE,
	STAGE_NEIGHBOUR,
	STAGE_GUARD,
	STAGE_COUNT
};

struct trace_stage {
	enum leg leg;
	enum stage stage;
	const char *result;
	const char *object; /* what decided it; NULL: nothing did */
	bool stops;         /* the packet goes no further */
};

enum trace_end {
	TRACE_THROUGH, /* a gateway */
	TRACE_DIRECT,  /* to the server, and the document does not say otherwise */
	TRACE_LEAKS,   /* to the server, though the document selects it */
	TRACE_DROPPED,
	TRACE_UNKNOWN, /* a part of the way cannot be evaluated */
};

/* What the live rules would make of it were the gateway's link down. */
enum trace_loss { LOSS_NOT_ASKED, LOSS_BLOCKED, LOSS_BYPASSED, LOSS_UNKNOWN };

struct trace {
	struct arena arena;
	struct connection connection; /* with its interface */
	struct trace_stage *stages;   /* in the order of legs */
	size_t stage_count, stage_room;
	const char *redirect; /* that selects it live; NULL: none */
	const char *gateway;  /* that it goes through; NULL: none */
	/* The document's: NULL when it does not select the connection. */
	const struct redirect *expected;
	enum trace_loss loss;
	enum trace_end end;
	const char *sentence;
	bool as_documented;
	const struct surroundings *around; /* the comparison's: its base chains may interfere */
};

/*
 * NULL, or what is wrong with the texts: two addresses of one family, and a
 * service such as "3389/tcp".
 */
const char *connection_parse(const char *client, const char *server, const char *service,
			     struct connection *out);

/*
 * Follows it through the live state of a comparison just made, which outlives
 * the trace; its scope asked for neighbours and surroundings. 0, or -1 with
 * *error. trace_free() is due in either case.
 */
int trace_run(struct kernel *kernel, const struct document *document,
	      const struct comparison *comparison, const struct connection *connection,
	      struct trace *out, struct error *error);
void trace_free(struct trace *trace);

/*
 * Whether a packet of the connection comes to that base chain of others, and it
 * has something to say.
 */
bool trace_meets(const struct trace *trace, const struct other_chain *chain);

const char *leg_name(enum leg leg);
const char *packet_hook_name(enum packet_hook hook);
const char *stage_name(enum stage stage);
const char *trace_end_name(enum trace_end end);
const char *trace_loss_name(enum trace_loss loss);

#endif
