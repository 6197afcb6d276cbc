/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backends/file.h"
#include "cmd/verbs.h"

/* A file that is not renewed tells by its timestamp that nothing could be compared. */
static void save_metrics(struct context *context)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out)
		report_metrics(&context->report, &context->comparison.observed, time(NULL), out);
	if (!out || fclose(out) != 0) {
		error_set(&context->error, "no-memory", "out of memory");
		context->report.exit = EXIT_ERROR;
	} else if (file_replace(context->options->prometheus, text, size, &context->error) < 0) {
		context->report.exit = EXIT_ERROR;
	}
	free(text);
}

/* The same comparison as plan; the report words it for a monitor. */
void verb_drift(struct context *context)
{
	if (!context_load(context))
		return;
	context_compare(context, context->options->full ? LOOK_AROUND : LOOK_OWN);
	if (context->options->prometheus && context->comparison.made)
		save_metrics(context);
}
