/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reconcile/nft.c knows of rules and sets, without a kernel. */
#include "reconcile/nft.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct arena arena;

static int release(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static struct nft_rule rule_of(struct stmt *stmts, size_t count, const char *comment)
{
	return (struct nft_rule){ .comment = comment, .stmts = stmts, .stmt_count = count };
}

struct printed {
	struct stmt stmt;
	const char *text;
};

static const struct printed printed[] = {
	{ { .field = FIELD_NFPROTO, .bytes = { 2 } }, "meta nfproto ipv4" },
	{ { .field = FIELD_NFPROTO, .bytes = { 10 }, .negate = true }, "meta nfproto != ipv6" },
	{ { .field = FIELD_L4PROTO, .bytes = { 132 } }, "meta l4proto sctp" },
	{ { .field = FIELD_L4PROTO, .bytes = { 200 } }, "meta l4proto 200" },
	{ { .field = FIELD_IIFNAME, .bytes = "eth0" }, "iifname \"eth0\"" },
	{ { .field = FIELD_OIFNAME, .bytes = "eth2", .negate = true }, "oifname != \"eth2\"" },
	{ { .field = FIELD_META_MARK, .number = 1 }, "meta mark 0x00000001" },
	{ { .field = FIELD_META_MARK, .number = 1, .mask = UINT32_MAX }, "meta mark 0x00000001" },
	{ { .field = FIELD_CT_MARK, .number = 0x10, .mask = 0xf0 },
	  "ct mark & 0x000000f0 == 0x00000010" },
	{ { .field = FIELD_CT_MARK, .mask = 0xf0, .negate = true },
	  "ct mark & 0x000000f0 != 0x00000000" },
	{ { .field = FIELD_CT_STATE, .mask = CT_STATE_NEW, .negate = true }, "ct state new" },
	{ { .field = FIELD_CT_STATE,
	    .mask = CT_STATE_INVALID | CT_STATE_UNTRACKED,
	    .negate = true },
	  "ct state invalid,untracked" },
	{ { .field = FIELD_CT_STATE, .number = CT_STATE_NEW }, "ct state == new" },
	{ { .field = FIELD_CT_STATUS, .mask = CT_STATUS_CONFIRMED }, "ct status ! confirmed" },
	{ { .field = FIELD_CT_DIRECTION, .bytes = { 1 } }, "ct direction reply" },
	{ { .field = FIELD_IP_SADDR, .bytes = { 10, 0, 0, 1 } }, "ip saddr 10.0.0.1" },
	{ { .field = FIELD_IP6_DADDR, .bytes = { [15] = 1 } }, "ip6 daddr ::1" },
	{ { .field = FIELD_TCP_FLAGS, .mask = 0x17, .bytes = { 2 }, .negate = true },
	  "tcp flags != syn / fin,syn,rst,ack" },
	{ { .field = FIELD_SCTP_CHUNK, .bytes = { 1 }, .negate = true }, "@th,96,8 != 0x1" },
	{ { .field = FIELD_SCTP_CHUNK, .bytes = { 1 }, .mask = 0xf }, "@th,96,8 & 0xf == 0x1" },
	{ { STMT_LOOKUP, .field = FIELD_SERVICE, .name = "services", .negate = true },
	  "th dport . meta l4proto != @services" },
	{ { STMT_VMAP, .field = FIELD_IP_DADDR, .name = "servers4" }, "ip daddr vmap @servers4" },
	{ { STMT_MARK, .field = FIELD_CT_MARK, .mask = 0xf0, .number = 0x10 },
	  "ct mark set ct mark & 0xffffff1f | 0x00000010" },
	{ { STMT_MARK, .field = FIELD_META_MARK, .mask = 0xf0 },
	  "meta mark set meta mark & 0xffffff0f" },
	{ { STMT_MARK, .field = FIELD_META_MARK, .mask = 0x10, .number = 0x10 },
	  "meta mark set meta mark | 0x00000010" },
	{ { STMT_MARK, .field = FIELD_CT_MARK, .mask = UINT32_MAX, .number = 0x10 },
	  "ct mark set 0x00000010" },
	{ { STMT_COUNTER, .packet_count = 7 }, "counter" },
	{ { STMT_VERDICT, .verdict = VERDICT_DROP }, "drop" },
	{ { STMT_VERDICT, .verdict = VERDICT_JUMP, .name = "select" }, "jump select" },
	{ { STMT_OTHER, .name = "limit" }, "[ limit ]" },
};

static void test_statements_format_as_nft_prints_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(printed); i++) {
		struct stmt stmt = printed[i].stmt;
		struct nft_rule rule = rule_of(&stmt, 1, "");

		assert_string_equal(nft_rule_format(&arena, &rule), printed[i].text);
	}
}

static void test_protocols_that_follow_from_a_field_are_not_printed(void **state)
{
	struct stmt stmts[] = {
		{ .field = FIELD_NFPROTO, .bytes = { 2 } },
		{ .field = FIELD_L4PROTO, .bytes = { 6 } },
		{ .type = STMT_LOOKUP, .field = FIELD_IP_DADDR, .name = "servers" },
		{ .field = FIELD_TCP_FLAGS, .bytes = { 2 }, .mask = 2 },
		{ .field = FIELD_NFPROTO, .bytes = { 10 } },
	};
	struct nft_rule rule = rule_of(stmts, COUNT(stmts), "");

	(void)state;
	assert_string_equal(nft_rule_format(&arena, &rule),
			    "ip daddr @servers tcp flags syn / syn meta nfproto ipv6");
}

