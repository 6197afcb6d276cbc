/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routes, rules, links and next hops, on the real kernel. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <linux/netlink.h>

#include <cmocka.h>

#include "backends/rtnl.h"
#include "netns.h"

static struct gateway scb_gateway(void)
{
	struct gateway gateway = { .name = "scb",
				   .description = "",
				   .interface = "eth2",
				   .has_address = { true, true },
				   .mark = { 0x10, 0xf0 },
				   .table = 103,
				   .priority = 100 };

	inet_pton(AF_INET, "10.2.0.10", gateway.address[FAMILY_IPV4]);
	inet_pton(AF_INET6, "2001:db8:2::10", gateway.address[FAMILY_IPV6]);
	return gateway;
}

static struct route route_via(enum family family, const char *gateway)
{
	struct route route = { .family = family,
			       .table = 103,
			       .metric = family == FAMILY_IPV6 ? ROUTE_METRIC_IPV6 : 0,
			       .protocol = PROTOCOL_DETOUR,
			       .is_default = true,
			       .has_gateway = true,
			       .dev = "eth2" };

	inet_pton(rtnl_family(family), gateway, route.gateway);
	return route;
}

static int route_write(struct netlink *nl, const struct route *before, const struct route *after)
{
	struct step step = { .kind = KIND_ROUTE, .before = before, .after = after };
	struct error error = { .message = "" };
	int outcome = rtnl_write_route(nl, &step, &error);

	if (outcome != OUTCOME_DONE)
		print_message("%s\n", error.message);
	return outcome;
}

static void table_read(struct netlink *nl, enum family family, uint32_t table, struct state *out)
{
	struct error error;

	*out = (struct state){ 0 };
	if (rtnl_read_table(nl, family, table, out, &error))
		fail_msg("%s", error.message);
}

static const char *const next_hops[FAMILY_COUNT][2] = {
	[FAMILY_IPV4] = { "10.2.0.10", "10.2.0.11" },
	[FAMILY_IPV6] = { "2001:db8:2::10", "2001:db8:2::11" },
};

static void test_missing_table_is_empty(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		table_read(nl, family, 4000000000, &state);
		assert_int_equal(state.route_count, 0);
		state_free(&state);
	}
}

static void test_route_created_is_read_back_equal(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct route route = route_via(family, next_hops[family][0]);

		assert_int_equal(route_write(nl, NULL, &route), OUTCOME_DONE);
		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 1);
		assert_true(route_equal(&state.routes[0], &route));
		state_free(&state);
	}
}

static void test_route_replace_keeps_one_route(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct route before = route_via(family, next_hops[family][0]);
		struct route after = route_via(family, next_hops[family][1]);

		assert_int_equal(route_write(nl, NULL, &before), OUTCOME_DONE);
		assert_int_equal(route_write(nl, &before, &after), OUTCOME_DONE);
		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 1);
		assert_true(route_equal(&state.routes[0], &after));
		state_free(&state);
	}
}

static void test_route_create_never_joins_a_foreign_route(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	netns_run("ip route add default via 10.2.0.11 dev eth2 table 103 proto static");
	netns_run("ip -6 route add default via 2001:db8:2::11 dev eth2 table 103 proto static");
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct route route = route_via(family, next_hops[family][0]);

		assert_int_equal(route_write(nl, NULL, &route), -1);
		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 1);
		assert_int_equal(state.routes[0].protocol, 4);
		assert_false(state.routes[0].multipath);
		state_free(&state);
	}
}

static void test_route_delete_spares_foreign_twins(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	netns_run("ip route add default via 10.2.0.10 dev eth2 table 103 proto static metric 5");
	netns_run("ip -6 route add default via 2001:db8:2::10 dev eth2 table 103 proto static "
		  "metric 5");
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct route route = route_via(family, next_hops[family][0]);

		assert_int_equal(route_write(nl, NULL, &route), OUTCOME_DONE);
		assert_int_equal(route_write(nl, &route, NULL), OUTCOME_DONE);
		/* What is gone stays gone, and nobody else's goes in its stead. */
		assert_int_equal(route_write(nl, &route, NULL), OUTCOME_DONE);
		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 1);
		assert_int_equal(state.routes[0].metric, 5);
		state_free(&state);
	}
}

