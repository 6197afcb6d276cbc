/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rp_filter on the real kernel, and the record of what it was before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "backends/paths.h"
#include "backends/rtnl.h"
#include "netns.h"

static void sysctl_set(const char *interface, int value)
{
	netns_run("sysctl -qw net.ipv4.conf.%s.rp_filter=%d", interface, value);
}

static void filters_read(struct netlink *nl, enum rp_filter_mode mode, struct state *out)
{
	struct gateway gateway = { .name = "scb", .interface = "eth2", .rp_filter = mode };
	struct document document = { .gateways = &gateway, .gateway_count = 1 };
	struct scope scope = { .document = &document };
	struct record record;
	struct error error;

	*out = (struct state){ 0 };
	if (record_read(&out->arena, &record, &error) ||
	    rtnl_read_rp_filters(nl, &scope, &record, out, &error))
		fail_msg("%s", error.message);
}

static struct rp_filter filter_read(struct netlink *nl, const char *interface)
{
	struct rp_filter filter = { .value = -1 };
	const struct rp_filter *found;
	struct state state;

	filters_read(nl, RP_FILTER_OFF, &state);
	found = state_rp_filter(&state, interface);
	if (found)
		filter = *found;
	filter.interface = interface;
	state_free(&state);
	return filter;
}

static int filter_write(struct netlink *nl, const char *interface, int value)
{
	struct rp_filter before = filter_read(nl, interface);
	struct rp_filter after = { .interface = interface, .value = value };
	struct step step = { .kind = KIND_RP_FILTER, .before = &before, .after = &after };
	struct error error = { .message = "" };
	int outcome = rtnl_write_rp_filter(nl, &step, &error);

	if (outcome != OUTCOME_DONE)
		print_message("%s\n", error.message);
	return outcome;
}

static void record_path(char *path)
{
	struct error error;

	assert_int_equal(paths_run(path, &error), 0);
	strcat(path, "/rp_filter.json");
}

static bool record_exists(void)
{
	char path[PATHS_MAX];
	struct stat status;

	record_path(path);
	return stat(path, &status) == 0;
}

static void test_loose_touches_nothing_but_its_interface(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	char path[PATHS_MAX];
	struct stat status;

	sysctl_set("eth2", 1);
	sysctl_set("eth1", 1);
	assert_int_equal(filter_write(nl, "eth2", 2), OUTCOME_DONE);
	assert_int_equal(filter_read(nl, "eth2").value, 2);
	assert_int_equal(filter_read(nl, "eth1").value, 1);
	assert_int_equal(filter_read(nl, "all").value, 0);
	assert_true(filter_read(nl, "eth2").recorded);
	assert_int_equal(filter_read(nl, "eth2").before, 1);
	assert_false(filter_read(nl, "eth1").recorded);
	record_path(path);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
}

static void test_all_and_default_are_written_too(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);

	sysctl_set("all", 1);
	assert_int_equal(filter_write(nl, "default", 1), OUTCOME_DONE);
	assert_int_equal(filter_write(nl, "all", 0), OUTCOME_DONE);
	assert_int_equal(filter_read(nl, "all").value, 0);
	assert_int_equal(filter_read(nl, "all").before, 1);
	assert_int_equal(filter_read(nl, "default").value, 1);
	assert_int_equal(filter_read(nl, "default").before, 0);
}

static void test_restoring_leaves_no_record(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);

	sysctl_set("eth2", 1);
	assert_int_equal(filter_write(nl, "eth2", 2), OUTCOME_DONE);
	assert_true(record_exists());
	assert_int_equal(filter_write(nl, "eth2", 1), OUTCOME_DONE);
	assert_int_equal(filter_read(nl, "eth2").value, 1);
	assert_false(filter_read(nl, "eth2").recorded);
	assert_false(record_exists());
}

static void test_second_write_keeps_the_first_record(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);

	sysctl_set("eth2", 1);
	assert_int_equal(filter_write(nl, "eth2", 2), OUTCOME_DONE);
	assert_int_equal(filter_write(nl, "eth2", 0), OUTCOME_DONE);
	assert_true(filter_read(nl, "eth2").recorded);
	assert_int_equal(filter_read(nl, "eth2").before, 1);
}

