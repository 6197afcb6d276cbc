/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/audit.h"
#include "backends/live.h"
#include "cmd/change.h"
#include "cmd/undo.h"

static int recover_interrupted(struct context *context, struct kernel *kernel,
			       const struct journal *journal)
{
	int result = undo(kernel, journal, &context->error);
	const struct audit audit = {
		.verb = "recover",
		.who = context_user(context),
		.reason = context->options->reason,
		.digest = journal->digest,
		.exit = result < 0 ? EXIT_UNKNOWN_STATE : EXIT_DONE,
		.result = result < 0 ? "not achieved" : "the interrupted change is undone",
	};

	audit_log(&audit);
	if (result == 0)
		audit_keep(&audit);
	return result;
}

static int recover_overdue(struct context *context, struct kernel *kernel,
			   const struct journal *journal)
{
	struct error forgot;
	int result = undo_for_good(kernel, journal, context_user(context), context->options->reason,
				   &context->error, &forgot);

	if (result == 0)
		context_note_forgotten(context, &forgot);
	return result;
}

static void recover(struct context *context, struct kernel *kernel, const struct journal *journal)
{
	bool is_overdue = journal_is_overdue(journal);
	int result = 0;

	context->report.said = "Recovered: the state from before the change is back.";
	if (journal->phase == PHASE_APPLYING)
		result = recover_interrupted(context, kernel, journal);
	else if (is_overdue)
		result = recover_overdue(context, kernel, journal);
	else
		context->report.said = journal->phase == PHASE_NONE
					       ? "Nothing to recover."
					       : "Nothing to recover; a change waits for "
						 "confirmation.";
	context->report.exit = result < 0 ? EXIT_UNKNOWN_STATE : EXIT_DONE;
	context->report.changed = result == 0 && (journal->phase == PHASE_APPLYING || is_overdue);
}

void verb_recover(struct context *context)
{
	struct kernel *kernel = context_kernel(context);
	struct journal journal;

	if (!kernel)
		return;
	if (change_lock(context)) {
		if (journal_read(&journal, &context->error) == 0)
			recover(context, kernel, &journal);
		else
			context->report.exit = EXIT_UNKNOWN_STATE;
		journal_free(&journal);
		change_unlock(context);
	}
	live_close(kernel);
}
