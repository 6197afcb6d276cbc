/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/plan_file.h"

#include <stdlib.h>
#include <string.h>

#include "backends/file.h"
#include "backends/host.h"
#include "reconcile/saved_plan.h"

static int text_save(struct context *context, const char *text)
{
	size_t size = strlen(text);

	if (size > PLAN_MAX_BYTES)
		return error_set(
			&context->error, "too-large",
			"the plan would have %zu bytes, more than the %d that apply reads; "
			"apply the document itself, or make the change in several steps",
			size, PLAN_MAX_BYTES);
	return file_save(context->options->out, text, size, &context->error);
}

bool plan_file_save(struct context *context)
{
	struct host host;
	json_t *plan;
	char *text;
	int written;

	context->report.exit = EXIT_ERROR;
	if (host_read(&host, &context->error) < 0)
		return false;
	plan = saved_plan_make(context->source, &context->comparison, &host);
	text = json_dumps(plan, JSON_INDENT(2));
	json_decref(plan);
	if (!text) {
		error_set(&context->error, "no-memory", "out of memory");
		return false;
	}
	written = text_save(context, text);
	free(text);
	return written == 0;
}

bool plan_file_open(struct context *context, const char *text, size_t size)
{
	struct host host;

	if (context->options->take_over) {
		context->report.exit = EXIT_USAGE;
		error_set(&context->error, "usage",
			  "--take-over belongs to the plan: say plan --take-over --out");
		return false;
	}
	context->saved = saved_plan_parse(text, size, &context->error);
	if (!context->saved || host_read(&host, &context->error) < 0 ||
	    saved_plan_check(context->saved, &host, &context->error) < 0)
		return false;
	context->source = json_incref((json_t *)saved_plan_document(context->saved));
	return document_decode_json(context->source, &context->document, &context->faults) == 0;
}

bool plan_file_accepts(void *opaque, const struct comparison *look, bool wrote)
{
	const struct context *context = opaque;

	if (!context->saved)
		return true;
	return wrote ? saved_plan_covers(context->saved, &look->plan)
		     : saved_plan_holds(context->saved, look);
}

void plan_file_report_stale(struct context *context, const struct comparison *look)
{
	saved_plan_differences(context->saved, &look->observed, &context->seen,
			       &context->differences);
	if (!*context->error.code)
		error_set(&context->error, "stale",
			  "the live state is no longer the one planned against; plan again");
	context->report.exit = EXIT_STALE;
	context->report.plan = &context->differences;
	context->report.remaining = NULL;
}
