/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/file.h"
#include "backends/live.h"
#include "backends/memory.h"
#include "backends/paths.h"
#include "cmd/change.h"
#include "cmd/plan_file.h"
#include "cmd/verbs.h"
#include "reconcile/digest.h"
#include "reconcile/saved_plan.h"

/* --- the document -------------------------------------------------------- */

/* Decoding tells what is wrong with it; the rest is not needed for that. */
static bool is_too_large(const char *text, size_t size, bool or_plan)
{
	return size > PLAN_MAX_BYTES ||
	       (size > DOCUMENT_MAX_BYTES && !(or_plan && saved_plan_is(text, size)));
}

static char *read_all(int fd, bool or_plan, size_t *size)
{
	size_t room = 0;
	char *text = NULL;

	*size = 0;
	for (;;) {
		ssize_t got;

		if (*size == room) {
			char *grown = realloc(text, room = room ? room * 2 : 65536);

			if (!grown)
				break;
			text = grown;
		}
		got = read(fd, text + *size, room - *size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		*size += (size_t)got;
		if (!got || is_too_large(text, *size, or_plan))
			return text;
	}
	free(text);
	return NULL;
}

static char *read_document(struct context *context, bool or_plan, size_t *size)
{
	const char *file = context->report.file;
	bool from_stdin = !strcmp(file, "-");
	int fd = from_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd < 0) {
		error_set(&context->error, "unreadable", "%s: %s", file, strerror(errno));
		return NULL;
	}
	text = read_all(fd, or_plan, size);
	if (!text)
		error_set(&context->error, "unreadable", "%s: %s", file, strerror(errno));
	if (!from_stdin)
		close(fd);
	return text;
}

static bool decode(struct context *context, const char *text, size_t size, bool or_plan)
{
	if (or_plan && saved_plan_is(text, size))
		return plan_file_open(context, text, size);
	context->source = document_parse(text, size, &context->faults);
	if (!context->source)
		return false;
	return document_decode_json(context->source, &context->document, &context->faults) == 0;
}

static bool load(struct context *context, bool or_plan)
{
	size_t size;
	char *text = read_document(context, or_plan, &size);
	bool decoded;

	context->report.exit = EXIT_ERROR;
	if (!text)
		return false;
	decoded = decode(context, text, size, or_plan);
	free(text);
	if (!decoded) {
		json_decref(context->source);
		context->source = NULL;
		return false;
	}
	context->report.document = &context->document;
	context->report.exit = EXIT_DONE;
	return true;
}

bool context_load(struct context *context)
{
	return load(context, false);
}

bool context_load_either(struct context *context)
{
	return load(context, true);
}

bool context_load_confirmed(struct context *context)
{
	char *path = arena_alloc(&context->arena, PATHS_MAX);

	if (memory_has_confirmed(path))
		context->report.file = path;
	return load(context, false);
}

/* --- the kernel ---------------------------------------------------------- */

/* One line that comes and goes is for who waits at the terminal, and for nobody else. */
static bool has_onlooker(const struct context *context)
{
	const struct options *options = context->options;

	return !options->json && !options->quiet && !options->nagios && !options->watch &&
	       !context->is_unattended && isatty(STDERR_FILENO);
}

struct kernel *context_kernel(struct context *context)
{
	struct kernel *kernel = live_open(&context->error);

	if (!kernel) {
		context->report.exit = EXIT_ERROR;
	} else if (has_onlooker(context)) {
		progress_line_begin(&context->progress);
		live_show_progress(kernel, &context->progress.progress);
	}
	return kernel;
}

static enum exit_code exit_of_plan(const struct plan *plan, bool strict)
{
	if (plan->conflict_count || (strict && plan_fatal(plan)))
		return EXIT_CONFLICT;
	return plan->step_count ? EXIT_DIFFERENT : EXIT_DONE;
}

struct scope context_scope(const struct context *context, enum look look)
{
	bool takes_over = context->saved ? saved_plan_takes_over(context->saved)
					 : context->options->take_over;

	return (struct scope){
		.document = &context->document,
		.everything = !context->source,
		.neighbours = look >= LOOK_AROUND,
		.surroundings = look >= LOOK_AROUND,
		.connections = look >= LOOK_AND_COUNT || context->options->prometheus != NULL,
		.foreign = takes_over,
		.take_over = takes_over,
	};
}

