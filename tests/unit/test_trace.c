/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a trace makes of a router whose state is known to the last object. */
#include "tests/unit/fixture.h"

#include <string.h>

#include "reconcile/trace.h"

#define BLOCK  DOCUMENT(GATEWAY(""), REDIRECT("rdp", ""))
#define BYPASS DOCUMENT(GATEWAY(",'on_loss':'bypass'"), REDIRECT("rdp", ""))
#define KEEP   DOCUMENT(GATEWAY(",'rp_filter':'keep'"), REDIRECT("rdp", ""))

/* --- what happens to the router ------------------------------------------ */

static void routes_go(struct fake *fake)
{
	fake->state.route_count = 0;
}

static void rules_go(struct fake *fake)
{
	fake->state.rule_count = 0;
}

static void rules_and_guard_go(struct fake *fake)
{
	rules_go(fake);
	nft_chain_find(fake_nft(fake), "forward")->rule_count = 0;
}

static void refusal_goes(struct fake *fake)
{
	struct state *state = &fake->state;
	size_t kept = 0;

	for (size_t i = 0; i < state->rule_count; i++)
		if (state->rules[i].action == RULE_LOOKUP)
			state->rules[kept++] = state->rules[i];
	state->rule_count = kept;
}

static void refusal_and_guard_go(struct fake *fake)
{
	refusal_goes(fake);
	nft_chain_find(fake_nft(fake), "forward")->rule_count = 0;
}

static void earlier_rule(struct fake *fake, uint32_t priority)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		fake_rule_add(fake, &(struct rule){ .family = family,
						    .priority = priority,
						    .action = RULE_LOOKUP,
						    .table = 254,
						    .protocol = 4 });
}

static void earlier_rule_to_main(struct fake *fake)
{
	nft_chain_find(fake_nft(fake), "forward")->rule_count = 0;
	earlier_rule(fake, 50);
}

static void later_rule_to_main(struct fake *fake)
{
	earlier_rule(fake, 5000);
}

static void gateway_is_silent(struct fake *fake)
{
	fake_neighbour_set(fake, "eth2", "10.2.0.10", NEIGHBOUR_FAILED, NULL);
	fake_neighbour_set(fake, "eth2", "2001:db8:2::10", NEIGHBOUR_FAILED, NULL);
}

static void clients_go(struct fake *fake)
{
	fake_link_set(fake, "eth0", false);
}

/* --- the cases ----------------------------------------------------------- */

static const struct {
	const char *name, *text, *service, *sentence;
	void (*disturb)(struct fake *fake);
	enum trace_end end;
	enum trace_loss loss;
	bool as_documented;
} cases[] = {
	{ "selected", BLOCK, "3389/tcp", "goes through scb", NULL, TRACE_THROUGH, LOSS_BLOCKED,
	  true },
	{ "not selected", BLOCK, "22/tcp", "not selected", NULL, TRACE_DIRECT, LOSS_NOT_ASKED,
	  true },
	{ "bypass", BYPASS, "3389/tcp", "goes through scb", NULL, TRACE_THROUGH, LOSS_BYPASSED,
	  true },
	{ "route gone", BLOCK, "3389/tcp", "rule 101", routes_go, TRACE_DROPPED, LOSS_NOT_ASKED,
	  false },
	{ "route gone, bypass", BYPASS, "3389/tcp", "on_loss is bypass", routes_go, TRACE_DIRECT,
	  LOSS_NOT_ASKED, false },
	{ "rules gone", BLOCK, "3389/tcp", "guard scb", rules_go, TRACE_DROPPED, LOSS_NOT_ASKED,
	  false },
	{ "rules and guard gone", BLOCK, "3389/tcp", "rule 32766", rules_and_guard_go, TRACE_LEAKS,
	  LOSS_NOT_ASKED, false },
	{ "refusal gone", BLOCK, "3389/tcp", "goes through scb", refusal_goes, TRACE_THROUGH,
	  LOSS_BLOCKED, true },
	{ "refusal and guard gone", BLOCK, "3389/tcp", "would LEAK", refusal_and_guard_go,
	  TRACE_THROUGH, LOSS_BYPASSED, false },
	{ "earlier rule", BLOCK, "3389/tcp", "rule 50", earlier_rule_to_main, TRACE_LEAKS,
	  LOSS_NOT_ASKED, false },
	{ "later rule", BLOCK, "3389/tcp", "goes through scb", later_rule_to_main, TRACE_THROUGH,
	  LOSS_BLOCKED, true },
	{ "silent gateway", BLOCK, "3389/tcp", "nobody answers", gateway_is_silent, TRACE_DROPPED,
	  LOSS_NOT_ASKED, false },
	{ "clients' link down", BLOCK, "3389/tcp", "eth0 is down", clients_go, TRACE_DROPPED,
	  LOSS_NOT_ASKED, false },
};

