/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/report.h"

#include <string.h>
#include <time.h>

#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define RED    "\033[31m"
#define CYAN   "\033[36m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

struct printer {
	const struct report *report;
	bool colour;
	FILE *out;
	struct arena arena;
};

static const char *paint(const struct printer *printer, const char *colour)
{
	return printer->colour ? colour : "";
}

/* --- what it means for traffic ------------------------------------------- */

static bool concerns(const struct step *step, const char *redirect)
{
	for (size_t i = 0; i < step->redirect_count; i++)
		if (!strcmp(step->redirects[i], redirect))
			return true;
	return false;
}

/* The worst that the steps say of the redirect; -1 when none concerns it. */
static int effect_on(const struct plan *plan, const char *redirect)
{
	int worst = -1;

	for (size_t i = 0; i < plan->step_count; i++)
		/* In this order: names are compared only until the worst is found. */
		if ((int)plan->steps[i].effect > worst && concerns(&plan->steps[i], redirect))
			worst = (int)plan->steps[i].effect;
	return worst;
}

static void print_meaning(struct printer *printer, const struct redirect *redirect)
{
	static const char *const now[] = {
		[EFFECT_NONE] = "",
		[EFFECT_EXPOSED] = " (now: it would leak at the next loss)",
		[EFFECT_OUTAGE] = " (now: it is dropped)",
		[EFFECT_LEAK] = " (now: it reaches the servers directly)",
	};
	const struct report *report = printer->report;
	int effect = effect_on(report->plan, redirect->name);
	/* Done when nothing is left to do for it; the last look says so. */
	bool done = report->remaining && effect_on(report->remaining, redirect->name) < 0;

	if (!redirect->enabled || effect < 0)
		return;
	fprintf(printer->out, "%s%s\n",
		meaning_of_redirect(&printer->arena, redirect, done ? "goes" : "will go"),
		done                       ? ""
		: report->plan->is_by_hand ? " (now: by rules made by hand)"
					   : now[effect]);
	if (*redirect->description)
		fprintf(printer->out, "    %s\n", redirect->description);
	if (*redirect->gateway->description)
		fprintf(printer->out, "    %s: %s\n", redirect->gateway->name,
			redirect->gateway->description);
}

static bool is_leaving(const struct step *step)
{
	return step->kind == KIND_NFT_CHAIN && step->action == ACTION_DELETE &&
	       !strncmp(step->object, "redirect_", 9);
}

static void print_meanings(struct printer *printer)
{
	const struct plan *plan = printer->report->plan;

	for (size_t i = 0; i < printer->report->document->redirect_count; i++)
		print_meaning(printer, &printer->report->document->redirects[i]);
	for (size_t i = 0; i < plan->step_count; i++)
		if (is_leaving(&plan->steps[i]))
			fprintf(printer->out,
				"%s: new connections will go directly to the servers\n",
				plan->steps[i].object + 9);
	for (size_t i = 0; i < plan->step_count; i++)
		if (plan->steps[i].kind == KIND_NFT_TABLE && plan->steps[i].action == ACTION_DELETE)
			fputs("all connections will go directly to the servers\n", printer->out);
	if (plan->step_count)
		fputc('\n', printer->out);
}

/* --- steps --------------------------------------------------------------- */

static void print_effect(struct printer *printer, enum effect effect)
{
	static const char *const colours[] = { "", YELLOW, RED, BOLD RED };

	if (effect != EFFECT_NONE)
		fprintf(printer->out, "  %s%s%s", paint(printer, colours[effect]),
			effect_name(effect), paint(printer, PLAIN));
}

static const char *next_hop_text(struct printer *printer, const struct route *route)
{
	char address[SPAN_TEXT];

	return arena_printf(&printer->arena, "via %s dev %s%s",
			    address_format(route->gateway, route->family, address), route->dev,
			    route->taken ? " (made by hand)" : "");
}

static const char *words_text(struct printer *printer, const struct hand_rule *rule)
{
	return rule->words ? arena_printf(&printer->arena, ": %s", rule->words) : "";
}