static void test_multipath_is_seen_and_replaced(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	netns_run("ip route add default table 103 proto 103 nexthop via 10.2.0.10 dev eth2 "
		  "nexthop via 10.2.0.11 dev eth2");
	netns_run("ip -6 route add default via 2001:db8:2::10 dev eth2 table 103 proto 103");
	netns_run("ip -6 route append default via 2001:db8:2::11 dev eth2 table 103 proto 103");
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct route route = route_via(family, next_hops[family][0]);

		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 1);
		assert_true(state.routes[0].multipath);
		assert_int_equal(route_write(nl, &state.routes[0], &route), OUTCOME_DONE);
		state_free(&state);
		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 1);
		assert_true(route_equal(&state.routes[0], &route));
		state_free(&state);
	}
}

static void test_multipath_is_deleted_whole(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	netns_run("ip route add default table 103 proto 103 nexthop via 10.2.0.10 dev eth2 "
		  "nexthop via 10.2.0.11 dev eth2");
	netns_run("ip -6 route add default table 103 proto 103 nexthop via 2001:db8:2::10 dev eth2 "
		  "nexthop via 2001:db8:2::11 dev eth2");
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		table_read(nl, family, 103, &state);
		assert_int_equal(route_write(nl, &state.routes[0], NULL), OUTCOME_DONE);
		state_free(&state);
		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 0);
		state_free(&state);
	}
}

static void test_destination_survives_the_way_there_and_back(void **cmocka)
{
	static const char *const networks[FAMILY_COUNT] = { "192.0.2.128/25", "2001:db8:99::/47" };
	static const char *const commands[FAMILY_COUNT] = {
		"ip route add 192.0.2.128/25 via 10.2.0.10 dev eth2 table 103 proto 103",
		"ip -6 route add 2001:db8:98::/47 via 2001:db8:2::10 dev eth2 table 103 proto 103",
	};
	struct netlink *nl = netns_socket(cmocka);
	struct state state, again;
	char text[SPAN_TEXT];

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		netns_run("%s", commands[family]);
		table_read(nl, family, 103, &state);
		assert_int_equal(state.route_count, 1);
		assert_false(state.routes[0].is_default);
		span_format(&state.routes[0].dst, family, text);
		assert_int_equal(text[0], networks[family][0]);
		assert_int_equal(route_write(nl, &state.routes[0], NULL), OUTCOME_DONE);
		assert_int_equal(route_write(nl, NULL, &state.routes[0]), OUTCOME_DONE);
		table_read(nl, family, 103, &again);
		assert_int_equal(again.route_count, 1);
		assert_true(route_equal(&again.routes[0], &state.routes[0]));
		state_free(&state);
		state_free(&again);
	}
}

static void test_own_routes_are_found_in_any_table(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state = { 0 };
	struct tables read_before = { 0 };
	struct error error;

	netns_run("ip route add default via 10.2.0.10 dev eth2 table 103 proto 103");
	netns_run("ip route add default via 10.2.0.10 dev eth2 table 70000 proto 103");
	netns_run("ip route add default via 10.2.0.10 dev eth2 table 70001 proto static");
	tables_add(&state.arena, &read_before, 103);
	tables_sort(&read_before);
	assert_int_equal(rtnl_read_own_routes(nl, FAMILY_IPV4, &read_before, &state, &error), 0);
	assert_int_equal(state.route_count, 1);
	assert_int_equal(state.routes[0].table, 70000);
	state_free(&state);
}

static void test_route_waits_for_what_is_not_there(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct route route = route_via(FAMILY_IPV4, "10.1.0.10");
	struct route missing = route_via(FAMILY_IPV4, "10.2.0.10");
	struct route own = route_via(FAMILY_IPV6, "2001:db8:1::1");
	struct route far = route_via(FAMILY_IPV6, "2001:db8:9::1");
	struct route down = route_via(FAMILY_IPV6, "2001:db8:2::10");

	missing.dev = "eth9";
	assert_int_equal(route_write(nl, NULL, &route), OUTCOME_WAITS);
	assert_int_equal(route_write(nl, NULL, &missing), OUTCOME_WAITS);
	assert_int_equal(route_write(nl, NULL, &own), OUTCOME_WAITS);
	assert_int_equal(route_write(nl, NULL, &far), OUTCOME_WAITS);
	netns_run("ip link set eth2 down");
	assert_int_equal(route_write(nl, NULL, &down), OUTCOME_WAITS);
}

