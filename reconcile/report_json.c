/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/report.h"

#include <string.h>

enum { FORMAT_VERSION = 1, ELEMENTS_SHOWN = 20 };

static json_t *text_or_null(const char *text)
{
	return text ? text_json(text) : json_null();
}

static json_t *table_json(const struct step *step, bool wanted)
{
	if (wanted ? step->action == ACTION_DELETE : step->action == ACTION_CREATE)
		return json_null();
	return json_pack("{s:s,s:s}", "family", "inet", "name", NFT_TABLE);
}

static json_t *side_json(const struct step *step, bool wanted, size_t limit)
{
	if (step->kind == KIND_NFT_TABLE)
		return table_json(step, wanted);
	return object_json(step, wanted ? step->after : step->before, limit);
}

static json_t *step_json(const struct step *step, size_t limit)
{
	json_t *object =
		json_pack("{s:s,s:s,s:s,s:o,s:s}", "action", action_name(step->action), "drift",
			  drift_name(step->drift), "kind", kind_name(step->kind), "object",
			  text_json(step->object), "effect", effect_name(step->effect));
	json_t *redirects = json_array();

	for (size_t i = 0; i < step->redirect_count; i++)
		json_array_append_new(redirects, text_json(step->redirects[i]));
	json_object_set_new(object, "gateway", text_or_null(step->gateway));
	json_object_set_new(object, "redirects", redirects);
	if (step->kind == KIND_NFT_ELEMENT)
		json_object_set_new(object, "count", json_integer((json_int_t)step->count));
	json_object_set_new(object, "before", side_json(step, false, limit));
	json_object_set_new(object, "after", side_json(step, true, limit));
	json_object_set_new(object, "why", text_or_null(step->why));
	if (step->waits)
		json_object_set_new(object, "waits", text_json(step->waits));
	return object;
}

static json_t *summary_json(const struct plan *plan)
{
	size_t count[4] = { 0 };

	for (size_t i = 0; plan && i < plan->step_count; i++)
		count[plan->steps[i].action]++;
	return json_pack("{s:I,s:I,s:I,s:I}", "create", (json_int_t)count[ACTION_CREATE], "update",
			 (json_int_t)count[ACTION_UPDATE], "move", (json_int_t)count[ACTION_MOVE],
			 "delete", (json_int_t)count[ACTION_DELETE]);
}

json_t *steps_json(const struct plan *plan, size_t limit)
{
	json_t *list = json_array();

	for (size_t i = 0; plan && i < plan->step_count; i++)
		json_array_append_new(list, step_json(&plan->steps[i], limit));
	return list;
}

static json_t *conflicts_json(const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; plan && i < plan->conflict_count; i++) {
		const struct conflict *item = &plan->conflicts[i];

		json_array_append_new(
			list, json_pack("{s:s,s:o,s:o,s:o,s:o}", "kind", kind_name(item->kind),
					"object", text_json(item->object), "found",
					text_json(item->found), "wanted", text_json(item->wanted),
					"hint", text_json(item->hint)));
	}
	return list;
}

static void add_warnings(json_t *list, const struct warning *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct warning *item = &items[i];

		json_array_append_new(list,
				      json_pack("{s:s,s:b,s:o,s:o}", "code", item->code, "fatal",
						item->fatal, "message", text_json(item->message),
						"hint", text_json(item->hint)));
	}
}

static json_t *warnings_json(const struct report *report, const struct plan *now)
{
	json_t *list = json_array();

	add_warnings(list, report->notices, report->notice_count);
	if (now)
		add_warnings(list, now->warnings, now->warning_count);
	return list;
}

static void add_faults(json_t *object, const struct faults *faults)
{
	json_t *list;

	if (!faults || !faults->count)
		return;
	list = json_array();
	for (size_t i = 0; i < faults->count; i++)
		json_array_append_new(
			list, json_pack("{s:o,s:o}", "pointer", text_json(faults->items[i].pointer),
					"message", text_json(faults->items[i].message)));
	json_object_set_new(object, "errors", list);
}

static void add_error(json_t *object, const struct report *report)
{
	const struct apply_result *applied = report->applied;

	if (report->error && *report->error->code)
		json_object_set_new(object, "error",
				    json_pack("{s:s,s:o}", "code", report->error->code, "message",
					      text_json(report->error->message)));
	if (report->exit != EXIT_ROLLED_BACK && report->exit != EXIT_UNKNOWN_STATE)
		return;
	json_object_set_new(object, "failed_step",
			    applied && *applied->failed_step ? text_json(applied->failed_step)
							     : json_null());
	json_object_set_new(object, "rolled_back", json_boolean(applied && applied->rolled_back));
}

static void add_change(json_t *object, const char *key, const json_t *change, bool is_due)
{
	if (change || is_due)
		json_object_set_new(object, key,
				    change ? json_incref((json_t *)change) : json_null());
}

