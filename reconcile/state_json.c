/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One table of members for each kind of object serves both directions, so that
 * a member that is written is also read.
 */
#include "reconcile/state_json.h"

#include <stddef.h>
#include <string.h>

#include "reconcile/hex.h"

enum member_type {
	MEMBER_NAME, /* text that must be there */
	MEMBER_TEXT, /* text or NULL */
	MEMBER_BOOL,
	MEMBER_U8,
	MEMBER_INT,
	MEMBER_U32,
	MEMBER_BYTES,
	MEMBER_RAW
};

struct member {
	const char *name;
	size_t offset;
	size_t size; /* MEMBER_BYTES: how many; MEMBER_RAW: offset of the size_t */
	enum member_type type;
	uint32_t maximum; /* MEMBER_INT: of an enumeration */
};

#define MEMBER(type_, struct_, member_, ...)                                                       \
	{                                                                                          \
		.name = #member_, .type = MEMBER_##type_,                                          \
		.offset = offsetof(struct struct_, member_), ##__VA_ARGS__                         \
	}

static const struct member rt_table_members[] = {
	MEMBER(U32, rt_table, id),
	MEMBER(NAME, rt_table, name),
	MEMBER(BOOL, rt_table, own),
	MEMBER(BOOL, rt_table, taken),
	{ 0 },
};

/* Of a name that is taken out of a file; other lines of others do not matter. */
static const struct member name_line_members[] = {
	MEMBER(NAME, rt_table, file),
	MEMBER(U32, rt_table, line),
	MEMBER(NAME, rt_table, text),
	{ 0 },
};

static const struct member rp_filter_members[] = {
	MEMBER(NAME, rp_filter, interface),
	MEMBER(INT, rp_filter, value, .maximum = 2),
	{ 0 },
};

static const struct member route_members[] = {
	MEMBER(INT, route, family, .maximum = FAMILY_IPV6),
	MEMBER(U32, route, table),
	MEMBER(U32, route, metric),
	MEMBER(U8, route, protocol),
	MEMBER(INT, route, type, .maximum = ROUTE_OTHER),
	MEMBER(BOOL, route, is_default),
	MEMBER(BOOL, route, multipath),
	MEMBER(BYTES, route, dst, .size = sizeof(struct span)),
	MEMBER(BOOL, route, has_gateway),
	MEMBER(BYTES, route, gateway, .size = SPAN_BYTES),
	MEMBER(NAME, route, dev),
	MEMBER(BOOL, route, taken),
	{ 0 },
};

static const struct member rule_members[] = {
	MEMBER(INT, rule, family, .maximum = FAMILY_IPV6),
	MEMBER(U32, rule, priority),
	MEMBER(BYTES, rule, mark, .size = sizeof(struct mark)),
	MEMBER(INT, rule, action, .maximum = RULE_OTHER),
	MEMBER(U32, rule, table),
	MEMBER(U8, rule, protocol),
	MEMBER(BOOL, rule, has_more),
	MEMBER(RAW, rule, raw, .size = offsetof(struct rule, raw_size)),
	MEMBER(BOOL, rule, taken),
	{ 0 },
};

static const struct member hand_rule_members[] = {
	MEMBER(NAME, hand_rule, place),
	MEMBER(NAME, hand_rule, family),
	MEMBER(U8, hand_rule, nfproto),
	MEMBER(NAME, hand_rule, table),
	MEMBER(NAME, hand_rule, chain),
	MEMBER(BYTES, hand_rule, handle, .size = sizeof(uint64_t)),
	MEMBER(BYTES, hand_rule, successor, .size = sizeof(uint64_t)),
	MEMBER(RAW, hand_rule, raw, .size = offsetof(struct hand_rule, raw_size)),
	MEMBER(U32, hand_rule, protocol),
	{ 0 },
};