static void test_refusal_has_the_kernels_words(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct route route = route_via(FAMILY_IPV4, "10.9.0.10");
	struct step step = { .kind = KIND_ROUTE, .after = &route };
	struct error error;

	assert_int_equal(rtnl_write_route(nl, &step, &error), OUTCOME_WAITS);
	assert_non_null(strstr(error.message, "ipv4 route default via 10.9.0.10 dev eth2"));
	assert_non_null(strstr(error.message, "Nexthop has invalid gateway"));
}

static struct rule lookup_rule(enum family family)
{
	return (struct rule){ .family = family,
			      .priority = 100,
			      .mark = { 0x10, 0xf0 },
			      .action = RULE_LOOKUP,
			      .table = 103,
			      .protocol = PROTOCOL_DETOUR };
}

static struct rule refusing_rule(enum family family)
{
	return (struct rule){ .family = family,
			      .priority = 101,
			      .mark = { 0x10, 0xf0 },
			      .action = RULE_UNREACHABLE,
			      .protocol = PROTOCOL_DETOUR };
}

static int rule_write(struct netlink *nl, const struct rule *before, const struct rule *after)
{
	struct step step = { .kind = KIND_RULE, .before = before, .after = after };
	struct error error = { .message = "" };
	int outcome = rtnl_write_rule(nl, &step, &error);

	if (outcome != OUTCOME_DONE)
		print_message("%s\n", error.message);
	return outcome;
}

/* The rules that a document with one gateway makes us see, sorted. */
static void rules_read(struct netlink *nl, struct state *out)
{
	struct gateway gateway = scb_gateway();
	struct document document = { .gateways = &gateway, .gateway_count = 1 };
	struct error error;

	*out = (struct state){ 0 };
	if (rtnl_read_rules(nl, &document, out, &error))
		fail_msg("%s", error.message);
	state_sort(out);
}

static void test_rules_created_are_read_back_equal(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct rule lookup = lookup_rule(family), refusing = refusing_rule(family);

		assert_int_equal(rule_write(nl, NULL, &lookup), OUTCOME_DONE);
		assert_int_equal(rule_write(nl, NULL, &refusing), OUTCOME_DONE);
	}
	rules_read(nl, &state);
	assert_int_equal(state.rule_count, 4);
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct rule lookup = lookup_rule(family), refusing = refusing_rule(family);

		assert_true(rule_equal(&state.rules[2 * family], &lookup));
		assert_true(rule_equal(&state.rules[2 * family + 1], &refusing));
	}
	state_free(&state);
}

static void test_rule_create_makes_no_second_one(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct rule rule = lookup_rule(FAMILY_IPV4);

	assert_int_equal(rule_write(nl, NULL, &rule), OUTCOME_DONE);
	assert_int_equal(rule_write(nl, NULL, &rule), -1);
	assert_int_equal(netns_lines("ip rule show pref 100"), 1);
}

static void test_rule_delete_spares_a_twin_of_another_protocol(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct rule rule = lookup_rule(FAMILY_IPV4);
	struct state state;

	netns_run("ip rule add pref 100 fwmark 0x10/0xf0 lookup 103 protocol static");
	assert_int_equal(rule_write(nl, NULL, &rule), OUTCOME_DONE);
	rules_read(nl, &state);
	assert_int_equal(state.rule_count, 2);
	state_free(&state);
	assert_int_equal(rule_write(nl, &rule, NULL), OUTCOME_DONE);
	assert_int_equal(rule_write(nl, &rule, NULL), OUTCOME_DONE);
	rules_read(nl, &state);
	assert_int_equal(state.rule_count, 1);
	assert_int_equal(state.rules[0].protocol, 4);
	state_free(&state);
}

