/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What standard output can show. */
#ifndef CMD_TERMINAL_H
#define CMD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "reconcile/report.h"

/*
 * As wide as the terminal; else as COLUMNS says; else 80 columns. In ASCII unless the locale
 * (LC_ALL, LC_CTYPE, LANG) is one of UTF-8.
 */
struct canvas terminal_canvas(bool colour);

/* Lines of the terminal; 24 where it does not say. */
size_t terminal_rows(void);

#endif
