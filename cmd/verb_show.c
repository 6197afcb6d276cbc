/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verbs.h"

static int render(const struct context *context, FILE *out)
{
	return report_svg(&context->report, out);
}

void show_look(struct context *context)
{
	const char *only = context->options->only;

	context_compare(context, LOOK_AND_COUNT);
	if (!context->comparison.made)
		return;
	picture_make(&context->document, &context->comparison, &context->picture);
	if (only && picture_narrow(&context->picture, only, &context->error) < 0) {
		context->report.exit = EXIT_USAGE;
		context->report.plan = NULL; /* without a picture it would be told as plan does */
		return;
	}
	context->report.picture = &context->picture;
	if (context->report.exit == EXIT_DONE && context->picture.is_broken)
		context->report.exit = EXIT_DIFFERENT;
	if (context->options->svg)
		context_save(context, context->options->svg, render);
}

void verb_show(struct context *context)
{
	if (context->options->watch)
		show_watch(context);
	else if (context_load(context))
		show_look(context);
}
