/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a journal: a change that was interrupted is undone, one that
 * is not confirmed is undone and remembered as such. All of it under the lock.
 */
#ifndef CMD_UNDO_H
#define CMD_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/journal.h"
#include "reconcile/kernel.h"

/*
 * Leads the router back to what the journal noted, looks whether it is there,
 * and removes the journal. 0, or -1 with *error: the journal is still there.
 */
int undo(struct kernel *kernel, const struct journal *journal, struct error *error);

/*
 * The same, logged, and the document is not taken again unless it is asked
 * for. *forgot says when that could not be noted; its code is "" otherwise.
 */
int undo_for_good(struct kernel *kernel, const struct journal *journal, const char *who,
		  const char *reason, struct error *error, struct error *forgot);

bool journal_is_overdue(const struct journal *journal);

/* Starts the guard of this journal, and notes its pid in it. 0, or -1 with *error. */
int undo_later(struct journal *journal, struct error *error);

/* How long until it is undone, rounded up; 0 when it is overdue. */
int64_t journal_seconds_left(const struct journal *journal);

/* For reports: who, what, how long. The caller owns it. */
json_t *journal_pending_json(const struct journal *journal);

#endif
