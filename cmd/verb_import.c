/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/live.h"
#include "cmd/verbs.h"

static void infer(struct context *context, const struct foreign *foreign)
{
	struct import *import = &context->import;

	import_infer(foreign, import);
	for (size_t i = 0; i < import->note_count; i++)
		*ARENA_PUSH(&context->arena, context->notices, context->notice_count,
			    context->notice_room) = import->notes[i];
	context->report.import = import;
	context->report.exit = import->unexpressed.count ? EXIT_DIFFERENT : EXIT_DONE;
}

/* Reads, and writes nothing but the document to standard output. */
void verb_import(struct context *context)
{
	struct kernel *kernel = context_kernel(context);
	struct foreign foreign;

	if (!kernel)
		return;
	if (live_read_foreign(kernel, &foreign, &context->error) < 0)
		context->report.exit = EXIT_ERROR;
	else
		infer(context, &foreign);
	foreign_free(&foreign);
	live_close(kernel);
}