static void test_rule_update_adds_before_it_deletes(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct rule before = lookup_rule(FAMILY_IPV4), after = before;
	struct state state;

	after.mark = (struct mark){ 0x20, 0xf0 };
	assert_int_equal(rule_write(nl, NULL, &before), OUTCOME_DONE);
	assert_int_equal(rule_write(nl, &before, &after), OUTCOME_DONE);
	rules_read(nl, &state);
	assert_int_equal(state.rule_count, 1);
	assert_true(rule_equal(&state.rules[0], &after));
	state_free(&state);
}

static void test_mark_without_mask_is_a_full_mask(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	netns_run("ip rule add pref 100 fwmark 0x10 lookup 103");
	netns_run("ip rule add pref 101 fwmark 0/0xf0 lookup 103");
	netns_run("ip rule add pref 102 lookup 103");
	rules_read(nl, &state);
	assert_int_equal(state.rule_count, 3);
	assert_int_equal(state.rules[0].mark.mask, UINT32_MAX);
	assert_int_equal(state.rules[1].mark.value, 0);
	assert_int_equal(state.rules[1].mark.mask, 0xf0);
	assert_int_equal(state.rules[2].mark.mask, 0);
	state_free(&state);
}

static void test_rules_that_concern_nobody_are_left_out(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	netns_run("ip rule add pref 99 fwmark 0x10/0xf0 lookup 104");
	netns_run("ip rule add pref 102 fwmark 0x10/0xf0 unreachable");
	netns_run("ip rule add pref 5000 from 10.0.0.0/8 lookup 103");
	netns_run("ip rule add pref 5001 lookup 104 protocol 103");
	rules_read(nl, &state);
	assert_int_equal(state.rule_count, 2);
	assert_int_equal(state.rules[0].priority, 5000);
	assert_int_equal(state.rules[1].priority, 5001);
	state_free(&state);
}

/* Each is more than struct rule can say. */
static const char *const selectors[] = {
	"from 10.0.0.0/8 lookup 103",
	"to 10.0.0.0/8 lookup 103",
	"iif eth1 lookup 103",
	"iif eth77 lookup 103",
	"oif eth1 lookup 103",
	"not from 10.0.0.0/8 lookup 103",
	"not fwmark 0x10/0xf0 lookup 103",
	"tos 0x10 lookup 103",
	"ipproto tcp lookup 103",
	"ipproto tcp dport 3389 lookup 103",
	"ipproto tcp sport 1000-2000 lookup 103",
	"uidrange 0-0 lookup 103",
	"tun_id 5 lookup 103",
	"lookup 103 suppress_prefixlength 0",
	"lookup 103 suppress_ifgroup 7",
	"l3mdev",
	"goto 200",
	"from 10.0.0.0/8 realms 3 lookup 103",
	"blackhole",
	"prohibit",
};

static void test_rule_with_more_is_deleted_and_restored_as_it_was(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct rule plain = lookup_rule(FAMILY_IPV4);
	struct state state;

	plain.mark = (struct mark){ 0 };
	for (size_t i = 0; i < sizeof(selectors) / sizeof(*selectors); i++) {
		netns_run("ip rule add pref 100 protocol 103 %s", selectors[i]);
		netns_run("ip rule show pref 100 | sort > /run/before");
		rules_read(nl, &state);
		if (state.rule_count != 1 || !state.rules[0].has_more)
			fail_msg("not recognised: %s", selectors[i]);
		/* A plain one behind it must survive its deletion. */
		assert_int_equal(rule_write(nl, NULL, &plain), OUTCOME_DONE);
		assert_int_equal(rule_write(nl, &state.rules[0], NULL), OUTCOME_DONE);
		assert_int_equal(netns_lines("ip rule show pref 100"), 1);
		assert_int_equal(rule_write(nl, &plain, NULL), OUTCOME_DONE);
		assert_int_equal(netns_lines("ip rule show pref 100"), 0);
		assert_int_equal(rule_write(nl, NULL, &state.rules[0]), OUTCOME_DONE);
		netns_run("ip rule show pref 100 | sort | cmp - /run/before");
		assert_int_equal(rule_write(nl, &state.rules[0], NULL), OUTCOME_DONE);
		state_free(&state);
	}
}

static void test_a_thousand_rules_hide_none(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct rule rule = lookup_rule(FAMILY_IPV4);
	struct state state;

	rule.priority = 6000;
	for (rule.table = 1000; rule.table < 2000; rule.table++)
		assert_int_equal(rule_write(nl, NULL, &rule), OUTCOME_DONE);
	rules_read(nl, &state);
	assert_int_equal(state.rule_count, 1000);
	state_free(&state);
}

