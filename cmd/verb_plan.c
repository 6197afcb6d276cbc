/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/plan_file.h"
#include "cmd/verbs.h"

void verb_plan(struct context *context)
{
	enum exit_code code;

	if (!context_load(context))
		return;
	context_compare(context, LOOK_AROUND);
	code = context->report.exit;
	/* A conflict is no plan: there is nothing that could be applied. */
	if (context->options->out && (code == EXIT_DONE || code == EXIT_DIFFERENT) &&
	    plan_file_save(context))
		context->report.exit = code;
}
