/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What standard output can show. */
#ifndef CMD_TERMINAL_H
#define CMD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Of the terminal; else what COLUMNS says; else 80. */
size_t terminal_columns(void);

/* Whether the locale (LC_ALL, LC_CTYPE, LANG) is one of UTF-8. */
bool terminal_is_utf8(void);

#endif
