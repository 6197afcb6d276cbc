/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Documents and disturbances to plans. Each plan is a golden text:
 * "action kind object (count) | effect | gateway: redirects | why".
 */
#include <stdlib.h>
#include <string.h>

#include "reconcile/expand.h"
#include "reconcile/reconcile.h"
#include "tests/unit/fixture.h"

/* --- plans as text ------------------------------------------------------- */

static void print_step(const struct step *step, FILE *out)
{
	fprintf(out, "%s %s %s", action_name(step->action), kind_name(step->kind), step->object);
	if (step->count > 1)
		fprintf(out, " (%zu)", step->count);
	fprintf(out, " | %s | %s:", effect_name(step->effect), step->gateway ? step->gateway : "-");
	for (size_t i = 0; i < step->redirect_count; i++)
		fprintf(out, " %s", step->redirects[i]);
	fprintf(out, " | %s", step->why);
	if (step->waits)
		fprintf(out, " | waits: %s", step->waits);
	fputc('\n', out);
}

static void print_forgets(const struct plan *plan, size_t at, FILE *out)
{
	if (at != plan->forget_at)
		return;
	for (size_t i = 0; i < plan->retired_count; i++)
		fprintf(out, "forget connections 0x%x/0x%x\n", plan->retired[i].value,
			plan->retired[i].mask);
}

static char *plan_text(const struct plan *plan)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < plan->conflict_count; i++)
		fprintf(out, "conflict %s %s | found %s | wanted %s | %s\n",
			kind_name(plan->conflicts[i].kind), plan->conflicts[i].object,
			plan->conflicts[i].found, plan->conflicts[i].wanted,
			plan->conflicts[i].hint);
	for (size_t i = 0; i < plan->step_count; i++) {
		print_forgets(plan, i, out);
		print_step(&plan->steps[i], out);
	}
	print_forgets(plan, plan->step_count, out);
	for (size_t i = 0; i < plan->warning_count; i++)
		fprintf(out, "warning %s | %s\n", plan->warnings[i].code,
			plan->warnings[i].message);
	fclose(out);
	return text;
}

/* --- disturbances -------------------------------------------------------- */

static void flap(struct fake *fake)
{
	fake_link_set(fake, "eth2", false);
	fake_link_set(fake, "eth2", true);
}

static void interface_down(struct fake *fake)
{
	fake_link_set(fake, "eth2", false);
}

static void interface_gone(struct fake *fake)
{
	fake_link_remove(fake, "eth2");
}

static void client_interface_gone(struct fake *fake)
{
	fake_link_remove(fake, "eth0");
}

static size_t find_rule(const struct nft_chain *chain, enum role role)
{
	size_t i = 0;

	while (chain->rules[i].role != role)
		i++;
	return i;
}

static void remove_nft_rule(struct fake *fake, const char *name, enum role role)
{
	struct nft_chain *chain = nft_chain_find(fake_nft(fake), name);
	size_t at = find_rule(chain, role);

	memmove(&chain->rules[at], &chain->rules[at + 1],
		(--chain->rule_count - at) * sizeof(*chain->rules));
}

static void convert_in_front(struct fake *fake)
{
	struct nft_chain *chain = nft_chain_find(fake_nft(fake), "prerouting");
	size_t at = find_rule(chain, ROLE_CONVERT);
	struct nft_rule rule = chain->rules[at];

	memmove(&chain->rules[1], &chain->rules[0], at * sizeof(*chain->rules));
	chain->rules[0] = rule;
}

static void guard_gone(struct fake *fake)
{
	remove_nft_rule(fake, "forward", ROLE_GUARD);
}

static void conversion_gone(struct fake *fake)
{
	remove_nft_rule(fake, "prerouting", ROLE_CONVERT);
}

static void refusal_gone(struct fake *fake)
{
	remove_nft_rule(fake, "redirect_rdp", ROLE_REFUSE);
}

static void table_gone(struct fake *fake)
{
	uint32_t generation = fake_nft(fake)->generation;

	fake->nft = (struct nft_table){ .generation = generation };
}

static void guard_and_routes_gone(struct fake *fake)
{
	guard_gone(fake);
	flap(fake);
}

/* As systemd-networkd does when it starts anew. */
static void rules_gone(struct fake *fake)
{
	fake->state.rule_count = 0;
}

