/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Big maps: where their elements stand, and that packets find them there. */
#include "reconcile/parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/expand.h"
#include "reconcile/walk.h"
#include "tests/unit/fixture.h"

/* splitmix64 */
static uint32_t draw(uint64_t *seed, uint32_t below)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((x ^ (x >> 31)) % below);
}

/* A table with a map of so many elements, each a few keys long and a few away from the last. */
struct divided {
	struct arena arena;
	struct nft_table table;
	struct element *elements; /* all of them, in order */
	size_t count;
	struct nft_set map;
};

static void number_put(uint8_t *key, enum key_type type, uint32_t number)
{
	uint32_t big = htonl(number);

	if (type == KEY_IPV6) /* 2001:0:NUMBER:: */
		memcpy(key, (const uint8_t[]){ 0x20, 0x01 }, 2);
	memcpy(key + (type == KEY_IPV6 ? 4 : 0), &big, sizeof(big));
}

/* Element number `left_out` is not there. */
static void divide(struct divided *divided, enum key_type type, size_t count, size_t left_out)
{
	uint64_t seed = 1;
	uint32_t next = 0x0a000000;

	*divided = (struct divided){ .map = { .name = "map", .key = type, .is_map = true } };
	divided->elements = arena_alloc(&divided->arena, count * sizeof(*divided->elements));
	for (size_t i = 0; i < count; i++) {
		struct element *element = &divided->elements[divided->count];
		uint32_t from = next + draw(&seed, 1000), to = from + draw(&seed, 1000);

		next = to + 1;
		if (i == left_out)
			continue;
		number_put(element->span.from, type, from);
		number_put(element->span.to, type, to);
		element->chain = "chain";
		divided->count++;
	}
	divided->map.elements = divided->elements;
	divided->map.element_count = divided->count;
	parts_divide(&divided->arena, &divided->table,
		     type == KEY_IPV4 ? FIELD_IP_DADDR : FIELD_IP6_DADDR, &divided->map);
}

static void test_a_map_up_to_the_limit_stays_whole(void **state)
{
	struct divided divided;

	(void)state;
	divide(&divided, KEY_IPV4, PART_MOST, SIZE_MAX);
	assert_int_equal(divided.map.element_count, PART_MOST);
	assert_int_equal(divided.table.set_count + divided.table.chain_count, 0);
	arena_free(&divided.arena);
}

/* The parts' keys follow each other from the first key to the last. */
static void check_covers_all(const struct divided *divided)
{
	size_t bytes = key_bytes(divided->map.key);
	uint8_t next[SPAN_BYTES] = { 0 };

	for (size_t i = 0; i < divided->map.element_count; i++) {
		const struct element *part = &divided->map.elements[i];
		bool is_last = i + 1 == divided->map.element_count;

		assert_memory_equal(part->span.from, next, SPAN_BYTES);
		memcpy(next, part->span.to, SPAN_BYTES);
		assert_int_equal(key_increment(next, bytes), !is_last);
	}
}

static void check_part(const struct divided *divided, const struct element *part, size_t *seen)
{
	const struct nft_set *set = nft_set_find(&divided->table, part->chain);
	const struct nft_chain *chain = nft_chain_find(&divided->table, part->chain);

	assert_true(set && chain && chain->rule_count == 1 && chain->rules[0].stmt_count == 2);
	assert_string_equal(chain->rules[0].stmts[1].name, part->chain);
	assert_in_range(set->element_count, PART_LEAST, PART_MOST);
	for (size_t i = 0; i < set->element_count; i++, (*seen)++) {
		const struct element *element = &set->elements[i];

		assert_memory_equal(element, &divided->elements[*seen], sizeof(*element));
		assert_true(memcmp(part->span.from, element->span.from, SPAN_BYTES) <= 0);
		assert_true(memcmp(part->span.to, element->span.to, SPAN_BYTES) >= 0);
	}
}

