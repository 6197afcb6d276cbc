/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nf_tables: a transaction works on a draft, which takes the table's place when
 * every step was accepted. Stricter than the kernel where that is lenient by
 * accident (a wider element after a narrower one).
 */
#include <errno.h>
#include <stdlib.h>

#include "backends/fake_parts.h"

struct draft {
	struct fake *fake;
	struct arena arena;
	struct nft_table table;
};

/* --- copies -------------------------------------------------------------- */

static const void *bytes_copy(struct arena *arena, const void *bytes, size_t size)
{
	if (!bytes)
		return NULL;
	return memcpy(arena_alloc(arena, size), bytes, size);
}

static void rule_copy(struct arena *arena, const struct nft_rule *from, struct nft_rule *to)
{
	*to = *from;
	to->comment = arena_strdup(arena, from->comment);
	to->stmts = arena_alloc(arena, from->stmt_count * sizeof(*to->stmts));
	to->stmt_room = from->stmt_count;
	for (size_t i = 0; i < from->stmt_count; i++) {
		to->stmts[i] = from->stmts[i];
		if (from->stmts[i].name)
			to->stmts[i].name = arena_strdup(arena, from->stmts[i].name);
	}
	to->raw = bytes_copy(arena, from->raw, from->raw_size);
}

static void chain_copy(struct arena *arena, const struct nft_chain *from, struct nft_chain *to)
{
	*to = *from;
	to->name = arena_strdup(arena, from->name);
	to->rules = arena_alloc(arena, from->rule_count * sizeof(*to->rules));
	to->rule_room = from->rule_count;
	for (size_t i = 0; i < from->rule_count; i++)
		rule_copy(arena, &from->rules[i], &to->rules[i]);
}

/* The name that `chains` has for this one, so that elements share it. */
static const char *shared_name(const struct nft_table *table, const char *name)
{
	const struct nft_chain *chain = name ? nft_chain_find(table, name) : NULL;

	return chain ? chain->name : NULL;
}

static void set_copy(struct arena *arena, const struct nft_table *table, const struct nft_set *from,
		     struct nft_set *to)
{
	*to = *from;
	to->name = arena_strdup(arena, from->name);
	to->elements = arena_alloc(arena, from->element_count * sizeof(*to->elements));
	to->element_room = from->element_count;
	for (size_t i = 0; i < from->element_count; i++) {
		to->elements[i] = from->elements[i];
		to->elements[i].chain = shared_name(table, from->elements[i].chain);
	}
}

void nft_table_copy(struct arena *arena, const struct nft_table *from, struct nft_table *to)
{
	*to = *from;
	to->chains = arena_alloc(arena, from->chain_count * sizeof(*to->chains));
	to->chain_room = from->chain_count;
	for (size_t i = 0; i < from->chain_count; i++)
		chain_copy(arena, &from->chains[i], &to->chains[i]);
	to->sets = arena_alloc(arena, from->set_count * sizeof(*to->sets));
	to->set_room = from->set_count;
	for (size_t i = 0; i < from->set_count; i++)
		set_copy(arena, to, &from->sets[i], &to->sets[i]);
	nft_table_sort(to);
}

/* --- who refers to whom -------------------------------------------------- */

static bool stmt_refers(const struct stmt *stmt, bool to_set, const char *name)
{
	bool is_set = stmt->type == STMT_LOOKUP || stmt->type == STMT_VMAP;

	return stmt->name && (is_set || stmt->type == STMT_VERDICT) && is_set == to_set &&
	       !strcmp(stmt->name, name);
}

/* A rule of another chain than `except`. */
static bool rules_refer(const struct nft_table *table, const char *except, bool to_set,
			const char *name)
{
	for (size_t c = 0; c < table->chain_count; c++)
		for (size_t r = 0; r < table->chains[c].rule_count; r++)
			for (size_t s = 0; s < table->chains[c].rules[r].stmt_count; s++)
				if (strcmp(table->chains[c].name, except) != 0 &&
				    stmt_refers(&table->chains[c].rules[r].stmts[s], to_set, name))
					return true;
	return false;
}