static void lookups_gone(struct fake *fake)
{
	struct state *state = &fake->state;
	size_t kept = 0;

	for (size_t i = 0; i < state->rule_count; i++)
		if (state->rules[i].action != RULE_LOOKUP)
			state->rules[kept++] = state->rules[i];
	state->rule_count = kept;
}

static void rules_and_table_gone(struct fake *fake)
{
	rules_gone(fake);
	table_gone(fake);
}

static void dormant(struct fake *fake)
{
	fake_nft(fake)->foreign_flags = true;
}

static void set_of_another_type(struct fake *fake)
{
	nft_set_find(fake_nft(fake), "services_3389/tcp")->foreign_flags = true;
}

static struct nft_rule *add_rule(struct fake *fake, struct nft_chain *chain, const char *comment)
{
	struct nft_rule *rule =
		ARENA_PUSH(&fake->nft_arena, chain->rules, chain->rule_count, chain->rule_room);
	struct stmt *stmt =
		ARENA_PUSH(&fake->nft_arena, rule->stmts, rule->stmt_count, rule->stmt_room);

	*stmt = (struct stmt){ .type = STMT_VERDICT, .verdict = VERDICT_ACCEPT };
	rule->comment = comment;
	rule->role = role_of_comment(comment);
	rule->handle = ++fake->last_handle;
	return rule;
}

static void foreign_objects(struct fake *fake)
{
	struct nft_table *table = fake_nft(fake);
	struct arena *arena = &fake->nft_arena;
	struct nft_chain *chain =
		ARENA_PUSH(arena, table->chains, table->chain_count, table->chain_room);
	struct nft_set *set = ARENA_PUSH(arena, table->sets, table->set_count, table->set_room);
	struct element *element =
		ARENA_PUSH(arena, set->elements, set->element_count, set->element_room);
	struct nft_rule guard;

	*chain = (struct nft_chain){ .name = "foreign", .hook = HOOK_OTHER };
	set->name = "foreign_set";
	element->span = (struct span){ { 1 }, { 2 } };
	add_rule(fake, chain, "");
	nft_table_sort(table);
	chain = nft_chain_find(table, "forward");
	add_rule(fake, chain, "guard");
	guard = chain->rules[0];
	chain->rules[0] = chain->rules[1];
	chain->rules[1] = guard;
	add_rule(fake, nft_chain_find(table, "prerouting"), "");
	add_rule(fake, nft_chain_find(table, "mark-keep_scb"), "");
	nft_set_find(table, "services_3389/tcp")->element_count = 0;
}

static void strict_again(struct fake *fake)
{
	fake_rp_filter_set(fake, "eth2", 1);
}

static const uint8_t hop[SPAN_BYTES] = { 10, 3, 0, 9 };

static void foreign_in_the_way(struct fake *fake)
{
	struct route route = { .table = 103, .protocol = 4, .is_default = true, .dev = "eth3" };
	struct rule rule = { .priority = 101, .protocol = 2, .action = RULE_LOOKUP, .table = 254 };

	memcpy(route.gateway, hop, SPAN_BYTES);
	route.has_gateway = true;
	fake_route_add(fake, &route);
	fake_rule_add(fake, &rule);
	rule.priority = 5;
	rule.table = 103;
	rule.family = FAMILY_IPV6;
	fake_rule_add(fake, &rule);
	fake_name_add(fake, &(struct rt_table){ .id = 103, .name = "mine", .file = "rt_tables" });
	fake_name_add(fake, &(struct rt_table){ .id = 104, .name = "scb", .file = "rt_tables" });
}

/* Nothing of this is in the way: other tables, priorities, names. */
static void foreign_beside(struct fake *fake)
{
	struct route route = { .table = 254, .protocol = 4, .is_default = true, .dev = "eth3" };
	struct rule rule = { .priority = 99, .protocol = 2, .action = RULE_LOOKUP, .table = 254 };

	fake_route_add(fake, &route);
	fake_rule_add(fake, &rule);
	fake_name_add(fake, &(struct rt_table){ .id = 103, .name = "scb", .file = "rt_tables" });
	fake_connections_add(fake, 0x10, 7);
}

static void some_connections(struct fake *fake)
{
	fake_connections_add(fake, 0x10, 3);
}

