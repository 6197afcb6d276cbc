/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Foreign chains at the prerouting hook, in the order in which packets meet
 * them. As in nft_read.c the generation before and after tells whether all of
 * it is of one moment. Rules are kept as messages while a dump runs, since sets
 * have to be asked for in between.
 */
#include "backends/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>

#include "backends/foreign_parts.h"
#include "backends/rtnl.h"

enum { PRIORITY_CONNTRACK = -200 }; /* NF_IP_PRI_CONNTRACK */

struct base_chain {
	uint8_t nfproto;
	const char *table, *name;
	int32_t priority;
	bool is_nat;
	size_t order; /* of the dump */
};

struct dumped {
	const struct nlmsghdr *message;
	size_t hook;  /* of a base chain at prerouting, from 1; 0: a chain that others jump to */
	size_t order; /* of the dump */
};

/* Of one family and name. */
struct table {
	uint8_t nfproto;
	const char *name;
};

struct ruleset {
	struct netlink *nl;
	struct foreign *out;
	struct table *asleep; /* dormant ones */
	size_t asleep_count, asleep_room;
	struct base_chain *chains; /* at prerouting */
	size_t chain_count, chain_room;
	struct base_chain *elsewhere; /* base chains at other hooks */
	size_t elsewhere_count, elsewhere_room;
	struct dumped *rules;
	size_t rule_count, rule_room;
	struct table asked; /* of the dump of rules */
};

/* --- tables and chains -------------------------------------------------------- */

static bool is_ip(uint8_t nfproto)
{
	return nfproto == NFPROTO_IPV4 || nfproto == NFPROTO_IPV6 || nfproto == NFPROTO_INET;
}

static int table_take(const struct nlmsghdr *message, void *context)
{
	struct ruleset *ruleset = context;
	struct nftnl_table *in = nftnl_table_alloc();
	struct arena *arena = ruleset->out->arena;

	if (!in)
		return -ENOMEM;
	if (nftnl_table_nlmsg_parse(message, in) == 0 &&
	    nftnl_table_get_u32(in, NFTNL_TABLE_FLAGS) & NFT_TABLE_F_DORMANT)
		*ARENA_PUSH(arena, ruleset->asleep, ruleset->asleep_count, ruleset->asleep_room) =
			(struct table){
				(uint8_t)nftnl_table_get_u32(in, NFTNL_TABLE_FAMILY),
				arena_strdup(arena, nftnl_table_get_str(in, NFTNL_TABLE_NAME)),
			};
	nftnl_table_free(in);
	return 0;
}

static bool table_matters(const struct ruleset *ruleset, uint8_t nfproto, const char *name)
{
	for (size_t i = 0; i < ruleset->asleep_count; i++)
		if (ruleset->asleep[i].nfproto == nfproto && !strcmp(ruleset->asleep[i].name, name))
			return false;
	return is_ip(nfproto) && !(nfproto == NFPROTO_INET && !strcmp(name, NFT_TABLE));
}

static void chain_add(void *context, const struct nftnl_chain *in)
{
	struct ruleset *ruleset = context;
	struct arena *arena = ruleset->out->arena;
	const char *type = nftnl_chain_get_str(in, NFTNL_CHAIN_TYPE);
	struct base_chain chain = {
		.nfproto = (uint8_t)nftnl_chain_get_u32(in, NFTNL_CHAIN_FAMILY),
		.table = nftnl_chain_get_str(in, NFTNL_CHAIN_TABLE),
		.name = nftnl_chain_get_str(in, NFTNL_CHAIN_NAME),
		.priority = nftnl_chain_get_s32(in, NFTNL_CHAIN_PRIO),
		.is_nat = type && !strcmp(type, "nat"),
	};

	if (!nftnl_chain_is_set(in, NFTNL_CHAIN_HOOKNUM) ||
	    !table_matters(ruleset, chain.nfproto, chain.table))
		return;
	chain.table = arena_strdup(arena, chain.table);
	chain.name = arena_strdup(arena, chain.name);
	chain.order = ruleset->chain_count;
	if (nftnl_chain_get_u32(in, NFTNL_CHAIN_HOOKNUM) == NF_INET_PRE_ROUTING)
		*ARENA_PUSH(arena, ruleset->chains, ruleset->chain_count, ruleset->chain_room) =
			chain;
	else
		*ARENA_PUSH(arena, ruleset->elsewhere, ruleset->elsewhere_count,
			    ruleset->elsewhere_room) = chain;
}

static int chain_take(const struct nlmsghdr *message, void *context)
{
	return nft_chain_take(message, chain_add, context);
}

