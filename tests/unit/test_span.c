/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reconcile/span.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Every text, and what span_format makes of what span_parse read. */
static const struct {
	const char *text;
	enum family family;
	const char *shortest;
} right[] = {
	{ "10.1.0.7", FAMILY_IPV4, "10.1.0.7" },
	{ "10.1.0.7/32", FAMILY_IPV4, "10.1.0.7" },
	{ "10.1.0.0/24", FAMILY_IPV4, "10.1.0.0/24" },
	{ "0.0.0.0/0", FAMILY_IPV4, "0.0.0.0/0" },
	{ "0.0.0.0-255.255.255.255", FAMILY_IPV4, "0.0.0.0/0" },
	{ "10.1.0.0-10.1.0.255", FAMILY_IPV4, "10.1.0.0/24" },
	{ "10.1.0.1-10.1.0.9", FAMILY_IPV4, "10.1.0.1-10.1.0.9" },
	{ "10.1.0.7-10.1.0.8", FAMILY_IPV4, "10.1.0.7-10.1.0.8" },
	{ "10.1.0.7-10.1.0.7", FAMILY_IPV4, "10.1.0.7" },
	{ "255.255.255.255", FAMILY_IPV4, "255.255.255.255" },
	{ "128.0.0.0/1", FAMILY_IPV4, "128.0.0.0/1" },
	{ "::", FAMILY_IPV6, "::" },
	{ "::/0", FAMILY_IPV6, "::/0" },
	{ "2001:DB8:0::7/128", FAMILY_IPV6, "2001:db8::7" },
	{ "2001:db8:1::/64", FAMILY_IPV6, "2001:db8:1::/64" },
	{ "2001:db8::1-2001:db8::9", FAMILY_IPV6, "2001:db8::1-2001:db8::9" },
	{ "64:ff9b::192.0.2.33", FAMILY_IPV6, "64:ff9b::c000:221" },
	{ "::fffe:ffff:ffff-::ffff:0:5", FAMILY_IPV6, "::fffe:ffff:ffff-::ffff:0.0.0.5" },
};

static void test_what_is_parsed_is_formatted_in_its_shortest_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(right); i++) {
		enum family family, again;
		struct span span, same;
		char text[SPAN_TEXT];

		assert_null(span_parse(right[i].text, &family, &span));
		assert_int_equal(family, right[i].family);
		assert_string_equal(span_format(&span, family, text), right[i].shortest);
		assert_null(span_parse(text, &again, &same));
		assert_int_equal(again, family);
		assert_memory_equal(&same, &span, sizeof(span));
	}
}

#define MALFORMED                                                                                  \
	"must be an address, a network such as 10.1.0.0/24 or a range such as 10.1.0.1-10.1.0.9"
#define PREFIX_IPV4 "must have a prefix length of 0-32 behind the slash"
#define PREFIX_IPV6 "must have a prefix length of 0-128 behind the slash"