/* --- the table ----------------------------------------------------------- */

#define RDP REDIRECT("rdp", "")
#define SSH                                                                                        \
	"{'name':'ssh','gateway':'scb','clients':{'interfaces':['eth0']},"                         \
	"'servers':{'networks':['10.1.0.128/25']},'services':['22/tcp']}"
#define VNC                                                                                        \
	"{'name':'vnc','gateway':'two','clients':{'interfaces':['eth1']},"                         \
	"'servers':{'networks':['10.0.0.0/24']},'services':['5900-5910/tcp']}"
#define SECOND                                                                                     \
	"{'name':'two','interface':'eth3','addresses':['10.3.0.10'],'mark':'0x20/0xf0',"           \
	"'table':104,'priority':110}"
#define SECOND_ALONE                                                                               \
	"{'name':'two','interface':'eth2','addresses':['10.2.0.10','2001:db8:2::10'],"             \
	"'mark':'0x10/0xf0','table':103,'priority':100}"
#define RDP_OF_TWO                                                                                 \
	"{'name':'rdp','gateway':'two','clients':{'interfaces':['eth0']},"                         \
	"'servers':{'networks':['10.1.0.0/24','2001:db8:1::/64']},'services':['3389/tcp']}"
/* Redirects that share what they can. */
#define A(services)                                                                                \
	"{'name':'a','gateway':'scb','clients':{'interfaces':['eth0','eth1']},"                    \
	"'servers':{'networks':['10.1.0.0/24']},'services':['" services "']}"
#define B                                                                                          \
	"{'name':'b','gateway':'scb','clients':{'interfaces':['eth0','eth1']},"                    \
	"'servers':{'networks':['10.1.1.0/24']},'services':['3389/tcp']}"
#define OTHER_GATEWAY(address, mark, table)                                                        \
	"{'name':'scb','interface':'eth2','addresses':['" address                                  \
	"','2001:db8:2::10'],'mark':'" mark "','table':" table ",'priority':100}"

