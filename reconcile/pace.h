/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a watcher looks, and when it rather waits. Bursts of events settle
 * before a look; what takes down the way to a gateway is looked at at once; and
 * whoever undoes repairs again and again is not fought, but given more and more
 * time. Pure: every time is an argument, in milliseconds of one clock.
 */
#ifndef RECONCILE_PACE_H
#define RECONCILE_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PACE_QUIET_MS = 20,       /* a burst has settled when nothing came for so long */
	PACE_LATEST_MS = 200,     /* one that does not settle is looked at after so long */
	PACE_GAP_MS = 5,          /* between two looks, however urgent */
	PACE_IDLE_MS = 60000,     /* a look without any event: some changes have none */
	PACE_BUSY_MS = 50,        /* until the lock is asked for again */
	PACE_PATIENCE = 3,        /* repairs in a row that may be undone before it backs off */
	PACE_HOLD_MS = 1000,      /* the first pause, doubled each time */
	PACE_HOLD_MAX_MS = 60000, /* and no longer than that */
	PACE_FORGET_MS = 30000,   /* a repair that lasts as long, beyond the pause, has held */
};

enum pace_urgency {
	PACE_SETTLE, /* a look once the burst is over */
	PACE_SOON,   /* at once, unless it backs off */
	PACE_NOW,    /* at once: it is nobody's doing but the link's */
};

struct pace {
	bool has_events; /* that nobody has looked at */
	int64_t first, last;
	enum pace_urgency urgency; /* the highest of them */
	int64_t looked;            /* when the last look ended */
	int64_t again;             /* when to look even without events */
	int64_t held_until;        /* nothing but PACE_NOW before that */
	int64_t hold;              /* the last pause; 0: it does not back off */
	int64_t repaired;          /* when the last repair was made */
	unsigned int undone;       /* repairs in a row that did not last */
	unsigned int failed;       /* looks in a row that came to nothing */
};

/* The first look is due at once. Also after a new document: what was before does not count. */
void pace_init(struct pace *pace, int64_t now);

void pace_event(struct pace *pace, int64_t now, enum pace_urgency urgency);

/* When to look; maybe in the past. */
int64_t pace_due(const struct pace *pace);

/* How a look came out: nothing was to be done, or nothing can be done for now. */
void pace_looked(struct pace *pace, int64_t now);

/* Somebody holds the lock. */
void pace_busy(struct pace *pace, int64_t now);

/*
 * Something was repaired; is_flap: after a link had gone and come back, which
 * is no fight. It failed. Both return for how long to hold back, 0 for not at all.
 */
int64_t pace_repaired(struct pace *pace, int64_t now, bool is_flap);
int64_t pace_failed(struct pace *pace, int64_t now);

#endif
