/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of routing tables, in an /etc/iproute2 of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "backends/names.h"
#include "backends/paths.h"
#include "netns.h"
#include "reconcile/kernel.h"

#define DIRECTORY "/etc/iproute2/rt_tables.d"
#define OWN_FILE  DIRECTORY "/detour.conf"

static int names_of_scb(struct state *out, struct error *error)
{
	struct gateway gateway = { .name = "scb", .table = 103 };
	struct document document = { .gateways = &gateway, .gateway_count = 1 };

	*out = (struct state){ 0 };
	return names_read(&document, out, error);
}

/* "103 scb own, 7 scb" and so on, sorted. */
static void names_check(const char *expected)
{
	struct state state;
	struct error error;
	char text[512] = "";

	if (names_of_scb(&state, &error))
		fail_msg("%s", error.message);
	state_sort(&state);
	for (size_t i = 0; i < state.rt_table_count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u %s%s",
			 i ? ", " : "", state.rt_tables[i].id, state.rt_tables[i].name,
			 state.rt_tables[i].own ? " own" : "");
	assert_string_equal(text, expected);
	state_free(&state);
}

static int name_write(const struct rt_table *before, const struct rt_table *after)
{
	struct step step = { .kind = KIND_RT_TABLE, .before = before, .after = after };
	struct error error = { .message = "" };
	int outcome = names_write(&step, &error);

	if (outcome != OUTCOME_DONE)
		print_message("%s: %s\n", error.code, error.message);
	return outcome;
}

static const struct rt_table scb = { .id = 103, .name = "scb", .own = true };
static const struct rt_table psm = { .id = 104, .name = "psm", .own = true };
static const struct rt_table moved = { .id = 105, .name = "scb", .own = true };

static void test_no_directory_means_no_names(void **cmocka)
{
	netns_socket(cmocka);
	names_check("");
}

