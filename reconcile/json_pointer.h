/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a value stands in a JSON text. A place is a chain on the stack, so that
 * walking 100,000 values costs no text; a pointer (RFC 6901) is written only
 * for the one that is at fault.
 */
#ifndef RECONCILE_JSON_POINTER_H
#define RECONCILE_JSON_POINTER_H

#include <stddef.h>

#include <jansson.h>

#include "reconcile/arena.h"
#include "reconcile/error.h"

struct place {
	const struct place *up; /* NULL: the whole document */
	const char *key;        /* NULL: an element of an array, by its index */
	size_t index;
};

/* The pointer, "" for the whole document. The arena owns it. */
char *place_pointer(struct arena *arena, const struct place *place);

/* The value, or NULL when nothing stands there. */
const json_t *pointer_value(const json_t *root, const char *pointer);

/* Sorts the faults into the order of the document; what is missing from an object is at its end. */
void faults_sort(struct faults *faults, const json_t *root);

#endif
