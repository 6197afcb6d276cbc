/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/change.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends/audit.h"
#include "backends/boot.h"
#include "backends/lock.h"
#include "backends/memory.h"
#include "backends/record.h"
#include "cmd/undo.h"
#include "reconcile/state_json.h"

#define COPY(target, text) snprintf((target), sizeof(target), "%s", (text))

volatile int change_interrupted;

/* --- the lock ------------------------------------------------------------ */

static void interrupt(int signal)
{
	(void)signal;
	change_interrupted = 1;
}

/* A signal stops an apply between two steps, and what was done is undone; all else is finished. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool change_lock(struct context *context)
{
	switch (lock_take(context->options->lock_timeout, &context->lock, &context->error)) {
	case 0:
		/* An apply may compute for long; until it writes, a signal just ends it. */
		if (!context->scope)
			catch_signals();
		return true;
	case LOCK_BUSY:
		context->report.exit = EXIT_BUSY;
		return false;
	default:
		context->report.exit = EXIT_ERROR;
		return false;
	}
}

void change_unlock(struct context *context)
{
	lock_release(context->lock);
	context->lock = -1;
}

/* --- what was left behind ------------------------------------------------ */

static const char *describe(struct context *context, const struct journal *journal)
{
	char started[32];
	time_t when = (time_t)journal->started;
	struct tm local;

	strftime(started, sizeof(started), "%F %T", localtime_r(&when, &local));
	return arena_printf(&context->arena, "change (%s by %s, process %d, begun %s)",
			    journal->verb, journal->who, (int)journal->pid, started);
}

/* Undoes it and goes on; what cannot be undone is overtaken by what is about to be applied. */
static void settle_interrupted(struct context *context, struct kernel *kernel,
			       const struct journal *journal)
{
	const char *what = describe(context, journal);
	struct error error = { 0 };
	struct audit audit = {
		.verb = "recover",
		.who = context_user(context),
		.reason = journal->reason,
		.digest = journal->digest,
		.result = "undone",
	};

	catch_signals();
	if (undo(kernel, journal, &error) == 0) {
		context_note(context, "interrupted-apply", "nothing is left to do about it",
			     "an interrupted %s was found; the state from before it was brought "
			     "back first",
			     what);
	} else {
		audit.exit = EXIT_UNKNOWN_STATE;
		audit.result = "not undone";
		context->has_leftover = true;
		context_note(context, "interrupted-apply",
			     "the document that is applied now takes its place",
			     "an interrupted %s was found, and the state from before it could not "
			     "be brought back: %s",
			     what, error.message);
	}
	audit_log(&audit);
}

static void settle_damaged(struct context *context, const struct error *why)
{
	struct error error;

	if (journal_set_aside(&error) < 0)
		context->has_leftover = true;
	context_note(context, "interrupted-apply",
		     "the document that is applied now takes its place; what it does not name and "
		     "detour made is removed",
		     "%s", why->message);
}

static bool settle_overdue(struct context *context, struct kernel *kernel,
			   const struct journal *journal)
{
	const char *what = describe(context, journal);
	struct error error, forgot;

	catch_signals();
	if (undo_for_good(kernel, journal, context_user(context), "overdue: no confirmation came",
			  &error, &forgot) < 0) {
		context->report.exit = EXIT_UNKNOWN_STATE;
		error_set(&context->error, "overdue",
			  "a %s was not confirmed in time, and could not be reverted: %s; see "
			  "detour status",
			  what, error.message);
		return false;
	}
	context_note(context, "overdue", "its guard was killed, or could not do it",
		     "a %s was not confirmed in time; it was reverted first", what);
	context_note_forgotten(context, &forgot);
	return true;
}

static void refuse_pending(struct context *context, const struct journal *journal)
{
	context->report.exit = EXIT_BUSY;
	context->pending = journal_pending_json(journal);
	error_set(&context->error, "pending",
		  "a %s waits for confirmation, %lld seconds are left: detour confirm keeps it, "
		  "detour revert undoes it",
		  describe(context, journal), (long long)journal_seconds_left(journal));
}

static bool settle_journal(struct context *context, struct kernel *kernel)
{
	struct journal journal;
	struct error error;
	bool may_go_on = true;

	if (journal_read(&journal, &error) < 0) {
		settle_damaged(context, &error);
	} else if (journal.phase == PHASE_APPLYING) {
		settle_interrupted(context, kernel, &journal);
	} else if (journal_is_overdue(&journal)) {
		may_go_on = settle_overdue(context, kernel, &journal);
	} else if (journal.phase == PHASE_PENDING) {
		refuse_pending(context, &journal);
		may_go_on = false;
	}
	journal_free(&journal);
	return may_go_on;
}

struct revert {
	char who[USER_TEXT], when[32];
};

/* Whether the document was, and nobody asks for it again. */
static bool is_reverted(struct context *context, struct revert *revert)
{
	struct tm local;
	int64_t when;
	time_t at;

	if (context->options->again || context->options->confirm ||
	    !memory_is_reverted(context_digest(context), revert->who, &when))
		return false;
	at = (time_t)when;
	strftime(revert->when, sizeof(revert->when), "%F %T", localtime_r(&at, &local));
	return true;
}

