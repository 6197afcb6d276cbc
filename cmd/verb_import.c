/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/live.h"
#include "cmd/verbs.h"

static void infer(struct context *context, const struct state *observed)
{
	struct import *import = &context->import;

	import_infer(observed, import);
	for (size_t i = 0; i < import->note_count; i++)
		*ARENA_PUSH(&context->arena, context->notices, context->notice_count,
			    context->notice_room) = import->notes[i];
	context->report.import = import;
	context->report.exit = import->unexpressed.count ? EXIT_DIFFERENT : EXIT_DONE;
}

/* Reads, and writes nothing but the document to standard output. */
void verb_import(struct context *context)
{
	struct document none;
	struct scope scope = { .document = &none, .every_rp_filter = true, .foreign = true };
	struct kernel *kernel = context_kernel(context);
	struct state observed = { 0 };

	if (!kernel)
		return;
	document_empty(&none);
	if (kernel->ops->observe(kernel, &scope, &observed, &context->error) < 0)
		context->report.exit = EXIT_ERROR;
	else
		infer(context, &observed);
	state_free(&observed);
	live_close(kernel);
}
