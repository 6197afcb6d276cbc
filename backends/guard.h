/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that undoes a change unless it is confirmed in time. It belongs
 * to no terminal and to no session of ours, holds nothing open, ignores what a
 * hang-up sends, and takes a request to end for one to act at once.
 */
#ifndef BACKENDS_GUARD_H
#define BACKENDS_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "reconcile/error.h"

/*
 * Starts it. At the deadline (boot_clock()), or when it is asked to end, it
 * calls act, which returns the next deadline, or 0 when there is nothing left
 * to do; the guard ends then, and likewise when journal.json is removed. 0 with
 * its *pid once it stands guard, or -1 with *error. Nothing that act needs may
 * be an open file.
 */
int guard_arm(int64_t deadline, int64_t (*act)(void *context, bool is_asked), void *context,
	      pid_t *pid, struct error *error);

/* Whether a guard of that number lives. */
bool guard_lives(pid_t pid);

#endif