/* What a reader needs beside the object: the values on both sides. */
static const char *detail(struct printer *printer, const struct step *step)
{
	const struct rp_filter *live = step->before, *wanted = step->after;
	const struct route *old_route = step->before, *route = step->after;

	switch (step->kind) {
	case KIND_RP_FILTER:
		if (!live)
			return arena_printf(&printer->arena, " = %d", wanted->value);
		return arena_printf(&printer->arena, " %d -> %d", live->value, wanted->value);
	case KIND_ROUTE:
		if (step->action == ACTION_UPDATE)
			return arena_printf(&printer->arena, " %s -> %s",
					    next_hop_text(printer, old_route),
					    next_hop_text(printer, route));
		return arena_printf(&printer->arena, " %s",
				    next_hop_text(printer, route ? route : old_route));
	case KIND_NFT_ELEMENT:
		if (step->count > 1)
			return arena_printf(&printer->arena, " (%zu)", step->count);
		return "";
	case KIND_HAND_RULE:
		return words_text(printer, step->before ? step->before : step->after);
	case KIND_RT_TABLE:
	case KIND_RULE:
	case KIND_NFT_TABLE:
	case KIND_NFT_CHAIN:
	case KIND_NFT_SET:
	case KIND_NFT_RULE:
	case KIND_COUNT:
		break;
	}
	return "";
}

static void print_step(struct printer *printer, const struct step *step)
{
	static const struct {
		const char *sign, *colour;
	} actions[] = {
		[ACTION_CREATE] = { "+", GREEN },
		[ACTION_UPDATE] = { "~", YELLOW },
		[ACTION_MOVE] = { ">", CYAN },
		[ACTION_DELETE] = { "-", RED },
	};

	fprintf(printer->out, "%s%s %s %s%s%s", paint(printer, actions[step->action].colour),
		actions[step->action].sign, kind_name(step->kind), step->object,
		detail(printer, step), paint(printer, PLAIN));
	print_effect(printer, step->effect);
	if (step->waits)
		fprintf(printer->out, "  waits: %s", step->waits);
	fputc('\n', printer->out);
}

/* The parts of a table that comes or goes as a whole are counted, not listed. */
static void print_folded(struct printer *printer, const struct plan *plan, size_t from, size_t to)
{
	size_t count[KIND_COUNT] = { 0 };

	for (size_t i = from; i < to; i++)
		count[plan->steps[i].kind] += plan->steps[i].count;
	fprintf(printer->out, "    with %zu chains, %zu rules, %zu sets, %zu elements\n",
		count[KIND_NFT_CHAIN], count[KIND_NFT_RULE], count[KIND_NFT_SET],
		count[KIND_NFT_ELEMENT]);
}

static void print_steps(struct printer *printer, const struct plan *plan)
{
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct step *step = &plan->steps[i];
		size_t end = i + 1;

		print_step(printer, step);
		if (step->kind != KIND_NFT_TABLE || step->action == ACTION_DELETE)
			continue;
		while (end < plan->step_count && plan->steps[end].kind > KIND_NFT_TABLE &&
		       plan->steps[end].action == ACTION_CREATE)
			end++;
		print_folded(printer, plan, i + 1, end);
		i = end - 1;
	}
}

/* --- summary, conflicts, warnings ---------------------------------------- */

static void print_conflicts(struct printer *printer, const struct plan *plan)
{
	for (size_t i = 0; i < plan->conflict_count; i++) {
		const struct conflict *item = &plan->conflicts[i];

		fprintf(printer->out, "%s! conflict: %s %s%s: found %s; wanted %s\n    %s\n",
			paint(printer, BOLD RED), kind_name(item->kind), item->object,
			paint(printer, PLAIN), item->found, item->wanted, item->hint);
	}
}

static void print_warnings(struct printer *printer, const struct warning *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct warning *item = &items[i];

		fprintf(printer->out, "%swarning%s [%s%s] %s\n    %s\n",
			paint(printer, item->fatal ? BOLD RED : YELLOW), paint(printer, PLAIN),
			item->code, item->fatal ? ", fatal" : "", item->message, item->hint);
	}
}

