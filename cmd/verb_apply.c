/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/change.h"
#include "cmd/verbs.h"

static bool load(struct context *context)
{
	return context->options->last_confirmed ? context_load_confirmed(context)
						: context_load_either(context);
}

void verb_apply(struct context *context)
{
	struct scope scope = {
		.document = &context->document,
		.neighbours = true,
		.surroundings = true,
	};
	bool is_loaded = load(context);

	if (context->options->check) {
		if (is_loaded)
			context_compare(context, LOOK_AROUND);
		return;
	}
	if (is_loaded)
		context_apply(context, &scope, context->options->allow_empty);
	change_log(context);
}