static json_t *findings_json(const struct findings *findings, const char *link)
{
	json_t *list = json_array();

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *item = &findings->items[i];

		json_array_append_new(list, json_pack("{s:s,s:o,s:o,s:o}", "kind", item->kind,
						      "object", text_json(item->object), "found",
						      text_json(item->found), link,
						      text_json(item->why)));
	}
	return list;
}

static void add_import(json_t *object, const struct import *import)
{
	if (!import)
		return;
	json_object_set(object, "document", import->document);
	json_object_set_new(object, "not_expressed", findings_json(&import->unexpressed, "why"));
	json_object_set_new(object, "duplicates", findings_json(&import->duplicates, "of"));
}

static json_t *trace_stages_json(const struct trace *trace)
{
	json_t *list = json_array();

	for (size_t i = 0; i < trace->stage_count; i++) {
		const struct trace_stage *stage = &trace->stages[i];

		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:o,s:o,s:b}", "packet", leg_name(stage->leg), "stage",
				  stage_name(stage->stage), "result", text_json(stage->result),
				  "object", text_or_null(stage->object), "stops", stage->stops));
	}
	return list;
}

static json_t *trace_others_json(const struct trace *trace)
{
	json_t *list = json_array();

	for (size_t i = 0; i < trace->around->chain_count; i++) {
		const struct other_chain *chain = &trace->around->chains[i];

		if (trace_meets(trace, chain))
			json_array_append_new(list, json_pack("{s:o,s:o,s:s,s:i}", "table",
							      text_json(chain->table), "chain",
							      text_json(chain->name), "hook",
							      packet_hook_name(chain->hook),
							      "priority", (int)chain->priority));
	}
	return list;
}

static json_t *trace_json(const struct trace *trace)
{
	const struct connection *connection = &trace->connection;
	const struct redirect *expected = trace->expected;
	char client[SPAN_TEXT], server[SPAN_TEXT], service[SPAN_TEXT];
	json_t *object =
		json_pack("{s:s,s:s,s:s,s:o}", "client",
			  address_format(connection->client, connection->family, client), "server",
			  address_format(connection->server, connection->family, server), "service",
			  service_format(&connection->service, service), "in",
			  text_json(connection->interface));

	json_object_set_new(object, "redirect", text_or_null(trace->redirect));
	json_object_set_new(object, "gateway", text_or_null(trace->gateway));
	json_object_set_new(object, "wanted_redirect",
			    text_or_null(expected ? expected->name : NULL));
	json_object_set_new(object, "wanted_gateway",
			    text_or_null(expected ? expected->gateway->name : NULL));
	json_object_set_new(object, "stages", trace_stages_json(trace));
	json_object_set_new(object, "link_down", json_string(trace_loss_name(trace->loss)));
	json_object_set_new(object, "not_evaluated", trace_others_json(trace));
	json_object_set_new(object, "end", json_string(trace_end_name(trace->end)));
	json_object_set_new(object, "sentence", text_json(trace->sentence));
	json_object_set_new(object, "as_documented", json_boolean(trace->as_documented));
	return object;
}

json_t *report_object(const struct report *report)
{
	const struct plan *now = report->remaining ? report->remaining : report->plan;
	json_t *object = json_pack(
		"{s:i,s:o,s:i,s:b,s:b,s:s}", "format_version", FORMAT_VERSION, "verb",
		text_json(report->verb), "exit", report->exit, "in_sync", now && plan_in_sync(now),
		"changed", report->applied ? report->applied->changed : report->changed, "effect",
		effect_name(report->plan ? report->plan->effect : EFFECT_NONE));

	json_object_set_new(object, "summary", summary_json(report->plan));
	json_object_set_new(object, "steps", steps_json(report->plan, ELEMENTS_SHOWN));
	if (report->remaining)
		json_object_set_new(object, "remaining",
				    steps_json(report->remaining, ELEMENTS_SHOWN));
	json_object_set_new(object, "conflicts", conflicts_json(report->plan));
	json_object_set_new(object, "warnings", warnings_json(report, now));
	add_change(object, "pending", report->pending, report->shows_status);
	add_change(object, "last", report->last, report->shows_status);
	add_import(object, report->import);
	if (report->trace)
		json_object_set_new(object, "trace", trace_json(report->trace));
	if (report->picture)
		picture_json(report->picture, object);
	add_faults(object, report->faults);
	add_error(object, report);
	return object;
}

static void print_object(const struct report *report, size_t flags, FILE *out)
{
	json_t *object = report_object(report);

	json_dumpf(object, out, flags);
	fputc('\n', out);
	json_decref(object);
}

void report_json(const struct report *report, FILE *out)
{
	print_object(report, JSON_INDENT(2), out);
}

void report_json_line(const struct report *report, FILE *out)
{
	print_object(report, JSON_COMPACT, out);
}
