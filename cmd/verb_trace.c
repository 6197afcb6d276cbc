/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <net/if.h>
#include <string.h>

#include "backends/live.h"
#include "cmd/change.h"
#include "cmd/verbs.h"

/* False: the report says what is wrong with the options. */
static bool connection_read(struct context *context, struct connection *connection)
{
	const struct options *options = context->options;
	const char *wrong = NULL;

	if (!options->client || !options->server || !options->service)
		wrong = "trace needs --client, --server and --service; see detour trace --help";
	else
		wrong = connection_parse(options->client, options->server, options->service,
					 connection);
	if (!wrong && options->interface &&
	    (!*options->interface || strlen(options->interface) >= IFNAMSIZ))
		wrong = "--in takes the name of an interface, such as eth0";
	if (!wrong) {
		connection->interface = options->interface;
		return true;
	}
	context->report.exit = EXIT_USAGE;
	error_set(&context->error, "usage", "%s", wrong);
	return false;
}

static void follow(struct context *context, struct kernel *kernel,
		   const struct connection *connection)
{
	struct scope scope = {
		.document = &context->document,
		.neighbours = true,
		.surroundings = true,
	};

	context->report.exit = EXIT_ERROR;
	if (comparison_make(kernel, &scope, &context->comparison, &context->error) < 0)
		return;
	context->report.plan = &context->comparison.plan;
	if (trace_run(kernel, &context->document, &context->comparison, connection, &context->trace,
		      &context->error) < 0)
		return;
	context->report.trace = &context->trace;
	context->report.exit = context->trace.as_documented ? EXIT_DONE : EXIT_DIFFERENT;
}

void verb_trace(struct context *context)
{
	struct connection connection;
	struct kernel *kernel;

	if (!connection_read(context, &connection) || !context_load(context))
		return;
	kernel = context_kernel(context);
	if (!kernel)
		return;
	follow(context, kernel, &connection);
	live_close(kernel);
	change_look(context);
}