/* Deletes and creates a foreign rule far in front of ours until it is killed. */
static void churn(struct rule rule)
{
	struct netlink *nl;
	struct error error;

	/* Not even a failed assertion may leave it running. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || netlink_open(NETLINK_ROUTE, &nl, &error))
		_exit(1);
	for (;;) {
		rule_write(nl, NULL, &rule);
		rule_write(nl, &rule, NULL);
	}
}

static void test_churn_hides_no_rule(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	static const struct document none;
	struct rule rule = lookup_rule(FAMILY_IPV4), foreign = rule;
	struct error error;
	pid_t child;

	for (rule.priority = 6000; rule.priority < 7000; rule.priority++)
		assert_int_equal(rule_write(nl, NULL, &rule), OUTCOME_DONE);
	foreign.priority = 5000;
	foreign.protocol = 4;
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0)
		churn(foreign);
	for (int i = 0; i < 10; i++) {
		struct state state = { 0 };

		/* Not being able to tell is an answer, too. */
		if (rtnl_read_rules(nl, &none, &state, &error))
			assert_string_equal(error.code, "unsettled");
		else
			assert_int_equal(state.rule_count, 1000);
		state_free(&state);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void next_hops_read(struct netlink *nl, struct gateway *gateways, size_t count,
			   struct state *out)
{
	struct document document = { .gateways = gateways, .gateway_count = count };
	struct error error;

	*out = (struct state){ 0 };
	if (rtnl_read_links(nl, &document, out, &error) ||
	    rtnl_read_next_hops(nl, &document, out, &error))
		fail_msg("%s", error.message);
}

struct hop_case {
	enum family family;
	const char *address, *interface, *obstacle;
	const char *before; /* what others do first */
	bool kernel_agrees;
};

static const struct hop_case hop_cases[] = {
	{ FAMILY_IPV4, "10.2.0.10", "eth2", NULL, NULL, true },
	{ FAMILY_IPV6, "2001:db8:2::10", "eth2", NULL, NULL, true },
	{ FAMILY_IPV6, "fe80::10", "eth2", NULL, NULL, true },
	{ FAMILY_IPV4, "10.1.0.10", "eth2", "10.1.0.10 is not on the link of eth2", NULL, true },
	{ FAMILY_IPV6, "2001:db8:1::10", "eth2", "2001:db8:1::10 is not on the link of eth2", NULL,
	  true },
	{ FAMILY_IPV4, "192.0.2.1", "eth2", "192.0.2.1 is not on the link of eth2", NULL, true },
	{ FAMILY_IPV4, "192.0.2.1", "eth2", "192.0.2.1 is not on the link of eth2",
	  "ip route add default via 10.2.0.254 dev eth2", true },
	{ FAMILY_IPV6, "2001:db8:9::1", "eth2", "2001:db8:9::1 is not on the link of eth2",
	  "ip -6 route add default via 2001:db8:2::254 dev eth2", true },
	{ FAMILY_IPV4, "10.2.0.255", "eth2", "10.2.0.255 is not on the link of eth2", NULL, true },
	{ FAMILY_IPV6, "2001:db8:2::1", "eth2", "2001:db8:2::1 is this router's own address", NULL,
	  true },
	{ FAMILY_IPV6, "2001:db8:1::1", "eth2", "2001:db8:1::1 is this router's own address", NULL,
	  true },
	/* IPv4 takes a route through the router itself. It leads nowhere. */
	{ FAMILY_IPV4, "10.2.0.1", "eth2", "10.2.0.1 is this router's own address", NULL, false },
	{ FAMILY_IPV4, "10.1.0.1", "eth2", "10.1.0.1 is this router's own address", NULL, true },
	{ FAMILY_IPV4, "10.2.0.10", "eth9", "interface eth9 does not exist", NULL, true },
	{ FAMILY_IPV4, "10.8.0.5", "eth2", NULL,
	  "ip route add 10.8.0.0/24 dev eth2 table 77 && ip rule add to 10.8.0.0/24 lookup 77",
	  true },
	{ FAMILY_IPV4, "10.11.0.2", "eth2", NULL, "ip addr add 10.11.0.1 peer 10.11.0.2 dev eth2",
	  true },
	{ FAMILY_IPV4, "10.2.0.30", "eth2", "10.2.0.30 is not on the link of eth2",
	  "ip rule add pref 5 to 10.2.0.30 unreachable", true },
	/* A lost carrier keeps neither routes nor us from what is configured. */
	{ FAMILY_IPV4, "10.2.0.10", "eth2", NULL, "ip link set peer2 down", true },
	{ FAMILY_IPV6, "2001:db8:2::10", "eth2", NULL, NULL, true },
	{ FAMILY_IPV4, "10.2.0.10", "eth2", "interface eth2 is down", "ip link set eth2 down",
	  true },
	{ FAMILY_IPV6, "2001:db8:2::10", "eth2", "interface eth2 is down", NULL, true },
	/* IPv6 loses its addresses with the link, IPv4 does not. */
	{ FAMILY_IPV6, "2001:db8:2::10", "eth2", "2001:db8:2::10 is not on the link of eth2",
	  "ip link set peer2 up && ip link set eth2 up", true },
	{ FAMILY_IPV4, "10.2.0.10", "eth2", NULL, NULL, true },
	{ FAMILY_IPV6, "fe80::10", "eth2", "fe80::10 is not on the link of eth2",
	  "sysctl -qw net.ipv6.conf.eth2.disable_ipv6=1", true },
};

/* The obstacle is told, and the kernel's own answer to the route is the same. */
static void hop_check(struct netlink *nl, const struct hop_case *hop)
{
	struct gateway gateway = { .name = "scb", .interface = hop->interface };
	struct route route = route_via(hop->family, hop->address);
	struct state state;
	int outcome;

	if (hop->before)
		netns_run("%s", hop->before);
	gateway.has_address[hop->family] = true;
	memcpy(gateway.address[hop->family], route.gateway, SPAN_BYTES);
	next_hops_read(nl, &gateway, 1, &state);
	assert_int_equal(state.next_hop_count, 1);
	if (hop->obstacle && state.next_hops[0].obstacle)
		assert_string_equal(state.next_hops[0].obstacle, hop->obstacle);
	else if (hop->obstacle || state.next_hops[0].obstacle)
		fail_msg("%s: \"%s\"", hop->address, state.next_hops[0].obstacle);
	route.dev = hop->interface;
	outcome = route_write(nl, NULL, &route);
	if (hop->kernel_agrees)
		assert_int_equal(outcome, hop->obstacle ? OUTCOME_WAITS : OUTCOME_DONE);
	if (outcome == OUTCOME_DONE)
		assert_int_equal(route_write(nl, &route, NULL), OUTCOME_DONE);
	state_free(&state);
}

static void test_next_hop_is_judged_as_the_kernel_judges_it(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);

	for (size_t i = 0; i < sizeof(hop_cases) / sizeof(*hop_cases); i++)
		hop_check(nl, &hop_cases[i]);
}