static void test_name_is_one_that_iproute2_understands(void **cmocka)
{
	struct stat status;

	netns_socket(cmocka);
	assert_int_equal(name_write(NULL, &scb), OUTCOME_DONE);
	names_check("103 scb own");
	netns_run("ip route add default via 10.2.0.10 dev eth2 table scb");
	assert_int_equal(netns_lines("ip route show table 103"), 1);
	assert_int_equal(stat(OWN_FILE, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
	assert_int_equal(stat(DIRECTORY, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0755);
	assert_int_equal(stat("/etc/iproute2/rt_tables", &status), -1);
	netns_run("head -1 " OWN_FILE " | grep -q '^#.*detour'");
}

static void test_file_goes_with_its_last_name(void **cmocka)
{
	struct stat status;

	netns_socket(cmocka);
	assert_int_equal(name_write(NULL, &scb), OUTCOME_DONE);
	assert_int_equal(name_write(NULL, &psm), OUTCOME_DONE);
	assert_int_equal(name_write(&scb, &moved), OUTCOME_DONE);
	names_check("104 psm own, 105 scb own");
	assert_int_equal(name_write(&moved, NULL), OUTCOME_DONE);
	names_check("104 psm own");
	assert_int_equal(name_write(&psm, NULL), OUTCOME_DONE);
	assert_int_equal(name_write(&psm, NULL), OUTCOME_DONE);
	assert_int_equal(stat(OWN_FILE, &status), -1);
	assert_int_equal(netns_lines("ls -A " DIRECTORY), 0);
}

static void test_foreign_names_count_when_they_clash(void **cmocka)
{
	netns_socket(cmocka);
	netns_run("mkdir -p " DIRECTORY);
	netns_run("printf '254 main\\n103 other\\n0x7 scb\\n' > /etc/iproute2/rt_tables");
	netns_run("printf '103 scb\\n9 nobody\\n' > " DIRECTORY "/a.conf");
	netns_run("printf '103 hidden\\n' > " DIRECTORY "/a.txt");
	netns_run("printf '103 hidden\\n' > " DIRECTORY "/.a.conf");
	netns_run("printf '77 mine\\n' > " OWN_FILE);
	names_check("7 scb, 77 mine own, 103 other, 103 scb");
}

static void test_strange_lines_are_passed_over(void **cmocka)
{
	netns_socket(cmocka);
	netns_run("mkdir -p " DIRECTORY);
	netns_run("printf '\\n# 103 no\\n103\\n103 \\nx 103\\n-1 scb\\n4294967296 scb\\n"
		  "99999999999999999999999 scb\\n0x scb\\n103 two words\\n103 # no\\n"
		  " \\t5 \\t scb \\t# yes\\n0xFFFFFFFF scb\\r\\n' > " OWN_FILE);
	netns_run("head -c 3000 /dev/zero | tr '\\0' 7 >> " OWN_FILE);
	netns_run("printf ' scb\\n6 scb' >> " OWN_FILE);
	names_check("5 scb own, 6 scb own, 4294967295 scb own");
}

static void test_strange_files_do_no_harm(void **cmocka)
{
	netns_socket(cmocka);
	netns_run("mkdir -p " DIRECTORY "/dir.conf");
	netns_run("mkfifo " DIRECTORY "/fifo.conf");
	netns_run("ln -s /nowhere " DIRECTORY "/dangling.conf");
	netns_run("head -c 100000 /dev/urandom > " DIRECTORY "/noise.conf");
	netns_run("printf '103 scb\\n' > /run/elsewhere && ln -s /run/elsewhere " OWN_FILE);
	names_check("103 scb own");
	/* The link is ours, what it points to is not. */
	assert_int_equal(name_write(NULL, &psm), OUTCOME_DONE);
	names_check("103 scb own, 104 psm own");
	assert_int_equal(netns_lines("cat /run/elsewhere"), 1);
}

static void test_unwritable_place_is_told(void **cmocka)
{
	struct step step = { .kind = KIND_RT_TABLE, .after = &scb };
	struct error error;

	netns_socket(cmocka);
	netns_run("mount -o remount,ro /etc/iproute2");
	assert_int_equal(names_write(&step, &error), -1);
	assert_string_equal(error.code, "not-writable");
	assert_non_null(strstr(error.message, OWN_FILE));
}

static void test_unreadable_place_is_told(void **cmocka)
{
	struct state state;
	struct error error;

	netns_socket(cmocka);
	netns_run("ln -s rt_tables.d " DIRECTORY);
	assert_int_equal(names_of_scb(&state, &error), -1);
	assert_string_equal(error.code, "not-readable");
	state_free(&state);
}

static void test_namespace_name_is_no_path(void **cmocka)
{
	static const char *const names[] = { "", ".", "..", "a/b", "/etc", "nowhere" };
	struct error error;

	netns_socket(cmocka);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_int_equal(paths_enter(names[i], &error), -1);
		assert_string_equal(error.code, "no-netns");
	}
}

/* The last one: what is entered stays entered. */
static void test_files_of_a_namespace_shadow_whole_entries(void **cmocka)
{
	char buffer[PATHS_MAX];
	struct error error;

	netns_socket(cmocka);
	netns_run("mount -t tmpfs tmpfs /etc && mkdir -p /etc/netns/blue/iproute2 /run/netns");
	netns_run("touch /run/netns/blue && mount --bind /proc/$$/ns/net /run/netns/blue");
	assert_string_equal(paths_resolve(OWN_FILE, buffer), OWN_FILE);
	if (paths_enter("blue", &error))
		fail_msg("%s", error.message);
	assert_string_equal(paths_resolve(OWN_FILE, buffer),
			    "/etc/netns/blue/iproute2/rt_tables.d/detour.conf");
	assert_string_equal(paths_resolve("/etc/detour/detour.json", buffer),
			    "/etc/detour/detour.json");
	assert_string_equal(paths_resolve("/run/x", buffer), "/run/x");
	assert_int_equal(name_write(NULL, &scb), OUTCOME_DONE);
	names_check("103 scb own");
	assert_int_equal(netns_lines("cat /etc/netns/blue/iproute2/rt_tables.d/detour.conf"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, netns_setup, netns_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_directory_means_no_names),
		TEST(test_name_is_one_that_iproute2_understands),
		TEST(test_file_goes_with_its_last_name),
		TEST(test_foreign_names_count_when_they_clash),
		TEST(test_strange_lines_are_passed_over),
		TEST(test_strange_files_do_no_harm),
		TEST(test_unwritable_place_is_told),
		TEST(test_unreadable_place_is_told),
		TEST(test_namespace_name_is_no_path),
		TEST(test_files_of_a_namespace_shadow_whole_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