static void test_what_somebody_else_wrote_is_not_ours(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);

	sysctl_set("eth2", 1);
	assert_int_equal(filter_write(nl, "eth2", 2), OUTCOME_DONE);
	sysctl_set("eth2", 0);
	assert_false(filter_read(nl, "eth2").recorded);
	assert_true(filter_read(nl, "eth2").overridden);
	assert_int_equal(filter_write(nl, "eth2", 2), OUTCOME_DONE);
	/* What is restored one day is what stood there before our very first write. */
	assert_int_equal(filter_read(nl, "eth2").before, 1);
	assert_false(filter_read(nl, "eth2").overridden);
}

static void test_nothing_is_written_that_cannot_be_recorded(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);

	sysctl_set("eth2", 1);
	netns_run("mount -o remount,ro /run");
	assert_int_equal(filter_write(nl, "eth2", 2), -1);
	assert_int_equal(filter_read(nl, "eth2").value, 1);
}

static void test_missing_interface_waits(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct rp_filter after = { .interface = "eth9", .value = 2 };
	struct step step = { .kind = KIND_RP_FILTER, .after = &after };
	struct error error;

	assert_int_equal(rtnl_write_rp_filter(nl, &step, &error), OUTCOME_WAITS);
	assert_false(record_exists());
}

static void test_other_interfaces_are_read_only_when_they_matter(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct state state;

	filters_read(nl, RP_FILTER_LOOSE, &state);
	assert_int_equal(state.rp_filter_count, 3);
	state_free(&state);
	filters_read(nl, RP_FILTER_OFF, &state);
	assert_int_equal(state.rp_filter_count, 7); /* all, default, lo, 2 ethN, 2 peerN */
	state_free(&state);
	sysctl_set("eth2", 1);
	assert_int_equal(filter_write(nl, "eth2", 2), OUTCOME_DONE);
	filters_read(nl, RP_FILTER_LOOSE, &state);
	assert_int_equal(state.rp_filter_count, 7);
	state_free(&state);
}

/* Editing commands for sed: what a crash, a reboot or a hand can do to the record. */
static const char *const damages[] = {
	"s/.$//;$d",
	"s/\"version\": 1/\"version\": 2/",
	"s/\"boot_id\": \"./\"boot_id\": \"x/",
	"s/\"ours\": 2/\"ours\": \"2\"/",
	"s/\"before\": 1/\"before\": 99999999999999/",
	"s/\"before\": 1/\"before\": -1/",
	"s/\"interfaces\": {/\"interfaces\": [{/;s/^  }/  }]/",
	"s/\"eth2\": {/\"eth2\": [], \"x\": {/",
	"1,$d",
};

static void test_damaged_record_is_an_empty_one(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	char path[PATHS_MAX];

	record_path(path);
	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		sysctl_set("eth2", 1);
		assert_int_equal(filter_write(nl, "eth2", 2), OUTCOME_DONE);
		assert_true(filter_read(nl, "eth2").recorded);
		netns_run("sed -i '%s' %s", damages[i], path);
		if (filter_read(nl, "eth2").recorded)
			fail_msg("believed after %s", damages[i]);
		assert_int_equal(filter_write(nl, "eth2", 0), OUTCOME_DONE);
		assert_int_equal(filter_read(nl, "eth2").before, 2);
		netns_run("rm %s", path);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, netns_setup, netns_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_loose_touches_nothing_but_its_interface),
		TEST(test_all_and_default_are_written_too),
		TEST(test_restoring_leaves_no_record),
		TEST(test_second_write_keeps_the_first_record),
		TEST(test_what_somebody_else_wrote_is_not_ours),
		TEST(test_nothing_is_written_that_cannot_be_recorded),
		TEST(test_missing_interface_waits),
		TEST(test_other_interfaces_are_read_only_when_they_matter),
		TEST(test_damaged_record_is_an_empty_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
