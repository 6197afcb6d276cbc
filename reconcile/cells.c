/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/cells.h"

#include <inttypes.h>
#include <string.h>

#include "reconcile/utf8.h"

const char *text_cut(struct arena *arena, const char *text, size_t width, const char *ellipsis)
{
	size_t bytes = 0, left = width - 1;

	if (utf8_length(text) <= width)
		return text;
	while (left || (text[bytes] & 0xc0) == 0x80)
		left -= (text[bytes++] & 0xc0) != 0x80;
	return arena_printf(arena, "%.*s%s", (int)bytes, text, ellipsis);
}

size_t text_line_bytes(const char *text, size_t width)
{
	size_t bytes = 0, space = 0;

	while (text[bytes] && width) {
		if (text[bytes] == ' ')
			space = bytes;
		width -= (text[bytes++] & 0xc0) != 0x80;
	}
	while ((text[bytes] & 0xc0) == 0x80)
		bytes++;
	return text[bytes] && text[bytes] != ' ' && space ? space : bytes;
}

const char *text_number(struct arena *arena, uint64_t value, const char *unit)
{
	static const char prefixes[] = "kMGTPE";
	double scaled = (double)value;
	size_t prefix = 0;

	if (value < 100000)
		return arena_printf(arena, "%" PRIu64 " %s", value, unit);
	scaled /= 1000;
	while (scaled >= 999.5) {
		scaled /= 1000;
		prefix++;
	}
	return arena_printf(arena, "%.3g %c%s%s", scaled, prefixes[prefix],
			    strcmp(unit, "B") ? " " : "", unit);
}