static bool elements_refer(const struct nft_table *table, const char *chain)
{
	for (size_t s = 0; s < table->set_count; s++)
		for (size_t e = 0; e < table->sets[s].element_count; e++)
			if (table->sets[s].elements[e].chain &&
			    !strcmp(table->sets[s].elements[e].chain, chain))
				return true;
	return false;
}

/* A chain to which others may go: a base chain is not one. */
static int target_check(const struct nft_table *table, const char *name)
{
	const struct nft_chain *chain = nft_chain_find(table, name);

	if (!chain)
		return ENOENT;
	return chain->hook == HOOK_NONE ? 0 : EOPNOTSUPP;
}

static enum key_type key_of_field(enum field field)
{
	switch (field) {
	case FIELD_IIFNAME:
	case FIELD_OIFNAME:
		return KEY_IFNAME;
	case FIELD_IP_SADDR:
	case FIELD_IP_DADDR:
		return KEY_IPV4;
	case FIELD_IP6_SADDR:
	case FIELD_IP6_DADDR:
		return KEY_IPV6;
	case FIELD_SERVICE:
		return KEY_SERVICE;
	default:
		return KEY_OTHER;
	}
}

static int stmt_check(const struct nft_table *table, const struct stmt *stmt)
{
	const struct nft_set *set;

	if (stmt->type == STMT_VERDICT &&
	    (stmt->verdict == VERDICT_JUMP || stmt->verdict == VERDICT_GOTO))
		return target_check(table, stmt->name);
	if (stmt->type != STMT_LOOKUP && stmt->type != STMT_VMAP)
		return 0;
	set = nft_set_find(table, stmt->name);
	if (!set)
		return ENOENT;
	return set->key == key_of_field(stmt->field) && set->is_map == (stmt->type == STMT_VMAP)
		       ? 0
		       : EINVAL;
}

/* --- table, chains, sets ------------------------------------------------- */

static int table_step(struct draft *draft, const struct step *step)
{
	bool creates = step->action != ACTION_DELETE;

	if (draft->table.exists != (step->action != ACTION_CREATE))
		return draft->table.exists ? EEXIST : ENOENT;
	draft->table = (struct nft_table){ .exists = creates };
	return 0;
}

static int chain_create(struct draft *draft, const struct step *step)
{
	const struct nft_chain *chain = step->after;
	struct nft_table *table = &draft->table;
	struct nft_chain *added;

	if (nft_chain_find(table, chain->name))
		return EEXIST;
	if (chain->hook == HOOK_OTHER || (chain->hook != HOOK_NONE && !chain->is_filter))
		return EOPNOTSUPP;
	added = ARENA_PUSH(&draft->arena, table->chains, table->chain_count, table->chain_room);
	*added = (struct nft_chain){
		.name = arena_strdup(&draft->arena, chain->name),
		.hook = chain->hook,
		.priority = chain->priority,
		.drops = chain->drops,
		.is_filter = chain->is_filter,
	};
	nft_table_sort(table);
	return 0;
}

static int chain_delete(struct draft *draft, const struct step *step)
{
	const char *name = ((const struct nft_chain *)step->before)->name;
	struct nft_table *table = &draft->table;
	struct nft_chain *chain = nft_chain_find(table, name);

	if (!chain)
		return ENOENT;
	/* Its own rules go with it. */
	if (rules_refer(table, name, false, name) || elements_refer(table, name))
		return EBUSY;
	FAKE_REMOVE(table->chains, table->chain_count, (size_t)(chain - table->chains));
	return 0;
}

static int chain_step(struct draft *draft, const struct step *step)
{
	switch (step->action) {
	case ACTION_CREATE:
		return chain_create(draft, step);
	case ACTION_DELETE:
		return chain_delete(draft, step);
	case ACTION_UPDATE:
	case ACTION_MOVE:
		break;
	}
	return EOPNOTSUPP;
}

