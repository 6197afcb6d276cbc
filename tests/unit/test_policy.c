/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which policy rules a packet meets, and how the kernel's answer is explained by them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "reconcile/policy.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* 10.0.0.2 on eth0 to 10.1.0.5 3389/tcp with the mark 0x10. */
static const struct flow flow = {
	.family = FAMILY_IPV4,
	.iif = "eth0",
	.saddr = { 10, 0, 0, 2 },
	.daddr = { 10, 1, 0, 5 },
	.protocol = 6,
	.dport = 3389,
	.mark = 0x10,
};

#define NET(a, b)                                                                                  \
	{                                                                                          \
		{ 10, a, 0, 0 },                                                                   \
		{                                                                                  \
			10, b, 0, 255                                                              \
		}                                                                                  \
	}

static void test_a_rule_matches_by_all_its_selectors(void **state)
{
	static const struct {
		struct fib_rule rule;
		enum policy_match match;
	} cases[] = {
		{ { 0 }, MATCH_YES },
		{ { .invert = true }, MATCH_NO },
		{ { .mark = { 0x10, 0xf0 } }, MATCH_YES },
		{ { .mark = { 0x20, 0xf0 } }, MATCH_NO },
		{ { .mark = { 0x20, 0xf0 }, .invert = true }, MATCH_YES },
		{ { .iif = "eth0" }, MATCH_YES },
		{ { .iif = "eth1" }, MATCH_NO },
		{ { .oif = "eth1" }, MATCH_NO },
		{ { .has_src = true, .src = NET(0, 0) }, MATCH_YES },
		{ { .has_src = true, .src = NET(1, 1) }, MATCH_NO },
		{ { .has_dst = true, .dst = NET(1, 1) }, MATCH_YES },
		{ { .has_dst = true, .dst = NET(0, 0) }, MATCH_NO },
		{ { .ip_protocol = 6, .dports = { 3389, 3389, 0xffff } }, MATCH_YES },
		{ { .ip_protocol = 17, .dports = { 3389, 3389, 0xffff } }, MATCH_NO },
		{ { .dports = { 3000, 4000, 0 } }, MATCH_YES },
		{ { .dports = { 4000, 5000, 0 } }, MATCH_NO },
		{ { .sports = { 1, 1023, 0 } }, MATCH_MAYBE },
		{ { .sports = { 1, 1023, 0 }, .iif = "eth1" }, MATCH_NO },
		{ { .unknown = "dscp" }, MATCH_MAYBE },
		{ { .unknown = "dscp", .invert = true }, MATCH_MAYBE },
		{ { .unknown = "dscp", .iif = "eth1" }, MATCH_NO },
		{ { .l3mdev = true }, MATCH_MAYBE },
		{ { .never = "uidrange" }, MATCH_NO },
		{ { .never = "uidrange", .invert = true }, MATCH_YES },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(fib_rule_match(&cases[i].rule, &flow), cases[i].match);
}

enum { MAIN = 254, OURS = 103 };

#define LOOKUP(number, where, ...)                                                                 \
	{                                                                                          \
		.priority = (number), .table = (where), .suppress_prefix = -1, __VA_ARGS__         \
	}
#define MARKED .mark = { 0x10, 0xf0 }

static const struct fib_rule local = LOOKUP(0, 255), lookup = LOOKUP(100, OURS, MARKED),
			     refuse = { .priority = 101, .action = FIB_UNREACHABLE, MARKED },
			     last = LOOKUP(32766, MAIN);

/* The priority of the rule that decides; -1 when none does. */
static long explained(const struct fib_rule *rules, size_t count, const struct course *course,
		      struct policy_verdict *verdict)
{
	struct policy policy = { (struct fib_rule *)rules, count, count };

	policy_explain(&policy, &flow, course, verdict);
	return verdict->rule ? (long)verdict->rule->priority : -1;
}

static void test_the_first_look_up_in_the_table_of_the_answer_decides(void **state)
{
	const struct fib_rule rules[] = { local, lookup, refuse, last };
	const struct course to_gateway = { .table = OURS }, past_it = { .table = MAIN };
	const struct course refused = { .fate = FATE_NO_ROUTE };
	struct policy_verdict verdict;

	(void)state;
	assert_int_equal(explained(rules, COUNT(rules), &to_gateway, &verdict), 100);
	assert_false(verdict.contradicts);
	assert_int_equal(explained(rules, COUNT(rules), &refused, &verdict), 101);
	assert_false(verdict.contradicts);
	/* It should have been refused. */
	assert_int_equal(explained(rules, COUNT(rules), &past_it, &verdict), -1);
	assert_true(verdict.contradicts);
}

static void test_a_goto_leads_past_rules_when_it_is_taken(void **state)
{
	struct fib_rule jump = {
		.priority = 50, .action = FIB_GOTO, .target = 32766, .iif = "eth0"
	};
	struct fib_rule rules[] = { local, jump, lookup, refuse, last };
	const struct course past_it = { .table = MAIN }, to_gateway = { .table = OURS };
	struct policy_verdict verdict;

	(void)state;
	assert_int_equal(explained(rules, COUNT(rules), &past_it, &verdict), 32766);
	rules[1].iif = "eth1";
	assert_int_equal(explained(rules, COUNT(rules), &to_gateway, &verdict), 100);
	rules[1].iif = "eth0";
	rules[1].target = 60; /* no rule has it: nothing happens */
	assert_int_equal(explained(rules, COUNT(rules), &to_gateway, &verdict), 100);
}

static void test_a_suppressed_look_up_does_not_count(void **state)
{
	struct fib_rule short_only = LOOKUP(50, MAIN);
	const struct course by_network = { .table = MAIN, .prefix = 24 };
	const struct course by_default = { .table = MAIN, .prefix = 0 };
	struct policy_verdict verdict;

	(void)state;
	short_only.suppress_prefix = 0;
	{
		const struct fib_rule rules[] = { local, short_only, last };

		assert_int_equal(explained(rules, COUNT(rules), &by_network, &verdict), 50);
		assert_int_equal(explained(rules, COUNT(rules), &by_default, &verdict), 32766);
	}
}

static void test_a_rule_that_cannot_be_evaluated_is_named(void **state)
{
	struct fib_rule doubtful = LOOKUP(50, 77);
	const struct course to_gateway = { .table = OURS };
	struct policy_verdict verdict;

	(void)state;
	doubtful.unknown = "dscp";
	{
		const struct fib_rule rules[] = { local, doubtful, lookup, last };

		assert_int_equal(explained(rules, COUNT(rules), &to_gateway, &verdict), 100);
		assert_non_null(verdict.doubt);
		assert_int_equal(verdict.doubt->priority, 50);
	}
}

static void test_rules_read_as_ip_rule_shows_them(void **state)
{
	const struct fib_rule rule =
		LOOKUP(50, MAIN, .iif = "eth0", .has_dst = true, .dst = NET(1, 1), MARKED);
	const struct fib_rule vrf = LOOKUP(1000, 0, .l3mdev = true, .never = "tun_id");
	struct arena arena = { 0 };

	(void)state;
	assert_string_equal(fib_rule_format(&arena, &vrf),
			    "ipv4 rule 1000: tun_id lookup [l3mdev-table]");
	assert_string_equal(fib_rule_format(&arena, &rule),
			    "ipv4 rule 50: to 10.1.0.0/24 iif eth0 fwmark 0x10/0xf0 lookup 254");
	assert_string_equal(fib_rule_format(&arena, &refuse),
			    "ipv4 rule 101: fwmark 0x10/0xf0 unreachable");
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rule_matches_by_all_its_selectors),
		cmocka_unit_test(test_the_first_look_up_in_the_table_of_the_answer_decides),
		cmocka_unit_test(test_a_goto_leads_past_rules_when_it_is_taken),
		cmocka_unit_test(test_a_suppressed_look_up_does_not_count),
		cmocka_unit_test(test_a_rule_that_cannot_be_evaluated_is_named),
		cmocka_unit_test(test_rules_read_as_ip_rule_shows_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