static const char *counted(struct printer *printer, const struct plan *plan)
{
	size_t count[4] = { 0 };

	for (size_t i = 0; i < plan->step_count; i++)
		count[plan->steps[i].action]++;
	return arena_printf(&printer->arena,
			    "%zu to create, %zu to update, %zu to move, %zu to delete",
			    count[ACTION_CREATE], count[ACTION_UPDATE], count[ACTION_MOVE],
			    count[ACTION_DELETE]);
}

static const char *summary_of_apply(struct printer *printer)
{
	const struct report *report = printer->report;
	size_t remaining = report->remaining ? report->remaining->step_count : 0;

	if (report->exit == EXIT_ROLLED_BACK)
		return "The apply failed; the live state is as before.";
	if (report->exit == EXIT_UNKNOWN_STATE)
		return "The apply failed and could not be undone; run it again.";
	if (report->exit == EXIT_CONFLICT && !report->plan->conflict_count &&
	    !(report->remaining && report->remaining->conflict_count))
		return "Nothing was changed: a warning is fatal.";
	if (report->exit == EXIT_CONFLICT)
		return "Nothing was changed: foreign objects are in the way.";
	if (report->exit == EXIT_ERROR)
		return "Nothing was changed.";
	if (!report->plan->step_count)
		return "In sync: nothing to do.";
	if (!remaining)
		return arena_printf(&printer->arena, "Done: %zu step%s applied; in sync.",
				    report->plan->step_count,
				    report->plan->step_count == 1 ? "" : "s");
	return arena_printf(&printer->arena, "%s %zu step%s.",
			    report->applied->changed ? "Applied; what remains:"
						     : "Nothing could be done yet:",
			    remaining, remaining == 1 ? "" : "s");
}

static const char *summary(struct printer *printer)
{
	const struct report *report = printer->report;

	if (report->exit == EXIT_STALE)
		return "Nothing was changed. These steps would lead back to what was planned "
		       "against.";
	if (report->applied)
		return summary_of_apply(printer);
	if (report->plan->conflict_count)
		return arena_printf(&printer->arena, "Conflict: %zu foreign object%s in the way.",
				    report->plan->conflict_count,
				    report->plan->conflict_count == 1 ? " is" : "s are");
	if (!report->plan->step_count)
		return "In sync: nothing to do.";
	if (!strcmp(report->verb, "drift"))
		return arena_printf(&printer->arena, "Drift, effect %s: %s.",
				    effect_name(report->plan->effect),
				    counted(printer, report->plan));
	return arena_printf(&printer->arena, "Plan: %s.", counted(printer, report->plan));
}

static void print_remaining(struct printer *printer)
{
	const struct report *report = printer->report;

	if (!report->remaining || !report->remaining->step_count ||
	    report->exit != EXIT_DIFFERENT || !report->applied->changed)
		return;
	fputs("\nRemaining:\n", printer->out);
	print_steps(printer, report->remaining);
}