static void test_rules_are_equal_when_nft_prints_them_alike(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(printed); i++) {
		struct stmt left = printed[i].stmt;
		struct nft_rule a = rule_of(&left, 1, "mark rdp");

		for (size_t j = 0; j < COUNT(printed); j++) {
			struct stmt right = printed[j].stmt;
			struct nft_rule b = rule_of(&right, 1, "mark rdp");

			assert_int_equal(nft_rule_equal(&a, &b),
					 left.type != STMT_OTHER &&
						 strcmp(printed[i].text, printed[j].text) == 0);
		}
	}
}

static void test_comments_differ_and_counters_and_handles_do_not(void **state)
{
	struct stmt one = { .type = STMT_COUNTER, .packet_count = 1, .byte_count = 40 };
	struct stmt two = { .type = STMT_COUNTER };
	struct nft_rule a = rule_of(&one, 1, "mark rdp"), b = rule_of(&two, 1, "mark rdp");

	(void)state;
	a.handle = 7;
	assert_true(nft_rule_equal(&a, &b));
	b.comment = "mark ssh";
	assert_false(nft_rule_equal(&a, &b));
}

static void test_a_role_is_the_first_word_of_a_comment(void **state)
{
	(void)state;
	for (enum role role = ROLE_NONE + 1; role < ROLE_COUNT; role++)
		assert_int_equal(role_of_comment(arena_printf(&arena, "%s rdp", role_name(role))),
				 role);
	assert_int_equal(role_of_comment("guard"), ROLE_GUARD);
	assert_int_equal(role_of_comment(""), ROLE_NONE);
	assert_int_equal(role_of_comment("marking rdp"), ROLE_NONE);
	assert_int_equal(role_of_comment("rdp mark"), ROLE_NONE);
}

static void test_chains_and_sets_are_found_by_name_once_sorted(void **state)
{
	struct nft_chain chains[] = { { .name = "select" }, { .name = "forward" } };
	struct element elements[] = { { .span = { { 10, 2 }, { 10, 2 } } },
				      { .span = { { 10, 1 }, { 10, 1 } } } };
	struct nft_set sets[] = {
		{ .name = "servers6" },
		{ .name = "servers4", .elements = elements, .element_count = 2 }
	};
	struct nft_table table = { .chains = chains,
				   .chain_count = COUNT(chains),
				   .sets = sets,
				   .set_count = COUNT(sets) };
	const struct nft_table empty = { 0 };

	(void)state;
	nft_table_sort(&table);
	assert_ptr_equal(nft_chain_find(&table, "select"), &chains[1]);
	assert_null(nft_chain_find(&table, "prerouting"));
	assert_ptr_equal(nft_set_find(&table, "servers4"), &sets[0]);
	assert_int_equal(elements[0].span.from[1], 1);
	assert_null(nft_chain_find(&empty, "select"));
	assert_null(nft_set_find(&empty, "servers4"));
}

static void test_elements_format_as_nft_prints_them(void **state)
{
	struct element net = { .span = { { 10, 1 }, { 10, 1, 0, 255 } }, .chain = "redirect_rdp" };
	struct element foreign = { .span = net.span, .foreign_verdict = true };
	struct element name = { .span = { "eth0", "eth0" } };
	struct element prefix = { .span = { "eth", "eth" } };
	struct element ports = { .span = { { 0x17, 0x0c, 0, 0, 6 }, { 0x17, 0x16, 0, 0, 6 } } };
	struct element port = { .span = { { 0, 53, 0, 0, 17 }, { 0, 53, 0, 0, 17 } } };

	(void)state;
	memset(prefix.span.to + 3, 0xff, SPAN_BYTES - 3);
	assert_string_equal(element_format(&arena, KEY_IPV4, &net),
			    "10.1.0.0/24 : goto redirect_rdp");
	assert_string_equal(element_format(&arena, KEY_IPV4, &foreign),
			    "10.1.0.0/24 : foreign verdict");
	assert_string_equal(element_format(&arena, KEY_IFNAME, &name), "\"eth0\"");
	assert_string_equal(element_format(&arena, KEY_IFNAME, &prefix), "\"eth*\"");
	assert_string_equal(element_format(&arena, KEY_SERVICE, &ports), "5900-5910 . tcp");
	assert_string_equal(element_format(&arena, KEY_SERVICE, &port), "53 . udp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statements_format_as_nft_prints_them),
		cmocka_unit_test(test_protocols_that_follow_from_a_field_are_not_printed),
		cmocka_unit_test(test_rules_are_equal_when_nft_prints_them_alike),
		cmocka_unit_test(test_comments_differ_and_counters_and_handles_do_not),
		cmocka_unit_test(test_a_role_is_the_first_word_of_a_comment),
		cmocka_unit_test(test_chains_and_sets_are_found_by_name_once_sorted),
		cmocka_unit_test(test_elements_format_as_nft_prints_them),
	};

	return cmocka_run_group_tests(tests, NULL, release);
}
