/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nf_tables backend on the running kernel, in a network namespace of its
 * own for each test. What is written must come back as it was.
 */
#include "backends/nft.h"

#include <malloc.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
#include <linux/netlink.h>
#include <cmocka.h>

#include "netns.h"
#include "reconcile/kernel.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum { STEPS = 64, LARGE = 100000 };

struct live {
	struct arena arena;
	void *router; /* of netns_setup() */
	struct netlink *nl;
	struct error error;
	struct nft_table table; /* what the kernel has: see observe() */
	struct step steps[STEPS];
	size_t step_count;
};

/* Root needs no user namespace, in which it could not raise buffers beyond net.core.wmem_max. */
static bool namespace_enter(struct live *live)
{
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	netns_setup(&live->router);
	return live->router;
}

static int setup(void **state)
{
	struct live *live = calloc(1, sizeof(*live));

	*state = live;
	if (!namespace_enter(live) || netlink_open(NETLINK_NETFILTER, &live->nl, &live->error) < 0)
		live->nl = NULL;
	return 0;
}

static int teardown(void **state)
{
	struct live *live = *state;

	netlink_close(live->nl);
	netns_teardown(&live->router);
	arena_free(&live->arena);
	free(live);
	return 0;
}

static struct live *live_of(void **state)
{
	struct live *live = *state;

	if (!live->nl)
		skip();
	return live;
}

static void read_since(struct live *live, const struct since *since)
{
	if (nft_read(live->nl, since, &live->arena, &live->table, &live->error) < 0)
		fail_msg("%s: %s", live->error.code, live->error.message);
}

static void observe(struct live *live)
{
	read_since(live, NULL);
}

static bool shell(const char *command)
{
	return system(command) == 0;
}

static void need_nft(void)
{
	if (!shell("command -v nft >/dev/null"))
		skip();
}

static char *output_of(struct live *live, const char *command)
{
	char *text = arena_alloc(&live->arena, 65536);
	FILE *pipe = popen(command, "r");

	assert_non_null(pipe);
	text[fread(text, 1, 65535, pipe)] = '\0';
	assert_int_equal(pclose(pipe), 0);
	return text;
}

static struct step *add(struct live *live, enum action action, enum kind kind, const void *before,
			const void *after)
{
	struct step *step = &live->steps[live->step_count++];

	assert_true(live->step_count <= STEPS);
	*step = (struct step){
		.action = action,
		.kind = kind,
		.before = before,
		.after = after,
		.count = 1,
		.object = "under test",
	};
	return step;
}

static void add_elements(struct live *live, enum action action, const struct nft_set *set,
			 const struct element *before, const struct element *after, size_t count)
{
	struct step *step = add(live, action, KIND_NFT_ELEMENT, before, after);

	step->set = set;
	step->container = set->name;
	step->count = count;
}

static struct step *add_rule(struct live *live, enum action action, const char *chain,
			     const struct nft_rule *before, const struct nft_rule *after)
{
	struct step *step = add(live, action, KIND_NFT_RULE, before, after);

	step->container = chain;
	return step;
}

static int commit_at(struct live *live, uint32_t generation)
{
	size_t count = live->step_count;

	live->step_count = 0;
	return nft_commit(live->nl, live->steps, count, generation, &live->error);
}

static void commit(struct live *live)
{
	int outcome = commit_at(live, live->table.generation);

	if (outcome < 0)
		fail_msg("%s: %s", live->error.code, live->error.message);
	assert_int_equal(outcome, OUTCOME_DONE);
	observe(live);
}

/* Creates all that is in the table, in one transaction. */
static void create(struct live *live, const struct nft_table *table)
{
	observe(live);
	add(live, ACTION_CREATE, KIND_NFT_TABLE, NULL, NULL);
	for (size_t i = 0; i < table->chain_count; i++)
		add(live, ACTION_CREATE, KIND_NFT_CHAIN, NULL, &table->chains[i]);
	for (size_t i = 0; i < table->set_count; i++)
		add(live, ACTION_CREATE, KIND_NFT_SET, NULL, &table->sets[i]);
	for (size_t i = 0; i < table->set_count; i++)
		add_elements(live, ACTION_CREATE, &table->sets[i], NULL, table->sets[i].elements,
			     table->sets[i].element_count);
	for (size_t i = 0; i < table->chain_count; i++)
		for (size_t j = 0; j < table->chains[i].rule_count; j++)
			add_rule(live, ACTION_CREATE, table->chains[i].name, NULL,
				 &table->chains[i].rules[j]);
	commit(live);
}

static void assert_chains_equal(struct live *live, const struct nft_chain *a,
				const struct nft_chain *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->hook, b->hook);
	assert_int_equal(a->priority, b->priority);
	assert_int_equal(a->drops, b->drops);
	assert_int_equal(a->is_filter, b->is_filter);
	assert_int_equal(a->rule_count, b->rule_count);
	for (size_t i = 0; i < a->rule_count; i++)
		if (!nft_rule_equal(&a->rules[i], &b->rules[i]))
			fail_msg("%s is not %s", nft_rule_format(&live->arena, &a->rules[i]),
				 nft_rule_format(&live->arena, &b->rules[i]));
}