static const struct plan_case {
	const char *name;
	int rp_filter;
	const char *before; /* applied first, unless NULL */
	void (*disturb)(struct fake *fake);
	const char *after; /* NULL: as before; "": nothing, as destroy */
} cases[] = {
	{ "first_apply", 1, NULL, NULL, DOCUMENT(GATEWAY(""), RDP) },
	{ "first_apply_bypass", 0, NULL, NULL, DOCUMENT(GATEWAY(",'on_loss':'bypass'"), RDP) },
	{ "first_apply_interface_missing", 1, NULL, interface_gone, DOCUMENT(GATEWAY(""), RDP) },
	{ "first_apply_foreign_beside", 0, NULL, foreign_beside, DOCUMENT(GATEWAY(""), RDP) },
	{ "first_apply_no_redirect", 0, NULL, NULL, DOCUMENT(GATEWAY(""), "") },
	{ "conflicts", 0, NULL, foreign_in_the_way, DOCUMENT(GATEWAY(""), RDP) },
	{ "conflicts_after_apply", 0, DOCUMENT(GATEWAY(""), RDP), foreign_in_the_way, NULL },
	{ "nothing_to_do", 1, DOCUMENT(GATEWAY(""), RDP), NULL, NULL },
	{ "gateway_address_changed", 0, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(OTHER_GATEWAY("10.2.0.11", "0x10/0xf0", "103"), RDP) },
	{ "mark_changed", 0, DOCUMENT(GATEWAY(""), RDP), some_connections,
	  DOCUMENT(OTHER_GATEWAY("10.2.0.10", "0x30/0xf0", "103"), RDP) },
	{ "table_changed", 0, DOCUMENT(GATEWAY(""), RDP), some_connections,
	  DOCUMENT(OTHER_GATEWAY("10.2.0.10", "0x10/0xf0", "113"), RDP) },
	{ "gateway_removed", 0, DOCUMENT(GATEWAY("") "," SECOND, RDP "," VNC), some_connections,
	  DOCUMENT(SECOND, VNC) },
	{ "gateway_added", 0, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(GATEWAY("") "," SECOND, RDP "," VNC) },
	{ "gateway_renamed", 0, DOCUMENT(GATEWAY(""), RDP), some_connections,
	  DOCUMENT(SECOND_ALONE, RDP_OF_TWO) },
	{ "redirect_removed", 0, DOCUMENT(GATEWAY(""), RDP "," SSH), NULL,
	  DOCUMENT(GATEWAY(""), RDP) },
	{ "redirect_added_overlapping", 0, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(GATEWAY(""), RDP "," SSH) },
	{ "service_added_to_one_of_two", 0, DOCUMENT(GATEWAY(""), A("3389/tcp") "," B), NULL,
	  DOCUMENT(GATEWAY(""), A("22/tcp','3389/tcp") "," B) },
	{ "service_removed_from_one_of_two", 0, DOCUMENT(GATEWAY(""), A("22/tcp','3389/tcp") "," B),
	  NULL, DOCUMENT(GATEWAY(""), A("3389/tcp") "," B) },
	{ "destroy", 1, DOCUMENT(GATEWAY(""), RDP), some_connections, "" },
	{ "destroy_rp_filter_overridden", 1, DOCUMENT(GATEWAY(""), RDP), strict_again, "" },
	{ "on_loss_bypass_to_block", 0, DOCUMENT(GATEWAY(",'on_loss':'bypass'"), RDP), NULL,
	  DOCUMENT(GATEWAY(""), RDP) },
	{ "on_loss_block_to_bypass", 0, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(GATEWAY(",'on_loss':'bypass'"), RDP) },
	{ "rp_filter_loose_to_off", 1, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(GATEWAY(",'rp_filter':'off'"), RDP) },
	{ "rp_filter_off_to_loose", 1, DOCUMENT(GATEWAY(",'rp_filter':'off'"), RDP), NULL,
	  DOCUMENT(GATEWAY(""), RDP) },
	{ "rp_filter_to_keep", 1, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(GATEWAY(",'rp_filter':'keep'"), RDP) },
	{ "rp_filter_strict_again", 1, DOCUMENT(GATEWAY(""), RDP), strict_again, NULL },
	{ "existing_keep_to_redirect", 0, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(GATEWAY(""), REDIRECT("rdp", ",'existing_connections':'redirect'")) },
	{ "existing_redirect_to_tracked", 0,
	  DOCUMENT(GATEWAY(""), REDIRECT("rdp", ",'existing_connections':'redirect'")), NULL,
	  DOCUMENT(GATEWAY(""), REDIRECT("rdp", ",'existing_connections':'tracked'")) },
	{ "description_changed", 0, DOCUMENT(GATEWAY(""), RDP), NULL,
	  DOCUMENT(GATEWAY(",'description':'a box'"), RDP) },
	{ "link_flap", 0, DOCUMENT(GATEWAY(""), RDP), flap, NULL },
	{ "link_flap_bypass", 0, DOCUMENT(GATEWAY(",'on_loss':'bypass'"), RDP), flap, NULL },
	{ "interface_down", 0, DOCUMENT(GATEWAY(""), RDP), interface_down, NULL },
	{ "interface_gone", 1, DOCUMENT(GATEWAY(""), RDP), interface_gone, NULL },
	{ "client_interface_gone", 0, DOCUMENT(GATEWAY(""), RDP), client_interface_gone, NULL },
	{ "convert_in_front", 0, DOCUMENT(GATEWAY(""), RDP), convert_in_front, NULL },
	{ "convert_in_front_bypass", 0, DOCUMENT(GATEWAY(",'on_loss':'bypass'"), RDP),
	  convert_in_front, NULL },
	{ "conversion_gone", 0, DOCUMENT(GATEWAY(""), RDP), conversion_gone, NULL },
	{ "guard_gone", 0, DOCUMENT(GATEWAY(""), RDP), guard_gone, NULL },
	{ "guard_and_routes_gone", 0, DOCUMENT(GATEWAY(""), RDP), guard_and_routes_gone, NULL },
	{ "refusal_gone", 0, DOCUMENT(GATEWAY(""), RDP), refusal_gone, NULL },
	{ "table_gone", 0, DOCUMENT(GATEWAY(""), RDP), table_gone, NULL },
	{ "rules_gone", 0, DOCUMENT(GATEWAY(""), RDP), rules_gone, NULL },
	{ "lookups_gone", 0, DOCUMENT(GATEWAY(""), RDP), lookups_gone, NULL },
	{ "rules_and_table_gone", 0, DOCUMENT(GATEWAY(""), RDP), rules_and_table_gone, NULL },
	{ "dormant_table", 0, DOCUMENT(GATEWAY(""), RDP), dormant, NULL },
	{ "set_of_another_type", 0, DOCUMENT(GATEWAY(""), RDP), set_of_another_type, NULL },
	{ "foreign_objects_in_our_table", 0, DOCUMENT(GATEWAY(""), RDP), foreign_objects, NULL },
};