static const struct {
	const char *text, *sentence;
} wrong[] = {
	{ "", MALFORMED },
	{ "-", MALFORMED },
	{ "/", MALFORMED },
	{ "/24", MALFORMED },
	{ "10.1.0", MALFORMED },
	{ "10.1.0.256", MALFORMED },
	{ "10.1.0.07", MALFORMED },
	{ "10.1.0.7-", MALFORMED },
	{ "-10.1.0.7", MALFORMED },
	{ "10.1.0.1-9", MALFORMED },
	{ "10.1.0.1-10.1.0.2-10.1.0.3", MALFORMED },
	{ "0x0a.1.0.7", MALFORMED },
	{ "2001::1::2", MALFORMED },
	{ "2001:db8:::1", MALFORMED },
	{ "1:2:3:4:5:6:7:8:9", MALFORMED },
	{ "[2001:db8::1]", MALFORMED },
	{ "server.example", MALFORMED },
	{ "1111111111222222222233333333334444444444555555555566666666667777777777", MALFORMED },
	{ " 10.1.0.7", "must be written without spaces" },
	{ "10.1.0.7\n", "must be written without spaces" },
	{ "10.1.0.1 - 10.1.0.9", "must be written without spaces" },
	{ "fe80::1%eth0", "must stand without a zone (the part from % on)" },
	{ "fe80::%eth0/64", "must stand without a zone (the part from % on)" },
	{ "10.1.0.0/", PREFIX_IPV4 },
	{ "10.1.0.0/33", PREFIX_IPV4 },
	{ "10.1.0.0/+8", PREFIX_IPV4 },
	{ "10.1.0.0/08", PREFIX_IPV4 },
	{ "10.1.0.0/24/8", PREFIX_IPV4 },
	{ "10.1.0.0/4294967320", PREFIX_IPV4 },
	{ "10.1.0.0/99999999999999999999", PREFIX_IPV4 },
	{ "10.1.0.0/255.255.255.0", PREFIX_IPV4 },
	{ "2001:db8::/129", PREFIX_IPV6 },
	{ "10.1.0.0/24-10.1.1.0/24", "must be either a network or a range of plain addresses" },
	{ "10.1.0.1-10.1.1.0/24", MALFORMED },
	{ "10.1.0.1-2001:db8::1", "must have both ends in one family, IPv4 or IPv6" },
	{ "10.1.0.9-10.1.0.1", "has its ends in reverse; the range is 10.1.0.1-10.1.0.9" },
	{ "10.1.0.7/24", "has host bits set; the network is 10.1.0.0/24" },
	{ "10.1.0.7/31", "has host bits set; the network is 10.1.0.6/31" },
	{ "10.1.0.7/0", "has host bits set; the network is 0.0.0.0/0" },
	{ "2001:db8::7/64", "has host bits set; the network is 2001:db8::/64" },
	{ "::ffff:10.1.0.7", "is IPv4 mapped into IPv6, which no packet bears; write 10.1.0.7" },
	{ "::ffff:a01:0/120",
	  "is IPv4 mapped into IPv6, which no packet bears; write 10.1.0.0/24" },
	{ "::ffff:0:0/96", "is IPv4 mapped into IPv6, which no packet bears; write 0.0.0.0/0" },
};

static void test_what_cannot_be_parsed_is_told_what_would_be_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		enum family family;
		struct span span;
		const char *sentence = span_parse(wrong[i].text, &family, &span);

		if (!sentence)
			fail_msg("\"%s\" is accepted", wrong[i].text);
		assert_string_equal(sentence, wrong[i].sentence);
	}
}

/* A small world in which all can be counted: the addresses 10.0.0.0 to 10.0.0.255. */
enum { WORLD = 256 };

static uint8_t *last_byte(uint8_t *key)
{
	return &key[3];
}

static struct span span_of(uint8_t from, uint8_t to)
{
	struct span span = { { 10 }, { 10 } };

	*last_byte(span.from) = from;
	*last_byte(span.to) = to;
	return span;
}

static void spans_random(struct spans *spans, struct span *items, bool member[WORLD])
{
	spans->items = items;
	spans->count = (size_t)(rand() % 12);
	memset(member, 0, WORLD * sizeof(*member));
	for (size_t i = 0; i < spans->count; i++) {
		uint8_t from = (uint8_t)rand();
		uint8_t to = (uint8_t)(from + rand() % (256 - from) % 40);

		items[i] = span_of(from, to);
		memset(member + from, 1, (size_t)(to - from) + 1);
	}
	spans_normalize(spans);
}

static void assert_same_members(const struct spans *spans, const bool member[WORLD])
{
	for (int i = 0; i < WORLD; i++)
		assert_int_equal(spans_contain(spans, span_of((uint8_t)i, 0).from), member[i]);
	for (size_t i = 1; i < spans->count; i++)
		assert_true(memcmp(spans->items[i - 1].to, spans->items[i].from, SPAN_BYTES) < 0);
}

