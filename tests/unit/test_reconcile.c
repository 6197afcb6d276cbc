/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Applies on the kernel in memory: every document after every other, every
 * write failing in every way, other programs in between. Whatever happens, the
 * exit code tells what the kernel then holds.
 */
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/reconcile.h"
#include "tests/unit/fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* --- documents ----------------------------------------------------------- */

#define ONE      REDIRECT("one", "")
#define TWO      REDIRECT("two", ",'existing_connections':'tracked'")
#define SPOOFING GATEWAY(",'spoofs_clients':true,'on_loss':'bypass'")
#define OTHER_MARK                                                                                 \
	"{'name':'scb','interface':'eth2','addresses':['10.2.0.10','2001:db8:2::10'],"             \
	"'mark':'0x3000/0xf000','table':103,'priority':100}"
#define OTHER_PLACE                                                                                \
	"{'name':'scb','interface':'eth3','addresses':['10.3.0.10','2001:db8:3::10'],"             \
	"'mark':'0x10/0xf0','table':113,'priority':90}"
#define SECOND                                                                                     \
	"{'name':'box','interface':'eth3','addresses':['10.3.0.10'],'mark':'0x20/0xf0',"           \
	"'table':104,'priority':110,'rp_filter':'off'}"
#define SWAPPED                                                                                    \
	"{'name':'scb','interface':'eth2','addresses':['10.2.0.10','2001:db8:2::10'],"             \
	"'mark':'0x20/0xf0','table':104,'priority':110},"                                          \
	"{'name':'box','interface':'eth3','addresses':['10.3.0.10'],'mark':'0x10/0xf0',"           \
	"'table':103,'priority':100}"
#define OF_BOX                                                                                     \
	"{'name':'three','gateway':'box','clients':{'interfaces':['eth1'],"                        \
	"'except':['10.1.0.7']},'servers':{'networks':['10.0.0.0/24'],'except':['10.0.0.9']},"     \
	"'services':['1-9/udp','7/sctp'],'existing_connections':'redirect'}"

static const char *const own_texts[] = {
	DOCUMENT(GATEWAY(""), ONE),
	DOCUMENT(GATEWAY(""), ONE "," TWO),
	DOCUMENT(GATEWAY(""), TWO "," ONE),
	DOCUMENT(SPOOFING, TWO),
	DOCUMENT(OTHER_MARK, ONE),
	DOCUMENT(OTHER_PLACE, ONE),
	DOCUMENT(GATEWAY("") "," SECOND, ONE "," OF_BOX),
	DOCUMENT(SWAPPED, ONE "," OF_BOX),
	DOCUMENT(SECOND, OF_BOX),
};

/* Ours and those of tests/documents/good, and the interfaces of all their gateways. */
static char **texts;
static size_t text_count;
static struct fake *links;

static void links_collect(const char *text)
{
	struct document document;

	fixture_document(text, &document);
	for (size_t i = 0; i < document.gateway_count; i++)
		if (!state_link(&links->state, document.gateways[i].interface))
			fake_link_add(links, document.gateways[i].interface, "::/0", NULL);
	document_free(&document);
}

static int texts_read(void **state)
{
	glob_t found = { 0 };

	(void)state;
	glob("tests/documents/good/*.json", 0, NULL, &found);
	texts = calloc(COUNT(own_texts) + found.gl_pathc, sizeof(*texts));
	for (size_t i = 0; i < COUNT(own_texts); i++)
		texts[text_count++] = strdup(own_texts[i]);
	for (size_t i = 0; i < found.gl_pathc; i++)
		texts[text_count++] = fixture_read(found.gl_pathv[i]);
	globfree(&found);
	links = fake_open(0);
	for (size_t i = 0; i < text_count; i++)
		links_collect(texts[i]);
	return 0;
}

static int texts_free(void **state)
{
	(void)state;
	while (text_count)
		free(texts[--text_count]);
	free(texts);
	fake_close(links);
	return 0;
}

/* --- routers ------------------------------------------------------------- */

static const uint8_t hop[SPAN_BYTES] = { 192, 0, 2, 1 };