static const struct member stmt_members[] = {
	MEMBER(INT, stmt, type, .maximum = STMT_OTHER),
	MEMBER(INT, stmt, field, .maximum = FIELD_COUNT),
	MEMBER(INT, stmt, verdict, .maximum = VERDICT_GOTO),
	MEMBER(BOOL, stmt, negate),
	MEMBER(U32, stmt, mask),
	MEMBER(U32, stmt, number),
	MEMBER(BYTES, stmt, bytes, .size = SPAN_BYTES),
	MEMBER(TEXT, stmt, name),
	{ 0 },
};

static const struct member nft_rule_members[] = {
	MEMBER(INT, nft_rule, role, .maximum = ROLE_COUNT - 1),
	MEMBER(NAME, nft_rule, comment),
	MEMBER(RAW, nft_rule, raw, .size = offsetof(struct nft_rule, raw_size)),
	{ 0 },
};

static const struct member nft_chain_members[] = {
	MEMBER(NAME, nft_chain, name),      MEMBER(INT, nft_chain, hook, .maximum = HOOK_OTHER),
	MEMBER(U32, nft_chain, priority),   MEMBER(BOOL, nft_chain, drops),
	MEMBER(BOOL, nft_chain, is_filter), { 0 },
};

/* The spans stand apart: see elements_to_json(). */
static const struct member element_members[] = {
	MEMBER(TEXT, element, chain),
	MEMBER(BOOL, element, foreign_verdict),
	{ 0 },
};

static const struct member nft_set_members[] = {
	MEMBER(NAME, nft_set, name),
	MEMBER(INT, nft_set, key, .maximum = KEY_OTHER),
	MEMBER(BOOL, nft_set, is_map),
	MEMBER(BOOL, nft_set, foreign_flags),
	{ 0 },
};

/* --- out ----------------------------------------------------------------- */

static json_t *hex_json(const void *bytes, size_t size)
{
	struct arena arena = { 0 };
	json_t *json = json_string(hex_format(&arena, bytes, size));

	arena_free(&arena);
	return json;
}

/* Others' names and comments may be no UTF-8, which JSON cannot hold: {"hex": "62fc726f"} then. */
static json_t *name_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_pack("{s:o}", "hex", hex_json(text, strlen(text)));
}

static json_t *raw_json(const uint8_t *object, const struct member *member)
{
	const uint8_t *bytes;
	size_t size;

	memcpy(&bytes, object + member->offset, sizeof(bytes));
	memcpy(&size, object + member->size, sizeof(size));
	return bytes ? hex_json(bytes, size) : NULL;
}

/* NULL where there is nothing to say: the member is left out. */
static json_t *member_json(const uint8_t *object, const struct member *member)
{
	const void *place = object + member->offset;
	const char *text;
	uint32_t number;

	switch (member->type) {
	case MEMBER_NAME:
	case MEMBER_TEXT:
		memcpy(&text, place, sizeof(text));
		return text ? name_json(text) : NULL;
	case MEMBER_BOOL:
		return *(const bool *)place ? json_true() : NULL;
	case MEMBER_U8:
		return json_integer(*(const uint8_t *)place);
	case MEMBER_INT:
	case MEMBER_U32:
		memcpy(&number, place, sizeof(number));
		return number ? json_integer(number) : NULL;
	case MEMBER_BYTES:
		return hex_json(place, member->size);
	case MEMBER_RAW:
		return raw_json(object, member);
	}
	return NULL;
}

static json_t *object_to_json(const void *object, const struct member *members)
{
	json_t *json = json_object();

	for (; members->name; members++) {
		json_t *value = member_json(object, members);

		if (value)
			json_object_set_new(json, members->name, value);
	}
	return json;
}

static json_t *list_to_json(const void *items, size_t count, size_t size,
			    const struct member *members)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list,
				      object_to_json((const uint8_t *)items + i * size, members));
	return list;
}

#define LIST(items, count, members) list_to_json((items), (count), sizeof(*(items)), (members))

static json_t *chain_to_json(const struct nft_chain *chain)
{
	json_t *json = object_to_json(chain, nft_chain_members);
	json_t *rules = json_array();

	for (size_t i = 0; i < chain->rule_count; i++) {
		const struct nft_rule *rule = &chain->rules[i];
		json_t *item = object_to_json(rule, nft_rule_members);

		json_object_set_new(item, "stmts",
				    LIST(rule->stmts, rule->stmt_count, stmt_members));
		json_array_append_new(rules, item);
	}
	json_object_set_new(json, "rules", rules);
	return json;
}