static bool elements_equal(const struct element *a, const struct element *b)
{
	bool same_chain =
		a->chain && b->chain ? strcmp(a->chain, b->chain) == 0 : a->chain == b->chain;

	return memcmp(&a->span, &b->span, sizeof(a->span)) == 0 && same_chain &&
	       a->foreign_verdict == b->foreign_verdict;
}

static void assert_sets_equal(struct live *live, const struct nft_set *a, const struct nft_set *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->key, b->key);
	assert_int_equal(a->is_map, b->is_map);
	assert_int_equal(a->foreign_flags, b->foreign_flags);
	assert_int_equal(a->element_count, b->element_count);
	for (size_t i = 0; i < a->element_count; i++)
		if (!elements_equal(&a->elements[i], &b->elements[i]))
			fail_msg("%s: %s is not %s", a->name,
				 element_format(&live->arena, a->key, &a->elements[i]),
				 element_format(&live->arena, b->key, &b->elements[i]));
}

/* want is sorted. */
static void assert_live(struct live *live, const struct nft_table *want)
{
	assert_true(live->table.exists);
	assert_false(live->table.foreign_flags);
	assert_int_equal(live->table.chain_count, want->chain_count);
	assert_int_equal(live->table.set_count, want->set_count);
	for (size_t i = 0; i < want->chain_count; i++)
		assert_chains_equal(live, &live->table.chains[i], &want->chains[i]);
	for (size_t i = 0; i < want->set_count; i++)
		assert_sets_equal(live, &live->table.sets[i], &want->sets[i]);
}

/* A table with one of everything. */

static struct element service_elements[] = {
	{ .span = { { 0, 0, 0, 0, 132 }, { 0xff, 0xff, 0, 0, 132 } } },
	{ .span = { { 0x0d, 0x3d, 0, 0, 6 }, { 0x0d, 0x3d, 0, 0, 6 } } },
	{ .span = { { 0x17, 0x0c, 0, 0, 6 }, { 0x17, 0x16, 0, 0, 6 } } },
};

static struct element interface_elements[] = {
	{ .span = { "eth0", "eth0" } },
	{ .span = { "vlan", "vlan\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" } },
};

static struct element client_elements[] = {
	{ .span = { { 0 }, { 9, 255, 255, 255 } } },
	{ .span = { { 10, 0, 0, 99 }, { 10, 0, 0, 99 } } },
	{ .span = { { 255, 255, 255, 255 }, { 255, 255, 255, 255 } } },
};

static struct element server_elements[] = {
	{ .span = { { 10, 1, 0, 0 }, { 10, 1, 0, 255 } }, .chain = "redirect_rdp" },
	{ .span = { { 10, 1, 1, 0 }, { 10, 1, 1, 7 } }, .chain = "redirect_ssh" },
	{ .span = { { 10, 1, 1, 8 }, { 10, 1, 1, 8 } }, .chain = "redirect_rdp" },
	{ .span = { { 255 }, { 255, 255, 255, 255 } }, .chain = "redirect_rdp" },
};

static struct element server6_elements[] = {
	{ .span = { { 0x20, 1, 0x0d, 0xb8 },
		    { 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255 } },
	  .chain = "redirect_ssh" },
	{ .span = { { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		      255 },
		    { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		      255 } },
	  .chain = "redirect_rdp" },
};

#define ELEMENTS(array)                                                                            \
	.elements = (array), .element_count = COUNT(array), .element_room = COUNT(array)

static struct nft_set sets[] = {
	{ .name = "clients4_rdp", .key = KEY_IPV4, ELEMENTS(client_elements) },
	{ .name = "interfaces_rdp", .key = KEY_IFNAME, ELEMENTS(interface_elements) },
	{ .name = "servers4", .key = KEY_IPV4, .is_map = true, ELEMENTS(server_elements) },
	{ .name = "servers6", .key = KEY_IPV6, .is_map = true, ELEMENTS(server6_elements) },
	{ .name = "services_rdp", .key = KEY_SERVICE, ELEMENTS(service_elements) },
};

#define IS_IPV4                                                                                    \
	{                                                                                          \
		.field = FIELD_NFPROTO, .bytes = { 2 }                                             \
	}
#define MARK(where, what)                                                                          \
	{                                                                                          \
		.type = STMT_MARK, .field = (where), .mask = 0xf0, .number = (what)                \
	}
#define VERDICT(how)                                                                               \
	{                                                                                          \
		.type = STMT_VERDICT, .verdict = (how)                                             \
	}

