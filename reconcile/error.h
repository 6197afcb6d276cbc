/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one sentence that says what went wrong: the place, the fact, the remedy.
 * It is written where the fact is known; callers only return.
 */
#ifndef RECONCILE_ERROR_H
#define RECONCILE_ERROR_H

#include <stddef.h>

#include "reconcile/arena.h"

struct error {
	char code[32];     /* stable word for scripts, e.g. "no-permission" */
	char message[768]; /* one sentence, no newline */
};

/* Fills *error and returns -1, so that callers can `return error_set(...)`. */
int error_set(struct error *error, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What is wrong in a document: all of it, in the order of the document. */
struct fault {
	const char *pointer; /* JSON pointer (RFC 6901), "" for the whole document */
	const char *message;
};

struct faults {
	struct arena arena;
	struct fault *items;
	size_t count, room;
};

/* The message may start with the value seen. */
void faults_add(struct faults *faults, const char *pointer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void faults_free(struct faults *faults);

#endif
