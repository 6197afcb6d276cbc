/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What outlives a boot, in /var/lib/detour: confirmed.json, the last confirmed
 * document in canonical form, and reverted.json, the digests of documents that
 * were undone and must not come back unasked. All results: 0, or -1 with *error.
 */
#ifndef BACKENDS_MEMORY_H
#define BACKENDS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "reconcile/digest.h"
#include "reconcile/error.h"

/*
 * Keeps the document, a canonical text, as the last confirmed one, and forgets
 * that it was ever reverted. Writes only what differs.
 */
int memory_confirm(const char *document, const char *digest, struct error *error);

/* Where the last confirmed document is, in PATHS_MAX bytes. False when there is none. */
bool memory_has_confirmed(char *path);

/* Nothing is confirmed any longer. */
int memory_forget(struct error *error);

/* Unless there is none, or it is the confirmed one: that must come back at boot and from cron. */
int memory_note_reverted(const char *digest, const char *who, int64_t when, struct error *error);

/* When and by whom it was reverted; the user is `who`, USER_TEXT bytes. False when it was not. */
bool memory_is_reverted(const char *digest, char *who, int64_t *when);

#endif
