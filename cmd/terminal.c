/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_DEFAULT = 80, COLUMNS_MAX = 1000 };

size_t terminal_columns(void)
{
	const char *given = getenv("COLUMNS");
	long columns = given ? strtol(given, NULL, 10) : 0;
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return columns > 0 && columns <= COLUMNS_MAX ? (size_t)columns : COLUMNS_DEFAULT;
}

bool terminal_is_utf8(void)
{
	bool is_utf8;

	setlocale(LC_CTYPE, "");
	is_utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	setlocale(LC_CTYPE, "C");
	return is_utf8;
}
