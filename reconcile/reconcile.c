/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/reconcile.h"

#include <stdio.h>
#include <string.h>

#include "reconcile/expand.h"
#include "reconcile/state_json.h"
#include "reconcile/take_over.h"
#include "reconcile/warning.h"

/*
 * Each round observes and plans anew. A competing writer of the ruleset costs
 * a round, a retired mark costs one; more than this many and the router is not
 * at rest.
 */
enum { MAX_ROUNDS = 50 };

/* How one run over the steps ended. */
enum pass {
	PASS_DONE,        /* all that could be done was done */
	PASS_AGAIN,       /* observe again: the ruleset changed, or has to be read anew */
	PASS_FAILED,      /* *error says what; some steps may be done */
	PASS_INTERRUPTED, /* by a signal */
	PASS_STALE,       /* what there is to do is not what was asked for */
	PASS_CONFLICT,    /* a foreign object came in the way */
};

struct run {
	struct kernel *kernel;
	const struct scope *scope;
	const struct apply_options *options;
	struct apply_result *result;
	struct since since; /* the first look, when one transaction was committed after it */
	bool wrote;         /* something, in any round */
};

/* table: as the document was laid out for an earlier look, which outlives this one; or NULL. */
static int compare(struct kernel *kernel, const struct scope *scope, const struct nft_table *table,
		   struct comparison *comparison, struct error *error)
{
	*comparison = (struct comparison){ .takes_over = scope->take_over };
	if (kernel->ops->observe(kernel, scope, &comparison->observed, error) < 0)
		return -1;
	if (scope->taken)
		take_over_again(scope->document, scope->taken, &comparison->observed);
	else if (scope->take_over)
		take_over(scope->document, &comparison->observed);
	expand(scope->document, &comparison->observed, table, &comparison->desired);
	plan_build(scope->document, &comparison->desired, &comparison->observed, &comparison->plan);
	leftovers_refuse(comparison->observed.leftovers, &comparison->plan);
	warnings_of_document(scope->document, &comparison->plan);
	if (scope->surroundings)
		kernel->ops->look_around(kernel, scope->document, &comparison->around);
	warnings_of_state(scope->document, &comparison->observed,
			  scope->surroundings ? &comparison->around : NULL, &comparison->plan);
	if (!scope->everything)
		warnings_of_emptying(scope->document, &comparison->observed, &comparison->plan);
	comparison->made = true;
	return 0;
}

int comparison_make(struct kernel *kernel, const struct scope *scope, struct comparison *comparison,
		    struct error *error)
{
	return compare(kernel, scope, NULL, comparison, error);
}

void comparison_free(struct comparison *comparison)
{
	plan_free(&comparison->plan);
	surroundings_free(&comparison->around);
	state_free(&comparison->desired);
	state_free(&comparison->observed);
	comparison->made = false;
}

static bool is_nft(const struct step *step)
{
	return step->kind >= KIND_NFT_TABLE;
}

static bool is_interrupted(const struct run *run)
{
	return run->options->interrupted && *run->options->interrupted;
}

static bool is_by_hand(const struct step *step)
{
	return step->kind == KIND_HAND_RULE;
}

/*
 * The end of the run of nft steps that begins at `from`, within one side of
 * forget_at. Rules made by hand have a transaction of their own: a packet that
 * is between two hooks meets the one hook before and the other one after it.
 */
static size_t nft_end(const struct plan *plan, size_t from)
{
	size_t end = from + 1;

	while (end < plan->step_count && is_nft(&plan->steps[end]) && end != plan->forget_at &&
	       is_by_hand(&plan->steps[end]) == is_by_hand(&plan->steps[from]))
		end++;
	return end;
}

static enum pass failed(struct run *run, const struct step *step)
{
	snprintf(run->result->failed_step, sizeof(run->result->failed_step), "%s %s %s",
		 action_name(step->action), kind_name(step->kind), step->object);
	return PASS_FAILED;
}

/* Of all looks the first one alone is still there at the next. */
static void note_commit(struct run *run, const struct comparison *comparison,
			const struct step *steps, size_t count)
{
	run->since = comparison == &run->result->first
			     ? (struct since){ &comparison->observed.nft, steps, count }
			     : (struct since){ 0 };
}

static enum pass commit(struct run *run, const struct comparison *comparison, size_t from,
			size_t end)
{
	const struct step *steps = &comparison->plan.steps[from];

	switch (run->kernel->ops->commit(run->kernel, steps, end - from,
					 comparison->observed.nft.generation,
					 &run->result->error)) {
	case OUTCOME_DONE:
		run->wrote = true;
		note_commit(run, comparison, steps, end - from);
		return PASS_DONE;
	case OUTCOME_STALE:
		return PASS_AGAIN;
	case OUTCOME_UNKNOWN:
		run->wrote = true;
		return PASS_AGAIN;
	default:
		return failed(run, steps);
	}
}

