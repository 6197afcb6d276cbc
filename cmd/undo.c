/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/undo.h"

#include <string.h>
#include <time.h>

#include "backends/audit.h"
#include "backends/boot.h"
#include "backends/guard.h"
#include "backends/live.h"
#include "backends/lock.h"
#include "backends/memory.h"
#include "backends/record.h"
#include "reconcile/digest.h"
#include "reconcile/reconcile.h"
#include "reconcile/report.h"

/* How often and for how long the guard tries what did not succeed: one hour. */
enum { RETRY_MS = 10000, RETRIES = 360 };

static int not_decoded(struct error *error)
{
	return error_set(error, "damaged-journal",
			 "the note of how to undo the change holds no valid document; run `detour "
			 "apply` with the document that should hold");
}

static int document_of(const struct journal *journal, struct document *document,
		       struct error *error)
{
	struct faults faults = { 0 };
	int result;

	document_empty(document);
	if (json_is_null(journal->document))
		return 0;
	result = document_decode_json(journal->document, document, &faults);
	faults_free(&faults);
	return result < 0 ? not_decoded(error) : 0;
}

int undo(struct kernel *kernel, const struct journal *journal, struct error *error)
{
	struct document document;
	struct scope scope = { .document = &document,
			       .everything = journal->everything,
			       .foreign = journal->foreign };
	int result = document_of(journal, &document, error);

	if (result == 0)
		result = restore(kernel, &scope, journal->before, error) ? 0 : -1;
	document_free(&document);
	if (result == 0)
		result = record_restore(journal->record, error);
	return result < 0 ? -1 : journal_remove(error);
}

int undo_for_good(struct kernel *kernel, const struct journal *journal, const char *who,
		  const char *reason, struct error *error, struct error *forgot)
{
	int result = undo(kernel, journal, error);
	struct audit audit = {
		.verb = "revert",
		.who = who,
		.reason = reason,
		.digest = journal->digest,
		.exit = result < 0 ? EXIT_UNKNOWN_STATE : EXIT_DONE,
		.result = result < 0 ? "not achieved" : "reverted",
	};

	*forgot = (struct error){ 0 };
	audit_log(&audit);
	if (result < 0)
		return -1;
	audit_keep(&audit);
	memory_note_reverted(journal->digest, who, time(NULL), forgot);
	return 0;
}

bool journal_is_overdue(const struct journal *journal)
{
	return journal->phase == PHASE_PENDING && journal->deadline <= boot_clock();
}

int64_t journal_seconds_left(const struct journal *journal)
{
	int64_t left = journal->deadline - boot_clock();

	return left > 0 ? (left + 999) / 1000 : 0;
}

json_t *journal_pending_json(const struct journal *journal)
{
	return json_pack("{s:s,s:o,s:i,s:o,s:I,s:o,s:o,s:I,s:b}", "verb", journal->verb, "who",
			 text_json(journal->who), "pid", (int)journal->pid, "guard",
			 guard_lives(journal->guard) ? json_integer(journal->guard) : json_null(),
			 "started", (json_int_t)journal->started, "digest",
			 digest_or_null(journal->digest), "reason", text_json(journal->reason),
			 "seconds_left", (json_int_t)journal_seconds_left(journal), "overdue",
			 (int)journal_is_overdue(journal));
}

/* --- the guard ----------------------------------------------------------- */

/* What the guard's process keeps of ours. */
struct order {
	char id[sizeof(((struct journal *)NULL)->id)];
	int failures;
};

/* When to try again; 0: never. */
static int64_t retry(struct order *order)
{
	return ++order->failures < RETRIES ? boot_clock() + RETRY_MS : 0;
}

static int64_t carry_out(struct order *order, const struct journal *journal)
{
	struct error error, forgot;
	struct kernel *kernel = live_open(&error);
	int result = kernel ? undo_for_good(kernel, journal, "the guard", "no confirmation in time",
					    &error, &forgot)
			    : -1;

	live_close(kernel);
	return result < 0 ? retry(order) : 0;
}

/* The change that it was started for may be confirmed, undone or prolonged by now. */
static int64_t judge(struct order *order, bool is_asked)
{
	struct journal journal;
	struct error error;
	int64_t next = 0;

	if (journal_read(&journal, &error) == 0 && !strcmp(journal.id, order->id))
		next = !is_asked && journal.deadline > boot_clock() ? journal.deadline
								    : carry_out(order, &journal);
	journal_free(&journal);
	return next;
}

static int64_t guard_act(void *context, bool is_asked)
{
	struct order *order = context;
	struct error error;
	int64_t next;
	int lock;

	if (lock_take(LOCK_FOREVER, &lock, &error))
		return retry(order);
	next = judge(order, is_asked);
	lock_release(lock);
	return next;
}

int undo_later(struct journal *journal, struct error *error)
{
	struct order order = { 0 };

	memcpy(order.id, journal->id, sizeof(order.id));
	return guard_arm(journal->deadline, guard_act, &order, &journal->guard, error);
}