/* --- running a case ------------------------------------------------------ */

/* The caller frees the comparison and the document. */
static void compare(struct fake *fake, const char *text, struct document *document,
		    struct comparison *comparison)
{
	struct scope scope = { .document = document, .everything = !*text };
	struct error error;

	if (*text)
		fixture_document(text, document);
	else
		document_empty(document);
	assert_int_equal(comparison_make(&fake->kernel, &scope, comparison, &error), 0);
}

static void run_case(const struct plan_case *given)
{
	struct fake *fake = fixture_router(given->rp_filter);
	struct comparison comparison;
	struct document document;
	char name[64], *text;

	if (given->before)
		fixture_apply(fake, given->before);
	if (given->disturb)
		given->disturb(fake);
	compare(fake, given->after ? given->after : given->before, &document, &comparison);
	snprintf(name, sizeof(name), "plan_%s", given->name);
	text = plan_text(&comparison.plan);
	golden_check(name, text);
	free(text);
	comparison_free(&comparison);
	document_free(&document);
	fake_close(fake);
}

static void test_plans_are_as_expected(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		run_case(&cases[i]);
}

/* --- claims that a golden text would not make ---------------------------- */

static char *thousands(const char *more)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("{'version':1,'gateways':[" GATEWAY(
		      "") "],'redirects':[{'name':'rdp','gateway':'scb',"
			  "'clients':{'interfaces':['eth0']},'services':['3389/"
			  "tcp'],'servers':{'networks':[",
	      out);
	for (int i = 0; i < 3000; i++)
		fprintf(out, "'10.%d.%d.0/25',", 100 + i / 256, i % 256);
	fprintf(out, "%s'2001:db8:1::/64']}}]}", more);
	fclose(out);
	return text;
}

static void check_one_step(const char *before, const char *after, enum action action)
{
	struct fake *fake = fixture_router(0);
	struct comparison comparison;
	struct document document;

	fixture_apply(fake, before);
	compare(fake, after, &document, &comparison);
	assert_int_equal(comparison.plan.step_count, 1);
	assert_int_equal(comparison.plan.steps[0].kind, KIND_NFT_ELEMENT);
	assert_int_equal(comparison.plan.steps[0].action, action);
	assert_int_equal(comparison.plan.steps[0].count, 1);
	comparison_free(&comparison);
	document_free(&document);
	fake_close(fake);
}

static void test_one_network_of_thousands_is_one_element(void **state)
{
	char *few = thousands(""), *more = thousands("'10.100.7.128/25',");

	(void)state;
	check_one_step(few, more, ACTION_CREATE);
	check_one_step(more, few, ACTION_DELETE);
	free(few);
	free(more);
}

/* In the order of kinds, creations rise and deletions fall. */
static void test_creating_follows_the_kinds_and_removing_reverses_them(void **state)
{
	struct fake *fake = fixture_router(1);
	struct comparison comparison;
	struct document document;

	(void)state;
	compare(fake, DOCUMENT(GATEWAY(""), RDP), &document, &comparison);
	for (size_t i = 1; i < comparison.plan.step_count; i++)
		assert_true(comparison.plan.steps[i - 1].kind <= comparison.plan.steps[i].kind);
	comparison_free(&comparison);
	document_free(&document);
	fixture_apply(fake, DOCUMENT(GATEWAY(""), RDP));
	compare(fake, "", &document, &comparison);
	for (size_t i = 1; i < comparison.plan.step_count; i++)
		assert_true(comparison.plan.steps[i - 1].kind >= comparison.plan.steps[i].kind);
	comparison_free(&comparison);
	fake_close(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plans_are_as_expected),
		cmocka_unit_test(test_one_network_of_thousands_is_one_element),
		cmocka_unit_test(test_creating_follows_the_kinds_and_removing_reverses_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