static bool differ_by_span_only(const struct element *a, const struct element *b)
{
	if (a->foreign_verdict != b->foreign_verdict || !a->chain != !b->chain)
		return false;
	return a->chain == b->chain || !strcmp(a->chain, b->chain);
}

/* Their first and last keys, one behind the other. */
static json_t *spans_to_json(const struct element *elements, size_t count, size_t bytes)
{
	struct arena arena = { 0 };
	uint8_t *keys = arena_alloc(&arena, 2 * bytes * count), *end = keys;
	json_t *json;

	for (size_t i = 0; i < count; i++) {
		memcpy(end, elements[i].span.from, bytes);
		memcpy(end + bytes, elements[i].span.to, bytes);
		end += 2 * bytes;
	}
	json = hex_json(keys, 2 * bytes * count);
	arena_free(&arena);
	return json;
}

/* One object for all in a row that differ by their spans only: there may be 100,000. */
static json_t *elements_to_json(const struct nft_set *set)
{
	const struct element *elements = set->elements;
	json_t *runs = json_array();

	for (size_t i = 0, end; i < set->element_count; i = end) {
		json_t *run = object_to_json(&elements[i], element_members);

		end = i + 1;
		while (end < set->element_count &&
		       differ_by_span_only(&elements[i], &elements[end]))
			end++;
		json_object_set_new(run, "spans",
				    spans_to_json(&elements[i], end - i, key_bytes(set->key)));
		json_array_append_new(runs, run);
	}
	return runs;
}

static json_t *set_to_json(const struct nft_set *set, const struct plan *plan)
{
	json_t *json = object_to_json(set, nft_set_members);

	if (!plan || steps_touch_set(plan->steps, plan->step_count, set->name))
		json_object_set_new(json, "elements", elements_to_json(set));
	return json;
}

static json_t *nft_to_json(const struct nft_table *table, const struct plan *plan)
{
	json_t *json = json_object(), *chains = json_array(), *sets = json_array();

	json_object_set_new(json, "exists", json_boolean(table->exists));
	json_object_set_new(json, "foreign_flags", json_boolean(table->foreign_flags));
	for (size_t i = 0; i < table->chain_count; i++)
		json_array_append_new(chains, chain_to_json(&table->chains[i]));
	for (size_t i = 0; i < table->set_count; i++)
		json_array_append_new(sets, set_to_json(&table->sets[i], plan));
	json_object_set_new(json, "chains", chains);
	json_object_set_new(json, "sets", sets);
	return json;
}

static json_t *names_to_json(const struct state *state)
{
	json_t *list = LIST(state->rt_tables, state->rt_table_count, rt_table_members);

	for (size_t i = 0; i < state->rt_table_count; i++)
		if (state->rt_tables[i].taken)
			json_object_update_new(
				json_array_get(list, i),
				object_to_json(&state->rt_tables[i], name_line_members));
	return list;
}

json_t *state_to_json(const struct state *state, const struct plan *plan)
{
	json_t *json = json_object();

	json_object_set_new(json, "rt_tables", names_to_json(state));
	json_object_set_new(json, "rp_filters",
			    LIST(state->rp_filters, state->rp_filter_count, rp_filter_members));
	json_object_set_new(json, "routes", LIST(state->routes, state->route_count, route_members));
	json_object_set_new(json, "rules", LIST(state->rules, state->rule_count, rule_members));
	json_object_set_new(json, "hand_rules",
			    LIST(state->hand_rules, state->hand_rule_count, hand_rule_members));
	json_object_set_new(json, "nft", nft_to_json(&state->nft, plan));
	return json;
}

/* --- in ------------------------------------------------------------------ */

struct reader {
	struct arena *arena;
	bool failed;
};

