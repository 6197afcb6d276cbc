/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One change at a time in a network namespace: flock() on the directory
 * /run/detour/COOKIE/lock, so that taking it writes nothing. Nobody else may
 * open that directory, since whoever can open it can hold the lock for ever.
 * The kernel releases it with the process, however that ends.
 */
#ifndef BACKENDS_LOCK_H
#define BACKENDS_LOCK_H

#include <stdbool.h>

#include "reconcile/error.h"

enum {
	LOCK_BUSY = 1,
	LOCK_FOREVER = -1,
};

/*
 * Waits that many seconds at most. 0 with the descriptor in *lock; LOCK_BUSY
 * with error "busy", which says who holds it; or -1 with *error.
 */
int lock_take(int seconds, int *lock, struct error *error);

/* A negative descriptor is fine. */
void lock_release(int lock);

/* Whether nobody holds it just now; false when that cannot be told. */
bool lock_is_free(void);

#endif
