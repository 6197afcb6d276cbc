/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/change.h"
#include "cmd/verbs.h"

static bool load(struct context *context)
{
	return context->options->last_confirmed ? context_load_confirmed(context)
						: context_load_either(context);
}

/* What others do on the router delays no change: plan tells it, and --strict asks for it. */
void verb_apply(struct context *context)
{
	bool is_loaded = load(context);
	struct scope scope =
		context_scope(context, context->options->strict ? LOOK_AROUND : LOOK_OWN);

	if (context->options->check) {
		if (is_loaded)
			context_compare(context, LOOK_AROUND);
		return;
	}
	if (is_loaded)
		context_apply(context, &scope, context->options->allow_empty);
	change_log(context);
}
