/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The live kernel of the network namespace that the process is in. */
#ifndef BACKENDS_LIVE_H
#define BACKENDS_LIVE_H

#include "backends/progress.h"
#include "reconcile/error.h"
#include "reconcile/kernel.h"

/* NULL with *error: "no-permission" without CAP_NET_ADMIN. live_close() is due otherwise. */
struct kernel *live_open(struct error *error);

/*
 * Makes the table, when there is one, that of this process, which is an owner
 * (owner.h), under the lock. *changed: it was not before. 0, or -1 with *error,
 * "no-protection" when this kernel cannot do it.
 */
int live_protect(struct kernel *kernel, bool *changed, struct error *error);

/* From here on it is told how far long work is. It outlives the kernel. */
void live_show_progress(struct kernel *kernel, struct progress *progress);

/* NULL is fine. */
void live_close(struct kernel *kernel);

#endif
