/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/progress.h"

#include <stdio.h>

#include "backends/boot.h"

/* Milliseconds: most work is done before anybody would ask. */
enum { UNSEEN = 500, BETWEEN = 100 };

static void draw(struct progress *progress, const char *what, size_t done, size_t total)
{
	struct progress_line *line = (struct progress_line *)progress;
	int64_t now = boot_clock();
	char text[80];
	int width;

	/* What is sent last may take the kernel long, and nothing is told meanwhile. */
	if (now < line->due && !(line->width && done == total))
		return;
	if (total)
		width = snprintf(text, sizeof(text), "%s %zu of %zu elements", what, done, total);
	else
		width = snprintf(text, sizeof(text), "%s %zu elements", what, done);
	fprintf(stderr, "\r%-*s", line->width, text);
	if (width > line->width)
		line->width = width;
	line->due = now + BETWEEN;
}

void progress_line_begin(struct progress_line *line)
{
	*line = (struct progress_line){ .progress = { draw }, .due = boot_clock() + UNSEEN };
}

void progress_line_end(struct progress_line *line)
{
	if (line->width)
		fprintf(stderr, "\r%*s\r", line->width, "");
	line->width = 0;
}
