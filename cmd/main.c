/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "backends/paths.h"
#include "cmd/options.h"
#include "cmd/terminal.h"
#include "cmd/verbs.h"
#include "cmd/help.h"

enum { FOR_CHANGES = OPTION_LOCK_TIMEOUT | OPTION_REASON };

static const struct verb {
	const char *name;
	void (*run)(struct context *context);
	unsigned int options; /* that belong to it, beside those of every verb */
	bool takes_file;
} verbs[] = {
	{ "validate", verb_validate, 0, true },
	{ "plan", verb_plan, OPTION_OUT | OPTION_TAKE_OVER, true },
	{ "apply", verb_apply,
	  FOR_CHANGES | OPTION_AGAIN | OPTION_ALLOW_EMPTY | OPTION_CHECK | OPTION_CONFIRM |
		  OPTION_LAST_CONFIRMED | OPTION_STRICT | OPTION_TAKE_OVER,
	  true },
	{ "drift", verb_drift, OPTION_FULL | OPTION_NAGIOS | OPTION_PROMETHEUS, true },
	{ "trace", verb_trace, OPTION_CLIENT | OPTION_SERVER | OPTION_SERVICE | OPTION_IN, true },
	{ "destroy", verb_destroy, FOR_CHANGES | OPTION_CHECK | OPTION_CONFIRM, false },
	{ "confirm", verb_confirm, FOR_CHANGES, false },
	{ "revert", verb_revert, FOR_CHANGES, false },
	{ "recover", verb_recover, FOR_CHANGES, false },
	{ "status", verb_status, 0, false },
	{ "import", verb_import, 0, false },
	{ "show", verb_show, OPTION_ONLY | OPTION_SVG | OPTION_WATCH, true },
	{ "watch", verb_watch, OPTION_PROTECT | OPTION_REPAIR, true },
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static const struct verb *choose_verb(const struct options *options, struct error *error)
{
	const struct verb *verb;

	if (!options->verb) {
		error_set(error, "usage", "which verb? see detour --help");
		return NULL;
	}
	verb = find_verb(options->verb);
	if (!verb)
		error_set(error, "usage", "%s: no such verb; see detour --help", options->verb);
	else if (options->file && !verb->takes_file)
		error_set(error, "usage", "%s takes no file", verb->name);
	else if (options->given & ~verb->options)
		error_set(error, "usage", "--%s does not belong to %s; see detour %s --help",
			  options_name(options->given & ~verb->options), verb->name, verb->name);
	else if (options->nagios && (options->json || options->quiet))
		error_set(error, "usage",
			  "--nagios always prints its one line: --json and --quiet do not go with "
			  "it");
	else
		return verb;
	return NULL;
}

static void show(const struct report *report, bool colour)
{
	const struct canvas canvas = terminal_canvas(colour);

	report_show(report, &canvas, stdout);
}

static void print(struct context *context)
{
	const struct options *options = context->options;
	struct report *report = &context->report;

	if (!options->json)
		report_errors(report, stderr);
	if (options->quiet && report->exit == EXIT_DONE)
		return;
	if (options->json)
		options->watch ? report_json_line(report, stdout) : report_json(report, stdout);
	else if (!strcmp(report->verb, "validate") && report->exit == EXIT_DONE)
		report_valid(report, options->colour, stdout);
	else if (report->import)
		report_import(report, options->colour, stdout, stderr);
	else if (report->trace)
		report_trace(report, options->colour, stdout);
	else if (report->picture)
		show(report, options->colour);
	else if (report->plan)
		report_text(report, options->colour, stdout);
	else
		report_change(report, options->colour, stdout);
}

/* Whoever gave --json, too, gets the one object; it says that the two do not go together. */
static bool is_plugin(const struct options *options)
{
	return options->nagios && !options->json;
}

/* The exit code. */
static int tell(struct context *context)
{
	struct report *report = &context->report;

	context_report(context);
	if (is_plugin(context->options))
		return (int)report_nagios(report, stdout);
	if (!context->has_printed)
		print(context);
	return (int)report->exit;
}

static void run_verb(struct context *context, const struct verb *verb)
{
	const struct options *options = context->options;

	context->report.exit = EXIT_ERROR;
	if (options->netns && paths_enter(options->netns, &context->error) < 0)
		return;
	context->report.file = options->file
				       ? options->file
				       : paths_resolve("/etc/detour/detour.json", context->path);
	verb->run(context);
}

static bool has_changed(const struct context *context)
{
	return context->applied.changed || context->report.changed;
}

int main(int argc, char **argv)
{
	struct context context = { .lock = -1 };
	struct options options;
	const struct verb *verb = NULL;
	int exit_code;

	if (options_parse(argc, argv, &options, &context.error) == 0) {
		if (options.help || options.version) {
			options.version ? help_version() : help_print(options.verb);
			return EXIT_DONE;
		}
		verb = choose_verb(&options, &context.error);
	}
	context.options = &options;
	context.report = (struct report){
		.verb = options.verb ? options.verb : "",
		.exit = EXIT_USAGE,
		.faults = &context.faults,
		.error = &context.error,
	};
	if (verb)
		run_verb(&context, verb);
	progress_line_end(&context.progress);
	exit_code = tell(&context);
	/*
	 * A report that did not get through must not pass for one that says "all is well". But
	 * where something was written, 1 would say that nothing was.
	 */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("detour: the report could not be written\n", stderr);
		if (exit_code == EXIT_DONE && !has_changed(&context))
			exit_code = is_plugin(&options) ? PLUGIN_UNKNOWN : EXIT_ERROR;
	}
	context_free(&context);
	return exit_code;
}