static void test_sets_of_spans_behave_as_sets_of_addresses(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 2000; round++) {
		struct span a_items[12], b_items[12];
		bool a_member[WORLD], b_member[WORLD], less[WORLD], common = false;
		struct arena arena = { 0 };
		struct spans a, b, rest;

		spans_random(&a, a_items, a_member);
		spans_random(&b, b_items, b_member);
		for (int i = 0; i < WORLD; i++) {
			less[i] = a_member[i] && !b_member[i];
			common |= a_member[i] && b_member[i];
		}
		spans_subtract(&arena, &a, &b, family_bytes(FAMILY_IPV4), &rest);
		assert_same_members(&a, a_member);
		assert_same_members(&rest, less);
		assert_int_equal(spans_intersect(&a, &b), common);
		assert_int_equal(spans_intersect(&b, &a), common);
		arena_free(&arena);
	}
}

static void test_normalizing_merges_overlaps_and_keeps_neighbours_apart(void **state)
{
	struct span items[] = { span_of(20, 29), span_of(0, 9), span_of(5, 15), span_of(16, 19),
				span_of(5, 6) };
	struct spans spans = { items, COUNT(items), COUNT(items) };
	const struct span expected[] = { span_of(0, 15), span_of(16, 19), span_of(20, 29) };

	(void)state;
	spans_normalize(&spans);
	assert_int_equal(spans.count, COUNT(expected));
	assert_memory_equal(items, expected, sizeof(expected));
}

static void test_subtracting_reaches_both_ends_of_the_address_space(void **state)
{
	static const struct {
		const char *from, *less, *rest[2];
	} cases[] = {
		{ "0.0.0.0/0", "0.0.0.0", { "0.0.0.1-255.255.255.255" } },
		{ "0.0.0.0/0", "255.255.255.255", { "0.0.0.0-255.255.255.254" } },
		{ "0.0.0.0/0", "0.0.0.0/0", { NULL } },
		{ "::/0", "8000::/1", { "::/1" } },
		{ "::/0", "::1", { "::", "::2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" } },
		{ "2001:db8::-2001:dc0::",
		  "2001:db9::",
		  { "2001:db8::/32", "2001:db9::1-2001:dc0::" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct arena arena = { 0 };
		struct span from, less;
		struct spans a = { &from, 1, 1 }, b = { &less, 1, 1 }, rest;
		enum family family;
		char text[SPAN_TEXT];

		assert_null(span_parse(cases[i].from, &family, &from));
		assert_null(span_parse(cases[i].less, &family, &less));
		spans_subtract(&arena, &a, &b, family_bytes(family), &rest);
		assert_int_equal(rest.count, !!cases[i].rest[0] + !!cases[i].rest[1]);
		for (size_t j = 0; j < rest.count; j++)
			assert_string_equal(span_format(&rest.items[j], family, text),
					    cases[i].rest[j]);
		arena_free(&arena);
	}
}

static void test_keys_count_up_and_down_and_say_when_they_wrap(void **state)
{
	uint8_t key[SPAN_BYTES] = { 10, 0, 255, 255 };

	(void)state;
	assert_true(key_increment(key, 4));
	assert_memory_equal(key, ((uint8_t[SPAN_BYTES]){ 10, 1, 0, 0 }), SPAN_BYTES);
	assert_true(key_decrement(key, 4));
	assert_memory_equal(key, ((uint8_t[SPAN_BYTES]){ 10, 0, 255, 255 }), SPAN_BYTES);
	memset(key, 0xff, 4);
	assert_false(key_increment(key, 4));
	assert_false(key_decrement(key, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_parsed_is_formatted_in_its_shortest_form),
		cmocka_unit_test(test_what_cannot_be_parsed_is_told_what_would_be_right),
		cmocka_unit_test(test_sets_of_spans_behave_as_sets_of_addresses),
		cmocka_unit_test(test_normalizing_merges_overlaps_and_keeps_neighbours_apart),
		cmocka_unit_test(test_subtracting_reaches_both_ends_of_the_address_space),
		cmocka_unit_test(test_keys_count_up_and_down_and_say_when_they_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