static void test_each_element_stands_in_the_part_that_its_keys_lead_to(void **state)
{
	static const size_t counts[] = { PART_MOST + 1, 3 * PART_LEAST, 3 * PART_LEAST + 1,
					 4 * PART_LEAST + 1, 100000 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(counts) / sizeof(*counts); i++) {
		struct divided divided;
		size_t seen = 0;

		divide(&divided, i % 2 ? KEY_IPV6 : KEY_IPV4, counts[i / 2], SIZE_MAX);
		nft_table_sort(&divided.table);
		assert_true(divided.map.element_count > 1);
		assert_int_equal(divided.map.element_count, divided.table.set_count);
		check_covers_all(&divided);
		for (size_t p = 0; p < divided.map.element_count; p++)
			check_part(&divided, &divided.map.elements[p], &seen);
		assert_int_equal(seen, counts[i / 2]);
		arena_free(&divided.arena);
	}
}

static bool same_parts(const struct divided *a, const struct divided *b)
{
	if (a->map.element_count != b->map.element_count)
		return false;
	for (size_t i = 0; i < a->map.element_count; i++)
		if (memcmp(&a->map.elements[i].span, &b->map.elements[i].span,
			   sizeof(struct span)) != 0)
			return false;
	return true;
}

static void test_parts_stay_where_they_are_when_one_element_comes_or_goes(void **state)
{
	struct divided all, less;

	(void)state;
	divide(&all, KEY_IPV4, 100000, SIZE_MAX);
	for (size_t left_out = 0; left_out < 100000; left_out += 3989) {
		divide(&less, KEY_IPV4, 100000, left_out);
		assert_true(same_parts(&all, &less));
		arena_free(&less.arena);
	}
	arena_free(&all.arena);
}

/* 20,000 networks in each family, 11.x.y.0/25 and 2001:db9:x:y00::/57. */
static char *networks_text(void)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("{'version':1,'gateways':[" GATEWAY("") "],'redirects':[{'name':'rdp',"
						      "'gateway':'scb','services':['3389/tcp'],"
						      "'clients':{'interfaces':['eth0']},"
						      "'servers':{'networks':[",
	      out);
	for (unsigned i = 0; i < 20000; i++)
		fprintf(out, "%s'11.%u.%u.0/25','2001:db9:%x:%x00::/57'", i ? "," : "", i >> 8,
			i & 0xff, i >> 8, i & 0xff);
	fputs("]}}]}", out);
	fclose(out);
	return text;
}

/* Whether the redirect takes a first packet to the address. */
static bool is_taken(const struct nft_table *table, enum family family, const uint8_t *daddr)
{
	struct arena arena = { 0 };
	struct walk walk;
	struct packet packet = {
		.family = family,
		.iif = "eth0",
		.protocol = IPPROTO_TCP,
		.port = 3389,
		.tcp_flags = 0x02,
		.tracked = true,
		.state = CT_STATE_NEW,
	};

	memcpy(packet.daddr, daddr, SPAN_BYTES);
	walk_hook(&arena, table, HOOK_PREROUTING, &packet, &walk);
	assert_null(walk.unknown);
	arena_free(&arena);
	return packet.connection_mark == 0x10;
}

static void test_packets_find_their_redirect_through_the_parts(void **state)
{
	struct document document;
	struct arena arena = { 0 };
	struct nft_table table = { 0 };
	char *text = networks_text();

	(void)state;
	fixture_document(text, &document);
	layout_build(&arena, &document, &table);
	nft_table_sort(&table);
	assert_int_equal(nft_set_find(&table, "servers4")->element_count, 2);
	for (unsigned i = 0; i < 20002; i += i < 20 || i > 19980 ? 1 : 37) {
		const uint8_t x = (uint8_t)(i >> 8), y = (uint8_t)i;
		const uint8_t ipv4[SPAN_BYTES] = { 11, x, y, 0x7f };
		const uint8_t beside[SPAN_BYTES] = { 11, x, y, 0x80 };
		const uint8_t ipv6[SPAN_BYTES] = { 0x20, 0x01, 0x0d, 0xb9, 0, x, y, 0x7f };

		assert_int_equal(is_taken(&table, FAMILY_IPV4, ipv4), i < 20000);
		assert_false(is_taken(&table, FAMILY_IPV4, beside));
		assert_int_equal(is_taken(&table, FAMILY_IPV6, ipv6), i < 20000);
	}
	arena_free(&arena);
	document_free(&document);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_map_up_to_the_limit_stays_whole),
		cmocka_unit_test(test_each_element_stands_in_the_part_that_its_keys_lead_to),
		cmocka_unit_test(test_parts_stay_where_they_are_when_one_element_comes_or_goes),
		cmocka_unit_test(test_packets_find_their_redirect_through_the_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