static struct stmt interface_stmts[] = {
	{ STMT_LOOKUP, .field = FIELD_IIFNAME, .name = "interfaces_rdp", .negate = true },
	VERDICT(VERDICT_RETURN),
};
/* nft(8) puts the protocol back right before the first field that needs it. */
static struct stmt select_stmts[] = {
	{ STMT_LOOKUP, .field = FIELD_SERVICE, .name = "services_rdp" },
	IS_IPV4,
	{ STMT_LOOKUP, .field = FIELD_IP_SADDR, .name = "clients4_rdp", .negate = true },
	{ .field = FIELD_IP_DADDR, .bytes = { 10, 1, 0, 1 }, .negate = true },
	VERDICT(VERDICT_RETURN),
};
static struct stmt refuse_stmts[] = {
	{ .field = FIELD_IIFNAME, .bytes = "eth2", .negate = true },
	{ .field = FIELD_CT_STATE, .mask = CT_STATE_INVALID | CT_STATE_UNTRACKED, .negate = true },
	{ STMT_COUNTER, .packet_count = 3, .byte_count = 120 },
	VERDICT(VERDICT_DROP),
};
static struct stmt keep_stmts[] = {
	{ .field = FIELD_L4PROTO, .bytes = { 6 } },
	{ .field = FIELD_TCP_FLAGS, .mask = 0x17, .bytes = { 2 }, .negate = true },
	VERDICT(VERDICT_RETURN),
};
static struct stmt keep_sctp_stmts[] = {
	{ .field = FIELD_L4PROTO, .bytes = { 132 } },
	{ .field = FIELD_SCTP_CHUNK, .bytes = { 1 }, .negate = true },
	VERDICT(VERDICT_RETURN),
};
static struct stmt mark_stmts[] = {
	{ STMT_COUNTER, .packet_count = 9, .byte_count = 540 },
	MARK(FIELD_CT_MARK, 0x10),
};
static struct stmt dispatch4_stmts[] = {
	IS_IPV4,
	{ STMT_VMAP, .field = FIELD_IP_DADDR, .name = "servers4" },
};
static struct stmt dispatch6_stmts[] = {
	{ .field = FIELD_NFPROTO, .bytes = { 10 } },
	{ .field = FIELD_IP6_SADDR, .bytes = { [15] = 1 }, .negate = true },
	{ STMT_VMAP, .field = FIELD_IP6_DADDR, .name = "servers6" },
};
static struct stmt clear_stmts[] = {
	{ .field = FIELD_CT_STATE, .mask = CT_STATE_NEW, .negate = true },
	{ .field = FIELD_CT_STATUS, .mask = CT_STATUS_CONFIRMED },
	{ .field = FIELD_CT_DIRECTION, .bytes = { 1 }, .negate = true },
	{ .field = FIELD_META_MARK, .number = 7, .negate = true },
	MARK(FIELD_META_MARK, 0),
	{ STMT_VERDICT, .verdict = VERDICT_JUMP, .name = "redirect_rdp" },
};
static struct stmt whole_stmts[] = {
	{ .field = FIELD_CT_MARK, .mask = UINT32_MAX, .number = 5 },
	{ STMT_MARK, .field = FIELD_CT_MARK, .mask = UINT32_MAX, .number = 6 },
	{ STMT_MARK, .field = FIELD_META_MARK, .mask = UINT32_MAX, .number = 6 },
	{ STMT_VERDICT, .verdict = VERDICT_GOTO, .name = "redirect_ssh" },
};
static struct stmt convert_stmts[] = {
	{ .field = FIELD_CT_MARK, .mask = 0xf0, .number = 0x10 },
	MARK(FIELD_META_MARK, 0x10),
	VERDICT(VERDICT_ACCEPT),
};
static struct stmt guard_stmts[] = {
	{ .field = FIELD_CT_MARK, .mask = 0xf0, .number = 0x10 },
	{ .field = FIELD_OIFNAME, .bytes = "eth2", .negate = true },
	{ .type = STMT_COUNTER },
	VERDICT(VERDICT_DROP),
};

#define RULE(text, array)                                                                          \
	{                                                                                          \
		.comment = (text), .stmts = (array), .stmt_count = COUNT(array)                    \
	}
#define RULES(array) .rules = (array), .rule_count = COUNT(array), .rule_room = COUNT(array)

static struct nft_rule forward_rules[] = { RULE("guard scb", guard_stmts) };
static struct nft_rule prerouting_rules[] = {
	RULE("clear", clear_stmts),         RULE("dispatch", dispatch4_stmts),
	RULE("dispatch", dispatch6_stmts),  RULE("", whole_stmts),
	RULE("convert scb", convert_stmts),
};
static struct nft_rule redirect_rules[] = {
	RULE("select rdp", interface_stmts), RULE("select rdp", select_stmts),
	RULE("refuse rdp", refuse_stmts),    RULE("keep rdp", keep_stmts),
	RULE("keep rdp", keep_sctp_stmts),   RULE("mark rdp", mark_stmts),
};

static struct nft_chain chains[] = {
	{ .name = "forward",
	  .hook = HOOK_FORWARD,
	  .drops = true,
	  .is_filter = true,
	  RULES(forward_rules) },
	{ .name = "prerouting",
	  .hook = HOOK_PREROUTING,
	  .priority = -95,
	  .is_filter = true,
	  RULES(prerouting_rules) },
	{ .name = "redirect_rdp", RULES(redirect_rules) },
	{ .name = "redirect_ssh" },
};

