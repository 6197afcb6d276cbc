/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/live.h"
#include "backends/paths.h"
#include "cmd/verbs.h"

/* --- the document -------------------------------------------------------- */

/* Up to one byte more than a document may have, so that decoding can tell. */
static char *read_all(int fd, size_t *size)
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
		if (!got || *size > DOCUMENT_MAX_BYTES)
			return text;
	}
	free(text);
	return NULL;
}

static char *read_document(struct context *context, size_t *size)
{
	const char *file = context->report.file;
	bool from_stdin = !strcmp(file, "-");
	int fd = from_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd < 0) {
		error_set(&context->error, "unreadable", "%s: %s", file, strerror(errno));
		return NULL;
	}
	text = read_all(fd, size);
	if (!text)
		error_set(&context->error, "unreadable", "%s: %s", file, strerror(errno));
	if (!from_stdin)
		close(fd);
	return text;
}

bool context_load(struct context *context)
{
	size_t size;
	char *text = read_document(context, &size);
	int decoded;

	context->report.exit = EXIT_ERROR;
	if (!text)
		return false;
	decoded = document_decode(text, size, &context->document, &context->faults);
	free(text);
	if (decoded < 0)
		return false;
	context->report.document = &context->document;
	context->report.exit = EXIT_DONE;
	return true;
}

/* --- the kernel ---------------------------------------------------------- */

struct kernel *context_kernel(struct context *context)
{
	struct kernel *kernel = live_open(&context->error);

	if (!kernel)
		context->report.exit = EXIT_ERROR;
	return kernel;
}

static enum exit_code exit_of_plan(const struct plan *plan)
{
	if (plan->conflict_count)
		return EXIT_CONFLICT;
	return plan->step_count ? EXIT_DIFFERENT : EXIT_DONE;
}

void context_compare(struct context *context)
{
	struct scope scope = { .document = &context->document };
	struct kernel *kernel = context_kernel(context);

	if (!kernel)
		return;
	if (comparison_make(kernel, &scope, &context->comparison, &context->error) < 0) {
		context->report.exit = EXIT_ERROR;
	} else {
		context->report.plan = &context->comparison.plan;
		context->report.exit = exit_of_plan(&context->comparison.plan);
	}
	live_close(kernel);
}

static volatile int interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* A signal stops between two steps; what was done is undone. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

void context_apply(struct context *context, const struct scope *scope, bool allow_empty)
{
	struct apply_options options = { .allow_empty = allow_empty, .interrupted = &interrupted };
	struct kernel *kernel = context_kernel(context);

	if (!kernel)
		return;
	catch_signals();
	apply(kernel, scope, &options, &context->applied);
	live_close(kernel);
	context->report.exit = context->applied.exit;
	context->error = context->applied.error;
	context->report.applied = &context->applied;
	context->report.document = scope->document;
	if (context->applied.first.made)
		context->report.plan = &context->applied.first.plan;
	if (context->applied.latest->made)
		context->report.remaining = &context->applied.latest->plan;
}