static void raw_read(struct reader *reader, const json_t *value, uint8_t *object,
		     const struct member *member)
{
	size_t size = json_string_length(value) / 2;
	uint8_t *bytes = arena_alloc(reader->arena, size);

	if (!json_is_string(value))
		return;
	reader->failed |= !hex_parse(json_string_value(value), bytes, size);
	memcpy(object + member->offset, &bytes, sizeof(bytes));
	memcpy(object + member->size, &size, sizeof(size));
}

static void number_read(struct reader *reader, const json_t *value, uint8_t *place,
			uint32_t maximum, size_t size)
{
	json_int_t number = json_integer_value(value);
	uint32_t narrow = (uint32_t)number;

	/* Absent is 0, as it was left out. */
	if ((value && !json_is_integer(value)) || number < 0 || number > maximum)
		reader->failed = true;
	else if (size == 1)
		*place = (uint8_t)narrow;
	else
		memcpy(place, &narrow, sizeof(narrow));
}

/* False when there is none; the pointer is NULL then. */
static bool text_read(struct reader *reader, const json_t *value, uint8_t *place)
{
	const json_t *hex = json_object_get(value, "hex");
	size_t size = json_string_length(hex) / 2;
	char *text = NULL;

	if (json_is_string(value)) {
		text = arena_strdup(reader->arena, json_string_value(value));
	} else if (json_is_string(hex)) {
		text = arena_alloc(reader->arena, size + 1);
		reader->failed |= !hex_parse(json_string_value(hex), text, size);
	}
	memcpy(place, &text, sizeof(text));
	return text;
}

static void member_read(struct reader *reader, const json_t *json, uint8_t *object,
			const struct member *member)
{
	const json_t *value = json_object_get(json, member->name);
	uint8_t *place = object + member->offset;

	switch (member->type) {
	case MEMBER_NAME:
		reader->failed |= !text_read(reader, value, place);
		return;
	case MEMBER_TEXT:
		text_read(reader, value, place);
		return;
	case MEMBER_BOOL:
		*(bool *)place = json_is_true(value);
		return;
	case MEMBER_U8:
		number_read(reader, value, place, UINT8_MAX, 1);
		return;
	case MEMBER_INT:
		number_read(reader, value, place, member->maximum, 4);
		return;
	case MEMBER_U32:
		number_read(reader, value, place, UINT32_MAX, 4);
		return;
	case MEMBER_BYTES:
		reader->failed |= !hex_parse(json_string_value(value) ?: "", place, member->size);
		return;
	case MEMBER_RAW:
		raw_read(reader, value, object, member);
		return;
	}
}

static void object_read(struct reader *reader, const json_t *json, void *object,
			const struct member *members)
{
	if (!json_is_object(json))
		reader->failed = true;
	for (; members->name; members++)
		member_read(reader, json, object, members);
}

/* An array of objects under that key; NULL and no items when there is none. */
static void *list_read(struct reader *reader, const json_t *json, const char *key, size_t size,
		       const struct member *members, size_t *count)
{
	const json_t *list = json_object_get(json, key);
	uint8_t *items = arena_alloc(reader->arena, json_array_size(list) * size);

	*count = json_array_size(list);
	if (!json_is_array(list))
		reader->failed = true;
	for (size_t i = 0; i < *count; i++)
		object_read(reader, json_array_get(list, i), items + i * size, members);
	return items;
}

static void rules_read(struct reader *reader, const json_t *json, struct nft_chain *chain)
{
	const json_t *list = json_object_get(json, "rules");

	chain->rules = list_read(reader, json, "rules", sizeof(*chain->rules), nft_rule_members,
				 &chain->rule_count);
	for (size_t i = 0; i < chain->rule_count; i++) {
		struct nft_rule *rule = &chain->rules[i];

		rule->stmts = list_read(reader, json_array_get(list, i), "stmts",
					sizeof(*rule->stmts), stmt_members, &rule->stmt_count);
	}
}

