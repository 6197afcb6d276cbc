/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of routing tables, read where iproute2 reads them: rt_tables in /etc,
 * /usr/share or /usr/lib/iproute2, whichever is there first, and
 * rt_tables.d/{any}.conf in all three. Ours stand in a file of our own, and a line is
 * "ID NAME", the id decimal or 0x.
 */
#ifndef BACKENDS_NAMES_H
#define BACKENDS_NAMES_H

#include "reconcile/error.h"
#include "reconcile/plan.h"
#include "reconcile/state.h"

/*
 * Appends all names of our own file, and others' where the id or the name is one that
 * the document uses; without a document, all. Lines that iproute2 would not understand are passed
 * over. 0, or -1 with *error.
 */
int names_read(const struct document *document, struct state *out, struct error *error);

/*
 * Creates, changes or deletes one entry of our file; the file and its directory
 * are made when missing, and the file goes with its last entry. Of another
 * file, takes out the one line that a name stands in, or puts it back there.
 * OUTCOME_DONE, or -1 with *error ("not-writable").
 */
int names_write(const struct step *step, struct error *error);

#endif
