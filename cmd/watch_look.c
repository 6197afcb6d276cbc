/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "backends/boot.h"
#include "backends/live.h"
#include "backends/lock.h"
#include "backends/owner.h"
#include "cmd/change.h"
#include "cmd/watch.h"

/* A change that takes longer than that is worth a word. */
enum { BUSY_TOLD_MS = 10000 };

static bool refuse(struct context *context, const char *code, const char *message)
{
	context->report.exit = EXIT_BUSY;
	error_set(&context->error, code, "%s", message);
	return true;
}

/* --- without repair ------------------------------------------------------- */

static bool is_being_changed(struct context *context)
{
	return !lock_is_free() && refuse(context, "busy", "a change is being made");
}

static void compare(struct context *context)
{
	if (!is_being_changed(context) && !change_is_pending(context))
		context_compare(context, LOOK_OWN);
}

/* --- with repair ---------------------------------------------------------- */

static void repair(struct watch *watch)
{
	struct context *context = watch->context;
	struct scope scope = { .document = &context->document };

	if (!change_is_pending(context))
		context_apply(context, &scope, false);
	context->scope = NULL;
}

/* --- what came of it ------------------------------------------------------ */

static enum event event_of(const struct context *context)
{
	switch (context->report.exit) {
	case EXIT_DONE:
		return context->applied.changed ? EVENT_REPAIRED : EVENT_IN_SYNC;
	case EXIT_DIFFERENT:
		return context->applied.changed ? EVENT_REPAIRED : EVENT_DRIFT;
	case EXIT_CONFLICT:
		return EVENT_CONFLICT;
	case EXIT_BUSY:
		return EVENT_REFUSED;
	case EXIT_ERROR:
	case EXIT_STALE:
	case EXIT_ROLLED_BACK:
	case EXIT_UNKNOWN_STATE:
	case EXIT_USAGE:
		break;
	}
	return EVENT_FAILED;
}

/* Whoever holds the lock is about to change something: that will be looked at. */
static void wait_for_lock(struct watch *watch, int64_t now)
{
	pace_busy(&watch->pace, now);
	if (!watch->busy_since)
		watch->busy_since = now;
	if (now - watch->busy_since >= BUSY_TOLD_MS)
		watch_tell_once(watch, EVENT_REFUSED);
}

static void pace_set(struct watch *watch, enum event event, int64_t now)
{
	if (event == EVENT_REPAIRED)
		watch->hold = pace_repaired(&watch->pace, now, watch->causes & CAUSE_LINK);
	else if (event == EVENT_FAILED)
		watch->hold = pace_failed(&watch->pace, now);
	else
		pace_looked(&watch->pace, now);
}

static void judge(struct watch *watch, int64_t now)
{
	struct context *context = watch->context;
	enum event event = event_of(context);

	if (!strcmp(context->error.code, "busy")) {
		wait_for_lock(watch, now);
		return;
	}
	watch->busy_since = 0;
	watch->hold = 0;
	pace_set(watch, event, now);
	if (watch_tell_once(watch, event) && (event == EVENT_REPAIRED || event == EVENT_FAILED))
		change_log(context);
	if (watch->hold && event == EVENT_REPAIRED)
		watch_tell(watch, EVENT_BACKING_OFF);
}

static const struct comparison *latest(const struct context *context)
{
	return context->applied.latest ? context->applied.latest : &context->comparison;
}

/* --- protecting the table ------------------------------------------------- */

/* False: the report says why it is not ours. */
static bool take_table(struct context *context, bool *changed)
{
	struct kernel *kernel = context_kernel(context);
	int result = -1;

	*changed = false;
	if (!kernel)
		return false;
	if (change_lock(context)) {
		result = live_protect(kernel, changed, &context->error);
		if (result < 0)
			context->report.exit = EXIT_ERROR;
		change_unlock(context);
	}
	live_close(kernel);
	return result == 0;
}

static void protect(struct watch *watch)
{
	struct context *context = watch->context;
	int64_t now = boot_clock();
	bool changed;

	context->report.exit = EXIT_DONE;
	if (take_table(context, &changed)) {
		if (changed)
			watch_tell(watch, EVENT_PROTECTED);
	} else if (!strcmp(context->error.code, "busy")) {
		wait_for_lock(watch, now);
	} else {
		watch->is_ending = !strcmp(context->error.code, "no-protection");
		watch->hold = pace_failed(&watch->pace, now);
		watch_tell_once(watch, EVENT_FAILED);
	}
}

/* Whether the look has seen a table that is not ours alone, and may be. */
static bool is_unprotected(const struct comparison *look)
{
	const struct nft_table *table = &look->observed.nft;

	return look->made && table->exists && !table->is_owned && !owner_is_self(table->owner);
}

void watch_look(struct watch *watch)
{
	struct context *context = watch->context;
	const struct comparison *look;
	unsigned int late;
	bool must_protect;

	changes_renew(&watch->changes);
	context->report.exit = EXIT_DONE;
	if (watch->causes & CAUSE_LOST)
		watch_tell(watch, EVENT_EVENTS_LOST);
	if (watch->options.repair)
		repair(watch);
	else
		compare(context);
	/* What the look has seen may be announced, and by whom, only since it began. */
	late = events_read(watch->events);
	judge(watch, boot_clock());
	watch->is_ending = !strcmp(context->error.code, "no-protection");
	look = latest(context);
	if (look->made)
		events_concern(watch->events, &context->document, &look->observed, &look->plan);
	must_protect = watch->options.protect && is_unprotected(look);
	watch->causes = 0;
	watch_note(watch, late);
	/* What ends the watch is told with its end. */
	if (watch->is_ending)
		return;
	context_reset(context);
	if (must_protect)
		protect(watch);
	if (must_protect && !watch->is_ending)
		context_reset(context);
}