static void note_reverted(struct context *context, const struct revert *revert)
{
	context_note(context, "reverted", "apply it with --confirm SECONDS or --again",
		     "%s: this document was reverted by %s at %s", context->report.file,
		     revert->who, revert->when);
}

/* What was confirmed last is nothing, then, and a boot that leaves it at that has not failed. */
static void refuse_unconfirmed(struct context *context, const struct revert *revert)
{
	context->report.exit = EXIT_DONE;
	context->report.said = "Nothing was ever confirmed, so nothing is applied.";
	note_reverted(context, revert);
}

static bool refuse_reverted(struct context *context)
{
	struct revert revert;

	if (!is_reverted(context, &revert))
		return false;
	if (context->options->last_confirmed) {
		refuse_unconfirmed(context, &revert);
		return true;
	}
	context->report.exit = EXIT_BUSY;
	error_set(&context->error, "reverted",
		  "this document was reverted by %s at %s and is not applied again unasked: change "
		  "it, or say --confirm SECONDS or --again",
		  revert.who, revert.when);
	return true;
}

static bool is_good(enum exit_code code)
{
	return code == EXIT_DONE || code == EXIT_DIFFERENT;
}

static bool makes_another_state(const char *verb)
{
	static const char *const verbs[] = { "apply", "destroy", "confirm" };

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i], verb))
			return true;
	return false;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/*
 * Somebody ran detour by hand, for another document or none, since a watcher was
 * told which one holds: that is no drift, and undoing it would be a fight.
 */
static bool refuse_superseded(struct context *context)
{
	json_t *last = context->is_unattended ? audit_last() : NULL;
	bool is_superseded =
		last && !json_equal(last, context->known) &&
		makes_another_state(text_of(last, "verb")) &&
		is_good((enum exit_code)json_integer_value(json_object_get(last, "exit"))) &&
		strcmp(text_of(last, "digest"), context_digest(context)) != 0;

	if (is_superseded) {
		context->report.exit = EXIT_BUSY;
		error_set(&context->error, "superseded",
			  "%s by %s has put another state into force; change %s accordingly, or "
			  "send SIGHUP to go back to what it says",
			  text_of(last, "verb"), text_of(last, "who"), context->report.file);
	}
	json_decref(last);
	return is_superseded;
}

bool change_settle(struct context *context, struct kernel *kernel)
{
	return settle_journal(context, kernel) && !refuse_reverted(context) &&
	       !refuse_superseded(context);
}

bool change_is_pending(struct context *context)
{
	struct journal journal;
	struct error ignored;
	bool is_pending = journal_read(&journal, &ignored) == 0 && journal.phase == PHASE_PENDING &&
			  !journal_is_overdue(&journal);

	if (is_pending)
		refuse_pending(context, &journal);
	journal_free(&journal);
	return is_pending;
}

void change_look(struct context *context)
{
	struct journal first, second;
	struct revert revert;
	struct error error = { 0 };

	if (context->options->check && is_reverted(context, &revert))
		note_reverted(context, &revert);
	/*
	 * Nobody holds the lock while the same journal stands before and after
	 * that look: its process is gone.
	 */
	if (journal_read(&first, &error) < 0) {
		if (lock_is_free())
			context_note(context, "interrupted-apply", "run detour apply", "%s",
				     error.message);
	} else if (first.phase == PHASE_APPLYING && lock_is_free()) {
		if (journal_read(&second, &error) == 0 && second.phase == PHASE_APPLYING &&
		    !strcmp(first.id, second.id))
			context_note(context, "interrupted-apply",
				     "run detour recover, or detour apply",
				     "a %s was interrupted; the state may be anything between the "
				     "old and the new one",
				     describe(context, &first));
		journal_free(&second);
	}
	journal_free(&first);
}

/* --- before the first write ---------------------------------------------- */

/* Undoing looks at what is on the way to the gateways; all of it is for who confirms. */
static json_t *document_to_note(const struct context *context)
{
	json_t *source = context->source;

	if (!source)
		return json_null();
	if (context->options->confirm)
		return json_incref(source);
	return json_pack("{s:O,s:O,s:[]}", "version", json_object_get(source, "version"),
			 "gateways", json_object_get(source, "gateways"), "redirects");
}

static int journal_fill(struct context *context, const struct comparison *first,
			struct error *error)
{
	struct journal *journal = &context->journal;
	const struct options *options = context->options;