/* What others have on the router; none of it is in the way. */
static void add_foreign(struct fake *fake)
{
	struct route route = { .table = 254, .protocol = 4, .is_default = true, .dev = "wan" };
	struct rule rule = {
		.priority = 32766, .protocol = 2, .action = RULE_LOOKUP, .table = 254
	};

	memcpy(route.gateway, hop, SPAN_BYTES);
	route.has_gateway = true;
	fake_route_add(fake, &route);
	fake_rule_add(fake, &rule);
	fake_name_add(fake, &(struct rt_table){ .id = 7, .name = "theirs", .file = "rt_tables" });
}

/* Every gateway of every document is on the link of its interface. */
static struct fake *router(void)
{
	struct fake *fake = fake_open(1);

	for (size_t i = 0; i < links->state.link_count; i++)
		fake_link_add(fake, links->state.links[i].name, "0.0.0.0/0", "::/0", NULL);
	add_foreign(fake);
	return fake;
}

static const volatile int *interrupted;

/* text: NULL for destroy. */
static enum exit_code run_apply(struct fake *fake, const char *text, bool *changed)
{
	struct document document;
	struct scope scope = { .document = &document, .everything = !text };
	struct apply_options options = { .allow_empty = true, .interrupted = interrupted };
	struct apply_result result;
	enum exit_code code;

	if (text)
		fixture_document(text, &document);
	else
		document_empty(&document);
	apply(&fake->kernel, &scope, &options, &result);
	code = result.exit;
	if (changed)
		*changed = result.changed;
	/* A failure has a sentence, success has none. */
	assert_int_equal(code != EXIT_DONE && code != EXIT_DIFFERENT && code != EXIT_CONFLICT,
			 *result.error.code != 0);
	assert_int_equal(code == EXIT_ROLLED_BACK, result.rolled_back);
	apply_result_free(&result);
	document_free(&document);
	return code;
}

static bool is_in_sync(struct fake *fake, const char *text)
{
	struct document document;
	struct scope scope = { .document = &document, .everything = !text };
	struct comparison comparison;
	struct error error;
	bool in_sync;

	if (text)
		fixture_document(text, &document);
	else
		document_empty(&document);
	assert_int_equal(comparison_make(&fake->kernel, &scope, &comparison, &error), 0);
	in_sync = plan_in_sync(&comparison.plan);
	comparison_free(&comparison);
	document_free(&document);
	return in_sync;
}

/* What a router without history holds after an apply. */
static char *fresh_dump(const char *text)
{
	struct fake *fake = router();
	char *dump;

	assert_int_equal(run_apply(fake, text, NULL), EXIT_DONE);
	dump = fake_dump(fake);
	fake_close(fake);
	return dump;
}

static void check_dump(const struct fake *fake, const char *wanted)
{
	char *dump = fake_dump(fake);

	assert_string_equal(dump, wanted);
	free(dump);
}

/* --- when all goes well -------------------------------------------------- */

static void test_a_second_apply_writes_nothing(void **state)
{
	(void)state;
	for (size_t t = 0; t < text_count; t++) {
		struct fake *fake = router();
		size_t writes;
		bool changed;

		assert_int_equal(run_apply(fake, texts[t], NULL), EXIT_DONE);
		assert_true(is_in_sync(fake, texts[t]));
		writes = fake->writes;
		assert_int_equal(run_apply(fake, texts[t], &changed), EXIT_DONE);
		assert_int_equal(fake->writes, writes);
		assert_false(changed);
		fake_close(fake);
	}
}

static void test_destroy_leaves_what_was_before(void **state)
{
	(void)state;
	for (size_t t = 0; t < text_count; t++) {
		struct fake *fake = router();
		char *before = fake_dump(fake);

		assert_int_equal(run_apply(fake, texts[t], NULL), EXIT_DONE);
		assert_int_equal(run_apply(fake, NULL, NULL), EXIT_DONE);
		check_dump(fake, before);
		free(before);
		fake_close(fake);
	}
}

static void test_any_document_may_follow_any_other(void **state)
{
	(void)state;
	for (size_t to = 0; to < text_count; to++) {
		char *wanted = fresh_dump(texts[to]);

		for (size_t from = 0; from < text_count; from++) {
			struct fake *fake = router();

			assert_int_equal(run_apply(fake, texts[from], NULL), EXIT_DONE);
			assert_int_equal(run_apply(fake, texts[to], NULL), EXIT_DONE);
			check_dump(fake, wanted);
			fake_close(fake);
		}
		free(wanted);
	}
}

