/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of `detour watch`: verb_watch.c waits for whatever happens,
 * watch_look.c looks, repairs and protects, watch_document.c reads the document again,
 * watch_report.c tells about it.
 */
#ifndef CMD_WATCH_H
#define CMD_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/changes.h"
#include "backends/events.h"
#include "cmd/verbs.h"
#include "reconcile/pace.h"

/* What is told. Report words: event_name(). */
enum event {
	EVENT_STARTED,
	EVENT_IN_SYNC,
	EVENT_DRIFT,
	EVENT_REPAIRED,
	EVENT_PROTECTED, /* the table is ours alone from now on */
	EVENT_CONFLICT,
	EVENT_REFUSED, /* a change is pending, or what we would do was not wanted */
	EVENT_FAILED,
	EVENT_BACKING_OFF,
	EVENT_EVENTS_LOST,
	EVENT_DOCUMENT,         /* another one holds from now on */
	EVENT_DOCUMENT_REFUSED, /* the last good one goes on to hold */
	EVENT_STOPPED,
};

struct watch {
	struct context *context; /* has the last good document */
	struct options options;  /* ours, but without waiting for the lock */
	struct events *events;
	struct changes changes;
	struct pace pace;
	int signals;         /* signalfd() */
	unsigned int causes; /* of what happened since the last look: enum event_cause */
	int64_t busy_since;  /* when the lock was first found held; 0: it is not */
	int64_t hold;        /* EVENT_BACKING_OFF: for how many milliseconds */

	struct stamp stamp;   /* of the document's file, as last tried */
	int64_t document_due; /* when to read it again; 0: nothing has happened to it */
	bool is_refused;      /* what the file holds now */
	bool is_ending;       /* what was asked for cannot be done */

	char told[DIGEST_TEXT]; /* of the state that was told last: it is told once */
};

/* verb_watch.c */

/* A set of enum event_cause, maybe empty, that calls for a look. */
void watch_note(struct watch *watch, unsigned int causes);

/* watch_look.c */

/* Looks, repairs what it may, tells what is new, and sets the pace. */
void watch_look(struct watch *watch);

/* watch_document.c */

/* Something may have happened to the file: it is looked at once that is over. */
void watch_document_touch(struct watch *watch, int64_t now);

/* Reads it again when it has changed; is_asked: in any case. The old one holds if it is bad. */
void watch_document_read(struct watch *watch, bool is_asked);

/* From now on whatever was changed before counts as settled. */
void watch_document_begin(struct watch *watch);

/* watch_report.c */

/* Tells it, whatever was told before. The context's report says the rest. */
void watch_tell(struct watch *watch, enum event event);

/* Tells it unless the same was told last. True when it was told. */
bool watch_tell_once(struct watch *watch, enum event event);

#endif
