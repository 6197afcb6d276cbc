/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/change.h"
#include "cmd/verbs.h"

/* As applying an empty document would; what a lost document left behind is found too. */
void verb_destroy(struct context *context)
{
	struct scope scope = { .document = &context->document, .everything = true };

	document_empty(&context->document);
	if (context->options->check) {
		context_compare(context, LOOK_AROUND);
		return;
	}
	context_apply(context, &scope, true);
	change_log(context);
}