/* --- when a write fails -------------------------------------------------- */

/* From the first document (NULL: from nothing) to the second (NULL: destroy). */
static const struct change {
	const char *from, *to;
} changes[] = {
	{ NULL, DOCUMENT(GATEWAY(""), ONE) },
	{ NULL, DOCUMENT(GATEWAY("") "," SECOND, ONE "," OF_BOX) },
	{ DOCUMENT(GATEWAY(""), ONE), NULL },
	{ DOCUMENT(GATEWAY(""), ONE), DOCUMENT(OTHER_MARK, ONE) },
	{ DOCUMENT(GATEWAY(""), ONE), DOCUMENT(OTHER_PLACE, TWO) },
	{ DOCUMENT(GATEWAY("") "," SECOND, ONE "," OF_BOX), DOCUMENT(SECOND, OF_BOX) },
	{ DOCUMENT(GATEWAY("") "," SECOND, ONE "," OF_BOX), DOCUMENT(SWAPPED, ONE "," OF_BOX) },
	{ DOCUMENT(SPOOFING, TWO), DOCUMENT(GATEWAY(""), ONE "," TWO) },
};

static struct fake *router_before(const struct change *change)
{
	struct fake *fake = router();

	if (change->from)
		assert_int_equal(run_apply(fake, change->from, NULL), EXIT_DONE);
	fake->writes = 0;
	return fake;
}

static char *dump_after(const struct change *change)
{
	struct fake *fake = router();
	char *dump;

	if (change->to) {
		fake_close(fake);
		return fresh_dump(change->to);
	}
	dump = fake_dump(fake);
	fake_close(fake);
	return dump;
}

static void check_exit(struct fake *fake, const struct change *change, enum exit_code code,
		       const char *before, const char *after)
{
	switch (code) {
	case EXIT_DONE:
		check_dump(fake, after);
		return;
	case EXIT_ERROR:
	case EXIT_ROLLED_BACK:
		check_dump(fake, before);
		return;
	case EXIT_DIFFERENT:
		assert_false(is_in_sync(fake, change->to));
		return;
	default:
		assert_int_equal(code, EXIT_UNKNOWN_STATE);
	}
}

/* False when the fault came too late to happen. */
static bool run_fault(const struct change *change, const struct fake_fault *fault,
		      bool may_be_unknown)
{
	struct fake *fake = router_before(change);
	char *before = fake_dump(fake), *after = dump_after(change);
	enum exit_code code;
	bool happened;

	fake->fault = *fault;
	code = run_apply(fake, change->to, NULL);
	happened = fake->writes >= fault->first;
	fake->fault = (struct fake_fault){ 0 };
	if (!may_be_unknown)
		assert_int_not_equal(code, EXIT_UNKNOWN_STATE);
	check_exit(fake, change, code, before, after);
	assert_int_equal(run_apply(fake, change->to, NULL), EXIT_DONE);
	check_dump(fake, after);
	free(before);
	free(after);
	fake_close(fake);
	return happened;
}

static void run_faults(size_t count, int outcome, bool done, bool may_be_unknown)
{
	for (size_t i = 0; i < COUNT(changes); i++) {
		struct fake_fault fault = { 1, count, outcome, done };

		while (run_fault(&changes[i], &fault, may_be_unknown))
			fault.first++;
		assert_true(fault.first > 3);
	}
}

static void test_one_failing_write_is_undone(void **state)
{
	(void)state;
	run_faults(1, -1, false, false);
}

static void test_failing_from_then_on_is_never_called_undone(void **state)
{
	(void)state;
	run_faults(SIZE_MAX / 2, -1, false, true);
}

static void test_a_lost_answer_is_looked_up(void **state)
{
	(void)state;
	run_faults(1, OUTCOME_UNKNOWN, false, false);
	run_faults(1, OUTCOME_UNKNOWN, true, false);
}

static void test_a_changed_ruleset_is_read_again(void **state)
{
	static const size_t times[] = { 1, 2, 10 };

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++)
		run_faults(times[i], OUTCOME_STALE, false, false);
}

