/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verbs.h"
#include "reconcile/warning.h"

/* The document alone: no privileges, no kernel. */
void verb_validate(struct context *context)
{
	if (!context_load(context))
		return;
	warnings_of_document(&context->document, &context->comparison.plan);
	context->report.plan = &context->comparison.plan;
}
