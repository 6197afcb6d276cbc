/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Warnings of what not every kernel that runs the tests has. */
#include <string.h>

#include "reconcile/reconcile.h"
#include "tests/unit/fixture.h"

static const char text[] = DOCUMENT(GATEWAY(""), REDIRECT("one", ""));

/* How many warnings of that code a comparison with the fake has. */
static size_t warned(struct fake *fake, const char *code)
{
	struct document document;
	struct scope scope = { .document = &document, .surroundings = true };
	struct comparison comparison;
	struct error error;
	size_t count = 0;

	fixture_document(text, &document);
	assert_int_equal(comparison_make(&fake->kernel, &scope, &comparison, &error), 0);
	for (size_t i = 0; i < comparison.plan.warning_count; i++)
		count += !strcmp(comparison.plan.warnings[i].code, code);
	comparison_free(&comparison);
	document_free(&document);
	return count;
}

static void test_a_flowtable_counts_when_it_has_one_of_our_devices(void **state)
{
	static const struct {
		const char *table, *flowtable, *device;
		size_t warnings;
	} cases[] = {
		{ "inet theirs", "ft", "eth0", 1 }, { "inet theirs", "ft", "eth2", 1 },
		{ "inet theirs", "ft", "eth1", 0 }, { "inet theirs", "other", "eth0", 0 },
		{ "inet others", "ft", "eth0", 0 },
	};
	struct other_chain chain = { .table = "inet theirs", .name = "forward", .is_base = true };
	struct other_deed deed = { .chain = &chain,
				   .rule = 3,
				   .deed = DEED_OFFLOAD,
				   .families = { true, true },
				   .flowtable = "ft" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct flow_device flow = { cases[i].table, cases[i].flowtable, cases[i].device };
		struct fake *fake = fixture_router(0);

		fake->around.deeds = &deed;
		fake->around.deed_count = 1;
		fake->around.flow_devices = &flow;
		fake->around.flow_device_count = 1;
		assert_int_equal(warned(fake, "flowtable"), cases[i].warnings);
		fake_close(fake);
	}
}

static void test_a_rule_for_vrfs_counts_when_a_client_interface_is_in_one(void **state)
{
	static const struct {
		const char *master, *kind;
		uint32_t priority;
		size_t warnings;
	} cases[] = {
		{ "red", "vrf", 50, 1 },
		{ "red", "vrf", 1000, 0 },
		{ "br0", "bridge", 50, 0 },
		{ NULL, "", 50, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct device device = { .name = "eth0",
					 .mtu = 1500,
					 .master = cases[i].master,
					 .master_kind = cases[i].kind };
		struct other_rule rule = { .rule = { .priority = cases[i].priority,
						     .action = FIB_LOOKUP,
						     .l3mdev = true } };
		struct fake *fake = fixture_router(0);

		fake->around.devices = &device;
		fake->around.device_count = 1;
		fake->around.rules = &rule;
		fake->around.rule_count = 1;
		assert_int_equal(warned(fake, "rule-earlier"), cases[i].warnings);
		fake_close(fake);
	}
}

static void test_what_was_not_read_is_not_warned_of(void **state)
{
	struct fake *fake = fixture_router(0);
	struct device device = { .name = "eth0", .index = 1, .mtu = 1500, .up = true };

	(void)state;
	for (enum sysctl sysctl = 0; sysctl < SYSCTL_COUNT; sysctl++)
		fake->around.all.value[sysctl] = device.sysctls.value[sysctl] = SYSCTL_UNREAD;
	fake->around.devices = &device;
	fake->around.device_count = 1;
	assert_int_equal(warned(fake, "forwarding-off"), 0);
	assert_int_equal(warned(fake, "src-valid-mark"), 0);
	fake_close(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_flowtable_counts_when_it_has_one_of_our_devices),
		cmocka_unit_test(test_a_rule_for_vrfs_counts_when_a_client_interface_is_in_one),
		cmocka_unit_test(test_what_was_not_read_is_not_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