static int set_create(struct draft *draft, const struct step *step)
{
	const struct nft_set *set = step->after;
	struct nft_table *table = &draft->table;
	struct nft_set *added;

	if (nft_set_find(table, set->name))
		return EEXIST;
	if (set->key == KEY_OTHER || set->foreign_flags)
		return EOPNOTSUPP;
	added = ARENA_PUSH(&draft->arena, table->sets, table->set_count, table->set_room);
	*added = (struct nft_set){
		.name = arena_strdup(&draft->arena, set->name),
		.key = set->key,
		.is_map = set->is_map,
	};
	nft_table_sort(table);
	return 0;
}

static int set_delete(struct draft *draft, const struct step *step)
{
	const char *name = ((const struct nft_set *)step->before)->name;
	struct nft_table *table = &draft->table;
	struct nft_set *set = nft_set_find(table, name);

	if (!set)
		return ENOENT;
	if (rules_refer(table, "", true, name))
		return EBUSY;
	FAKE_REMOVE(table->sets, table->set_count, (size_t)(set - table->sets));
	return 0;
}

static int set_step(struct draft *draft, const struct step *step)
{
	switch (step->action) {
	case ACTION_CREATE:
		return set_create(draft, step);
	case ACTION_DELETE:
		return set_delete(draft, step);
	case ACTION_UPDATE:
	case ACTION_MOVE:
		break;
	}
	return EOPNOTSUPP;
}

/* --- elements ------------------------------------------------------------ */

static int element_compare(const void *a, const void *b)
{
	return memcmp(&((const struct element *)a)->span, &((const struct element *)b)->span,
		      sizeof(struct span));
}

/* Within the key's bytes, and not reversed. */
static bool span_is_sound(const struct span *span, size_t bytes)
{
	for (size_t i = bytes; i < SPAN_BYTES; i++)
		if (span->from[i] || span->to[i])
			return false;
	return memcmp(span->from, span->to, SPAN_BYTES) <= 0;
}

static int element_check(const struct draft *draft, const struct nft_set *set,
			 const struct element *element)
{
	if (!span_is_sound(&element->span, key_bytes(set->key)) || element->foreign_verdict)
		return EINVAL;
	if (set->is_map != (element->chain != NULL))
		return EINVAL;
	return element->chain ? target_check(&draft->table, element->chain) : 0;
}

/* Elements of a concatenation overlap where they do in each field: port and protocol. */
static int overlap_check(const struct nft_set *set)
{
	const uint8_t *behind[UINT8_MAX + 1] = { NULL };

	for (size_t i = 0; i < set->element_count; i++) {
		const struct span *span = &set->elements[i].span;
		uint8_t protocol = set->key == KEY_SERVICE ? span->from[4] : 0;

		if (behind[protocol] && memcmp(behind[protocol], span->from, SPAN_BYTES) >= 0)
			return EEXIST;
		behind[protocol] = span->to;
	}
	return 0;
}

static int elements_create(struct draft *draft, struct nft_set *set, const struct element *elements,
			   size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int code = element_check(draft, set, &elements[i]);
		struct element *added;

		if (code)
			return code;
		added = ARENA_PUSH(&draft->arena, set->elements, set->element_count,
				   set->element_room);
		*added = elements[i];
		added->chain = shared_name(&draft->table, elements[i].chain);
	}
	qsort(set->elements, set->element_count, sizeof(*set->elements), element_compare);
	return overlap_check(set);
}

static int elements_delete(struct nft_set *set, const struct element *elements, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct element *found =
			set->element_count
				? bsearch(&elements[i], set->elements, set->element_count,
					  sizeof(*found), element_compare)
				: NULL;

		if (!found)
			return ENOENT;
		FAKE_REMOVE(set->elements, set->element_count, (size_t)(found - set->elements));
	}
	return 0;
}

static int element_step(struct draft *draft, const struct step *step)
{
	struct nft_set *set = nft_set_find(&draft->table, step->container);
	int code = 0;

	if (!set)
		return ENOENT;
	if (!step->count || step->set->key != set->key || step->action == ACTION_MOVE)
		return EINVAL;
	if (step->action != ACTION_CREATE)
		code = elements_delete(set, step->before, step->count);
	if (code == 0 && step->action != ACTION_DELETE)
		code = elements_create(draft, set, step->after, step->count);
	return code;
}

/* --- rules --------------------------------------------------------------- */

