/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line an event. What cannot be written is not: a full disk must not end the watch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends/notify.h"
#include "cmd/watch.h"
#include "reconcile/digest.h"

enum { FORMAT_VERSION = 1, STEPS_NAMED = 3, LINE_TEXT = 1024 };

static const struct {
	const char *name;
	bool is_good; /* left out with --quiet */
} events[] = {
	[EVENT_STARTED] = { "started", true },
	[EVENT_IN_SYNC] = { "in-sync", true },
	[EVENT_DRIFT] = { "drift", false },
	[EVENT_REPAIRED] = { "repaired", false },
	[EVENT_PROTECTED] = { "protected", true },
	[EVENT_CONFLICT] = { "conflict", false },
	[EVENT_REFUSED] = { "refused", false },
	[EVENT_FAILED] = { "failed", false },
	[EVENT_BACKING_OFF] = { "backing-off", false },
	[EVENT_EVENTS_LOST] = { "events-lost", true },
	[EVENT_DOCUMENT] = { "document", true },
	[EVENT_DOCUMENT_REFUSED] = { "document-refused", false },
	[EVENT_STOPPED] = { "stopped", true },
};

/* What is left to do, or was to be done. */
static const struct plan *plan_of(const struct report *report)
{
	return report->remaining && report->remaining->step_count ? report->remaining
								  : report->plan;
}

/* --- who did it ----------------------------------------------------------- */

/* Only while backing off do guesses count: of one change they would be slander. */
static struct suspect suspect_of(const struct watch *watch, enum event event)
{
	struct suspect suspect = { 0 };

	if (watch->events && (event == EVENT_DRIFT || event == EVENT_REPAIRED ||
			      event == EVENT_CONFLICT || event == EVENT_BACKING_OFF))
		suspect = *events_suspect(watch->events);
	if (!suspect.pid && event == EVENT_BACKING_OFF)
		suspect_among_daemons(&suspect);
	return suspect;
}

static const char *suspect_text(struct arena *arena, const struct suspect *suspect)
{
	if (!suspect->pid)
		return "";
	return arena_printf(
		arena, "; %s%s (process %ld)", suspect->is_certain ? "by " : "likely by ",
		*suspect->name ? suspect->name : "a program that has ended", suspect->pid);
}

/* --- text ----------------------------------------------------------------- */

/* "create route ipv4 table 103 default, create rule ..., and 7 more" */
static const char *steps_text(struct arena *arena, const struct plan *plan)
{
	const char *text = "";

	for (size_t i = 0; plan && i < plan->step_count && i < STEPS_NAMED; i++) {
		const struct step *step = &plan->steps[i];

		text = arena_printf(arena, "%s%s%s %s %s%s%s", text, i ? ", " : "",
				    action_name(step->action), kind_name(step->kind), step->object,
				    step->waits ? " waits: " : "", step->waits ? step->waits : "");
	}
	if (plan && plan->step_count > STEPS_NAMED)
		text = arena_printf(arena, "%s, and %zu more", text,
				    plan->step_count - STEPS_NAMED);
	return text;
}

static const char *conflict_text(struct arena *arena, const struct plan *plan)
{
	const struct conflict *first = plan->conflicts;

	return arena_printf(arena, "%s %s: found %s%s", kind_name(first->kind), first->object,
			    first->found, plan->conflict_count > 1 ? ", and more" : "");
}

/* Of the error, or of the first fault. */
static const char *error_text(struct arena *arena, const struct report *report)
{
	const struct faults *faults = report->faults;

	if (*report->error->code || !faults->count)
		return report->error->message;
	return arena_printf(arena, "%s: %s%s%s%s", report->file, faults->items[0].pointer,
			    *faults->items[0].pointer ? ": " : "", faults->items[0].message,
			    faults->count > 1 ? ", and more" : "");
}

static const char *repaired_text(struct arena *arena, const struct report *report)
{
	const char *what = steps_text(arena, report->plan);

	if (report->exit == EXIT_DONE)
		return arena_printf(arena, "effect was %s: %s", effect_name(report->plan->effect),
				    what);
	return arena_printf(arena, "effect was %s: %s; what remains: %s",
			    effect_name(report->plan->effect), what,
			    steps_text(arena, report->remaining));
}

