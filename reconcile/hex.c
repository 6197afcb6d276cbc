/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/hex.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

char *hex_format(struct arena *arena, const void *bytes, size_t size)
{
	char *text = arena_alloc(arena, 2 * size + 1);
	const uint8_t *from = bytes;

	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[from[i] >> 4];
		text[2 * i + 1] = digits[from[i] & 15];
	}
	return text;
}

bool hex_parse(const char *text, void *bytes, size_t size)
{
	uint8_t *to = bytes;

	if (strlen(text) != 2 * size || strspn(text, digits) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
				  (strchr(digits, text[2 * i + 1]) - digits));
	return true;
}
