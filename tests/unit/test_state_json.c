/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is noted of a state is that state again when it is read; damaged notes are only refused. */
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/expand.h"
#include "reconcile/state_json.h"
#include "tests/unit/fixture.h"

static void expand_file(const char *path, struct document *document, struct state *state)
{
	struct faults faults = { 0 };
	struct state nothing = { 0 };
	char *text = fixture_read(path);

	assert_int_equal(document_decode(text, strlen(text), document, &faults), 0);
	expand(document, &nothing, NULL, state);
	faults_free(&faults);
	free(text);
}

static void assert_comes_back(const struct state *state)
{
	json_t *noted = state_to_json(state, NULL), *again;
	struct error error;
	struct state read;

	assert_int_equal(state_from_json(noted, NULL, &read, &error), 0);
	again = state_to_json(&read, NULL);
	assert_true(json_equal(noted, again));
	state_free(&read);
	json_decref(again);
	json_decref(noted);
}

static void test_every_state_comes_back_as_it_was_noted(void **unused)
{
	glob_t good;

	(void)unused;
	assert_int_equal(glob("tests/documents/good/*.json", 0, NULL, &good), 0);
	for (size_t i = 0; i < good.gl_pathc; i++) {
		struct document document;
		struct state state;

		expand_file(good.gl_pathv[i], &document, &state);
		assert_comes_back(&state);
		state_free(&state);
		document_free(&document);
	}
	globfree(&good);
}

static void test_what_is_no_utf8_comes_back_too(void **unused)
{
	struct state state = { 0 }, read;
	struct nft_chain *chain = ARENA_PUSH(&state.arena, state.nft.chains, state.nft.chain_count,
					     state.nft.chain_room);
	struct error error;
	json_t *noted;

	(void)unused;
	chain->name = "\xff";
	ARENA_PUSH(&state.arena, chain->rules, chain->rule_count, chain->rule_room)->comment =
		"b\xfcro";
	*ARENA_PUSH(&state.arena, state.rp_filters, state.rp_filter_count, state.rp_filter_room) =
		(struct rp_filter){ .interface = "\xc2" };
	noted = state_to_json(&state, NULL);
	assert_int_equal(state_from_json(noted, NULL, &read, &error), 0);
	assert_string_equal(read.nft.chains[0].name, "\xff");
	assert_string_equal(read.nft.chains[0].rules[0].comment, "b\xfcro");
	assert_string_equal(read.rp_filters[0].interface, "\xc2");
	state_free(&read);
	json_decref(noted);
	state_free(&state);
}

static struct state with_two_sets(void)
{
	struct state state = { 0 };
	struct nft_set *set;

	state.nft.exists = true;
	for (int i = 0; i < 2; i++) {
		set = ARENA_PUSH(&state.arena, state.nft.sets, state.nft.set_count,
				 state.nft.set_room);
		*set = (struct nft_set){ .name = i ? "kept" : "changed", .key = KEY_IPV4 };
		ARENA_PUSH(&state.arena, set->elements, set->element_count, set->element_room)
			->span.to[0] = (uint8_t)i;
	}
	state_sort(&state);
	return state;
}

static void test_elements_that_a_plan_leaves_alone_are_taken_from_the_live_set(void **unused)
{
	struct state before = with_two_sets(), now = with_two_sets(), read;
	struct step step = { .kind = KIND_NFT_ELEMENT, .container = "changed" };
	struct plan plan = { .steps = &step, .step_count = 1 };
	json_t *noted = state_to_json(&before, &plan);
	struct error error;

	(void)unused;
	nft_set_find(&now.nft, "kept")->elements[0].span.to[1] = 7;
	assert_int_equal(state_from_json(noted, &now, &read, &error), 0);
	assert_int_equal(nft_set_find(&read.nft, "kept")->elements[0].span.to[1], 7);
	assert_int_equal(nft_set_find(&read.nft, "changed")->elements[0].span.to[1], 0);
	state_free(&read);
	json_decref(noted);
	state_free(&now);
	state_free(&before);
}

static json_t *oddity(unsigned int number)
{
	switch (number % 7) {
	case 0:
		return json_null();
	case 1:
		return json_integer(-1);
	case 2:
		return json_integer(1LL << 40);
	case 3:
		return json_string("zz");
	case 4:
		return json_string("");
	case 5:
		return json_array();
	default:
		return json_pack("[n]");
	}
}

/* Replaces or removes one value somewhere below: *at counts down to it. */
static void damage(json_t *json, int *at, unsigned int how)
{
	const char *key;
	size_t index;
	json_t *value;
	void *next;

	json_object_foreach_safe(json, next, key, value)
	{
		if ((*at)-- == 0) {
			if (how & 8)
				json_object_del(json, key);
			else
				json_object_set_new(json, key, oddity(how));
			return;
		}
		damage(value, at, how);
		if (*at < 0)
			return;
	}
	json_array_foreach(json, index, value)
	{
		if ((*at)-- == 0) {
			json_array_set_new(json, index, oddity(how));
			return;
		}
		damage(value, at, how);
		if (*at < 0)
			return;
	}
}

static void test_a_damaged_note_is_refused_or_read_and_never_more(void **unused)
{
	struct document document;
	struct state state;
	json_t *noted;

	(void)unused;
	fixture_document(DOCUMENT(GATEWAY(""), REDIRECT("rdp", "")), &document);
	expand(&document, &(struct state){ 0 }, NULL, &state);
	noted = state_to_json(&state, NULL);
	for (unsigned int round = 0; round < 6000; round++) {
		json_t *copy = json_deep_copy(noted);
		int at = (int)(round / 6);
		struct error error;
		struct state read;

		damage(copy, &at, round);
		if (state_from_json(copy, NULL, &read, &error) < 0)
			assert_string_equal(error.code, "damaged");
		state_free(&read);
		json_decref(copy);
	}
	json_decref(noted);
	state_free(&state);
	document_free(&document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_state_comes_back_as_it_was_noted),
		cmocka_unit_test(test_what_is_no_utf8_comes_back_too),
		cmocka_unit_test(
			test_elements_that_a_plan_leaves_alone_are_taken_from_the_live_set),
		cmocka_unit_test(test_a_damaged_note_is_refused_or_read_and_never_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