struct neighbour_case {
	const char *before; /* what others do first; NULL: nothing */
	enum neighbour_state state[FAMILY_COUNT];
	const char *link_address[FAMILY_COUNT];
};

#define IP_NEIGHBOUR(action, address, more)                                                        \
	"ip neighbour " action " " address " dev eth2 " more "; "

/* The entries that a command makes stay as they are while nothing is sent. */
static const struct neighbour_case neighbour_cases[] = {
	{ NULL, { NEIGHBOUR_NONE, NEIGHBOUR_NONE }, { NULL, NULL } },
	{ IP_NEIGHBOUR("add", "10.2.0.10", "lladdr 02:00:00:00:00:0a nud permanent")
		  IP_NEIGHBOUR("add", "2001:db8:2::10", "lladdr 02:00:00:00:00:0b nud stale"),
	  { NEIGHBOUR_PERMANENT, NEIGHBOUR_STALE },
	  { "02:00:00:00:00:0a", "02:00:00:00:00:0b" } },
	{ IP_NEIGHBOUR("change", "10.2.0.10", "lladdr 02:00:00:00:00:0c nud reachable")
		  IP_NEIGHBOUR("change", "2001:db8:2::10", "nud noarp"),
	  { NEIGHBOUR_REACHABLE, NEIGHBOUR_NOARP },
	  { "02:00:00:00:00:0c", "02:00:00:00:00:0b" } },
	{ IP_NEIGHBOUR("change", "10.2.0.10", "nud failed")
		  IP_NEIGHBOUR("del", "2001:db8:2::10", ""),
	  { NEIGHBOUR_FAILED, NEIGHBOUR_NONE },
	  { NULL, NULL } },
	/* Neighbours of the same address on another link do not count. */
	{ "ip neighbour flush dev eth2 && "
	  "ip neighbour add 10.2.0.10 dev eth1 lladdr 02:00:00:00:00:0a",
	  { NEIGHBOUR_NONE, NEIGHBOUR_NONE },
	  { NULL, NULL } },
	{ "ip link del eth2", { NEIGHBOUR_UNKNOWN, NEIGHBOUR_UNKNOWN }, { NULL, NULL } },
};

