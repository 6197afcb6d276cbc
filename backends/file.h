/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files that are read by others at any moment, and survive a crash whole. */
#ifndef BACKENDS_FILE_H
#define BACKENDS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "reconcile/error.h"

enum { FILE_NOT_LASTING = 1 };

/*
 * The beginning of a small file, such as those in /proc: at most room - 1 bytes and an end.
 * Returns how many bytes, or -1 with errno; the text is "" then.
 */
ssize_t file_peek(const char *path, char *text, size_t room);

/*
 * Puts the text there, 0644, atomically and on disk; directories that are
 * missing are made, 0755. A symbolic link is replaced, not followed. 0; -1
 * with error "not-writable" when nothing was changed; or FILE_NOT_LASTING with
 * that error when it may not outlive a power cut.
 */
int file_replace(const char *path, const char *text, size_t size, struct error *error);

/*
 * Likewise, at a path that a user gave: what is no regular file, or leads to one that is none,
 * such as /dev/stdout, is left alone, with error "not-writable".
 */
int file_save(const char *path, const char *text, size_t size, struct error *error);

/* Whether that text, and no more, is there already. */
bool file_holds(const char *path, const char *text, size_t size);

/* Makes the directories that lead to the path, 0755. 0, or -1 with error "not-writable". */
int file_parents_make(const char *path, struct error *error);

/*
 * It may be gone already; what file_replace() left when its process was killed
 * goes, too. Returns as file_replace() does.
 */
int file_remove(const char *path, struct error *error);

#endif
