/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The output of a plugin: www.monitoring-plugins.org/doc/guidelines.html. */
#include "reconcile/report.h"

/* Agents cut what is longer than 1024 bytes, and the numbers come last. */
enum { TEXT_ROOM = 768 };

/*
 * Names may hold anything, from "|", where the numbers begin, to characters
 * that some monitors take for the end of a line: what is no printable ASCII
 * reads \xNN.
 */
static void print_text(const char *text, FILE *out)
{
	size_t room = TEXT_ROOM;

	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		bool plain = *at >= ' ' && *at < 0x7f && *at != '|';
		size_t width = plain ? 1 : 4;

		if (width > room) {
			fputs("...", out);
			return;
		}
		room -= width;
		fprintf(out, plain ? "%c" : "\\x%02x", *at);
	}
}

static enum plugin_state state_of(const struct report *report)
{
	const struct plan *plan = report->plan;

	if (plan && (plan->conflict_count || plan->effect >= EFFECT_OUTAGE))
		return PLUGIN_CRITICAL;
	if (!plan || report->exit == EXIT_ERROR)
		return PLUGIN_UNKNOWN;
	return plan->step_count ? PLUGIN_WARNING : PLUGIN_OK;
}

/* --- the text -------------------------------------------------------------- */

static const char *join(struct arena *arena, const char *first, const char *second)
{
	if (!*first || !*second)
		return *first ? first : second;
	return arena_printf(arena, "%s; %s", first, second);
}

/* Of several only one is told; detour drift lists them all. */
static const char *of_all(struct arena *arena, size_t count, const char *what)
{
	return count > 1 ? arena_printf(arena, " (1 of %zu %s)", count, what) : "";
}

static const char *conflict_text(struct arena *arena, const struct plan *plan)
{
	const struct conflict *first = plan->conflicts;

	if (!plan->conflict_count)
		return "";
	return arena_printf(arena, "conflict: %s %s, found %s%s", kind_name(first->kind),
			    first->object, first->found,
			    of_all(arena, plan->conflict_count, "conflicts"));
}

static const char *drift_text(struct arena *arena, const struct plan *plan)
{
	const struct step *worst = plan->steps;

	if (!plan->step_count)
		return "";
	for (size_t i = 1; i < plan->step_count; i++)
		if (plan->steps[i].effect > worst->effect)
			worst = &plan->steps[i];
	return arena_printf(arena, "drift, effect %s: %s %s is %s%s", effect_name(worst->effect),
			    kind_name(worst->kind), worst->object, drift_name(worst->drift),
			    of_all(arena, plan->step_count, "steps"));
}

static const char *error_text(struct arena *arena, const struct report *report)
{
	const struct fault *first = report->faults->items;

	if (!report->faults->count)
		return report->error->message;
	return arena_printf(arena, "%s: %s%s%s%s", report->file, first->pointer,
			    *first->pointer ? ": " : "", first->message,
			    of_all(arena, report->faults->count, "faults"));
}

static const char *text_of(struct arena *arena, const struct report *report)
{
	const struct plan *plan = report->plan;
	const char *text = "";

	if (plan)
		text = plan_in_sync(plan)
			       ? "in sync"
			       : join(arena, conflict_text(arena, plan), drift_text(arena, plan));
	return join(arena, text, error_text(arena, report));
}

/* --- the numbers ----------------------------------------------------------- */

static size_t count_fatal(const struct plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->warning_count; i++)
		count += plan->warnings[i].fatal;
	return count;
}

static void print_numbers(const struct report *report, FILE *out)
{
	const struct plan *plan = report->plan;
	size_t count[EFFECT_LEAK + 1] = { 0 };

	for (size_t i = 0; i < plan->step_count; i++)
		count[plan->steps[i].effect]++;
	fprintf(out, " | steps=%zu conflicts=%zu warnings=%zu fatal=%zu", plan->step_count,
		plan->conflict_count, plan->warning_count + report->notice_count,
		count_fatal(plan));
	for (int effect = EFFECT_LEAK; effect > EFFECT_NONE; effect--)
		fprintf(out, " %s=%zu", effect_name((enum effect)effect), count[effect]);
}

enum plugin_state report_nagios(const struct report *report, FILE *out)
{
	static const char *const words[] = {
		[PLUGIN_OK] = "OK",
		[PLUGIN_WARNING] = "WARNING",
		[PLUGIN_CRITICAL] = "CRITICAL",
		[PLUGIN_UNKNOWN] = "UNKNOWN",
	};
	enum plugin_state state = state_of(report);
	struct arena arena = { 0 };

	fprintf(out, "DETOUR %s - ", words[state]);
	print_text(text_of(&arena, report), out);
	if (report->plan)
		print_numbers(report, out);
	fputc('\n', out);
	arena_free(&arena);
	return state;
}