void context_compare(struct context *context, enum look look)
{
	struct scope scope = context_scope(context, look);
	struct kernel *kernel = context_kernel(context);

	if (!kernel)
		return;
	if (comparison_make(kernel, &scope, &context->comparison, &context->error) < 0) {
		context->report.exit = EXIT_ERROR;
	} else {
		context->report.plan = &context->comparison.plan;
		context->report.exit =
			exit_of_plan(&context->comparison.plan, context->options->strict);
		if (!plan_file_accepts(context, &context->comparison, false))
			plan_file_report_stale(context, &context->comparison);
	}
	live_close(kernel);
	change_look(context);
}

void context_save(struct context *context, const char *path,
		  int (*render)(const struct context *context, FILE *out))
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool is_whole = out && render(context, out) == 0;

	if (!out || fclose(out) != 0 || !is_whole) {
		error_set(&context->error, "no-memory", "out of memory");
		context->report.exit = EXIT_ERROR;
	} else if (file_save(path, text, size, &context->error) != 0) {
		context->report.exit = EXIT_ERROR;
	}
	free(text);
}

static void run_apply(struct context *context, struct kernel *kernel, bool allow_empty)
{
	struct apply_options options = {
		.allow_empty = allow_empty,
		.strict = context->options->strict,
		.accept = plan_file_accepts,
		.prepare = change_prepare,
		.context = context,
		.interrupted = &change_interrupted,
	};

	apply(kernel, context->scope, &options, &context->applied);
	context->report.exit = context->applied.exit;
	context->error = context->applied.error;
	context->report.applied = &context->applied;
	context->report.document = context->scope->document;
	if (context->applied.first.made)
		context->report.plan = &context->applied.first.plan;
	change_finish(context, kernel);
	if (context->applied.latest->made)
		context->report.remaining = &context->applied.latest->plan;
	if (context->report.exit == EXIT_STALE)
		plan_file_report_stale(context, context->applied.latest);
}

void context_apply(struct context *context, const struct scope *scope, bool allow_empty)
{
	struct kernel *kernel = context_kernel(context);

	if (!kernel)
		return;
	context->scope = scope;
	if (change_lock(context)) {
		if (change_settle(context, kernel))
			run_apply(context, kernel, allow_empty);
		change_unlock(context);
	}
	live_close(kernel);
}

/* --- the end -------------------------------------------------------------- */

void context_reset(struct context *context)
{
	apply_result_free(&context->applied);
	trace_free(&context->trace);
	picture_free(&context->picture);
	comparison_free(&context->comparison);
	faults_free(&context->faults);
	journal_free(&context->journal);
	plan_free(&context->differences);
	state_free(&context->seen);
	json_decref(context->pending);
	json_decref(context->last);
	import_free(&context->import);
	arena_free(&context->arena);
	context->applied = (struct apply_result){ 0 };
	context->error = (struct error){ 0 };
	context->pending = context->last = NULL;
	context->notices = NULL;
	context->notice_count = context->notice_room = 0;
	context->has_leftover = false;
	context->scope = NULL;
	context->canonical = NULL;
	context->report = (struct report){
		.verb = context->report.verb,
		.exit = EXIT_ERROR,
		.file = context->report.file,
		.document = context->report.document,
		.faults = &context->faults,
		.error = &context->error,
	};
}

void context_free(struct context *context)
{
	context_reset(context);
	document_free(&context->document);
	json_decref(context->source);
	json_decref(context->saved);
}

/* --- what a run has to say about itself ---------------------------------- */

void context_note(struct context *context, const char *code, const char *hint, const char *format,
		  ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	*ARENA_PUSH(&context->arena, context->notices, context->notice_count,
		    context->notice_room) = (struct warning){
		.code = code,
		.message = arena_strdup(&context->arena, message),
		.hint = hint,
	};
}

void context_note_forgotten(struct context *context, const struct error *error)
{
	if (*error->code)
		context_note(context, "not-remembered",
			     "what was confirmed last, and what was reverted, is not known to the "
			     "next boot or the next apply",
			     "%s", error->message);
}

void context_report(struct context *context)
{
	struct report *report = &context->report;

	report->notices = context->notices;
	report->notice_count = context->notice_count;
	report->pending = context->pending;
	report->last = context->last;
}

const char *context_user(struct context *context)
{
	if (!context->user[0])
		user_self(context->user);
	return context->user;
}

const char *context_canonical(struct context *context)
{
	if (!context->source)
		return "";
	if (!context->canonical)
		context->canonical = digest_canonical(&context->arena, context->source);
	return context->canonical;
}

const char *context_digest(struct context *context)
{
	const char *text;

	if (context->source && !context->digest[0]) {
		text = context_canonical(context);
		digest_text(text, strlen(text), context->digest);
	}
	return context->digest;
}
