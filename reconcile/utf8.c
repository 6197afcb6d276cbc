/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/utf8.h"

#include <stdint.h>

/* First bytes, and which second bytes may follow: overlong forms and surrogates do not. */
static const struct {
	uint8_t from, to, second_from, second_to;
	size_t bytes;
} forms[] = {
	{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

size_t utf8_bytes(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (*at < forms[i].from || *at > forms[i].to)
			continue;
		if (forms[i].bytes > 1 &&
		    (at[1] < forms[i].second_from || at[1] > forms[i].second_to))
			return 0;
		for (size_t j = 2; j < forms[i].bytes; j++)
			if ((at[j] & 0xc0) != 0x80)
				return 0;
		return forms[i].bytes;
	}
	return 0;
}

bool utf8_is_valid(const char *text)
{
	while (*text) {
		size_t bytes = utf8_bytes(text);

		if (!bytes)
			return false;
		text += bytes;
	}
	return true;
}

size_t utf8_length(const char *text)
{
	size_t length = 0;

	for (; *text; text++)
		length += (*text & 0xc0) != 0x80;
	return length;
}

size_t utf8_whole(const char *text, size_t size)
{
	while (size && ((uint8_t)text[size - 1] & 0xc0) == 0x80)
		size--;
	return size && (uint8_t)text[size - 1] >= 0xc0 ? size - 1 : size;
}

bool utf8_is_control(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	return *at < ' ' ? *at != 0 : *at == 0x7f || (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0);
}

bool utf8_has_control(const char *text)
{
	for (; *text; text++)
		if (utf8_is_control(text))
			return true;
	return false;
}
