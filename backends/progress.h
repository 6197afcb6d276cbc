/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKENDS_PROGRESS_H
#define BACKENDS_PROGRESS_H

#include <stddef.h>

/* Who is told how far the reading or writing of elements is: often, so it has to be cheap. */
struct progress {
	/* "sent" 10 of 20; total is 0 where it is not known. */
	void (*tell)(struct progress *progress, const char *what, size_t done, size_t total);
};

#endif