static const struct {
	const char *client, *server;
} ends[FAMILY_COUNT] = {
	[FAMILY_IPV4] = { "10.0.0.2", "10.1.0.5" },
	[FAMILY_IPV6] = { "2001:db8::2", "2001:db8:1::5" },
};

/* trace_free() and the rest are due: see traced_free(). */
struct traced {
	struct document document;
	struct comparison comparison;
	struct trace trace;
};

static void trace_text(struct fake *fake, const char *json, enum family family, const char *service,
		       const char *interface, struct traced *out)
{
	struct scope scope = { .document = &out->document, .neighbours = true };
	struct connection connection;
	struct error error;

	fixture_document(json, &out->document);
	assert_null(
		connection_parse(ends[family].client, ends[family].server, service, &connection));
	connection.interface = interface;
	assert_int_equal(comparison_make(&fake->kernel, &scope, &out->comparison, &error), 0);
	assert_int_equal(trace_run(&fake->kernel, &out->document, &out->comparison, &connection,
				   &out->trace, &error),
			 0);
}

static void traced_free(struct traced *traced)
{
	trace_free(&traced->trace);
	comparison_free(&traced->comparison);
	document_free(&traced->document);
}

static void test_a_trace_ends_as_the_router_would_have_it(void **cmocka)
{
	(void)cmocka;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++) {
			struct fake *fake = fixture_router(0);
			struct traced traced;

			fixture_apply(fake, cases[i].text);
			if (cases[i].disturb)
				cases[i].disturb(fake);
			trace_text(fake, cases[i].text, family, cases[i].service, "eth0", &traced);
			if (traced.trace.end != cases[i].end ||
			    traced.trace.loss != cases[i].loss ||
			    traced.trace.as_documented != cases[i].as_documented ||
			    !strstr(traced.trace.sentence, cases[i].sentence))
				fail_msg("%s, %s: %s, loss %s: %s", cases[i].name,
					 family_name(family), trace_end_name(traced.trace.end),
					 trace_loss_name(traced.trace.loss), traced.trace.sentence);
			traced_free(&traced);
			fake_close(fake);
		}
}

static void test_a_strict_gateway_interface_drops_ipv4_answers(void **cmocka)
{
	(void)cmocka;
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct fake *fake = fixture_router(1);
		struct traced traced;

		fixture_apply(fake, KEEP);
		trace_text(fake, KEEP, family, "3389/tcp", "eth0", &traced);
		assert_int_equal(traced.trace.end,
				 family == FAMILY_IPV4 ? TRACE_DROPPED : TRACE_THROUGH);
		traced_free(&traced);
		fake_close(fake);
	}
}

static void test_the_client_comes_in_where_the_router_would_reach_it(void **cmocka)
{
	struct fake *fake = fixture_router(0);
	struct traced traced;

	(void)cmocka;
	fixture_apply(fake, BLOCK);
	trace_text(fake, BLOCK, FAMILY_IPV4, "3389/tcp", NULL, &traced);
	assert_string_equal(traced.trace.connection.interface, "eth0");
	assert_int_equal(traced.trace.end, TRACE_THROUGH);
	traced_free(&traced);
	fake_close(fake);
}

static void test_the_documents_redirect_is_told_when_nothing_is_live(void **cmocka)
{
	struct fake *fake = fixture_router(0);
	struct traced traced;

	(void)cmocka;
	trace_text(fake, BLOCK, FAMILY_IPV4, "3389/tcp", "eth0", &traced);
	assert_null(traced.trace.redirect);
	assert_string_equal(traced.trace.expected->name, "rdp");
	assert_int_equal(traced.trace.end, TRACE_LEAKS);
	traced_free(&traced);
	fake_close(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_trace_ends_as_the_router_would_have_it),
		cmocka_unit_test(test_a_strict_gateway_interface_drops_ipv4_answers),
		cmocka_unit_test(test_the_client_comes_in_where_the_router_would_reach_it),
		cmocka_unit_test(test_the_documents_redirect_is_told_when_nothing_is_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