static const struct nft_table everything = {
	.chains = chains,
	.chain_count = COUNT(chains),
	.sets = sets,
	.set_count = COUNT(sets),
};

static void test_everything_comes_back_as_written(void **state)
{
	struct live *live = live_of(state);

	create(live, &everything);
	assert_live(live, &everything);
	assert_int_equal(live->table.chains[1].rules[4].role, ROLE_CONVERT);
	assert_int_equal(live->table.chains[2].rules[5].stmts[0].byte_count, 540);
}

static void test_deleting_the_table_deletes_all(void **state)
{
	struct live *live = live_of(state);

	create(live, &everything);
	add(live, ACTION_DELETE, KIND_NFT_TABLE, NULL, NULL);
	commit(live);
	assert_false(live->table.exists);
	assert_int_equal(live->table.chain_count, 0);
	assert_int_not_equal(live->table.generation, 0);
}

static void test_updating_the_table_starts_afresh(void **state)
{
	struct live *live = live_of(state);

	create(live, &everything);
	add(live, ACTION_UPDATE, KIND_NFT_TABLE, NULL, NULL);
	add(live, ACTION_CREATE, KIND_NFT_CHAIN, NULL, &chains[3]);
	commit(live);
	assert_int_equal(live->table.chain_count, 1);
	assert_int_equal(live->table.set_count, 0);
}

static void test_chains_and_sets_can_be_deleted_one_by_one(void **state)
{
	struct live *live = live_of(state);
	const struct nft_table *table = &live->table;

	create(live, &everything);
	for (size_t i = 0; i < table->chain_count; i++)
		for (size_t j = 0; j < table->chains[i].rule_count; j++)
			add_rule(live, ACTION_DELETE, table->chains[i].name,
				 &table->chains[i].rules[j], NULL);
	for (size_t i = 0; i < table->set_count; i++)
		add_elements(live, ACTION_DELETE, &table->sets[i], table->sets[i].elements, NULL,
			     table->sets[i].element_count);
	for (size_t i = 0; i < table->set_count; i++)
		add(live, ACTION_DELETE, KIND_NFT_SET, &table->sets[i], NULL);
	for (size_t i = 0; i < table->chain_count; i++)
		add(live, ACTION_DELETE, KIND_NFT_CHAIN, &table->chains[i], NULL);
	commit(live);
	assert_true(live->table.exists);
	assert_int_equal(live->table.chain_count + live->table.set_count, 0);
}

static void assert_set_round_trips(struct live *live, struct nft_set *set)
{
	const struct nft_table table = { .sets = set, .set_count = 1 };

	create(live, &table);
	assert_live(live, &table);
	add_elements(live, ACTION_DELETE, set, set->elements, NULL, set->element_count);
	commit(live);
	assert_int_equal(live->table.sets[0].element_count, 0);
	add(live, ACTION_DELETE, KIND_NFT_TABLE, NULL, NULL);
	commit(live);
}

static void test_spans_at_the_edges_come_back_as_written(void **state)
{
	struct live *live = live_of(state);
	struct element all4 = { .span = { { 0 }, { 255, 255, 255, 255 } } };
	struct element zero = { .span = { { 0 }, { 0 } } };
	struct element all6 = { .span = { .from = { 0 } } };
	struct element last6 = all6;

	memset(all6.span.to, 0xff, SPAN_BYTES);
	last6.span = (struct span){ .from = { 0 } };
	memset(last6.span.from, 0xff, SPAN_BYTES);
	memset(last6.span.to, 0xff, SPAN_BYTES);
	assert_set_round_trips(
		live, &(struct nft_set){ "s", KEY_IPV4, .elements = &all4, .element_count = 1 });
	assert_set_round_trips(
		live, &(struct nft_set){ "s", KEY_IPV4, .elements = &zero, .element_count = 1 });
	assert_set_round_trips(
		live, &(struct nft_set){ "s", KEY_IPV6, .elements = &all6, .element_count = 1 });
	assert_set_round_trips(
		live, &(struct nft_set){ "s", KEY_IPV6, .elements = &last6, .element_count = 1 });
}

enum { FUZZ_KEYS = 64, FUZZ_ROUNDS = 300 };

/*
 * Random spans, sorted, disjoint, often touching: the prefix's key with one
 * byte from 0 to 63.
 */
static size_t spans_random(const struct nft_set *set, const uint8_t *prefix, size_t byte,
			   struct element *out)
{
	static const char *const targets[] = { "redirect_rdp", "redirect_ssh" };
	size_t count = 0;

	for (int at = 0; at < FUZZ_KEYS;) {
		int end = at + 1 + rand() % 6;

		if (rand() % 2 && end <= FUZZ_KEYS) {
			struct element *element = &out[count++];

			memcpy(element->span.from, prefix, SPAN_BYTES);
			memcpy(element->span.to, prefix, SPAN_BYTES);
			element->span.from[byte] = (uint8_t)at;
			element->span.to[byte] = (uint8_t)(end - 1);
			element->chain = set->is_map ? targets[rand() % 2] : NULL;
			element->foreign_verdict = false;
		}
		at = end;
	}
	return count;
}

