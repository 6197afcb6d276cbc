/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What jansson refuses without saying where it stands: keys that an object has
 * twice, and numbers too large for any type.
 */
#ifndef RECONCILE_JSON_REPAIR_H
#define RECONCILE_JSON_REPAIR_H

#include <stddef.h>

#include "reconcile/decode.h"

/*
 * Reports all of them, and returns a copy of the text in which the numbers are
 * null, so that the rest can be checked too. Text that is not JSON is passed
 * over from there on: it is for the parser to say why. The arena owns the copy.
 */
const char *json_repair(struct decoder *decoder, struct arena *arena, const char *text,
			size_t size);

#endif
