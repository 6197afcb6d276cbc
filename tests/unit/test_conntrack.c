/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Marked connections on the real kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <linux/netlink.h>

#include <cmocka.h>

#include "backends/conntrack.h"
#include "netns.h"

static struct netlink *netfilter_socket(void **cmocka)
{
	struct netlink *nl;
	struct error error;

	netns_socket(cmocka);
	if (netlink_open(NETLINK_NETFILTER, &nl, &error))
		fail_msg("%s", error.message);
	return nl;
}

/* Connections to ports 1 to 4, in both families, with marks that differ outside the mask, too. */
static void connections_make(void)
{
	static const char *const servers[] = { "10.1.0.9", "2001:db8:1::9" };

	netns_run(
		"nft 'add table inet t; add chain inet t o { type filter hook output priority 0; };"
		"add rule inet t o ct mark set udp dport map"
		"{ 1 : 0x10, 2 : 0x1f, 3 : 0x20, 4 : 0x01 }'");
	for (size_t i = 0; i < 2; i++)
		for (int port = 1; port <= 4; port++)
			netns_run("bash -c 'echo > /dev/udp/%s/%d'", servers[i], port);
}

/* -1 when that mark is not counted. */
static int count_of(const struct state *state, uint32_t value)
{
	for (size_t i = 0; i < state->marked_count; i++)
		if (state->marked[i].mark.value == value)
			return (int)state->marked[i].connections;
	return -1;
}

static void counts_read_all(struct netlink *nl, const struct rule *rules, size_t rule_count,
			    bool connections, struct state *out)
{
	static struct gateway gateways[] = { { .mark = { 0x10, 0xf0 } },
					     { .mark = { 0x20, 0xf0 } } };
	struct document document = { .gateways = gateways, .gateway_count = 2 };
	struct scope scope = { .document = &document, .connections = connections };
	struct error error;

	*out = (struct state){ 0 };
	for (size_t i = 0; i < rule_count; i++)
		*ARENA_PUSH(&out->arena, out->rules, out->rule_count, out->rule_room) = rules[i];
	if (conntrack_read(nl, &scope, out, &error))
		fail_msg("%s", error.message);
}

static void counts_read(struct netlink *nl, const struct rule *rules, size_t rule_count,
			struct state *out)
{
	counts_read_all(nl, rules, rule_count, false, out);
}

static void test_empty_table_has_no_connections(void **cmocka)
{
	struct netlink *nl = netfilter_socket(cmocka);
	struct mark mark = { 0x10, 0xf0 };
	struct error error;
	struct state state;

	counts_read(nl, NULL, 0, &state);
	assert_int_equal(count_of(&state, 0x10), 0);
	assert_int_equal(conntrack_forget(nl, &mark, &error), 0);
	state_free(&state);
	netlink_close(nl);
}

static void test_count_is_by_mask_and_of_both_families(void **cmocka)
{
	struct netlink *nl = netfilter_socket(cmocka);
	struct state state;

	connections_make();
	counts_read(nl, NULL, 0, &state);
	assert_int_equal(count_of(&state, 0x10), 4);
	assert_int_equal(count_of(&state, 0x20), 2);
	state_free(&state);
	netlink_close(nl);
}

static void test_marks_in_sync_are_counted_only_when_asked_for(void **cmocka)
{
	struct netlink *nl = netfilter_socket(cmocka);
	struct rule rules[] = {
		{ .mark = { 0x10, 0xf0 }, .protocol = PROTOCOL_DETOUR },
		{ .mark = { 0x20, 0xf0 }, .protocol = 4 },
		{ .mark = { 0x01, 0x0f }, .protocol = PROTOCOL_DETOUR },
		{ .mark = { 0x01, 0x0f }, .protocol = PROTOCOL_DETOUR, .family = FAMILY_IPV6 },
		{ .mark = { 0x30, 0xf0 }, .protocol = 4 },
	};
	struct state state;

	connections_make();
	counts_read(nl, rules, sizeof(rules) / sizeof(*rules), &state);
	assert_int_equal(state.marked_count, 2);
	assert_int_equal(count_of(&state, 0x20), 2);
	assert_int_equal(count_of(&state, 0x01), 2);
	state_free(&state);
	counts_read_all(nl, rules, sizeof(rules) / sizeof(*rules), true, &state);
	assert_int_equal(state.marked_count, 3);
	assert_int_equal(count_of(&state, 0x10), 4);
	state_free(&state);
	netlink_close(nl);
}

static void test_forget_spares_other_marks(void **cmocka)
{
	struct netlink *nl = netfilter_socket(cmocka);
	struct mark mark = { 0x10, 0xf0 };
	struct error error;
	struct state state;

	connections_make();
	assert_int_equal(conntrack_forget(nl, &mark, &error), 0);
	counts_read(nl, NULL, 0, &state);
	assert_int_equal(count_of(&state, 0x10), 0);
	assert_int_equal(count_of(&state, 0x20), 2);
	state_free(&state);
	netlink_close(nl);
}

static void test_mark_that_selects_nothing_forgets_nothing(void **cmocka)
{
	static const struct mark marks[] = { { 0, 0 }, { 0, 0xf0 }, { 0x10, 0 }, { 0x0f, 0xf0 } };
	struct netlink *nl = netfilter_socket(cmocka);
	struct error error;
	struct state state;

	connections_make();
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		assert_int_equal(conntrack_forget(nl, &marks[i], &error), 0);
	counts_read(nl, NULL, 0, &state);
	assert_int_equal(count_of(&state, 0x10), 4);
	assert_int_equal(count_of(&state, 0x20), 2);
	state_free(&state);
	netlink_close(nl);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, netns_setup, netns_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty_table_has_no_connections),
		TEST(test_count_is_by_mask_and_of_both_families),
		TEST(test_marks_in_sync_are_counted_only_when_asked_for),
		TEST(test_forget_spares_other_marks),
		TEST(test_mark_that_selects_nothing_forgets_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