static void run_read(struct reader *reader, const json_t *json, struct nft_set *set)
{
	const json_t *spans = json_object_get(json, "spans");
	size_t bytes = key_bytes(set->key), size = json_string_length(spans) / 2;
	uint8_t *keys = arena_alloc(reader->arena, size);
	struct element like = { 0 };

	object_read(reader, json, &like, element_members);
	reader->failed |=
		size % (2 * bytes) || !hex_parse(json_string_value(spans) ?: "-", keys, size);
	for (size_t i = 0; i < size / (2 * bytes); i++, keys += 2 * bytes) {
		struct element *element = ARENA_PUSH(reader->arena, set->elements,
						     set->element_count, set->element_room);

		*element = like;
		memcpy(element->span.from, keys, bytes);
		memcpy(element->span.to, keys + bytes, bytes);
	}
}

static void elements_read(struct reader *reader, const json_t *json, const struct state *now,
			  struct nft_set *set)
{
	const struct nft_set *live = now ? nft_set_find(&now->nft, set->name) : NULL;
	const json_t *runs = json_object_get(json, "elements");

	if (runs) {
		reader->failed |= !json_is_array(runs);
		for (size_t i = 0; i < json_array_size(runs); i++)
			run_read(reader, json_array_get(runs, i), set);
	} else if (live) {
		set->elements = live->elements;
		set->element_count = live->element_count;
	}
}

static void nft_read_json(struct reader *reader, const json_t *json, const struct state *now,
			  struct nft_table *table)
{
	const json_t *chains = json_object_get(json, "chains");
	const json_t *sets = json_object_get(json, "sets");

	table->exists = json_is_true(json_object_get(json, "exists"));
	table->foreign_flags = json_is_true(json_object_get(json, "foreign_flags"));
	table->chains = list_read(reader, json, "chains", sizeof(*table->chains), nft_chain_members,
				  &table->chain_count);
	for (size_t i = 0; i < table->chain_count; i++)
		rules_read(reader, json_array_get(chains, i), &table->chains[i]);
	table->sets = list_read(reader, json, "sets", sizeof(*table->sets), nft_set_members,
				&table->set_count);
	for (size_t i = 0; i < table->set_count; i++)
		elements_read(reader, json_array_get(sets, i), now, &table->sets[i]);
}

static void names_from_json(struct reader *reader, const json_t *json, struct state *state)
{
	const json_t *list = json_object_get(json, "rt_tables");

	state->rt_tables = list_read(reader, json, "rt_tables", sizeof(*state->rt_tables),
				     rt_table_members, &state->rt_table_count);
	for (size_t i = 0; i < state->rt_table_count; i++)
		if (state->rt_tables[i].taken)
			object_read(reader, json_array_get(list, i), &state->rt_tables[i],
				    name_line_members);
}

int state_from_json(const json_t *json, const struct state *now, struct state *state,
		    struct error *error)
{
	struct reader reader = { .arena = &state->arena };

	*state = (struct state){ 0 };
	names_from_json(&reader, json, state);
	state->rp_filters = list_read(&reader, json, "rp_filters", sizeof(*state->rp_filters),
				      rp_filter_members, &state->rp_filter_count);
	state->routes = list_read(&reader, json, "routes", sizeof(*state->routes), route_members,
				  &state->route_count);
	state->rules = list_read(&reader, json, "rules", sizeof(*state->rules), rule_members,
				 &state->rule_count);
	state->hand_rules = list_read(&reader, json, "hand_rules", sizeof(*state->hand_rules),
				      hand_rule_members, &state->hand_rule_count);
	nft_read_json(&reader, json_object_get(json, "nft"), now, &state->nft);
	if (reader.failed)
		return error_set(error, "damaged", "a recorded state is damaged");
	state_sort(state);
	return 0;
}

const char *state_lost_set(const json_t *json, const struct state *now)
{
	const json_t *sets = json_object_get(json_object_get(json, "nft"), "sets"), *set;
	size_t i;

	json_array_foreach(sets, i, set)
	{
		const char *name = json_string_value(json_object_get(set, "name"));

		if (name && !json_object_get(set, "elements") && !nft_set_find(&now->nft, name))
			return name;
	}
	return NULL;
}