static int chain_compare(const void *a, const void *b)
{
	const struct base_chain *left = a, *right = b;

	if (left->priority != right->priority)
		return left->priority < right->priority ? -1 : 1;
	return left->order < right->order ? -1 : 1;
}

static const struct base_chain *chain_find(const struct base_chain *chains, size_t count,
					   uint8_t nfproto, const char *table, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (chains[i].nfproto == nfproto && !strcmp(chains[i].table, table) &&
		    !strcmp(chains[i].name, name))
			return &chains[i];
	return NULL;
}

/* --- rules --------------------------------------------------------------------- */

static const char *text_of(const struct nlattr *attribute)
{
	return attribute ? mnl_attr_get_str(attribute) : "";
}

static int rule_take(const struct nlmsghdr *message, void *context)
{
	struct ruleset *ruleset = context;
	struct arena *arena = ruleset->out->arena;
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *at[NFTA_RULE_CHAIN + 1];
	const struct base_chain *chain;
	const char *table, *name;

	rtnl_attributes(message, sizeof(*header), at, NFTA_RULE_CHAIN);
	table = text_of(at[NFTA_RULE_TABLE]);
	name = text_of(at[NFTA_RULE_CHAIN]);
	if (header->nfgen_family != ruleset->asked.nfproto ||
	    strcmp(table, ruleset->asked.name) != 0 ||
	    chain_find(ruleset->elsewhere, ruleset->elsewhere_count, header->nfgen_family, table,
		       name))
		return 0;
	chain = chain_find(ruleset->chains, ruleset->chain_count, header->nfgen_family, table,
			   name);
	*ARENA_PUSH(arena, ruleset->rules, ruleset->rule_count, ruleset->rule_room) =
		(struct dumped){
			.message = memcpy(arena_alloc(arena, message->nlmsg_len), message,
					  message->nlmsg_len),
			.hook = chain ? (size_t)(chain - ruleset->chains) + 1 : 0,
			.order = ruleset->rule_count,
		};
	return 0;
}

static int dumped_compare(const void *a, const void *b)
{
	const struct dumped *left = a, *right = b;

	if (left->hook != right->hook)
		return left->hook < right->hook ? -1 : 1;
	return left->order < right->order ? -1 : 1;
}

static bool asked_before(const struct ruleset *ruleset, const struct base_chain *chain)
{
	for (const struct base_chain *other = ruleset->chains; other < chain; other++)
		if (other->nfproto == chain->nfproto && !strcmp(other->table, chain->table))
			return true;
	return false;
}

static int dump(struct ruleset *ruleset, int type, const struct table *table,
		int (*take)(const struct nlmsghdr *message, void *context))
{
	struct netlink_reader reader = { .message = take, .context = ruleset };
	struct nlmsghdr *request = netlink_message(ruleset->nl, nft_type(type), 0);

	nft_family_put(request, table ? table->nfproto : NFPROTO_UNSPEC, 0);
	if (table)
		mnl_attr_put_strz(request, NFTA_RULE_TABLE, table->name);
	return netlink_dump(ruleset->nl, request, &reader);
}

static int rules_dump(struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset->chain_count; i++) {
		const struct base_chain *chain = &ruleset->chains[i];
		int code;

		if (asked_before(ruleset, chain))
			continue;
		ruleset->asked = (struct table){ chain->nfproto, chain->table };
		code = dump(ruleset, NFT_MSG_GETRULE, &ruleset->asked, rule_take);
		if (code)
			return code;
	}
	return 0;
}

/* --- one rule -------------------------------------------------------------------- */

static const char *family_word(uint8_t nfproto)
{
	return nfproto == NFPROTO_INET ? "inet" : nfproto == NFPROTO_IPV4 ? "ip" : "ip6";
}

static void rule_identify(struct arena *arena, struct nftnl_rule *in, struct foreign_rule *rule)
{
	rule->hand.nfproto = (uint8_t)nftnl_rule_get_u32(in, NFTNL_RULE_FAMILY);
	rule->hand.family = family_word(rule->hand.nfproto);
	rule->hand.table = arena_strdup(arena, nftnl_rule_get_str(in, NFTNL_RULE_TABLE));
	rule->hand.chain = arena_strdup(arena, nftnl_rule_get_str(in, NFTNL_RULE_CHAIN));
	rule->hand.handle = nftnl_rule_get_u64(in, NFTNL_RULE_HANDLE);
	rule->hand.place = arena_printable(
		arena, arena_printf(arena, "%s %s %s handle %llu", family_word(rule->hand.nfproto),
				    rule->hand.table, rule->hand.chain,
				    (unsigned long long)rule->hand.handle));
	rule->families[FAMILY_IPV4] = rule->hand.nfproto != NFPROTO_IPV6;
	rule->families[FAMILY_IPV6] = rule->hand.nfproto != NFPROTO_IPV4;
	rule->obscure = "";
}

