/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loop of `detour watch`: one process, one thread, whatever happens comes by poll(). */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "backends/boot.h"
#include "backends/lock.h"
#include "backends/notify.h"
#include "backends/owner.h"
#include "cmd/signals.h"
#include "cmd/watch.h"

enum {
	WAIT_SIGNAL,
	WAIT_FILES,
	WAIT_BORROWERS,
	WAIT_EVENTS,
	WAIT_COUNT = WAIT_EVENTS + EVENTS_FDS
};

/* To wait for whoever is making a change, at the start. */
enum { LOCK_SECONDS = 10 };

/* --- the beginning and the end -------------------------------------------- */

/* Under the lock: two that start at once must not both find nobody there. */
static bool protection_open(struct context *context)
{
	int result;

	if (!context->options->protect) {
		owner_forget();
		return true;
	}
	/* Whoever holds the lock may be waiting for us. */
	if (owner_resume())
		return true;
	if (lock_take(LOCK_SECONDS, &context->lock, &context->error))
		return false;
	result = owner_open(&context->error);
	context->report.exit = result == OWNER_TAKEN ? EXIT_BUSY : EXIT_ERROR;
	lock_release(context->lock);
	context->lock = -1;
	return result == 0;
}

static bool watch_open(struct watch *watch)
{
	struct context *context = watch->context;
	const char *file = context->report.file;

	context->report.exit = EXIT_ERROR;
	if (!strcmp(file, "-")) {
		error_set(&context->error, "usage",
			  "watch reads its document again and again: name a file");
		context->report.exit = EXIT_USAGE;
		return false;
	}
	if (changes_open(file, &watch->changes, &context->error) < 0 ||
	    stamp_read(file, &watch->stamp, &context->error) < 0 || !context_load(context))
		return false;
	context->report.exit = EXIT_ERROR;
	if (signals_open(&watch->signals, &context->error) < 0 ||
	    events_open(&watch->events, &context->error) < 0 || !protection_open(context))
		return false;
	context->report.exit = EXIT_DONE;
	return true;
}

static void watch_close(struct watch *watch)
{
	owner_close();
	events_close(watch->events);
	changes_close(&watch->changes);
	if (watch->signals >= 0)
		close(watch->signals);
	json_decref(watch->context->known);
	watch->context->known = NULL;
}

/* --- what happens --------------------------------------------------------- */

/* False: it is to end. */
static bool signals_read(struct watch *watch)
{
	int signal;

	while ((signal = signals_next(watch->signals))) {
		if (signal != SIGHUP)
			return false;
		watch_document_read(watch, true);
	}
	return true;
}

static enum pace_urgency urgency_of(unsigned int causes)
{
	if (causes & CAUSE_LINK)
		return PACE_NOW;
	return causes & CAUSE_ROUTE ? PACE_SOON : PACE_SETTLE;
}

void watch_note(struct watch *watch, unsigned int causes)
{
	watch->causes |= causes;
	if (causes)
		pace_event(&watch->pace, boot_clock(), urgency_of(causes));
}

static void files_take(struct watch *watch, int64_t now)
{
	unsigned int found = changes_read(&watch->changes);

	if (found & CHANGE_DOCUMENT)
		watch_document_touch(watch, now);
	if (found & CHANGE_JOURNAL)
		pace_event(&watch->pace, now, PACE_SETTLE);
}

static int64_t earliest(const struct watch *watch, int64_t watchdog_due)
{
	int64_t due = pace_due(&watch->pace);

	if (watch->document_due && watch->document_due < due)
		due = watch->document_due;
	return watchdog_due && watchdog_due < due ? watchdog_due : due;
}

static void wait_until(struct watch *watch, int64_t due)
{
	int64_t left = due - boot_clock();
	struct pollfd waits[WAIT_COUNT] = {
		[WAIT_SIGNAL] = { watch->signals, POLLIN, 0 },
		[WAIT_FILES] = { watch->changes.fd, POLLIN, 0 },
		[WAIT_BORROWERS] = { owner_fd(), POLLIN, 0 },
	};

	events_poll(watch->events, &waits[WAIT_EVENTS]);
	poll(waits, WAIT_COUNT, left > 0 ? (int)left : 0);
}

static void act(struct watch *watch, int64_t now)
{
	if (watch->document_due && watch->document_due <= now)
		watch_document_read(watch, false);
	if (pace_due(&watch->pace) > now)
		return;
	/* Not all changes of a file are announced: it may be a link, its directory may be new. */
	watch_document_read(watch, false);
	watch_look(watch);
}

static void watch_run(struct watch *watch)
{
	int64_t watchdog = notify_watchdog(), watchdog_due = watchdog ? boot_clock() : 0;
	bool is_ready = false;

	while (signals_read(watch) && !watch->is_ending) {
		int64_t now = boot_clock();

		watch_note(watch, events_read(watch->events));
		files_take(watch, now);
		if (owner_fd() >= 0)
			owner_serve();
		act(watch, now);
		if (!is_ready)
			notify_send("READY=1");
		is_ready = true;
		if (watchdog && watchdog_due <= boot_clock()) {
			notify_send("WATCHDOG=1");
			watchdog_due = boot_clock() + watchdog;
		}
		wait_until(watch, earliest(watch, watchdog_due));
	}
	notify_send("STOPPING=1");
}

void verb_watch(struct context *context)
{
	const struct options *given = context->options;
	struct watch watch = {
		.context = context,
		.options = *given,
		.changes = { .fd = -1 },
		.signals = -1,
	};

	watch.options.lock_timeout = 0;
	context->options = &watch.options;
	context->is_unattended = true;
	if (watch_open(&watch)) {
		watch_document_begin(&watch);
		watch_tell(&watch, EVENT_STARTED);
		watch_run(&watch);
		context->report.exit = watch.is_ending ? EXIT_ERROR : EXIT_DONE;
	} else {
		/* A table that nobody can change for us would be worse than an unprotected one. */
		owner_forget();
	}
	context->has_printed = context->report.exit == EXIT_DONE || given->json;
	if (context->has_printed)
		watch_tell(&watch, EVENT_STOPPED);
	watch_close(&watch);
	context->options = given;
}