static void test_a_ruleset_that_never_rests_is_left_as_it_was(void **state)
{
	(void)state;
	/* Undoing needs the ruleset to rest as well. */
	run_faults(90, OUTCOME_STALE, false, true);
	run_faults(SIZE_MAX / 2, OUTCOME_STALE, false, true);
}

/* A rule that only its raw expressions can bring back. */
static void add_unreadable_rule(struct fake *fake)
{
	struct nft_chain *chain = nft_chain_find(fake_nft(fake), "forward");
	struct nft_rule *rule =
		ARENA_PUSH(&fake->nft_arena, chain->rules, chain->rule_count, chain->rule_room);
	struct stmt *stmt =
		ARENA_PUSH(&fake->nft_arena, rule->stmts, rule->stmt_count, rule->stmt_room);

	*stmt = (struct stmt){ .type = STMT_OTHER, .name = "limit" };
	rule->comment = "";
	rule->raw = "limit";
	rule->raw_size = 5;
	rule->handle = ++fake->last_handle;
}

static void test_what_we_cannot_read_is_put_back_too(void **state)
{
	static const struct change change = { DOCUMENT(GATEWAY(""), ONE),
					      DOCUMENT(OTHER_MARK, ONE) };
	enum exit_code code = EXIT_ROLLED_BACK;

	(void)state;
	for (size_t first = 2; code != EXIT_DONE; first++) {
		struct fake *fake = router_before(&change);
		char *before;

		add_unreadable_rule(fake);
		before = fake_dump(fake);
		fake->fault = (struct fake_fault){ first, 1, -1, false };
		code = run_apply(fake, change.to, NULL);
		if (code != EXIT_DONE) {
			assert_int_equal(code, EXIT_ROLLED_BACK);
			check_dump(fake, before);
		}
		free(before);
		fake_close(fake);
	}
}

/* --- when others are at work --------------------------------------------- */

static size_t strike_at;
static void (*strike)(struct fake *fake);

static void strike_once(struct fake *fake, size_t operation)
{
	if (operation == strike_at)
		strike(fake);
}

static void remove_own_rules(struct fake *fake)
{
	struct state *live = &fake->state;
	size_t kept = 0;

	for (size_t i = 0; i < live->rule_count; i++)
		if (live->rules[i].protocol != PROTOCOL_DETOUR)
			live->rules[kept++] = live->rules[i];
	live->rule_count = kept;
}

static void remove_own_routes(struct fake *fake)
{
	struct state *live = &fake->state;
	size_t kept = 0;

	for (size_t i = 0; i < live->route_count; i++)
		if (live->routes[i].protocol != PROTOCOL_DETOUR)
			live->routes[kept++] = live->routes[i];
	live->route_count = kept;
}

static void flush_ruleset(struct fake *fake)
{
	uint32_t generation = fake_nft(fake)->generation;

	fake->nft = (struct nft_table){ .generation = generation };
}

static void change_another_table(struct fake *fake)
{
	fake_nft(fake);
}

static void remove_some_elements(struct fake *fake)
{
	struct nft_table *table = fake_nft(fake);

	for (size_t i = 0; i < table->set_count; i++)
		if (table->sets[i].element_count)
			table->sets[i].element_count--;
}

static void remove_own_names(struct fake *fake)
{
	struct state *live = &fake->state;
	size_t kept = 0;

	for (size_t i = 0; i < live->rt_table_count; i++)
		if (!live->rt_tables[i].own)
			live->rt_tables[kept++] = live->rt_tables[i];
	live->rt_table_count = kept;
}

static void everything_at_once(struct fake *fake)
{
	remove_own_rules(fake);
	remove_own_routes(fake);
	remove_own_names(fake);
	flush_ruleset(fake);
}

/* False when the apply was over before. */
static bool run_strike(const struct change *change)
{
	struct fake *fake = router_before(change);
	char *after = dump_after(change);
	enum exit_code code;
	bool happened;

	fake->operations = 0;
	fake->meanwhile = strike_once;
	code = run_apply(fake, change->to, NULL);
	happened = fake->operations >= strike_at;
	fake->meanwhile = NULL;
	if (code == EXIT_DONE)
		check_dump(fake, after);
	if (code == EXIT_DIFFERENT)
		assert_false(is_in_sync(fake, change->to));
	assert_int_equal(run_apply(fake, change->to, NULL), EXIT_DONE);
	check_dump(fake, after);
	free(after);
	fake_close(fake);
	return happened;
}

