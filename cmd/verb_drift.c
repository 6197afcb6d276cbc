/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <time.h>

#include "cmd/verbs.h"

static int render(const struct context *context, FILE *out)
{
	report_metrics(&context->report, &context->comparison.observed, time(NULL), out);
	return 0;
}

/* The same comparison as plan; the report words it for a monitor. */
void verb_drift(struct context *context)
{
	if (!context_load(context))
		return;
	context_compare(context, context->options->full ? LOOK_AROUND : LOOK_OWN);
	/* A file that is not renewed tells by its timestamp that nothing could be compared. */
	if (context->options->prometheus && context->comparison.made)
		context_save(context, context->options->prometheus, render);
}