/* The elements of a that b does not have. */
static size_t elements_minus(const struct element *a, size_t a_count, const struct element *b,
			     size_t b_count, struct element *out)
{
	size_t count = 0;

	for (size_t i = 0; i < a_count; i++) {
		bool found = false;

		for (size_t j = 0; j < b_count; j++)
			found |= elements_equal(&a[i], &b[j]);
		if (!found)
			out[count++] = a[i];
	}
	return count;
}

static void assert_any_change_works(struct live *live, struct nft_set *set, const uint8_t *prefix,
				    size_t byte)
{
	struct element want[FUZZ_KEYS], gone[FUZZ_KEYS], fresh[FUZZ_KEYS];

	srand(1);
	for (int round = 0; round < FUZZ_ROUNDS; round++) {
		const struct nft_set *now = nft_set_find(&live->table, set->name);
		size_t count = spans_random(set, prefix, byte, want);
		size_t goes = elements_minus(now->elements, now->element_count, want, count, gone);
		size_t comes =
			elements_minus(want, count, now->elements, now->element_count, fresh);

		add_elements(live, ACTION_DELETE, set, gone, NULL, goes);
		add_elements(live, ACTION_CREATE, set, NULL, fresh, comes);
		commit(live);
		set->elements = want;
		set->element_count = count;
		assert_sets_equal(live, nft_set_find(&live->table, set->name), set);
	}
	set->elements = NULL;
	set->element_count = 0;
}

static void test_any_change_of_touching_spans_is_one_transaction(void **state)
{
	static const uint8_t address[SPAN_BYTES] = { 10 }, port[SPAN_BYTES] = { 0, 0, 0, 0, 6 };
	struct live *live = live_of(state);
	struct nft_set fuzzed[] = {
		{ .name = "clients4", .key = KEY_IPV4 },
		{ .name = "servers4", .key = KEY_IPV4, .is_map = true },
		{ .name = "services", .key = KEY_SERVICE },
	};
	struct nft_chain targets[] = { { .name = "redirect_rdp" }, { .name = "redirect_ssh" } };
	const struct nft_table table = { .chains = targets,
					 .chain_count = COUNT(targets),
					 .sets = fuzzed,
					 .set_count = COUNT(fuzzed) };

	create(live, &table);
	assert_any_change_works(live, &fuzzed[0], address, 3);
	assert_any_change_works(live, &fuzzed[1], address, 3);
	assert_any_change_works(live, &fuzzed[2], port, 1);
}

static void test_an_updated_element_changes_its_chain_in_place(void **state)
{
	struct live *live = live_of(state);
	struct element after = server_elements[1];

	after.chain = "redirect_rdp";
	create(live, &everything);
	add_elements(live, ACTION_UPDATE, &sets[2], &server_elements[1], &after, 1);
	commit(live);
	assert_int_equal(live->table.sets[2].element_count, COUNT(server_elements));
	assert_true(elements_equal(&live->table.sets[2].elements[1], &after));
}

