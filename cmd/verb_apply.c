/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verbs.h"

void verb_apply(struct context *context)
{
	struct scope scope = { .document = &context->document };

	if (!context_load(context))
		return;
	if (context->options->check)
		context_compare(context);
	else
		context_apply(context, &scope, context->options->allow_empty);
}
