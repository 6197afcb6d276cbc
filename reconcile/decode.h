/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding JSON into structs by tables of members. A decoder never stops at a
 * fault: it leaves what it could not read as zero, and goes on.
 */
#ifndef RECONCILE_DECODE_H
#define RECONCILE_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "reconcile/arena.h"
#include "reconcile/error.h"
#include "reconcile/json_pointer.h"

enum { VALUE_TEXT = 80, FAULTS_MAX = 1000 };

struct decoder {
	struct arena *arena; /* owns what is decoded */
	struct faults *faults;
	size_t unreported; /* faults past FAULTS_MAX */
	bool repaired;     /* the text was not decodable as written: see json_repair.h */
};

/* A value to decode: where it stands, and what would be right there. */
struct value {
	struct place place;
	const json_t *json;
	const char *what; /* completes "must be ..." and "missing: ..." */
};

typedef void decode_fn(struct decoder *decoder, const struct value *value, void *out);

/* What an object may hold. */
struct member {
	const char *key, *what;
	bool required;
	decode_fn *decode;
	size_t offset; /* of what decode fills, in the object's struct */
};

void decode_object(struct decoder *decoder, const struct value *value, const struct member *members,
		   size_t count, void *out);

/* What an array holds, each element decoded into the same `out`. */
struct list {
	size_t least; /* fewer elements are a fault */
	const char *what;
	decode_fn *decode;
};

void decode_list(struct decoder *decoder, const struct value *value, const struct list *list,
		 void *out);

/* The string, or NULL after a fault. The JSON value owns it. */
const char *decode_text(struct decoder *decoder, const struct value *value);

/* The place of an array's element. */
struct value value_element(const struct value *array, size_t index, const char *what);

/* Adds a fault whose message begins with the value as JSON text. */
void value_fault(struct decoder *decoder, const struct value *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "must be ...", with what the value's place calls for. */
void value_fault_kind(struct decoder *decoder, const struct value *value);

/* Adds a fault with the message as it is. */
void decoder_fault(struct decoder *decoder, const char *pointer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The value as JSON text, shortened when it is long. text has VALUE_TEXT bytes. */
const char *value_text(const json_t *json, char *text);

#endif
