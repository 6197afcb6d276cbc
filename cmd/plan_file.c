/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/plan_file.h"

#include <stdlib.h>
#include <string.h>

#include "backends/file.h"
#include "backends/host.h"
#include "reconcile/saved_plan.h"

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
	written = file_replace(context->options->out, text, strlen(text), &context->error);
	free(text);
	return written == 0;
}

bool plan_file_open(struct context *context)
{
	json_t *document;
	struct host host;
	char *text;
	int decoded;

	context->saved = context->source;
	context->source = NULL;
	if (host_read(&host, &context->error) < 0 ||
	    saved_plan_check(context->saved, &host, &context->error) < 0)
		return false;
	document = json_incref((json_t *)saved_plan_document(context->saved));
	context->source = document;
	text = json_dumps(document, JSON_COMPACT);
	if (!text) {
		error_set(&context->error, "no-memory", "out of memory");
		return false;
	}
	decoded = document_decode(text, strlen(text), &context->document, &context->faults);
	free(text);
	return decoded == 0;
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
	context->report.exit = EXIT_STALE;
	context->report.plan = &context->differences;
	context->report.remaining = NULL;
}