static void counter_clear(struct nlattr *data)
{
	struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, data)
	{
		memset(mnl_attr_get_payload(attribute), 0, mnl_attr_get_payload_len(attribute));
	}
}

/* Packets go on being counted: two looks at one rule must find the same. */
static void counters_clear(char *raw, size_t size)
{
	struct nlattr *list = (struct nlattr *)raw, *expression, *attribute;

	if (size < sizeof(*list) || mnl_attr_get_type(list) != NFTA_RULE_EXPRESSIONS)
		return;
	mnl_attr_for_each_nested(expression, list)
	{
		bool counts = false;

		mnl_attr_for_each_nested(attribute, expression)
		{
			if (mnl_attr_get_type(attribute) == NFTA_EXPR_NAME)
				counts = !strcmp(mnl_attr_get_str(attribute), "counter");
			else if (counts && mnl_attr_get_type(attribute) == NFTA_EXPR_DATA)
				counter_clear(attribute);
		}
	}
}

static void rule_keep(struct arena *arena, const struct nlmsghdr *message,
		      struct foreign_rule *rule)
{
	const struct spans *protocols = &rule->numbers[FOREIGN_PROTOCOL];

	nft_raw_keep(arena, message, &rule->hand.raw, &rule->hand.raw_size);
	counters_clear((char *)rule->hand.raw, rule->hand.raw_size);
	if (protocols->count == 1 && protocols->items->from[0] == protocols->items->to[0])
		rule->hand.protocol = protocols->items->from[0];
}

static void rule_judge_place(const struct ruleset *ruleset, struct arena *arena,
			     struct foreign_rule *rule)
{
	const struct base_chain *chain;

	if (!rule->hook) {
		foreign_obscure(arena, rule, "it stands in a chain that other rules jump to");
		return;
	}
	chain = &ruleset->chains[rule->hook - 1];
	if (chain->is_nat)
		foreign_obscure(arena, rule, "its chain sees only the first packet (type nat)");
	if (chain->priority <= PRIORITY_CONNTRACK)
		foreign_obscure(arena, rule, "its chain comes before connection tracking");
}

static int rule_read(struct ruleset *ruleset, const struct dumped *dumped)
{
	struct arena *arena = ruleset->out->arena;
	struct foreign_rule rule = { .hook = dumped->hook };
	struct foreign_reading reading = { arena, ruleset->nl, &rule };
	struct nftnl_rule *in = nftnl_rule_alloc();
	bool is_known;

	if (!in)
		return -ENOMEM;
	/* libnftnl gives up on an expression that is newer than itself. */
	is_known = nftnl_rule_nlmsg_parse(dumped->message, in) == 0;
	rule_identify(arena, in, &rule);
	if (is_known) {
		foreign_expr_read(&reading, in);
	} else {
		foreign_act(arena, &rule, FOREIGN_UNKNOWN, (struct mark){ 0 });
		foreign_obscure(arena, &rule, "an expression that is not known");
	}
	nftnl_rule_free(in);
	rule_keep(arena, dumped->message, &rule);
	rule_judge_place(ruleset, arena, &rule);
	/* What is jumped to matters where it writes marks. */
	if (rule.hook || (rule.action != FOREIGN_NOTHING && rule.action != FOREIGN_LEAVES))
		*ARENA_PUSH(arena, ruleset->out->rules, ruleset->out->rule_count,
			    ruleset->out->rule_room) = rule;
	return 0;
}

static int ruleset_read(void *context, uint32_t generation)
{
	struct ruleset *ruleset = context;
	int code;

	(void)generation;
	*ruleset = (struct ruleset){ .nl = ruleset->nl, .out = ruleset->out };
	ruleset->out->rules = NULL;
	ruleset->out->rule_count = ruleset->out->rule_room = 0;
	code = dump(ruleset, NFT_MSG_GETTABLE, NULL, table_take);
	if (code == 0)
		code = dump(ruleset, NFT_MSG_GETCHAIN, NULL, chain_take);
	if (code == 0 && ruleset->chain_count) {
		qsort(ruleset->chains, ruleset->chain_count, sizeof(*ruleset->chains),
		      chain_compare);
		code = rules_dump(ruleset);
	}
	if (ruleset->rule_count)
		qsort(ruleset->rules, ruleset->rule_count, sizeof(*ruleset->rules), dumped_compare);
	for (size_t i = 0; i < ruleset->rule_count && code == 0; i++)
		code = rule_read(ruleset, &ruleset->rules[i]);
	return code;
}