static const char *event_text(const struct watch *watch, struct arena *arena, enum event event)
{
	const struct report *report = &watch->context->report;

	switch (event) {
	case EVENT_STARTED:
		return arena_printf(arena, "%s%s%s", report->file,
				    watch->options.repair ? ", drift is repaired" : "",
				    watch->options.protect ? ", the table is protected" : "");
	case EVENT_DRIFT:
		return arena_printf(arena, "effect %s: %s", effect_name(plan_of(report)->effect),
				    steps_text(arena, plan_of(report)));
	case EVENT_REPAIRED:
		return repaired_text(arena, report);
	case EVENT_CONFLICT:
		return conflict_text(arena, plan_of(report));
	case EVENT_BACKING_OFF:
		return arena_printf(arena,
				    "repairs are undone again and again; the next one in %lld s",
				    (long long)watch->hold / 1000);
	case EVENT_EVENTS_LOST:
		return "there were too many at once; everything is looked at";
	case EVENT_DOCUMENT:
		return arena_printf(arena, "%s, %.12s", report->file,
				    context_digest(watch->context));
	case EVENT_REFUSED:
	case EVENT_FAILED:
	case EVENT_DOCUMENT_REFUSED:
	case EVENT_STOPPED:
		return error_text(arena, report);
	case EVENT_IN_SYNC:
	case EVENT_PROTECTED:
		break;
	}
	return "";
}

static void print_text(const char *name, const char *text)
{
	time_t now = time(NULL);
	struct tm local;
	char when[32];

	strftime(when, sizeof(when), "%F %T", localtime_r(&now, &local));
	printf("%s %s%s%s\n", when, name, *text ? ": " : "", text);
}

/* --- JSON ----------------------------------------------------------------- */

/* "2026-11-23T09:30:14.123Z" */
static json_t *time_json(void)
{
	struct timespec now;
	struct tm universal;
	char text[48], seconds[32];

	clock_gettime(CLOCK_REALTIME, &now);
	strftime(seconds, sizeof(seconds), "%FT%T", gmtime_r(&now.tv_sec, &universal));
	snprintf(text, sizeof(text), "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
	return json_string(text);
}

static json_t *suspect_json(const struct suspect *suspect)
{
	return suspect->pid
		       ? json_pack("{s:I,s:o,s:b}", "pid", (json_int_t)suspect->pid, "name",
				   text_json(suspect->name), "certain", (int)suspect->is_certain)
		       : json_null();
}

static void print_json(const struct watch *watch, enum event event, const struct suspect *suspect)
{
	struct context *context = watch->context;
	json_t *line = json_pack("{s:i,s:s,s:o,s:s,s:o,s:o}", "format_version", FORMAT_VERSION,
				 "event", events[event].name, "time", time_json(), "document",
				 context_digest(context), "suspect", suspect_json(suspect),
				 "report", report_object(&context->report));

	if (event == EVENT_BACKING_OFF)
		json_object_set_new(line, "hold_seconds", json_real((double)watch->hold / 1000));
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(line);
}

/* --- both ----------------------------------------------------------------- */

void watch_tell(struct watch *watch, enum event event)
{
	const struct suspect suspect = suspect_of(watch, event);
	struct arena arena = { 0 };
	const char *text;

	context_report(watch->context);
	/* A line each: for whoever reads along, for the journal, and for systemd. */
	text = arena_printable(&arena,
			       arena_printf(&arena, "%s%s", event_text(watch, &arena, event),
					    suspect_text(&arena, &suspect)));
	notify_send("STATUS=%s%s%s", events[event].name, *text ? ": " : "", text);
	if (!watch->options.quiet || !events[event].is_good) {
		if (watch->options.json)
			print_json(watch, event, &suspect);
		else
			print_text(events[event].name, text);
		fflush(stdout);
		clearerr(stdout);
	}
	arena_free(&arena);
}

/* What is left to do, what is in the way, and what went wrong. */
static void state_digest(const struct context *context, char digest[DIGEST_TEXT])
{
	json_t *report = report_object(&context->report), *state = json_array();
	json_t *left = json_object_get(report, "remaining");

	json_array_append(state, left ? left : json_object_get(report, "steps"));
	json_array_append(state, json_object_get(report, "conflicts"));
	json_array_append_new(state, json_string(context->error.code));
	digest_json(state, digest);
	json_decref(state);
	json_decref(report);
}

bool watch_tell_once(struct watch *watch, enum event event)
{
	char digest[DIGEST_TEXT];

	state_digest(watch->context, digest);
	if (event != EVENT_REPAIRED && !strcmp(digest, watch->told))
		return false;
	memcpy(watch->told, digest, sizeof(digest));
	watch_tell(watch, event);
	return true;
}
