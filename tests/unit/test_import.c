/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boxes against boxes, and documents from rules in memory; tests/lab/test_import.py has real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "reconcile/box.h"
#include "reconcile/document_fields.h"
#include "reconcile/import.h"

/* --- boxes ------------------------------------------------------------------ */

static struct arena arena;

static struct spans spans_of(const struct span *span)
{
	struct spans spans = { 0 };

	*ARENA_PUSH(&arena, spans.items, spans.count, spans.room) = *span;
	return spans;
}

static struct spans network(const char *text)
{
	struct span span;
	enum family family;

	assert_null(span_parse(text, &family, &span));
	return spans_of(&span);
}

static struct box box_of(const char *interface, const char *clients, const char *servers,
			 uint16_t from, uint16_t to)
{
	struct box box = { .family = FAMILY_IPV4 };
	struct span name = interface_span(interface), services = { 0 };

	service_key(6, from, services.from);
	service_key(6, to, services.to);
	box.sides[SIDE_INTERFACES] = spans_of(&name);
	box.sides[SIDE_CLIENTS] = network(clients);
	box.sides[SIDE_SERVERS] = network(servers);
	box.sides[SIDE_SERVICES] = spans_of(&services);
	return box;
}

static int arena_teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void test_boxes_that_differ_in_one_side_are_one(void **state)
{
	struct box a = box_of("eth0", "10.0.0.0/24", "10.1.0.0/24", 22, 22);
	struct box b = box_of("eth0", "10.0.0.0/24", "10.1.0.0/24", 80, 90);
	struct box c = box_of("eth1", "10.0.0.0/24", "10.1.0.0/24", 1, 2);

	(void)state;
	assert_true(box_merge(&arena, &a, &b));
	assert_int_equal(a.sides[SIDE_SERVICES].count, 2);
	assert_false(box_merge(&arena, &a, &c));
	assert_int_equal(a.sides[SIDE_INTERFACES].count, 1);
}

static void test_a_box_is_covered_by_several(void **state)
{
	const struct box whole = box_of("eth*", "10.0.0.0/24", "10.1.0.0/24", 1, 100);
	const struct box parts[] = {
		box_of("eth*", "10.0.0.0/25", "10.1.0.0/16", 1, 60),
		box_of("eth*", "10.0.0.0/8", "10.1.0.0/24", 50, 100),
		box_of("*", "10.0.0.128/25", "10.1.0.0/24", 1, 49),
	};

	(void)state;
	assert_true(box_is_covered(&arena, &whole, parts, 3));
	assert_false(box_is_covered(&arena, &whole, parts, 2));
	assert_false(box_is_covered(&arena, &whole, parts + 1, 2));
	assert_false(box_is_covered(&arena, &whole, parts, 0));
}

/* --- rules in memory ---------------------------------------------------------- */

static struct state observed;
static struct foreign foreign;

static struct foreign_rule *rule_add(enum foreign_action action, struct mark mark)
{
	struct foreign_rule *rule =
		ARENA_PUSH(&observed.arena, foreign.rules, foreign.rule_count, foreign.rule_room);

	rule->hand.place = arena_printf(&observed.arena, "ip mangle PREROUTING handle %zu",
					foreign.rule_count);
	rule->obscure = "";
	rule->hook = 1;
	rule->families[FAMILY_IPV4] = true;
	rule->action = action;
	rule->mark = mark;
	return rule;
}

static void on_interface(struct foreign_rule *rule, const char *name, bool negate)
{
	struct span span = interface_span(name);
	struct spans spans = { 0 };

	*ARENA_PUSH(&observed.arena, spans.items, spans.count, spans.room) = span;
	foreign_narrow_interfaces(&observed.arena, rule, &spans, negate);
}

static void narrow(struct foreign_rule *rule, enum foreign_field field, const void *from,
		   const void *to)
{
	struct spans spans = { 0 };
	struct span *span = ARENA_PUSH(&observed.arena, spans.items, spans.count, spans.room);
	size_t bytes = foreign_bytes(field, FAMILY_IPV4);

	memcpy(span->from, from, bytes);
	memcpy(span->to, to, bytes);
	foreign_narrow(&observed.arena, rule, field, FAMILY_IPV4, &spans, false);
}

static struct foreign_rule *step_1(const char *interface, uint8_t port)
{
	struct foreign_rule *rule =
		rule_add(FOREIGN_MARKS_CONNECTION, (struct mark){ 1, UINT32_MAX });

	on_interface(rule, interface, false);
	narrow(rule, FOREIGN_DESTINATION, "\x0a\x01\x00\x00", "\x0a\x01\x00\xff");
	narrow(rule, FOREIGN_PROTOCOL, "\x06", "\x06");
	narrow(rule, FOREIGN_DPORT, (uint8_t[]){ 0, port }, (uint8_t[]){ 0, port });
	return rule;
}

