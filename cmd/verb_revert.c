/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/live.h"
#include "cmd/change.h"
#include "cmd/undo.h"

static void revert(struct context *context, struct kernel *kernel, const struct journal *journal)
{
	struct error forgot;

	if (journal->phase != PHASE_PENDING) {
		error_set(&context->error, "nothing-pending", "no change waits for confirmation%s",
			  journal->phase == PHASE_APPLYING
				  ? "; one was interrupted: detour recover undoes it"
				  : "");
		return;
	}
	if (undo_for_good(kernel, journal, context_user(context), context->options->reason,
			  &context->error, &forgot) < 0) {
		context->report.exit = EXIT_UNKNOWN_STATE;
		return;
	}
	context_note_forgotten(context, &forgot);
	context->report.exit = EXIT_DONE;
	context->report.changed = true;
	context->report.said = "Reverted: the state from before the change is back.";
}

void verb_revert(struct context *context)
{
	struct kernel *kernel = context_kernel(context);
	struct journal journal;

	if (!kernel)
		return;
	if (change_lock(context)) {
		if (journal_read(&journal, &context->error) == 0)
			revert(context, kernel, &journal);
		journal_free(&journal);
		change_unlock(context);
	}
	live_close(kernel);
}
