/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/audit.h"
#include "backends/memory.h"
#include "cmd/change.h"
#include "cmd/undo.h"

static bool may_confirm(struct context *context, const struct journal *journal)
{
	if (journal->phase == PHASE_NONE)
		error_set(&context->error, "nothing-pending", "no change waits for confirmation");
	else if (journal->phase == PHASE_APPLYING)
		error_set(&context->error, "interrupted-apply",
			  "no change waits for confirmation, but one was interrupted: run detour "
			  "recover");
	else if (journal_is_overdue(journal))
		error_set(&context->error, "overdue",
			  "the time for it is over, and the change is about to be reverted: if its "
			  "guard is gone (detour status), run detour revert");
	else
		return true;
	return false;
}

static void confirm(struct context *context, const struct journal *journal)
{
	struct error forgot = { 0 };
	const struct audit audit = {
		.verb = "confirm",
		.who = context_user(context),
		.reason = context->options->reason,
		.digest = journal->digest,
		.result = "confirmed",
	};

	/* Its removal is what ends the guard. */
	if (!may_confirm(context, journal) || journal_remove(&context->error) < 0)
		return;
	if (json_is_null(journal->document))
		memory_forget(&forgot);
	else
		memory_confirm(digest_canonical(&context->arena, journal->document),
			       journal->digest, &forgot);
	context_note_forgotten(context, &forgot);
	audit_log(&audit);
	audit_keep(&audit);
	context->report.exit = EXIT_DONE;
	context->report.said = "Confirmed: the change stays.";
}

void verb_confirm(struct context *context)
{
	struct journal journal;

	if (!change_lock(context))
		return;
	if (journal_read(&journal, &context->error) == 0)
		confirm(context, &journal);
	journal_free(&journal);
	change_unlock(context);
}
