/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that others write: the document, and the journal of a change. Their
 * directories are watched, since a file is replaced rather than written.
 */
#ifndef BACKENDS_CHANGES_H
#define BACKENDS_CHANGES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/paths.h"
#include "reconcile/error.h"

/* Bits of a set. */
enum change {
	CHANGE_DOCUMENT = 1 << 0,
	CHANGE_JOURNAL = 1 << 1, /* begun, pending, confirmed or undone */
};

/* What tells a file from another one, or from itself after a change. All 0: there is none. */
struct stamp {
	uint64_t device, inode, size;
	int64_t seconds, nanoseconds;
};

struct changes {
	int fd;            /* to poll */
	int document, run; /* watch descriptors; negative: the directory is not there */
	char directory[PATHS_MAX], name[NAME_MAX + 1];
};

/* Of the document's file. 0, or -1 with *error. changes_close() is due on 0. */
int changes_open(const char *path, struct changes *changes, struct error *error);
void changes_close(struct changes *changes);

/* Watches directories that were made, or made anew, since. Call it now and then. */
void changes_renew(struct changes *changes);

/* Takes all that has arrived: a set of enum change. */
unsigned int changes_read(const struct changes *changes);

/* 0, or -1 with *error when it is not there or no regular file, whose reading may not end. */
int stamp_read(const char *path, struct stamp *stamp, struct error *error);
bool stamp_equal(const struct stamp *a, const struct stamp *b);

#endif