static struct foreign_rule *step_3(void)
{
	struct foreign_rule *rule = rule_add(FOREIGN_MARKS_PACKET, (struct mark){ 1, UINT32_MAX });

	on_interface(rule, "eth2", true);
	rule->connection.mark = (struct mark){ 1, UINT32_MAX };
	return rule;
}

static void steps_5_and_6(void)
{
	struct state *state = &observed;

	*ARENA_PUSH(&state->arena, state->rules, state->rule_count,
		    state->rule_room) = (struct rule){
		.priority = 100, .mark = { 1, UINT32_MAX }, .action = RULE_LOOKUP, .table = 103
	};
	*ARENA_PUSH(&state->arena, state->routes, state->route_count, state->route_room) =
		(struct route){ .table = 103,
				.is_default = true,
				.has_gateway = true,
				.gateway = { 10, 2, 0, 10 },
				.dev = "eth2" };
}

static int foreign_setup(void **state)
{
	(void)state;
	foreign = (struct foreign){ .arena = &observed.arena };
	observed.foreign = &foreign;
	return 0;
}

static int foreign_teardown(void **state)
{
	(void)state;
	state_free(&observed);
	return 0;
}

static void test_the_steps_become_a_document(void **state)
{
	json_t *wanted = json_loads(
		"{\"version\":1,\"gateways\":[{\"name\":\"gateway-103\",\"interface\":\"eth2\","
		"\"addresses\":[\"10.2.0.10\"],\"mark\":1,\"table\":103,\"priority\":100,"
		"\"on_loss\":\"bypass\"}],\"redirects\":[{\"name\":\"tcp-22\","
		"\"gateway\":\"gateway-103\",\"clients\":{\"interfaces\":[\"eth0\"]},"
		"\"servers\":{\"networks\":[\"10.1.0.0/24\"]},\"services\":[\"22/tcp\"],"
		"\"existing_connections\":\"redirect\"}]}",
		0, NULL);
	struct import import;

	(void)state;
	step_1("eth0", 22);
	step_3();
	steps_5_and_6();
	import_infer(&observed, &import);
	assert_non_null(wanted);
	assert_true(json_equal(import.document, wanted));
	assert_int_equal(import.unexpressed.count, 0);
	import_free(&import);
	json_decref(wanted);
}

/* Whatever one rule is like, the others are used. */
static void test_what_a_document_cannot_hold_is_listed_alone(void **state)
{
	static const char *const names[] = { "eth2", "eth*", "e*h", "e\xff", "*", "a b" };
	struct import import;

	(void)state;
	step_1("eth0", 22);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct foreign_rule *rule = step_1("x", 80);

		memset(rule->interfaces.items, 0, sizeof(*rule->interfaces.items));
		memcpy(rule->interfaces.items->from, names[i], strlen(names[i]));
		memcpy(rule->interfaces.items->to, names[i], strlen(names[i]));
	}
	foreign_obscure(&observed.arena, step_1("eth0", 23), "match %s", "time\x1b");
	step_3();
	steps_5_and_6();
	import_infer(&observed, &import);
	assert_int_equal(json_array_size(json_object_get(import.document, "redirects")), 1);
	assert_int_equal(import.unexpressed.count, 1 + sizeof(names) / sizeof(*names));
	for (size_t i = 0; i < import.unexpressed.count; i++)
		assert_null(strchr(import.unexpressed.items[i].why, '\x1b'));
	import_free(&import);
}

static void test_nothing_becomes_a_document_of_nothing(void **state)
{
	struct import import;

	(void)state;
	import_infer(&observed, &import);
	assert_int_equal(json_array_size(json_object_get(import.document, "gateways")), 0);
	assert_int_equal(import.unexpressed.count + import.duplicates.count, 0);
	import_free(&import);
}

static void test_two_actions_or_conditions_of_a_kind_are_not_guessed_at(void **state)
{
	struct foreign_rule *rule = step_1("eth0", 22);

	(void)state;
	foreign_act(&observed.arena, rule, FOREIGN_LEAVES, (struct mark){ 0 });
	on_interface(rule, "eth1", true);
	assert_string_equal(rule->obscure, "more than one action, a second condition on the "
					   "interface");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_boxes_that_differ_in_one_side_are_one,
					  arena_teardown),
		cmocka_unit_test_teardown(test_a_box_is_covered_by_several, arena_teardown),
		cmocka_unit_test_setup_teardown(test_the_steps_become_a_document, foreign_setup,
						foreign_teardown),
		cmocka_unit_test_setup_teardown(test_what_a_document_cannot_hold_is_listed_alone,
						foreign_setup, foreign_teardown),
		cmocka_unit_test_setup_teardown(test_nothing_becomes_a_document_of_nothing,
						foreign_setup, foreign_teardown),
		cmocka_unit_test_setup_teardown(
			test_two_actions_or_conditions_of_a_kind_are_not_guessed_at, foreign_setup,
			foreign_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
