/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How to undo the change that is being made, or that waits for confirmation:
 * /run/detour/COOKIE/journal.json. It is on disk before the first write, and
 * goes when the change is final or undone. Only the holder of the lock writes
 * it; whoever reads it without the lock sees a whole one.
 */
#ifndef BACKENDS_JOURNAL_H
#define BACKENDS_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "backends/user.h"
#include "reconcile/digest.h"
#include "reconcile/error.h"

enum {
	REASON_CHARACTERS = 200,
	REASON_TEXT = 4 * REASON_CHARACTERS + 1,
};

enum phase {
	PHASE_NONE,     /* there is no journal: nothing to undo */
	PHASE_APPLYING, /* its process holds the lock; when nobody does, it was interrupted */
	PHASE_PENDING,  /* applied; stays only if it is confirmed before the deadline */
};

struct journal {
	enum phase phase;
	char id[33];
	char verb[16], who[USER_TEXT], reason[REASON_TEXT];
	char digest[DIGEST_TEXT]; /* of the new document; "" for destroy */
	pid_t pid;
	pid_t guard;      /* 0: none yet */
	int64_t started;  /* seconds since 1970 */
	int64_t deadline; /* boot_clock(); 0: no confirmation is asked for */
	bool everything;  /* of the scope */
	bool foreign;     /* likewise */
	json_t *document; /* the new one; null for destroy. Owned */
	json_t *before;   /* state_to_json(). Owned */
	json_t *record;   /* record_json(), as it was before. Owned */
};

/*
 * A journal of another boot is none. 0, or -1 with error "damaged-journal" or
 * "other-version". journal_free() is due in either case.
 */
int journal_read(struct journal *journal, struct error *error);

/* On disk when it returns 0; else -1 with *error. */
int journal_write(const struct journal *journal, struct error *error);

/* 0 when it is gone, or -1 with *error. */
int journal_remove(struct error *error);

/* Puts one that cannot be read out of the way, as journal.json.damaged. */
int journal_set_aside(struct error *error);

void journal_free(struct journal *journal);

/* A name that no other journal has. */
void journal_name(struct journal *journal);

#endif