	journal_name(journal);
	COPY(journal->verb, options->verb);
	COPY(journal->who, context_user(context));
	COPY(journal->reason, options->reason);
	COPY(journal->digest, context_digest(context));
	journal->pid = getpid();
	journal->started = time(NULL);
	if (options->confirm)
		journal->deadline = boot_clock() + options->confirm * 1000LL;
	journal->everything = context->scope->everything;
	journal->foreign = context->scope->foreign;
	journal->document = document_to_note(context);
	/*
	 * What is undone later is noted as a whole: others may have deleted by then what the plan
	 * leaves alone. What is undone at once lacks it only when somebody did so in between.
	 */
	journal->before = state_to_json(&first->observed, options->confirm ? NULL : &first->plan);
	journal->record = record_json(error);
	if (!journal->record)
		return -1;
	journal->phase = PHASE_APPLYING;
	return 0;
}

int change_prepare(void *opaque, const struct comparison *first, struct error *error)
{
	struct context *context = opaque;
	struct journal *journal = &context->journal;
	struct error ignored;

	catch_signals();
	if (journal_fill(context, first, error) < 0)
		return -1;
	if (journal_write(journal, error) == 0 &&
	    (!context->options->confirm || undo_later(journal, error) == 0))
		return 0;
	journal_remove(&ignored);
	journal->phase = PHASE_NONE;
	return -1;
}

/* --- after the last ------------------------------------------------------ */

/* The change cannot be made final, so it must not stay: the journal would undo it one day. */
static void take_back(struct context *context, struct kernel *kernel)
{
	struct apply_result *applied = &context->applied;
	struct error failure = context->error, error = { 0 };

	applied->rolled_back = undo(kernel, &context->journal, &error) == 0 ||
			       restore(kernel, context->scope, context->journal.before, &error);
	applied->changed = !applied->rolled_back;
	applied->latest = &applied->first;
	context->report.exit = applied->rolled_back ? EXIT_ROLLED_BACK : EXIT_UNKNOWN_STATE;
	if (!applied->rolled_back)
		error_set(&context->error, failure.code, "%s; and undoing it failed: %s",
			  failure.message, error.message);
}

/* The time to confirm begins now, however long the writing took. */
static int journal_keep_pending(struct context *context)
{
	struct journal *journal = &context->journal;

	journal->phase = PHASE_PENDING;
	journal->deadline = boot_clock() + context->options->confirm * 1000LL;
	if (journal_write(journal, &context->error) < 0)
		return -1;
	context->pending = journal_pending_json(journal);
	return 0;
}

static void journal_close(struct context *context, struct kernel *kernel)
{
	struct error ignored;

	switch (context->report.exit) {
	case EXIT_DONE:
	case EXIT_DIFFERENT:
		if (context->options->confirm && context->applied.changed) {
			if (journal_keep_pending(context) < 0)
				take_back(context, kernel);
		} else if (journal_remove(&context->error) < 0) {
			take_back(context, kernel);
		}
		break;
	case EXIT_UNKNOWN_STATE:
		break;
	default:
		/* Should it stay: what it leads back to is what stands there already. */
		if (record_restore(context->journal.record, &ignored) == 0)
			journal_remove(&ignored);
	}
}

static const char *result_word(const struct context *context)
{
	switch (context->report.exit) {
	case EXIT_DONE:
		return context->pending ? "done, awaits confirmation" : "done";
	case EXIT_DIFFERENT:
		return "done but for steps that wait";
	case EXIT_ERROR:
		return "failed, nothing changed";
	case EXIT_CONFLICT:
		return "conflict, nothing changed";
	case EXIT_STALE:
		return "stale, nothing changed";
	case EXIT_ROLLED_BACK:
		return "failed and rolled back";
	case EXIT_UNKNOWN_STATE:
		return "failed, state unknown";
	case EXIT_USAGE:
	case EXIT_BUSY:
		return "refused, nothing changed";
	}
	return "";
}

static struct audit audit_of(struct context *context)
{
	return (struct audit){
		.verb = context->options->verb,
		.who = context_user(context),
		.reason = context->options->reason,
		.digest = context_digest(context),
		.steps = context->report.plan ? context->report.plan->step_count : 0,
		.exit = (int)context->report.exit,
		.result = result_word(context),
	};
}

void change_log(struct context *context)
{
	const struct audit audit = audit_of(context);

	if (!is_good(context->report.exit) || context->applied.changed)
		audit_log(&audit);
}

static void change_remember(struct context *context)
{
	struct error error = { 0 };

	if (context->source)
		memory_confirm(context_canonical(context), context_digest(context), &error);
	else
		memory_forget(&error);
	context_note_forgotten(context, &error);
}

/* Whoever takes the lock next knows of it. */
static void change_keep(struct context *context)
{
	const struct audit audit = audit_of(context);

	if (context->journal.phase != PHASE_NONE)
		audit_keep(&audit);
}

void change_finish(struct context *context, struct kernel *kernel)
{
	struct error ignored;

	if (context->journal.phase != PHASE_NONE)
		journal_close(context, kernel);
	change_keep(context);
	if (!is_good(context->report.exit))
		return;
	/* What could not be undone is now what the document says. */
	if (context->has_leftover && !context->pending)
		journal_remove(&ignored);
	/* What awaits confirmation is remembered by that; what found nothing to do awaits none. */
	if (!context->pending)
		change_remember(context);
}