static void neighbour_check(struct netlink *nl, const struct neighbour_case *wanted)
{
	struct gateway gateway = scb_gateway();
	struct state state;
	struct error error;

	if (wanted->before)
		netns_run("%s", wanted->before);
	next_hops_read(nl, &gateway, 1, &state);
	assert_int_equal(rtnl_read_neighbours(nl, &state, &error), 0);
	for (size_t i = 0; i < FAMILY_COUNT; i++) {
		const struct neighbour *seen = &state.next_hops[i].neighbour;

		assert_string_equal(neighbour_name(seen->state), neighbour_name(wanted->state[i]));
		if (wanted->link_address[i])
			assert_string_equal(seen->link_address, wanted->link_address[i]);
		else
			assert_null(seen->link_address);
	}
	state_free(&state);
}

static void test_neighbour_is_what_ip_neighbour_says(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);

	for (size_t i = 0; i < sizeof(neighbour_cases) / sizeof(*neighbour_cases); i++)
		neighbour_check(nl, &neighbour_cases[i]);
}

static void test_link_is_known_by_its_own_name_only(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	const char *interfaces[] = { "eth1", "eth*", "other1", "eth1" };
	struct redirect redirect = { .interfaces = interfaces, .interface_count = 4 };
	struct gateway gateway = scb_gateway();
	struct document document = { .gateways = &gateway,
				     .gateway_count = 1,
				     .redirects = &redirect,
				     .redirect_count = 1 };
	struct state state = { 0 };
	struct error error;

	netns_run("ip link property add dev eth1 altname other1");
	netns_run("ip link set eth2 down");
	assert_int_equal(rtnl_read_links(nl, &document, &state, &error), 0);
	assert_int_equal(state.link_count, 2);
	assert_true(state_link(&state, "eth1")->up);
	assert_false(state_link(&state, "eth2")->up);
	state_free(&state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, netns_setup, netns_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_missing_table_is_empty),
		TEST(test_route_created_is_read_back_equal),
		TEST(test_route_replace_keeps_one_route),
		TEST(test_route_create_never_joins_a_foreign_route),
		TEST(test_route_delete_spares_foreign_twins),
		TEST(test_multipath_is_seen_and_replaced),
		TEST(test_multipath_is_deleted_whole),
		TEST(test_destination_survives_the_way_there_and_back),
		TEST(test_own_routes_are_found_in_any_table),
		TEST(test_route_waits_for_what_is_not_there),
		TEST(test_refusal_has_the_kernels_words),
		TEST(test_rules_created_are_read_back_equal),
		TEST(test_rule_create_makes_no_second_one),
		TEST(test_rule_delete_spares_a_twin_of_another_protocol),
		TEST(test_rule_update_adds_before_it_deletes),
		TEST(test_mark_without_mask_is_a_full_mask),
		TEST(test_rules_that_concern_nobody_are_left_out),
		TEST(test_rule_with_more_is_deleted_and_restored_as_it_was),
		TEST(test_a_thousand_rules_hide_none),
		TEST(test_churn_hides_no_rule),
		TEST(test_next_hop_is_judged_as_the_kernel_judges_it),
		TEST(test_neighbour_is_what_ip_neighbour_says),
		TEST(test_link_is_known_by_its_own_name_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
