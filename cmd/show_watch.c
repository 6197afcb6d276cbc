/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show --watch: the picture on the terminal's other screen, or a line of JSON, each second. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cmd/signals.h"
#include "cmd/terminal.h"
#include "cmd/verbs.h"

/* Of xterm (ctlseqs, "DEC Private Mode Set"), which all terminals of today follow. */
#define SCREEN_OTHER "\033[?1049h"
#define SCREEN_USUAL "\033[?1049l"
#define CURSOR_HIDE  "\033[?25l"
#define CURSOR_SHOW  "\033[?25h"
#define WRAP_OFF     "\033[?7l"
#define WRAP_ON      "\033[?7h"
#define HOME         "\033[H"
#define ERASE_LINE   "\033[K"
#define ERASE_BELOW  "\033[J"

enum { PERIOD_MS = 1000 };

/* --- the screen ----------------------------------------------------------- */

/* Global for atexit(): without memory the program ends in the middle of a look. */
static struct termios usual;
static bool is_other;

static void screen_leave(void)
{
	if (!is_other)
		return;
	is_other = false;
	fputs(WRAP_ON CURSOR_SHOW SCREEN_USUAL, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
}

static void screen_enter(void)
{
	struct termios quiet;

	if (tcgetattr(STDIN_FILENO, &usual) < 0 || atexit(screen_leave) != 0)
		return;
	quiet = usual;
	quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	quiet.c_cc[VMIN] = 1;
	quiet.c_cc[VTIME] = 0;
	/* They would end or stop the program with the screen as it is. */
	quiet.c_cc[VQUIT] = quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	is_other = true;
	fputs(SCREEN_OTHER CURSOR_HIDE WRAP_OFF, stdout);
}

/* Line by line over what was there: erasing all of it first would flicker. */
static void screen_draw(const char *text)
{
	const char *hint = "q ends it";
	char clock[16];
	time_t now = time(NULL);
	struct tm local;
	size_t left = 0;

	fputs(HOME, stdout);
	for (size_t rows = terminal_rows() - 1; *text && rows; rows--) {
		size_t bytes = strcspn(text, "\n");

		printf(ERASE_LINE "%.*s\n", (int)bytes, text);
		text += bytes + (text[bytes] == '\n');
	}
	for (; *text; text++)
		left += *text == '\n';
	strftime(clock, sizeof(clock), "%T", localtime_r(&now, &local));
	if (left)
		printf(ERASE_BELOW "%s, %zu more lines do not fit; %s", clock, left, hint);
	else
		printf(ERASE_BELOW "%s; %s", clock, hint);
}

/* --- one look ------------------------------------------------------------- */

static void draw(const struct context *context)
{
	const struct options *options = context->options;
	const struct canvas canvas = terminal_canvas(options->colour);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	report_errors(&context->report, out);
	if (context->report.picture && !(options->quiet && context->report.exit == EXIT_DONE))
		report_show(&context->report, &canvas, out);
	if (fclose(out) == 0)
		screen_draw(text);
	free(text);
}

static void tell(struct context *context)
{
	const struct options *options = context->options;

	context_report(context);
	if (!options->json)
		draw(context);
	else if (!options->quiet || context->report.exit != EXIT_DONE)
		report_json_line(&context->report, stdout);
	fflush(stdout);
}

/* --- one after another ---------------------------------------------------- */

/* Also when the terminal is gone. */
static bool is_quit_pressed(void)
{
	char keys[64];
	ssize_t got = read(STDIN_FILENO, keys, sizeof(keys));

	return got <= 0 || memchr(keys, 'q', (size_t)got);
}

/* False: it is to end. */
static bool wait_for_next(int signals)
{
	struct pollfd waits[] = {
		{ signals, POLLIN, 0 },
		{ is_other ? STDIN_FILENO : -1, POLLIN, 0 },
	};

	if (ferror(stdout))
		return false;
	poll(waits, sizeof(waits) / sizeof(*waits), PERIOD_MS);
	return !signals_next(signals) && !(waits[1].revents && is_quit_pressed());
}

static bool has_failed(const struct context *context)
{
	return context->report.exit == EXIT_ERROR || context->report.exit == EXIT_USAGE;
}

static void watch(struct context *context, int signals)
{
	show_look(context);
	/* What fails at once is told where it stays to be read. */
	if (has_failed(context))
		return;
	if (!context->options->json)
		screen_enter();
	tell(context);
	while (wait_for_next(signals)) {
		context_reset(context);
		show_look(context);
		tell(context);
	}
	screen_leave();
	context->has_printed = !has_failed(context) || context->options->json;
}

static bool has_terminal(struct context *context)
{
	if (context->options->json || (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
		return true;
	context->report.exit = EXIT_USAGE;
	error_set(&context->error, "usage",
		  "show --watch draws on a terminal and takes its keys: run it on one with a file "
		  "that is named, or with --json");
	return false;
}

void show_watch(struct context *context)
{
	int signals = -1;

	if (!has_terminal(context) || !context_load(context))
		return;
	context->report.exit = EXIT_ERROR;
	if (signals_open(&signals, &context->error) == 0) {
		watch(context, signals);
		close(signals);
	}
}