static void key_put(uint8_t *key, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		key[i] = (uint8_t)(number >> (24 - 8 * i));
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t heap_used(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static struct element *large_elements(struct live *live)
{
	struct element *elements = arena_alloc(&live->arena, LARGE * sizeof(*elements));

	for (uint32_t i = 0; i < LARGE; i++) {
		key_put(elements[i].span.from, 0x0a000000 + 256 * i);
		key_put(elements[i].span.to, 0x0a000000 + 256 * i + (i % 2 ? 255 : 127));
		elements[i].chain = i % 3 ? "redirect_rdp" : "redirect_ssh";
	}
	return elements;
}

static void test_a_hundred_thousand_elements_are_one_transaction(void **state)
{
	struct live *live = live_of(state);
	struct nft_set map = { .name = "servers4", .key = KEY_IPV4, .is_map = true };
	struct nft_chain targets[] = { { .name = "redirect_rdp" }, { .name = "redirect_ssh" } };
	struct nft_table table = {
		.chains = targets, .chain_count = 2, .sets = &map, .set_count = 1
	};
	size_t heap;
	double start;

	create(live, &table);
	map.elements = large_elements(live);
	map.element_count = LARGE;
	add_elements(live, ACTION_CREATE, &map, NULL, map.elements, LARGE);
	start = seconds();
	if (commit_at(live, live->table.generation) < 0) {
		/* Without CAP_NET_ADMIN outside of user namespaces, as net.core.wmem_max has it. */
		assert_string_equal(live->error.code, "too-large");
		skip();
	}
	print_message("written in %.2f s, ", seconds() - start);
	heap = heap_used();
	start = seconds();
	observe(live);
	print_message("read in %.2f s\n", seconds() - start);
	assert_live(live, &table);
	/* One array of elements, and nothing else per element, is left on the heap. */
	assert_true(heap_used() - heap < LARGE * sizeof(struct element) + 512 * 1024);
}

static void test_a_stale_generation_writes_nothing(void **state)
{
	struct live *live = live_of(state);
	uint32_t old;

	observe(live);
	old = live->table.generation;
	create(live, &everything);
	add(live, ACTION_DELETE, KIND_NFT_TABLE, NULL, NULL);
	assert_int_equal(commit_at(live, old), OUTCOME_STALE);
	observe(live);
	assert_live(live, &everything);
}

static void test_sets_that_a_transaction_does_not_touch_are_not_read_again(void **state)
{
	struct live *live = live_of(state);
	struct nft_table before;
	struct since since = { &before, live->steps, 1 };

	create(live, &everything);
	before = live->table;
	add_elements(live, ACTION_DELETE, &sets[0], &client_elements[1], NULL, 1);
	assert_int_equal(commit_at(live, before.generation), OUTCOME_DONE);
	read_since(live, &since);
	assert_int_equal(live->table.set_count, COUNT(sets));
	assert_int_equal(live->table.sets[0].element_count, COUNT(client_elements) - 1);
	for (size_t i = 1; i < COUNT(sets); i++) {
		assert_sets_equal(live, &live->table.sets[i], &sets[i]);
		assert_ptr_equal(live->table.sets[i].elements, before.sets[i].elements);
	}
}

static void test_after_another_transaction_all_is_read_again(void **state)
{
	struct live *live = live_of(state);
	struct nft_table before;
	struct step ours;
	struct since since = { &before, &ours, 1 };

	create(live, &everything);
	before = live->table;
	add_elements(live, ACTION_DELETE, &sets[0], &client_elements[1], NULL, 1);
	ours = live->steps[0];
	assert_int_equal(commit_at(live, before.generation), OUTCOME_DONE);
	add_elements(live, ACTION_DELETE, &sets[4], &service_elements[0], NULL, 1);
	assert_int_equal(commit_at(live, before.generation + 1), OUTCOME_DONE);
	read_since(live, &since);
	assert_int_equal(live->table.sets[0].element_count, COUNT(client_elements) - 1);
	assert_int_equal(live->table.sets[4].element_count, COUNT(service_elements) - 1);
}

static void test_a_failing_step_leaves_nothing_and_is_named(void **state)
{
	struct live *live = live_of(state);
	struct nft_set map = { .name = "servers4", .key = KEY_IPV4, .is_map = true };

	observe(live);
	add(live, ACTION_CREATE, KIND_NFT_TABLE, NULL, NULL);
	add(live, ACTION_CREATE, KIND_NFT_CHAIN, NULL, &chains[3]);
	add(live, ACTION_DELETE, KIND_NFT_SET, &map, NULL)->object = "set servers4";
	add(live, ACTION_CREATE, KIND_NFT_CHAIN, NULL, &chains[2]);
	assert_int_equal(commit_at(live, live->table.generation), -1);
	assert_string_equal(live->error.code, "kernel-refused");
	assert_non_null(strstr(live->error.message, "set servers4: the kernel refused to delete"));
	observe(live);
	assert_false(live->table.exists);
}

static void test_a_transaction_that_fails_at_its_end_is_an_error(void **state)
{
	struct live *live = live_of(state);
	struct stmt to_self = { STMT_VERDICT, .verdict = VERDICT_JUMP, .name = "redirect_ssh" };
	struct nft_rule loop = { .comment = "", .stmts = &to_self, .stmt_count = 1 };

	create(live, &everything);
	add_rule(live, ACTION_CREATE, "redirect_ssh", NULL, &loop);
	assert_int_equal(commit_at(live, live->table.generation), -1);
	assert_string_equal(live->error.code, "kernel-refused");
	observe(live);
	assert_live(live, &everything);
}

static void test_rules_stand_where_they_are_put(void **state)
{
	struct live *live = live_of(state);
	struct nft_rule rule = RULE("pass scb", convert_stmts);
	const struct nft_chain *chain;

	create(live, &everything);
	chain = nft_chain_find(&live->table, "redirect_rdp");
	add_rule(live, ACTION_CREATE, "redirect_rdp", NULL, &rule)->successor = &chain->rules[0];
	add_rule(live, ACTION_CREATE, "redirect_rdp", NULL, &rule)->successor = &chain->rules[2];
	add_rule(live, ACTION_CREATE, "redirect_rdp", NULL, &rule);
	commit(live);
	chain = nft_chain_find(&live->table, "redirect_rdp");
	assert_int_equal(chain->rule_count, COUNT(redirect_rules) + 3);
	assert_int_equal(chain->rules[0].role, ROLE_PASS);
	assert_int_equal(chain->rules[3].role, ROLE_PASS);
	assert_int_equal(chain->rules[8].role, ROLE_PASS);
}

static void test_moved_and_updated_rules_keep_their_counters(void **state)
{
	struct live *live = live_of(state);
	struct stmt stmts[] = { { .type = STMT_COUNTER }, MARK(FIELD_CT_MARK, 0x20) };
	struct nft_rule updated = RULE("mark rdp", stmts);
	struct nft_rule moved = RULE("refuse rdp", refuse_stmts);
	const struct nft_chain *chain;

	create(live, &everything);
	chain = nft_chain_find(&live->table, "redirect_rdp");
	refuse_stmts[2].packet_count = refuse_stmts[2].byte_count = 0;
	add_rule(live, ACTION_MOVE, "redirect_rdp", &chain->rules[2], &moved)->successor =
		&chain->rules[0];
	add_rule(live, ACTION_UPDATE, "redirect_rdp", &chain->rules[5], &updated);
	commit(live);
	refuse_stmts[2].packet_count = 3;
	refuse_stmts[2].byte_count = 120;
	chain = nft_chain_find(&live->table, "redirect_rdp");
	assert_int_equal(chain->rule_count, COUNT(redirect_rules));
	assert_int_equal(chain->rules[0].role, ROLE_REFUSE);
	assert_int_equal(chain->rules[0].stmts[2].packet_count, 3);
	assert_int_equal(chain->rules[0].stmts[2].byte_count, 120);
	assert_int_equal(chain->rules[5].stmts[0].packet_count, 9);
	assert_int_equal(chain->rules[5].stmts[1].number, 0x20);
}

static void test_foreign_rules_are_put_back_byte_for_byte(void **state)
{
	struct live *live = live_of(state);
	const struct nft_rule *rule;
	struct nft_rule kept;

	need_nft();
	create(live, &everything);
	assert_true(shell("nft add rule inet detour redirect_ssh "
			  "limit rate 5/second burst 7 packets counter packets 1 bytes 2 "
			  "log prefix '\"seen \"' comment '\"not ours\"'"));
	observe(live);
	kept = nft_chain_find(&live->table, "redirect_ssh")->rules[0];
	assert_int_equal(kept.role, ROLE_NONE);
	assert_string_equal(kept.comment, "not ours");
	assert_string_equal(nft_rule_format(&live->arena, &kept), "[ limit ] counter [ log ]");
	assert_true(nft_rule_equal(&kept, &kept));
	add_rule(live, ACTION_DELETE, "redirect_ssh", &kept, NULL);
	commit(live);
	assert_int_equal(nft_chain_find(&live->table, "redirect_ssh")->rule_count, 0);
	add_rule(live, ACTION_CREATE, "redirect_ssh", NULL, &kept);
	commit(live);
	rule = &nft_chain_find(&live->table, "redirect_ssh")->rules[0];
	assert_int_equal(rule->raw_size, kept.raw_size);
	assert_memory_equal(rule->raw, kept.raw, kept.raw_size);
}

static void test_foreign_changes_are_noticed(void **state)
{
	struct live *live = live_of(state);
	static const char *const changes[] = {
		"nft add rule inet detour redirect_ssh ip saddr '{ 10.0.0.1, 10.0.0.2 }' drop",
		"nft add rule inet detour redirect_ssh iifname 'eth*' drop",
		"nft add rule inet detour redirect_ssh ct original ip saddr 10.0.0.1 drop",
		"nft add rule inet detour redirect_ssh jump '{ accept; }'",
		"nft add rule inet detour redirect_ssh meta mark set 1 xor 2",
	};

	need_nft();
	create(live, &everything);
	for (size_t i = 0; i < COUNT(changes); i++)
		shell(changes[i]);
	observe(live);
	/* Neither the anonymous set nor the anonymous chain is an object of the table. */
	assert_int_equal(live->table.chain_count, COUNT(chains));
	assert_int_equal(live->table.set_count, COUNT(sets));
	for (size_t i = 0; i < live->table.chains[3].rule_count; i++) {
		const struct nft_rule *rule = &live->table.chains[3].rules[i];

		if (!rule->raw &&
		    strcmp(nft_rule_format(&live->arena, rule), "meta mark set 0x00000003") != 0)
			fail_msg("not foreign: %s", nft_rule_format(&live->arena, rule));
	}
}

static void test_foreign_sets_and_verdicts_are_noticed(void **state)
{
	struct live *live = live_of(state);

	need_nft();
	create(live, &everything);
	assert_true(shell("nft 'add set inet detour t { type ipv4_addr; flags interval,timeout; }; "
			  "add set inet detour u { type ipv4_addr; }; "
			  "add set inet detour v { type ether_addr; elements = { 1:2:3:4:5:6 }; }; "
			  "add set inet detour w { type ipv4_addr; size 9; flags interval; }; "
			  "add set inet detour x { type ipv4_addr; counter; flags interval; }; "
			  "add element inet detour servers4 { 1.1.1.1 : drop, 1.1.1.2 : jump "
			  "redirect_rdp }'"));
	observe(live);
	assert_int_equal(live->table.set_count, COUNT(sets) + 5);
	for (size_t i = COUNT(sets); i < live->table.set_count; i++)
		assert_true(live->table.sets[i].foreign_flags);
	assert_int_equal(live->table.sets[7].key, KEY_OTHER);
	assert_true(live->table.sets[2].elements[0].foreign_verdict);
	assert_true(live->table.sets[2].elements[1].foreign_verdict);
	assert_false(live->table.sets[2].elements[2].foreign_verdict);
}

static void test_a_dormant_table_is_foreign(void **state)
{
	struct live *live = live_of(state);

	need_nft();
	create(live, &everything);
	assert_true(shell("nft add table inet detour '{ flags dormant; }'"));
	observe(live);
	assert_true(live->table.foreign_flags);
	assert_int_equal(live->table.chain_count, COUNT(chains));
}

static void test_other_tables_do_not_matter(void **state)
{
	struct live *live = live_of(state);

	need_nft();
	create(live, &everything);
	assert_true(shell("nft 'table inet other { set servers4 { type ipv4_addr; }; chain forward "
			  "{ type nat hook postrouting priority 1; accept; }; }; "
			  "table ip detour { chain forward { drop; }; }'"));
	observe(live);
	assert_live(live, &everything);
}

static const char listing[] = "table inet detour {\n"
			      "\tset clients4_rdp {\n"
			      "\t\ttype ipv4_addr\n"
			      "\t\tflags interval\n"
			      "\t\telements = { 0.0.0.0-9.255.255.255, 10.0.0.99,\n"
			      "\t\t\t     255.255.255.255 }\n"
			      "\t}\n"
			      "\n"
			      "\tset interfaces_rdp {\n"
			      "\t\ttype ifname\n"
			      "\t\tflags interval\n"
			      "\t\telements = { \"eth0\",\n"
			      "\t\t\t     \"vlan*\" }\n"
			      "\t}\n"
			      "\n";

static void test_nft_lists_it_in_plain_words(void **state)
{
	struct live *live = live_of(state);
	const char *text;

	need_nft();
	create(live, &everything);
	text = output_of(live, "nft list table inet detour");
	if (getenv("SHOW"))
		puts(text);
	assert_memory_equal(text, listing, sizeof(listing) - 1);
}

static void test_a_listing_can_be_restored_by_nft(void **state)
{
	struct live *live = live_of(state);

	need_nft();
	create(live, &everything);
	assert_true(shell("saved=$(nft list table inet detour) && nft delete table inet detour && "
			  "echo \"$saved\" | nft -f -"));
	observe(live);
	assert_live(live, &everything);
}

static void test_rules_format_as_nft_lists_them(void **state)
{
	struct live *live = live_of(state);
	const char *text;

	need_nft();
	create(live, &everything);
	text = output_of(live, "nft -s list table inet detour");
	for (size_t i = 0; i < COUNT(chains); i++)
		for (size_t j = 0; j < chains[i].rule_count; j++) {
			const char *words = nft_rule_format(&live->arena, &chains[i].rules[j]);

			if (!strstr(text, words))
				fail_msg("nft does not list: %s", words);
		}
}

/* In a user namespace of its own, a process has no power over its network namespace. */
static int powerless_read(void)
{
	struct nft_table table;
	struct arena arena = { 0 };
	struct netlink *nl;
	struct error error;
	bool refused;

	if (unshare(CLONE_NEWUSER) < 0 || netlink_open(NETLINK_NETFILTER, &nl, &error) < 0)
		return 2;
	refused = nft_read(nl, NULL, &arena, &table, &error) < 0 &&
		  strcmp(error.code, "no-permission") == 0;
	netlink_close(nl);
	arena_free(&arena);
	return refused ? 0 : 1;
}

static void test_without_the_capability_it_says_so(void **state)
{
	pid_t child;
	int status;

	live_of(state);
	child = fork();
	if (child == 0)
		_exit(powerless_read());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define LIVE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE(test_everything_comes_back_as_written),
		LIVE(test_deleting_the_table_deletes_all),
		LIVE(test_updating_the_table_starts_afresh),
		LIVE(test_chains_and_sets_can_be_deleted_one_by_one),
		LIVE(test_spans_at_the_edges_come_back_as_written),
		LIVE(test_any_change_of_touching_spans_is_one_transaction),
		LIVE(test_an_updated_element_changes_its_chain_in_place),
		LIVE(test_a_hundred_thousand_elements_are_one_transaction),
		LIVE(test_a_stale_generation_writes_nothing),
		LIVE(test_sets_that_a_transaction_does_not_touch_are_not_read_again),
		LIVE(test_after_another_transaction_all_is_read_again),
		LIVE(test_a_failing_step_leaves_nothing_and_is_named),
		LIVE(test_a_transaction_that_fails_at_its_end_is_an_error),
		LIVE(test_rules_stand_where_they_are_put),
		LIVE(test_moved_and_updated_rules_keep_their_counters),
		LIVE(test_foreign_rules_are_put_back_byte_for_byte),
		LIVE(test_foreign_changes_are_noticed),
		LIVE(test_foreign_sets_and_verdicts_are_noticed),
		LIVE(test_a_dormant_table_is_foreign),
		LIVE(test_other_tables_do_not_matter),
		LIVE(test_nft_lists_it_in_plain_words),
		LIVE(test_a_listing_can_be_restored_by_nft),
		LIVE(test_rules_format_as_nft_lists_them),
		LIVE(test_without_the_capability_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