static size_t rule_index(const struct nft_chain *chain, const struct nft_rule *rule)
{
	size_t i = 0;

	while (i < chain->rule_count && chain->rules[i].handle != rule->handle)
		i++;
	return i;
}

/* Before the rule that stands at `at`. */
static int rule_insert(struct draft *draft, struct nft_chain *chain, size_t at,
		       const struct nft_rule *rule)
{
	struct nft_rule added;

	if (rule->stmt_count > NFT_RULE_STMTS || strlen(rule->comment) >= NFT_COMMENT_SIZE)
		return EINVAL;
	for (size_t i = 0; i < rule->stmt_count; i++) {
		int code = stmt_check(&draft->table, &rule->stmts[i]);

		if (code)
			return code;
	}
	rule_copy(&draft->arena, rule, &added);
	/* A rule that replaces another is another one to the kernel, too. */
	added.handle = ++draft->fake->last_handle;
	ARENA_PUSH(&draft->arena, chain->rules, chain->rule_count, chain->rule_room);
	memmove(&chain->rules[at + 1], &chain->rules[at],
		(chain->rule_count - 1 - at) * sizeof(*chain->rules));
	chain->rules[at] = added;
	return 0;
}

static int rule_place(struct draft *draft, struct nft_chain *chain, const struct step *step)
{
	size_t at = step->successor ? rule_index(chain, step->successor) : chain->rule_count;

	if (step->successor && at == chain->rule_count)
		return ENOENT;
	return rule_insert(draft, chain, at, step->after);
}

static int rule_remove(struct nft_chain *chain, const struct step *step, size_t *at)
{
	*at = rule_index(chain, step->before);
	if (*at == chain->rule_count)
		return ENOENT;
	FAKE_REMOVE(chain->rules, chain->rule_count, *at);
	return 0;
}

static int rule_step(struct draft *draft, const struct step *step)
{
	struct nft_chain *chain = nft_chain_find(&draft->table, step->container);
	size_t at;
	int code;

	if (!chain)
		return ENOENT;
	switch (step->action) {
	case ACTION_CREATE:
		return rule_place(draft, chain, step);
	case ACTION_UPDATE:
		code = rule_remove(chain, step, &at);
		return code ? code : rule_insert(draft, chain, at, step->after);
	case ACTION_MOVE:
		code = rule_remove(chain, step, &at);
		return code ? code : rule_place(draft, chain, step);
	case ACTION_DELETE:
		return rule_remove(chain, step, &at);
	}
	return EINVAL;
}

/* --- the transaction ----------------------------------------------------- */

static int step_apply(struct draft *draft, const struct step *step)
{
	if (step->kind != KIND_NFT_TABLE && !draft->table.exists)
		return ENOENT;
	switch (step->kind) {
	case KIND_NFT_TABLE:
		return table_step(draft, step);
	case KIND_NFT_CHAIN:
		return chain_step(draft, step);
	case KIND_NFT_SET:
		return set_step(draft, step);
	case KIND_NFT_ELEMENT:
		return element_step(draft, step);
	case KIND_NFT_RULE:
		return rule_step(draft, step);
	case KIND_RT_TABLE:
	case KIND_RP_FILTER:
	case KIND_ROUTE:
	case KIND_RULE:
	case KIND_HAND_RULE: /* nobody else has chains */
	case KIND_COUNT:
		break;
	}
	return EINVAL;
}

int fake_commit(struct fake *fake, const struct step *steps, size_t count, uint32_t generation,
		struct error *error)
{
	struct draft draft = { .fake = fake };

	if (generation != fake->nft.generation)
		return OUTCOME_STALE;
	nft_table_copy(&draft.arena, &fake->nft, &draft.table);
	for (size_t i = 0; i < count; i++) {
		int code = step_apply(&draft, &steps[i]);

		if (code) {
			arena_free(&draft.arena);
			return fake_refuse(&steps[i], code, error);
		}
	}
	arena_free(&fake->nft_arena);
	fake->nft_arena = draft.arena;
	fake->nft = draft.table;
	fake->nft.generation = generation + 1;
	return OUTCOME_DONE;
}