int foreign_read_nft(struct netlink *nl, struct foreign *out, uint32_t *generation,
		     struct error *error)
{
	struct ruleset ruleset = { .nl = nl, .out = out };
	int code = nft_settle(nl, ruleset_read, &ruleset, generation);

	if (code == 0)
		return 0;
	if (code > 0)
		return error_set(error, "ruleset-busy",
				 "the nf_tables ruleset kept changing while it was read; stop "
				 "whatever rewrites it, or try again");
	return error_set(error, "kernel-refused", "the nf_tables ruleset cannot be read: %s",
			 netlink_reason(nl, code));
}

/* --- for expressions ---------------------------------------------------------------- */

struct set_facts {
	uint32_t flags, bytes;
	bool is_plain;
};

static int set_take(const struct nlmsghdr *message, void *context)
{
	struct set_facts *facts = context;
	struct nftnl_set *in = nftnl_set_alloc();

	if (!in)
		return -ENOMEM;
	if (nftnl_set_nlmsg_parse(message, in) == 0) {
		facts->flags = nftnl_set_get_u32(in, NFTNL_SET_FLAGS);
		facts->bytes = nftnl_set_get_u32(in, NFTNL_SET_KEY_LEN);
		/* What comes and goes by itself cannot be written down. */
		facts->is_plain = !(facts->flags & (NFT_SET_MAP | NFT_SET_OBJECT | NFT_SET_TIMEOUT |
						    NFT_SET_EVAL | NFT_SET_CONCAT));
	}
	nftnl_set_free(in);
	return 0;
}

static struct nlmsghdr *set_request(struct foreign_reading *reading, int type, const char *name)
{
	struct nlmsghdr *request = netlink_message(reading->nl, nft_type(type), 0);

	nft_family_put(request, reading->rule->hand.nfproto, 0);
	/* The attributes of sets and of their elements have the same numbers. */
	mnl_attr_put_strz(request, NFTA_SET_TABLE, reading->rule->hand.table);
	mnl_attr_put_strz(request, NFTA_SET_NAME, name);
	return request;
}

bool foreign_set_read(struct foreign_reading *reading, const char *name, size_t bytes,
		      struct spans *out)
{
	struct set_facts facts = { 0 };
	struct nft_set set = { 0 };
	struct element_reader elements = { .arena = reading->arena, .bytes = bytes, .set = &set };
	struct netlink_reader set_reader = { .message = set_take, .context = &facts };
	struct netlink_reader reader = { elements_begin, elements_message, &elements };
	int code = netlink_request(reading->nl, set_request(reading, NFT_MSG_GETSET, name),
				   &set_reader);

	if (code || !facts.is_plain || facts.bytes != bytes)
		return false;
	reading->rule->is_bound |= (facts.flags & NFT_SET_ANONYMOUS) != 0;
	elements.has_ends = facts.flags & NFT_SET_INTERVAL;
	code = netlink_dump(reading->nl, set_request(reading, NFT_MSG_GETSETELEM, name), &reader);
	elements_finish(&elements);
	if (code || set.foreign_flags)
		return false;
	for (size_t i = 0; i < set.element_count; i++)
		foreign_span_add(reading->arena, out, set.elements[i].span.from,
				 set.elements[i].span.to, bytes);
	return true;
}

bool foreign_family(const struct foreign_rule *rule, enum family *family)
{
	*family = rule->families[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6;
	return rule->families[FAMILY_IPV4] != rule->families[FAMILY_IPV6];
}

void foreign_span_add(struct arena *arena, struct spans *spans, const void *from, const void *to,
		      size_t bytes)
{
	struct span *span = ARENA_PUSH(arena, spans->items, spans->count, spans->room);

	*span = (struct span){ 0 };
	memcpy(span->from, from, bytes);
	memcpy(span->to, to, bytes);
}

void foreign_narrow_range(struct foreign_reading *reading, enum foreign_field field,
			  enum family family, const void *from, const void *to, bool negate)
{
	struct spans spans = { 0 };

	foreign_span_add(reading->arena, &spans, from, to, foreign_bytes(field, family));
	foreign_narrow(reading->arena, reading->rule, field, family, &spans, negate);
}

void foreign_mark(struct foreign_reading *reading, enum foreign_action action, uint32_t kept,
		  uint32_t flip)
{
	if (kept & flip)
		foreign_obscure(reading->arena, reading->rule, "bits of a mark that are toggled");
	foreign_act(reading->arena, reading->rule, action, (struct mark){ flip & ~kept, ~kept });
}
