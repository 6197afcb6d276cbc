/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is UTF-8, as Unicode's table of well-formed byte sequences has it, and what is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "reconcile/arena.h"
#include "reconcile/hex.h"
#include "reconcile/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void test_only_well_formed_characters_have_bytes(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
	} cases[] = {
		{ "", 0 },
		{ "a", 1 },
		{ "\x7f", 1 },
		{ "\x80", 0 },
		{ "\xc1\xbf", 0 },
		{ "\xc2\x80", 2 },
		{ "\xc2", 0 },
		{ "\xc3\xbcx", 2 },
		{ "\xe0\x9f\xbf", 0 },
		{ "\xe0\xa0\x80", 3 },
		{ "\xe2\x82", 0 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xed\xa0\x80", 0 },
		{ "\xef\xbf\xbf", 3 },
		{ "\xf0\x8f\xbf\xbf", 0 },
		{ "\xf0\x9f\x98\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(utf8_bytes(cases[i].text), cases[i].bytes);
}

static void test_what_terminals_obey_and_what_is_no_text_is_printed_in_hexadecimal(void **state)
{
	static const struct {
		const char *text, *printed;
	} cases[] = {
		{ "", "" },
		{ "b\xc3\xbcro \xe2\x82\xac", "b\xc3\xbcro \xe2\x82\xac" },
		{ "b\xfcro", "b\\xfcro" },
		{ "\x1b[2J", "\\x1b[2J" },
		{ "a\x7f\n", "a\\x7f\\x0a" },
		{ "\xc2\x9b"
		  "2J",
		  "\\xc2\\x9b2J" },
		{ "\xe2\x82", "\\xe2\\x82" },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(arena_printable(&arena, cases[i].text), cases[i].printed);
	arena_free(&arena);
}

static void test_hexadecimal_is_read_as_it_was_written_or_not_at_all(void **state)
{
	static const char *const wrong[] = { "", "6", "62f", "62fC", "62fcx", "62fc72", "6 fc" };
	struct arena arena = { 0 };
	uint8_t bytes[2] = { 0 };

	(void)state;
	assert_string_equal(hex_format(&arena, "b\xfc", 2), "62fc");
	assert_true(hex_parse("62fc", bytes, 2));
	assert_memory_equal(bytes, "b\xfc", 2);
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_false(hex_parse(wrong[i], bytes, 2));
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_well_formed_characters_have_bytes),
		cmocka_unit_test(
			test_what_terminals_obey_and_what_is_no_text_is_printed_in_hexadecimal),
		cmocka_unit_test(test_hexadecimal_is_read_as_it_was_written_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
