/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record of rp_filter values as they were before our first write:
 * /run/detour/NETNS-COOKIE/rp_filter.json,
 *     {"version":1,"boot_id":"...","interfaces":{"eth2":{"before":1,"ours":2}}}
 * A name that is no UTF-8 stands there as "/" and its bytes in hexadecimal: no
 * interface has a slash in its name.
 * It is changed before the value is; what it said until then is in the journal
 * of the change, so that a crash in between loses nothing. Only the holder of
 * the apply's lock writes it.
 */
#ifndef BACKENDS_RECORD_H
#define BACKENDS_RECORD_H

#include <stddef.h>

#include <jansson.h>

#include "reconcile/arena.h"
#include "reconcile/error.h"

struct record_entry {
	const char *interface;
	int before, ours;
};

struct record {
	struct record_entry *items;
	size_t count, room;
};

/*
 * A record that is missing, damaged or of another boot is an empty one: what
 * it said no longer holds, and the live values are then taken for the
 * administrator's. One that cannot be read is an error. The arena owns the
 * entries. 0, or -1 with *error.
 */
int record_read(struct arena *arena, struct record *out, struct error *error);

/* NULL when there is none. */
const struct record_entry *record_find(const struct record *record, const char *interface);

/* Notes what stood there before, and what is about to be written. On disk when it returns 0. */
int record_note(const char *interface, int before, int ours, struct error *error);

/* Forgets the interface; the file goes with its last entry. 0, or -1 with *error. */
int record_drop(const char *interface, struct error *error);

/* All of it, for the journal; NULL with *error. Released with json_decref(). */
json_t *record_json(struct error *error);

/*
 * Makes it what record_json() gave: once the old values stand again, what was
 * noted in between says the wrong thing. 0, or -1 with *error.
 */
int record_restore(const json_t *noted, struct error *error);

#endif