static json_int_t number_at(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

static void print_unless_confirmed(struct printer *printer)
{
	const json_t *pending = printer->report->pending;

	if (pending)
		fprintf(printer->out,
			"%sIt is reverted in %" JSON_INTEGER_FORMAT
			" seconds unless `detour confirm` comes before.%s\n",
			paint(printer, BOLD), number_at(pending, "seconds_left"),
			paint(printer, PLAIN));
}

void report_warnings(const struct report *report, bool colour, FILE *out)
{
	const struct plan *now = report->remaining ? report->remaining : report->plan;
	struct printer printer = { .report = report, .colour = colour, .out = out };

	print_warnings(&printer, report->notices, report->notice_count);
	print_warnings(&printer, now->warnings, now->warning_count);
}

void report_text(const struct report *report, bool colour, FILE *out)
{
	struct printer printer = { .report = report, .colour = colour, .out = out };

	if (report->document)
		print_meanings(&printer);
	print_steps(&printer, report->plan);
	print_conflicts(&printer, report->plan);
	print_remaining(&printer);
	if (report->plan->step_count || report->plan->conflict_count)
		fputc('\n', out);
	fprintf(out, "%s%s%s\n", paint(&printer, BOLD), summary(&printer), paint(&printer, PLAIN));
	print_unless_confirmed(&printer);
	report_warnings(report, colour, out);
	arena_free(&printer.arena);
}

/* --- verbs without a plan ------------------------------------------------ */

static const char *text_at(struct printer *printer, const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? arena_printable(&printer->arena, text) : "";
}

static const char *time_at(struct printer *printer, const json_t *json, const char *key)
{
	time_t when = (time_t)number_at(json, key);
	struct tm local;
	char text[32];

	strftime(text, sizeof(text), "%F %T", localtime_r(&when, &local));
	return arena_strdup(&printer->arena, text);
}

static void print_reason(struct printer *printer, const json_t *json)
{
	const char *reason = text_at(printer, json, "reason");

	if (*reason)
		fprintf(printer->out, "    %s\n", reason);
}

/* destroy has none. */
static void print_document(struct printer *printer, const json_t *json)
{
	const char *digest = text_at(printer, json, "digest");

	if (*digest)
		fprintf(printer->out, ", document %.12s", digest);
}

static void print_pending(struct printer *printer, const json_t *pending)
{
	if (!pending) {
		fputs("No change waits for confirmation.\n", printer->out);
		return;
	}
	fprintf(printer->out, "%sPending: %s by %s (process %" JSON_INTEGER_FORMAT ", begun %s)",
		paint(printer, BOLD), text_at(printer, pending, "verb"),
		text_at(printer, pending, "who"), number_at(pending, "pid"),
		time_at(printer, pending, "started"));
	print_document(printer, pending);
	fprintf(printer->out, "%s\n", paint(printer, PLAIN));
	print_reason(printer, pending);
	fprintf(printer->out,
		"    %" JSON_INTEGER_FORMAT
		" seconds left; detour confirm keeps it, detour revert undoes it\n",
		number_at(pending, "seconds_left"));
}

static void print_last(struct printer *printer, const json_t *last)
{
	if (!last) {
		fputs("No change was made since boot.\n", printer->out);
		return;
	}
	fprintf(printer->out,
		"Last change: %s by %s at %s: %s (exit %" JSON_INTEGER_FORMAT
		", %" JSON_INTEGER_FORMAT " steps)",
		text_at(printer, last, "verb"), text_at(printer, last, "who"),
		time_at(printer, last, "when"), text_at(printer, last, "result"),
		number_at(last, "exit"), number_at(last, "steps"));
	print_document(printer, last);
	fputc('\n', printer->out);
	print_reason(printer, last);
}

void report_change(const struct report *report, bool colour, FILE *out)
{
	struct printer printer = { .report = report, .colour = colour, .out = out };

	if (report->said)
		fprintf(out, "%s\n", report->said);
	if (report->shows_status) {
		print_pending(&printer, report->pending);
		print_last(&printer, report->last);
	}
	print_warnings(&printer, report->notices, report->notice_count);
	arena_free(&printer.arena);
}

static void print_findings(struct printer *printer, const char *heading,
			   const struct findings *findings, const char *link)
{
	if (findings->count)
		fprintf(printer->out, "%s\n", heading);
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *item = &findings->items[i];

		fprintf(printer->out, "%s!%s %s %s: %s\n    %s%s\n", paint(printer, YELLOW),
			paint(printer, PLAIN), item->kind, item->object, item->found, link,
			item->why);
	}
}

void report_import(const struct report *report, bool colour, FILE *document, FILE *findings)
{
	struct printer printer = { .report = report, .colour = colour, .out = findings };

	json_dumpf(report->import->document, document, JSON_INDENT(2));
	fputc('\n', document);
	print_findings(&printer, "Not in the document:", &report->import->unexpressed, "");
	print_findings(&printer,
		       "Twice on the router, once in the document:", &report->import->duplicates,
		       "the same as ");
	print_warnings(&printer, report->notices, report->notice_count);
}

