/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/audit.h"
#include "backends/guard.h"
#include "backends/lock.h"
#include "cmd/change.h"
#include "cmd/undo.h"

static void show_pending(struct context *context, const struct journal *journal)
{
	context->pending = journal_pending_json(journal);
	context->report.exit = EXIT_DIFFERENT;
	if (journal_is_overdue(journal) && lock_is_free())
		context_note(context, "overdue", "run detour revert, or apply anything",
			     "the time to confirm is over, and nobody has reverted the change");
	else if (!guard_lives(journal->guard))
		context_note(context, "guard-gone", "run detour confirm or detour revert yourself",
			     "the guard that should revert the change was killed");
}

/* Reads, and holds no lock. */
void verb_status(struct context *context)
{
	struct journal journal;
	struct error ignored;

	context->report.exit = EXIT_DONE;
	context->report.shows_status = true;
	if (journal_read(&journal, &ignored) == 0 && journal.phase == PHASE_PENDING)
		show_pending(context, &journal);
	journal_free(&journal);
	change_look(context);
	context->last = audit_last();
}