/* PASS_DONE for a step that turns out to wait, too: the next observation will show it. */
static enum pass write_step(struct run *run, const struct step *step)
{
	switch (run->kernel->ops->write(run->kernel, step, &run->result->error)) {
	case OUTCOME_DONE:
		run->wrote = true;
		return PASS_DONE;
	case OUTCOME_WAITS:
		return PASS_DONE;
	case OUTCOME_STALE:
	case OUTCOME_UNKNOWN:
		run->wrote = true;
		return PASS_AGAIN;
	default:
		return failed(run, step);
	}
}

static enum pass forget_retired(struct run *run, const struct plan *plan)
{
	for (size_t i = 0; i < plan->retired_count; i++) {
		if (run->kernel->ops->forget(run->kernel, &plan->retired[i], &run->result->error) <
		    0)
			return PASS_FAILED;
		run->wrote = true;
	}
	return PASS_DONE;
}

static enum pass pass_run(struct run *run, const struct comparison *comparison)
{
	const struct plan *plan = &comparison->plan;
	enum pass pass = PASS_DONE;
	bool committed = false;
	size_t i = 0;

	while (i < plan->step_count && pass == PASS_DONE) {
		const struct step *step = &plan->steps[i];

		if (is_interrupted(run))
			return PASS_INTERRUPTED;
		if (i == plan->forget_at && forget_retired(run, plan) != PASS_DONE)
			return PASS_FAILED;
		/* The second transaction of a run needs a fresh generation, hence a fresh look. */
		if (is_nft(step) && committed)
			return PASS_AGAIN;
		if (is_nft(step)) {
			size_t end = nft_end(plan, i);

			pass = commit(run, comparison, i, end);
			committed = true;
			i = end;
			continue;
		}
		if (!step->waits)
			pass = write_step(run, step);
		i++;
	}
	/* Nothing stands behind the barrier: the marks are forgotten all the same. */
	if (pass == PASS_DONE && plan->retired_count && plan->forget_at == plan->step_count)
		return forget_retired(run, plan);
	return pass;
}

/* Another look. The first one is kept: it is what a rollback leads to. */
static int look_again(struct run *run)
{
	struct apply_result *result = run->result;
	struct scope scope = *run->scope;

	scope.since = run->since.table ? &run->since : NULL;
	/* Half of what was made by hand is not what it was: the first look decides. */
	scope.taken = scope.take_over ? &result->first.observed : NULL;
	comparison_free(&result->later);
	result->latest = &result->later;
	return compare(run->kernel, &scope, &result->first.desired.nft, &result->later,
		       &result->error);
}

static enum pass conflict_appeared(struct run *run)
{
	const struct conflict *conflict = run->result->latest->plan.conflicts;

	error_set(&run->result->error, "conflict", "%s appeared while the changes were made: %s",
		  conflict->object, conflict->found);
	return PASS_CONFLICT;
}

static bool accepts(const struct run *run)
{
	const struct apply_options *options = run->options;

	return !options->accept ||
	       options->accept(options->context, run->result->latest, run->wrote);
}

/* Whether another run over the steps is called for: PASS_AGAIN, else how it ended. */
static enum pass judge(struct run *run)
{
	if (!plan_ready_count(&run->result->latest->plan))
		return PASS_DONE;
	if (run->result->latest->plan.conflict_count)
		return conflict_appeared(run);
	if (accepts(run))
		return PASS_AGAIN;
	error_set(&run->result->error, "stale",
		  "the live state changed while the plan was applied; plan again");
	return PASS_STALE;
}

static enum pass converge(struct run *run)
{
	size_t ready_before = SIZE_MAX;

	for (int round = 0; round < MAX_ROUNDS; round++) {
		size_t ready = plan_ready_count(&run->result->latest->plan);
		enum pass pass = judge(run);
		bool stuck;

		if (pass != PASS_AGAIN)
			return pass;
		pass = pass_run(run, run->result->latest);
		if (pass == PASS_FAILED || pass == PASS_INTERRUPTED)
			return pass;
		stuck = pass == PASS_DONE && ready == ready_before;
		ready_before = pass == PASS_DONE ? ready : SIZE_MAX;
		if (look_again(run) < 0)
			return PASS_FAILED;
		/* The kernel itself says "not yet", round after round: that remains. */
		if (stuck && plan_ready_count(&run->result->latest->plan) == ready)
			return PASS_DONE;
	}
	error_set(&run->result->error, "not-at-rest",
		  "the ruleset changed during each of %d attempts; run it again when the other "
		  "program is done",
		  MAX_ROUNDS);
	return PASS_FAILED;
}

static bool is_known(const json_t *before, const struct state *now, struct error *error)
{
	const char *lost = state_lost_set(before, now);

	if (lost)
		error_set(error, "set-gone",
			  "set %s is gone, and the change, which left it alone, has not noted what "
			  "was in it; run detour apply with the document that should hold",
			  lost);
	return !lost;
}

/*
 * One look, one run over the steps back. PASS_DONE: nothing is left to undo. A step that waits (for
 * the interface of an old route, say) is no obstacle: what the kernel took away by itself is not
 * ours to bring back.
 */
static enum pass restore_round(struct run *run, const json_t *before)
{
	struct document nothing = { 0 };
	struct state now = { 0 }, target = { 0 };
	struct comparison back = { 0 };
	struct error *error = &run->result->error;
	enum pass pass = PASS_FAILED;

