/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands around a change: one at a time; what was left behind is settled
 * first; how to undo it is on disk before the first write; who did it is kept.
 */
#ifndef CMD_CHANGE_H
#define CMD_CHANGE_H

#include <stdbool.h>

#include "cmd/verbs.h"

/* Takes the lock. From then on signals end nothing half-way. False: the report says why not. */
bool change_lock(struct context *context);
void change_unlock(struct context *context);

/*
 * Of apply and destroy, under the lock: undoes what was interrupted or is
 * overdue, and refuses what is pending or was reverted. False: the report says.
 */
bool change_settle(struct context *context, struct kernel *kernel);

/* Whether a change awaits confirmation, in time: the report refuses whatever was asked for. */
bool change_is_pending(struct context *context);

/* apply_options.prepare: the journal, and the guard of --confirm. The context is ours. */
int change_prepare(void *context, const struct comparison *first, struct error *error);

/* After apply(): the journal goes or awaits confirmation, and the document is remembered. */
void change_finish(struct context *context, struct kernel *kernel);

/* Of apply and destroy, whatever became of them: who did what, where it can be looked up. */
void change_log(struct context *context);

/*
 * For those that hold no lock: warns of a journal whose process is gone and, with
 * --check, of a document that would be refused since it was reverted. Writes nothing.
 */
void change_look(struct context *context);

/* Set by a signal once change_lock() has returned. */
extern volatile int change_interrupted;

#endif