void report_valid(const struct report *report, bool colour, FILE *out)
{
	struct printer printer = { .report = report, .colour = colour, .out = out };

	size_t gateways = report->document->gateway_count;
	size_t redirects = report->document->redirect_count;

	fprintf(out, "%s: valid: %zu gateway%s, %zu redirect%s\n",
		arena_printable(&printer.arena, report->file), gateways, gateways == 1 ? "" : "s",
		redirects, redirects == 1 ? "" : "s");
	print_warnings(&printer, report->plan->warnings, report->plan->warning_count);
	arena_free(&printer.arena);
}

void report_errors(const struct report *report, FILE *out)
{
	struct arena arena = { 0 };

	for (size_t i = 0; report->faults && i < report->faults->count; i++) {
		const struct fault *fault = &report->faults->items[i];

		fprintf(out, "%s: %s%s%s\n", arena_printable(&arena, report->file),
			arena_printable(&arena, fault->pointer), *fault->pointer ? ": " : "",
			fault->message);
	}
	if (report->error && *report->error->code)
		fprintf(out, "detour: %s\n", arena_printable(&arena, report->error->message));
	arena_free(&arena);
}

/* --- one connection ------------------------------------------------------ */

static void print_stage(struct printer *printer, const struct trace_stage *stage)
{
	fprintf(printer->out, "  %-16s %s%s%s", stage_name(stage->stage),
		stage->stops ? paint(printer, RED) : "", stage->result,
		stage->stops ? paint(printer, PLAIN) : "");
	if (stage->object)
		fprintf(printer->out, "  [%s]", stage->object);
	fputc('\n', printer->out);
}

static void print_stages(struct printer *printer, const struct trace *trace)
{
	static const char *const headings[LEG_COUNT] = {
		[LEG_REQUEST] = "First packet of the client",
		[LEG_ANSWER] = "Answer to the client",
		[LEG_GATEWAY_REQUEST] = "The gateway's own connection",
		[LEG_GATEWAY_ANSWER] = "Answer to the gateway",
		[LEG_LOSS] = "Were the gateway's link down",
	};

	for (size_t i = 0; i < trace->stage_count; i++) {
		if (!i || trace->stages[i].leg != trace->stages[i - 1].leg)
			fprintf(printer->out, "%s%s:\n", i ? "\n" : "",
				headings[trace->stages[i].leg]);
		print_stage(printer, &trace->stages[i]);
	}
}

static void print_others(struct printer *printer, const struct trace *trace)
{
	bool any = false;

	for (size_t i = 0; i < trace->around->chain_count; i++) {
		const struct other_chain *chain = &trace->around->chains[i];

		if (!trace_meets(trace, chain))
			continue;
		if (!any)
			fputs("\nOn the way, not evaluated:\n", printer->out);
		any = true;
		fprintf(printer->out, "  chain %s of table %s, %s, priority %d%s\n",
			arena_printable(&printer->arena, chain->name),
			arena_printable(&printer->arena, chain->table),
			packet_hook_name(chain->hook), chain->priority,
			chain->is_nat ? ", address translation" : "");
	}
}

void report_trace(const struct report *report, bool colour, FILE *out)
{
	const struct trace *trace = report->trace;
	const struct connection *connection = &trace->connection;
	struct printer printer = { .report = report, .colour = colour, .out = out };
	char client[SPAN_TEXT], server[SPAN_TEXT], service[SPAN_TEXT];

	fprintf(out, "%s on %s to %s %s\n\n",
		address_format(connection->client, connection->family, client),
		arena_printable(&printer.arena, connection->interface),
		address_format(connection->server, connection->family, server),
		service_format(&connection->service, service));
	print_stages(&printer, trace);
	print_others(&printer, trace);
	fputc('\n', out);
	print_warnings(&printer, report->notices, report->notice_count);
	print_warnings(&printer, report->plan->warnings, report->plan->warning_count);
	fprintf(out, "%s%s%s\n", paint(&printer, trace->as_documented ? BOLD : BOLD RED),
		trace->sentence, paint(&printer, PLAIN));
	arena_free(&printer.arena);
}
