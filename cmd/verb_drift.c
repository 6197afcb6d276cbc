/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verbs.h"

/* The same comparison as plan; the report words it for a monitor. */
void verb_drift(struct context *context)
{
	if (context_load(context))
		context_compare(context, context->options->full);
}
