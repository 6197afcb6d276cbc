/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What our rules have counted, by gateway and by redirect. */
#include "tests/unit/fixture.h"

#include <string.h>

#include "reconcile/tally.h"

#define TWO                                                                                        \
	DOCUMENT(GATEWAY("") ",{'name':'other','interface':'eth3','addresses':['10.3.0.10'],"      \
			     "'mark':'0x20/0xf0','table':104,'priority':110}",                     \
		 REDIRECT("rdp", "") "," REDIRECT("off", ",'enabled':false"))

static struct fake *router_with(const char *json)
{
	struct fake *fake = fixture_router(0);

	fixture_apply(fake, json);
	return fake;
}

static struct nft_rule *rule_find(struct fake *fake, const char *chain, const char *comment)
{
	struct nft_chain *found = nft_chain_find(fake_nft(fake), chain);

	for (size_t i = 0; i < found->rule_count; i++)
		if (!strcmp(found->rules[i].comment, comment))
			return &found->rules[i];
	fail_msg("%s has no rule \"%s\"", chain, comment);
	return NULL;
}

static void counter_set(struct nft_rule *rule, uint64_t packets, uint64_t bytes)
{
	for (size_t i = 0; i < rule->stmt_count; i++)
		if (rule->stmts[i].type == STMT_COUNTER) {
			rule->stmts[i].packet_count = packets;
			rule->stmts[i].byte_count = bytes;
		}
}

static void traffic(struct fake *fake)
{
	counter_set(rule_find(fake, "prerouting", "convert scb"), 1000, 1500000);
	counter_set(rule_find(fake, "forward", "guard scb"), 2, 120);
	counter_set(rule_find(fake, "redirect_rdp", "take rdp"), 7, 420);
	counter_set(rule_find(fake, "redirect_rdp", "refuse rdp"), 1, 40);
	fake_connections_add(fake, 0x10, 3);
	fake_connections_add(fake, 0xf1f, 2);
	fake_connections_add(fake, 0x20, 4);
}

static void observe(struct fake *fake, const char *json, struct state *observed)
{
	struct document document;
	struct scope scope = { .document = &document, .connections = true };
	struct error error;

	fixture_document(json, &document);
	assert_int_equal(fake->kernel.ops->observe(&fake->kernel, &scope, observed, &error), 0);
	document_free(&document);
}

static void assert_counts(const struct tally *tally, struct count taken, struct count refused)
{
	assert_non_null(tally);
	assert_int_equal(tally->taken.packets, taken.packets);
	assert_int_equal(tally->taken.bytes, taken.bytes);
	assert_int_equal(tally->refused.packets, refused.packets);
	assert_int_equal(tally->refused.bytes, refused.bytes);
}

static void test_gateways_count_packets_and_connections(void **cmocka)
{
	struct fake *fake = router_with(TWO);
	struct tallies tallies;
	struct state observed;

	(void)cmocka;
	traffic(fake);
	observe(fake, TWO, &observed);
	tally_gateways(&observed.arena, &observed, &tallies);
	assert_int_equal(tallies.count, 2);
	assert_counts(tally_find(&tallies, "scb"), (struct count){ 1000, 1500000 },
		      (struct count){ 2, 120 });
	assert_int_equal(tally_find(&tallies, "scb")->connections, 5);
	assert_counts(tally_find(&tallies, "other"), (struct count){ 0, 0 },
		      (struct count){ 0, 0 });
	assert_int_equal(tally_find(&tallies, "other")->connections, 4);
	state_free(&observed);
	fake_close(fake);
}

static void test_redirects_count_connections_that_began(void **cmocka)
{
	struct fake *fake = router_with(TWO);
	struct tallies tallies;
	struct state observed;

	(void)cmocka;
	traffic(fake);
	observe(fake, TWO, &observed);
	tally_redirects(&observed.arena, &observed, &tallies);
	assert_int_equal(tallies.count, 1);
	assert_counts(tally_find(&tallies, "rdp"), (struct count){ 7, 420 },
		      (struct count){ 1, 40 });
	assert_null(tally_find(&tallies, "off"));
	state_free(&observed);
	fake_close(fake);
}

/* While a mark changes the rules of both stand side by side. */
static void test_rules_of_one_gateway_add_up(void **cmocka)
{
	struct fake *fake = router_with(TWO);
	struct tallies tallies;
	struct state observed;
	struct nft_rule *first;

	(void)cmocka;
	traffic(fake);
	first = rule_find(fake, "prerouting", "convert other");
	counter_set(first, 30, 3000);
	first->comment = "convert scb";
	observe(fake, TWO, &observed);
	tally_gateways(&observed.arena, &observed, &tallies);
	assert_int_equal(tallies.count, 2); /* the guard of the other is still there */
	assert_counts(tally_find(&tallies, "scb"), (struct count){ 1030, 1503000 },
		      (struct count){ 2, 120 });
	assert_int_equal(tally_find(&tallies, "scb")->connections, 9);
	state_free(&observed);
	fake_close(fake);
}

static void test_nothing_live_counts_nothing(void **cmocka)
{
	struct fake *fake = fixture_router(0);
	struct tallies tallies;
	struct state observed;

	(void)cmocka;
	observe(fake, TWO, &observed);
	tally_gateways(&observed.arena, &observed, &tallies);
	assert_null(tally_find(&tallies, "scb"));
	tally_redirects(&observed.arena, &observed, &tallies);
	assert_null(tally_find(&tallies, "rdp"));
	state_free(&observed);
	fake_close(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gateways_count_packets_and_connections),
		cmocka_unit_test(test_redirects_count_connections_that_began),
		cmocka_unit_test(test_rules_of_one_gateway_add_up),
		cmocka_unit_test(test_nothing_live_counts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
