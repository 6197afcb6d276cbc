/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far long work is: one line on the terminal of standard error, rewritten in place. */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdint.h>

#include "backends/progress.h"

struct progress_line {
	struct progress progress; /* first: whoever is told has the line */
	int64_t due;              /* boot_clock(): nothing is drawn before */
	int width;                /* of what stands there; 0: nothing */
};

/* From here on the work may be told of; it is shown once it has taken a while. */
void progress_line_begin(struct progress_line *line);

/* Erases it, so that something else can be printed. */
void progress_line_end(struct progress_line *line);

#endif