static void test_what_others_undo_meanwhile_is_never_called_done(void **state)
{
	static void (*const strikes[])(struct fake *) = {
		remove_own_rules,     remove_own_routes,    remove_own_names,   flush_ruleset,
		change_another_table, remove_some_elements, everything_at_once,
	};

	(void)state;
	for (size_t s = 0; s < COUNT(strikes); s++)
		for (size_t i = 0; i < COUNT(changes); i++) {
			strike = strikes[s];
			for (strike_at = 1; run_strike(&changes[i]); strike_at++)
				;
		}
}

static volatile int signalled;

static void interrupt(struct fake *fake)
{
	(void)fake;
	signalled = 1;
}

static bool run_interrupt(const struct change *change)
{
	struct fake *fake = router_before(change);
	char *before = fake_dump(fake), *after = dump_after(change);
	enum exit_code code;
	bool happened;

	fake->operations = 0;
	fake->meanwhile = strike_once;
	signalled = 0;
	interrupted = &signalled;
	code = run_apply(fake, change->to, NULL);
	interrupted = NULL;
	happened = fake->operations >= strike_at;
	fake->meanwhile = NULL;
	assert_int_not_equal(code, EXIT_UNKNOWN_STATE);
	check_exit(fake, change, code, before, after);
	free(before);
	free(after);
	fake_close(fake);
	return happened;
}

static void test_an_interrupted_apply_is_undone(void **state)
{
	(void)state;
	strike = interrupt;
	for (size_t i = 0; i < COUNT(changes); i++)
		for (strike_at = 1; run_interrupt(&changes[i]); strike_at++)
			;
}

/* --- what waits, what is refused ----------------------------------------- */

static void test_a_missing_interface_keeps_nothing_else_from_being_applied(void **state)
{
	const char *text = DOCUMENT(GATEWAY(""), ONE);
	struct fake *fake = router();
	char *wanted = fresh_dump(text);
	size_t writes;
	bool changed;

	(void)state;
	fake_link_remove(fake, "eth2");
	assert_int_equal(run_apply(fake, text, &changed), EXIT_DIFFERENT);
	assert_true(changed && fake->nft.exists);
	writes = fake->writes;
	assert_int_equal(run_apply(fake, text, &changed), EXIT_DIFFERENT);
	assert_int_equal(fake->writes, writes);
	assert_false(changed);
	fake_link_add(fake, "eth2", "0.0.0.0/0", "::/0", NULL);
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DONE);
	check_dump(fake, wanted);
	free(wanted);
	fake_close(fake);
}

static void test_a_flap_is_repaired(void **state)
{
	const char *text = DOCUMENT(GATEWAY(""), ONE);
	struct fake *fake = router();
	char *wanted = fresh_dump(text);

	(void)state;
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DONE);
	fake_link_set(fake, "eth2", false);
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DIFFERENT);
	fake_link_set(fake, "eth2", true);
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DONE);
	check_dump(fake, wanted);
	free(wanted);
	fake_close(fake);
}

/* The kernel knows better than the observation. */
static void test_what_the_kernel_does_not_take_yet_remains(void **state)
{
	const char *text = DOCUMENT(GATEWAY(""), ONE);
	struct fake *fake = router();

	(void)state;
	/* Name, rp_filter, and then the routes. */
	fake->fault = (struct fake_fault){ 3, 2, OUTCOME_WAITS, false };
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DONE);
	fake_close(fake);
	fake = router();
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DONE);
	fake_link_set(fake, "eth2", false);
	fake_link_set(fake, "eth2", true);
	fake->fault = (struct fake_fault){ fake->writes + 1, 3, OUTCOME_WAITS, false };
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DONE);
	fake_link_set(fake, "eth2", false);
	fake_link_set(fake, "eth2", true);
	fake->fault = (struct fake_fault){ fake->writes + 1, SIZE_MAX / 2, OUTCOME_WAITS, false };
	assert_int_equal(run_apply(fake, text, NULL), EXIT_DIFFERENT);
	assert_false(is_in_sync(fake, text));
	fake_close(fake);
}

