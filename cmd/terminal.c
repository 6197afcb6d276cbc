/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_DEFAULT = 80, COLUMNS_MAX = 1000, ROWS_DEFAULT = 24 };

static size_t columns_of_terminal(void)
{
	const char *given = getenv("COLUMNS");
	long columns = given ? strtol(given, NULL, 10) : 0;
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return columns > 0 && columns <= COLUMNS_MAX ? (size_t)columns : COLUMNS_DEFAULT;
}

static bool is_utf8_locale(void)
{
	bool is_utf8;

	setlocale(LC_CTYPE, "");
	is_utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	setlocale(LC_CTYPE, "C");
	return is_utf8;
}

struct canvas terminal_canvas(bool colour)
{
	return (struct canvas){
		.columns = columns_of_terminal(),
		.is_ascii = !is_utf8_locale(),
		.colour = colour,
	};
}

size_t terminal_rows(void)
{
	struct winsize size = { 0 };

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row
									   : ROWS_DEFAULT;
}