	if (run->kernel->ops->observe(run->kernel, run->scope, &now, error) == 0 &&
	    is_known(before, &now, error) && state_from_json(before, &now, &target, error) == 0) {
		back.observed.nft.generation = now.nft.generation;
		plan_build(&nothing, &target, &now, &back.plan);
		run->wrote = false;
		pass = back.plan.step_count ? pass_run(run, &back) : PASS_DONE;
		if (pass == PASS_DONE && run->wrote)
			pass = PASS_AGAIN;
	}
	plan_free(&back.plan);
	state_free(&target);
	state_free(&now);
	return pass;
}

bool restore(struct kernel *kernel, const struct scope *scope, const json_t *before,
	     struct error *error)
{
	/* What undoes a change is not interrupted by what interrupted the change. */
	struct apply_options patient = { 0 };
	struct apply_result result = { 0 };
	struct scope wide = *scope;
	struct run run = {
		.kernel = kernel, .scope = &wide, .options = &patient, .result = &result
	};
	enum pass pass = PASS_AGAIN;

	wide.every_rp_filter = true;
	for (int round = 0; round < MAX_ROUNDS && pass == PASS_AGAIN; round++)
		pass = restore_round(&run, before);
	*error = result.error;
	if (pass == PASS_AGAIN)
		error_set(error, "not-at-rest", "the router changed during each of %d attempts",
			  MAX_ROUNDS);
	return pass == PASS_DONE;
}

static void apply_failed(struct run *run, enum pass pass)
{
	struct apply_result *result = run->result;
	struct error obstacle;
	json_t *before;

	if (!run->wrote) {
		result->exit = pass == PASS_STALE      ? EXIT_STALE
			       : pass == PASS_CONFLICT ? EXIT_CONFLICT
						       : EXIT_ERROR;
		return;
	}
	/* All of it: whoever made it fail may have deleted what the plan leaves alone. */
	before = state_to_json(&result->first.observed, NULL);
	result->rolled_back = restore(run->kernel, run->scope, before, &obstacle);
	json_decref(before);
	if (!result->rolled_back) {
		struct error failure = result->error;

		error_set(&result->error, failure.code, "%s; and undoing what was done failed: %s",
			  failure.message, obstacle.message);
	}
	result->exit = result->rolled_back ? EXIT_ROLLED_BACK : EXIT_UNKNOWN_STATE;
	result->changed = !result->rolled_back;
	/* What is reported as remaining is what is there now, not what was there when it failed. */
	comparison_free(&result->later);
	result->latest = &result->later;
	comparison_make(run->kernel, run->scope, &result->later, &(struct error){ 0 });
}

/* Whether to go on; else *result says why not. */
static bool may_apply(const struct run *run)
{
	struct apply_result *result = run->result;
	const struct comparison *first = &result->first;

	if (!accepts(run)) {
		result->exit = EXIT_STALE;
		return false;
	}
	if (first->plan.conflict_count) {
		result->exit = EXIT_CONFLICT;
		return false;
	}
	if (run->options->strict && plan_fatal(&first->plan)) {
		const struct warning *fatal = plan_fatal(&first->plan);

		result->exit = EXIT_CONFLICT;
		error_set(&result->error, "strict", "refused by --strict, [%s] %s; %s", fatal->code,
			  fatal->message, fatal->hint);
		return false;
	}
	if (!run->options->allow_empty && !nft_redirect_count(&first->desired.nft) &&
	    nft_redirect_count(&first->observed.nft)) {
		result->exit = EXIT_ERROR;
		error_set(&result->error, "would-be-empty",
			  "the document has no enabled redirect, and %zu are live: all their "
			  "connections would reach the servers directly; if that is meant, say "
			  "--allow-empty, or use destroy",
			  nft_redirect_count(&first->observed.nft));
		return false;
	}
	return true;
}

void apply(struct kernel *kernel, const struct scope *scope, const struct apply_options *options,
	   struct apply_result *result)
{
	struct run run = { .kernel = kernel, .scope = scope, .options = options, .result = result };
	enum pass pass;

	*result = (struct apply_result){ .exit = EXIT_ERROR, .latest = &result->first };
	if (comparison_make(kernel, scope, &result->first, &result->error) < 0 || !may_apply(&run))
		return;
	if (options->prepare && plan_ready_count(&result->first.plan) &&
	    options->prepare(options->context, &result->first, &result->error) < 0)
		return;
	pass = converge(&run);
	if (pass == PASS_INTERRUPTED)
		error_set(&result->error, "interrupted", "interrupted by a signal");
	if (pass != PASS_DONE) {
		apply_failed(&run, pass);
		return;
	}
	/* What a step that waits had to say is in the remaining steps. */
	result->error = (struct error){ 0 };
	result->changed = run.wrote;
	result->exit = plan_in_sync(&result->latest->plan) ? EXIT_DONE : EXIT_DIFFERENT;
}

void apply_result_free(struct apply_result *result)
{
	comparison_free(&result->later);
	comparison_free(&result->first);
}
