/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "reconcile/pace.h"

enum { START = 1000000 };

/* One that has had its first look, in which nothing was to be done. */
static struct pace settled(void)
{
	struct pace pace;

	pace_init(&pace, START);
	pace_looked(&pace, START);
	return pace;
}

static void test_the_first_look_is_due_at_once(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, START);
	assert_int_equal(pace_due(&pace), START);
	pace_looked(&pace, START + 7);
	assert_int_equal(pace_due(&pace), START + 7 + PACE_IDLE_MS);
}

static void test_a_burst_is_looked_at_when_it_is_over_and_not_much_later(void **state)
{
	struct pace pace = settled();
	int64_t now = START + 500;

	(void)state;
	pace_event(&pace, now, PACE_SETTLE);
	assert_int_equal(pace_due(&pace), now + PACE_QUIET_MS);
	pace_event(&pace, now + 15, PACE_SETTLE);
	assert_int_equal(pace_due(&pace), now + 15 + PACE_QUIET_MS);
	for (int i = 2; i < 100; i++)
		pace_event(&pace, now + 15 * i, PACE_SETTLE);
	assert_int_equal(pace_due(&pace), now + PACE_LATEST_MS);
	pace_looked(&pace, now + PACE_LATEST_MS);
	assert_int_equal(pace_due(&pace), now + PACE_LATEST_MS + PACE_IDLE_MS);
}

static void test_what_is_urgent_waits_for_nothing_but_the_look_before(void **state)
{
	struct pace pace = settled();
	int64_t now = START + 500;

	(void)state;
	pace_event(&pace, now, PACE_SETTLE);
	pace_event(&pace, now + 3, PACE_SOON);
	pace_event(&pace, now + 4, PACE_SETTLE);
	assert_int_equal(pace_due(&pace), now);
	pace_looked(&pace, now + 10);
	pace_event(&pace, now + 11, PACE_NOW);
	assert_int_equal(pace_due(&pace), now + 10 + PACE_GAP_MS);
}

/* Repairs at once, as often as it is undone; the times between the repairs. */
static void fight(struct pace *pace, int64_t *now, int64_t *waited, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pace_event(pace, *now + 1, PACE_SETTLE);
		waited[i] = pace_due(pace) - *now;
		*now = pace_due(pace);
		pace_repaired(pace, *now, false);
	}
}

/* The first of all repairs undoes no repair of ours; three more are made without a pause. */
static void test_a_fight_is_given_up_for_longer_and_longer(void **state)
{
	static const int64_t expected[] = { 21,   21,   21,    21,    1000,  2000,
					    4000, 8000, 16000, 32000, 60000, 60000 };
	int64_t waited[sizeof(expected) / sizeof(*expected)], now = START;
	struct pace pace = settled();

	(void)state;
	fight(&pace, &now, waited, sizeof(expected) / sizeof(*expected));
	assert_memory_equal(waited, expected, sizeof(expected));
}

static void test_a_repair_that_held_ends_the_fight(void **state)
{
	struct pace pace = settled();
	int64_t waited[8], now = START;

	(void)state;
	fight(&pace, &now, waited, 8);
	assert_true(pace.hold > 0);
	now += pace.hold + PACE_FORGET_MS;
	assert_int_equal(pace_repaired(&pace, now, false), 0);
	assert_true(pace_due(&pace) > now + PACE_HOLD_MS);
}

static void test_a_link_that_flaps_is_no_fight_and_is_not_held_back(void **state)
{
	struct pace pace = settled();
	int64_t waited[8], now = START;

	(void)state;
	for (int i = 0; i < 100; i++) {
		pace_event(&pace, now += 10, PACE_NOW);
		assert_int_equal(pace_due(&pace), now);
		assert_int_equal(pace_repaired(&pace, now, true), 0);
	}
	fight(&pace, &now, waited, 8);
	pace_event(&pace, now + 10, PACE_SOON);
	assert_int_equal(pace_due(&pace), now + pace.hold);
	pace_event(&pace, now + 20, PACE_NOW);
	assert_int_equal(pace_due(&pace), now + 10);
}

static void test_a_failure_is_tried_again_later_and_later(void **state)
{
	static const int64_t expected[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
	struct pace pace = settled();
	int64_t now = START;

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		assert_int_equal(pace_failed(&pace, now), expected[i]);
		pace_event(&pace, now + 1, PACE_SETTLE);
		assert_int_equal(pace_due(&pace), now + expected[i]);
		now += expected[i];
	}
	pace_looked(&pace, now);
	assert_int_equal(pace_failed(&pace, now), PACE_HOLD_MS);
}

static void test_a_held_lock_is_asked_for_again_and_no_event_is_forgotten(void **state)
{
	struct pace pace = settled();

	(void)state;
	pace_event(&pace, START + 500, PACE_NOW);
	pace_busy(&pace, START + 500);
	assert_int_equal(pace_due(&pace), START + 500 + PACE_BUSY_MS);
	assert_true(pace.has_events);
	pace_looked(&pace, START + 600);
	assert_int_equal(pace_due(&pace), START + 600 + PACE_IDLE_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_look_is_due_at_once),
		cmocka_unit_test(test_a_burst_is_looked_at_when_it_is_over_and_not_much_later),
		cmocka_unit_test(test_what_is_urgent_waits_for_nothing_but_the_look_before),
		cmocka_unit_test(test_a_fight_is_given_up_for_longer_and_longer),
		cmocka_unit_test(test_a_repair_that_held_ends_the_fight),
		cmocka_unit_test(test_a_link_that_flaps_is_no_fight_and_is_not_held_back),
		cmocka_unit_test(test_a_failure_is_tried_again_later_and_later),
		cmocka_unit_test(test_a_held_lock_is_asked_for_again_and_no_event_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