static enum exit_code apply_plainly(struct fake *fake, const char *text)
{
	struct document document;
	struct scope scope = { .document = &document };
	struct apply_options options = { 0 };
	struct apply_result result;
	enum exit_code code;

	fixture_document(text, &document);
	apply(&fake->kernel, &scope, &options, &result);
	code = result.exit;
	assert_int_equal(code == EXIT_ERROR, !strcmp(result.error.code, "would-be-empty"));
	apply_result_free(&result);
	document_free(&document);
	return code;
}

static void test_an_empty_document_must_be_meant(void **state)
{
	static const char *const empties[] = {
		DOCUMENT("", ""),
		DOCUMENT(GATEWAY(""), ""),
		DOCUMENT(GATEWAY(""), REDIRECT("one", ",'enabled':false")),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(empties); i++) {
		struct fake *fake = router();
		char *before;

		/* Nothing is live yet: nothing is opened. */
		assert_int_equal(apply_plainly(fake, empties[i]), EXIT_DONE);
		assert_int_equal(apply_plainly(fake, own_texts[0]), EXIT_DONE);
		before = fake_dump(fake);
		assert_int_equal(apply_plainly(fake, empties[i]), EXIT_ERROR);
		check_dump(fake, before);
		assert_int_equal(run_apply(fake, empties[i], NULL), EXIT_DONE);
		free(before);
		fake_close(fake);
	}
}

static void add_conflict(struct fake *fake)
{
	fake_rule_add(fake, &(struct rule){ .priority = 100, .protocol = 2, .table = 254 });
}

static void test_a_conflict_keeps_everything_from_being_written(void **state)
{
	struct fake *fake = router();
	char *before;

	(void)state;
	add_conflict(fake);
	before = fake_dump(fake);
	assert_int_equal(apply_plainly(fake, own_texts[0]), EXIT_CONFLICT);
	check_dump(fake, before);
	assert_int_equal(fake->writes, 0);
	free(before);
	fake_close(fake);
}

/* The other's rule stays; all that was written before it came is undone. */
static void test_a_conflict_that_appears_meanwhile_is_undone(void **state)
{
	bool happened = true;

	(void)state;
	strike = add_conflict;
	for (strike_at = 1; happened; strike_at++) {
		struct fake *fake = router(), *wanted = router();
		enum exit_code code;
		char *dump;

		fake->meanwhile = strike_once;
		code = run_apply(fake, own_texts[0], NULL);
		happened = fake->operations >= strike_at;
		fake->meanwhile = NULL;
		add_conflict(wanted);
		dump = fake_dump(wanted);
		if (happened && code != EXIT_DIFFERENT)
			check_dump(fake, dump);
		assert_int_equal(code == EXIT_DONE, !happened);
		free(dump);
		fake_close(fake);
		fake_close(wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_second_apply_writes_nothing),
		cmocka_unit_test(test_destroy_leaves_what_was_before),
		cmocka_unit_test(test_any_document_may_follow_any_other),
		cmocka_unit_test(test_one_failing_write_is_undone),
		cmocka_unit_test(test_what_we_cannot_read_is_put_back_too),
		cmocka_unit_test(test_failing_from_then_on_is_never_called_undone),
		cmocka_unit_test(test_a_lost_answer_is_looked_up),
		cmocka_unit_test(test_a_changed_ruleset_is_read_again),
		cmocka_unit_test(test_a_ruleset_that_never_rests_is_left_as_it_was),
		cmocka_unit_test(test_what_others_undo_meanwhile_is_never_called_done),
		cmocka_unit_test(test_an_interrupted_apply_is_undone),
		cmocka_unit_test(test_a_missing_interface_keeps_nothing_else_from_being_applied),
		cmocka_unit_test(test_a_flap_is_repaired),
		cmocka_unit_test(test_what_the_kernel_does_not_take_yet_remains),
		cmocka_unit_test(test_an_empty_document_must_be_meant),
		cmocka_unit_test(test_a_conflict_keeps_everything_from_being_written),
		cmocka_unit_test(test_a_conflict_that_appears_meanwhile_is_undone),
	};

	return cmocka_run_group_tests(tests, texts_read, texts_free);
}
