/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nf_tables of others, by one dump each of tables, chains, rules and
 * flowtables of all families. A change in between shows in the generation;
 * then all is read again.
 */
#include "backends/surround.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "backends/nft_parts.h"
#include "backends/rtnl.h"

enum { ATTRIBUTES = 16 };

struct ruleset {
	struct netlink *nl;
	struct surroundings *out;
	struct rule_reading rules;
	const char **asleep; /* dormant tables: "ip mangle" */
	size_t asleep_count, asleep_room;
};

static void attributes_of(const struct nlmsghdr *message, const struct nlattr **at)
{
	rtnl_attributes(message, sizeof(struct nfgenmsg), at, ATTRIBUTES - 1);
}

static uint32_t number(const struct nlattr *attribute)
{
	return attribute ? ntohl(mnl_attr_get_u32(attribute)) : 0;
}

static uint8_t family_of(const struct nlmsghdr *message)
{
	return ((const struct nfgenmsg *)mnl_nlmsg_get_payload(message))->nfgen_family;
}

/* "ip mangle"; NULL for a table that routed packets do not meet, and for ours. */
static const char *table_name(struct ruleset *ruleset, const struct nlmsghdr *message,
			      const struct nlattr *name)
{
	static const char *const words[NFPROTO_IPV6 + 1] = {
		[NFPROTO_INET] = "inet",
		[NFPROTO_IPV4] = "ip",
		[NFPROTO_NETDEV] = "netdev",
		[NFPROTO_IPV6] = "ip6",
	};
	uint8_t family = family_of(message);

	if (!name || family > NFPROTO_IPV6 || !words[family] ||
	    (family == NFPROTO_INET && !strcmp(mnl_attr_get_str(name), NFT_TABLE)))
		return NULL;
	return arena_printf(&ruleset->out->arena, "%s %s", words[family], mnl_attr_get_str(name));
}

static bool is_asleep(const struct ruleset *ruleset, const char *table)
{
	for (size_t i = 0; i < ruleset->asleep_count; i++)
		if (!strcmp(ruleset->asleep[i], table))
			return true;
	return false;
}

static int table_take(const struct nlmsghdr *message, void *context)
{
	struct ruleset *ruleset = context;
	const struct nlattr *at[ATTRIBUTES];
	const char *table;

	attributes_of(message, at);
	table = table_name(ruleset, message, at[NFTA_TABLE_NAME]);
	if (table && number(at[NFTA_TABLE_FLAGS]) & NFT_TABLE_F_DORMANT)
		*ARENA_PUSH(&ruleset->out->arena, ruleset->asleep, ruleset->asleep_count,
			    ruleset->asleep_room) = table;
	return 0;
}

static void tables_begin(void *context)
{
	struct ruleset *ruleset = context;

	ruleset->asleep = NULL;
	ruleset->asleep_count = ruleset->asleep_room = 0;
}

/* --- chains -------------------------------------------------------------- */

static enum packet_hook hook_of(uint8_t family, uint32_t hook)
{
	static const enum packet_hook hooks[] = {
		[NF_INET_PRE_ROUTING] = PACKET_PREROUTING,   [NF_INET_LOCAL_IN] = PACKET_INPUT,
		[NF_INET_FORWARD] = PACKET_FORWARD,          [NF_INET_LOCAL_OUT] = PACKET_OUTPUT,
		[NF_INET_POST_ROUTING] = PACKET_POSTROUTING,
	};

	if (family == NFPROTO_NETDEV || hook > NF_INET_POST_ROUTING)
		return PACKET_INGRESS;
	return hooks[hook];
}

static void chain_hook(struct other_chain *chain, uint8_t family, const struct nlattr **at)
{
	const struct nlattr *attribute;

	chain->is_base = true;
	chain->is_nat =
		at[NFTA_CHAIN_TYPE] && !strcmp(mnl_attr_get_str(at[NFTA_CHAIN_TYPE]), "nat");
	chain->drops = at[NFTA_CHAIN_POLICY] && number(at[NFTA_CHAIN_POLICY]) == NF_DROP;
	mnl_attr_for_each_nested(attribute, at[NFTA_CHAIN_HOOK])
	{
		if (mnl_attr_get_type(attribute) == NFTA_HOOK_HOOKNUM)
			chain->hook = hook_of(family, number(attribute));
		if (mnl_attr_get_type(attribute) == NFTA_HOOK_PRIORITY)
			chain->priority = (int32_t)number(attribute);
	}
	chain->at[chain->hook] = true;
	chain->latest = chain->priority;
}

static int chain_take(const struct nlmsghdr *message, void *context)
{
	struct ruleset *ruleset = context;
	struct surroundings *out = ruleset->out;
	const struct nlattr *at[ATTRIBUTES];
	uint8_t family = family_of(message);
	struct other_chain *chain;
	const char *table;

	attributes_of(message, at);
	table = table_name(ruleset, message, at[NFTA_CHAIN_TABLE]);
	if (!table || !at[NFTA_CHAIN_NAME] || is_asleep(ruleset, table))
		return 0;
	chain = ARENA_PUSH(&out->arena, out->chains, out->chain_count, out->chain_room);
	chain->table = table;
	chain->name = arena_strdup(&out->arena, mnl_attr_get_str(at[NFTA_CHAIN_NAME]));
	chain->families[FAMILY_IPV4] = family != NFPROTO_IPV6;
	chain->families[FAMILY_IPV6] = family != NFPROTO_IPV4;
	if (at[NFTA_CHAIN_HOOK])
		chain_hook(chain, family, at);
	return 0;
}

static void chains_begin(void *context)
{
	struct surroundings *out = ((struct ruleset *)context)->out;

	out->chains = NULL;
	out->chain_count = out->chain_room = 0;
}

static int chain_compare(const void *a, const void *b)
{
	const struct other_chain *left = a, *right = b;
	int order = strcmp(left->table, right->table);

	return order ? order : strcmp(left->name, right->name);
}

static struct other_chain *chain_find(struct surroundings *out, const char *table, const char *name)
{
	struct other_chain wanted = { .table = table, .name = name };

	return out->chain_count ? bsearch(&wanted, out->chains, out->chain_count, sizeof(wanted),
					  chain_compare)
				: NULL;
}

/* --- rules --------------------------------------------------------------- */

/* Those of one chain come one after another, in their order. */
static int rule_take(const struct nlmsghdr *message, void *context)
{
	struct ruleset *ruleset = context;
	struct rule_reading *reading = &ruleset->rules;
	const struct nlattr *at[ATTRIBUTES];
	struct other_chain *chain = NULL;
	const char *table;

	attributes_of(message, at);
	table = table_name(ruleset, message, at[NFTA_RULE_TABLE]);
	if (table && at[NFTA_RULE_CHAIN])
		chain = chain_find(ruleset->out, table, mnl_attr_get_str(at[NFTA_RULE_CHAIN]));
	if (!chain)
		return 0;
	if (reading->chain != chain)
		reading->may_be_left = false;
	reading->chain = chain;
	chain->rule_count++;
	reading->handle =
		at[NFTA_RULE_HANDLE] ? be64toh(mnl_attr_get_u64(at[NFTA_RULE_HANDLE])) : 0;
	if (at[NFTA_RULE_EXPRESSIONS])
		surround_rule(reading, at[NFTA_RULE_EXPRESSIONS]);
	return 0;
}

static void rules_begin(void *context)
{
	struct ruleset *ruleset = context;
	struct surroundings *out = ruleset->out;

	ruleset->rules = (struct rule_reading){ .out = out };
	out->deeds = NULL;
	out->deed_count = out->deed_room = 0;
	for (size_t i = 0; i < out->chain_count; i++)
		out->chains[i].rule_count = 0;
}

static int deed_compare(const void *a, const void *b)
{
	const struct other_deed *left = a, *right = b;

	if (left->chain != right->chain)
		return left->chain < right->chain ? -1 : 1;
	if (left->rule != right->rule)
		return left->rule < right->rule ? -1 : 1;
	return (int)left->deed - (int)right->deed;
}

/* What can come to one chain can come to the other. True when that is news. */
static bool reach(const struct other_chain *from, struct other_chain *to)
{
	bool is_first = !to->at[PACKET_PREROUTING], is_news = false;

	for (enum packet_hook hook = 0; hook < PACKET_HOOKS; hook++) {
		is_news |= from->at[hook] && !to->at[hook];
		to->at[hook] |= from->at[hook];
	}
	if (from->at[PACKET_PREROUTING] && (is_first || from->latest > to->latest)) {
		to->latest = from->latest;
		is_news = true;
	}
	return is_news;
}

/* Where a verdict map leads is not looked up: it may be any chain of its table. */
static void reach_anywhere(struct surroundings *out, const struct other_chain *base)
{
	for (size_t i = 0; i < out->chain_count; i++)
		if (!out->chains[i].is_base && !strcmp(out->chains[i].table, base->table))
			reach(base, &out->chains[i]);
}

static void jumps_follow(struct surroundings *out, const struct rule_reading *rules)
{
	bool is_news;

	for (size_t i = 0; rules->jumps_anywhere && i < out->chain_count; i++)
		if (out->chains[i].is_base)
			reach_anywhere(out, &out->chains[i]);
	do {
		is_news = false;
		for (size_t i = 0; i < rules->jump_count; i++) {
			const struct other_jump *jump = &rules->jumps[i];
			struct other_chain *to = chain_find(out, jump->from->table, jump->to);

			is_news |= to && reach(jump->from, to);
		}
	} while (is_news);
}

/* --- flowtables ---------------------------------------------------------- */

static void flow_devices_add(struct surroundings *out, const char *table, const char *flowtable,
			     const struct nlattr *devices)
{
	const struct nlattr *device;

	mnl_attr_for_each_nested(device, devices) * ARENA_PUSH(&out->arena, out->flow_devices,
							       out->flow_device_count,
							       out->flow_device_room) =
		(struct flow_device){ table, flowtable,
				      arena_strdup(&out->arena, mnl_attr_get_str(device)) };
}

static int flowtable_take(const struct nlmsghdr *message, void *context)
{
	struct ruleset *ruleset = context;
	struct surroundings *out = ruleset->out;
	const struct nlattr *at[ATTRIBUTES], *attribute;
	const char *table, *name;

	attributes_of(message, at);
	table = table_name(ruleset, message, at[NFTA_FLOWTABLE_TABLE]);
	if (!table || !at[NFTA_FLOWTABLE_NAME] || !at[NFTA_FLOWTABLE_HOOK])
		return 0;
	name = arena_strdup(&out->arena, mnl_attr_get_str(at[NFTA_FLOWTABLE_NAME]));
	mnl_attr_for_each_nested(attribute, at[NFTA_FLOWTABLE_HOOK])
	{
		if (mnl_attr_get_type(attribute) == NFTA_FLOWTABLE_HOOK_DEVS)
			flow_devices_add(out, table, name, attribute);
	}
	return 0;
}

static void flowtables_begin(void *context)
{
	struct surroundings *out = ((struct ruleset *)context)->out;

	out->flow_devices = NULL;
	out->flow_device_count = out->flow_device_room = 0;
}

/* --- all of it ----------------------------------------------------------- */

static int dump(struct ruleset *ruleset, int type, void (*begin)(void *context),
		int (*take)(const struct nlmsghdr *message, void *context))
{
	struct netlink_reader reader = { begin, take, ruleset };
	struct nlmsghdr *request = netlink_message(ruleset->nl, nft_type(type), 0);

	nft_family_put(request, NFPROTO_UNSPEC, 0);
	return netlink_dump(ruleset->nl, request, &reader);
}

static int ruleset_read(void *context, uint32_t generation)
{
	struct ruleset *ruleset = context;
	struct surroundings *out = ruleset->out;
	int code = dump(ruleset, NFT_MSG_GETTABLE, tables_begin, table_take);

	(void)generation;
	if (!code)
		code = dump(ruleset, NFT_MSG_GETCHAIN, chains_begin, chain_take);
	if (!code && out->chain_count)
		qsort(out->chains, out->chain_count, sizeof(*out->chains), chain_compare);
	if (!code)
		code = dump(ruleset, NFT_MSG_GETRULE, rules_begin, rule_take);
	if (!code)
		code = dump(ruleset, NFT_MSG_GETFLOWTABLE, flowtables_begin, flowtable_take);
	return code;
}

void surround_nft(struct netlink *netfilter, struct surroundings *out)
{
	struct ruleset ruleset = { .nl = netfilter, .out = out };
	uint32_t generation;

	if (nft_settle(netfilter, ruleset_read, &ruleset, &generation)) {
		chains_begin(&ruleset);
		rules_begin(&ruleset);
		flowtables_begin(&ruleset);
		return;
	}
	if (out->deed_count)
		qsort(out->deeds, out->deed_count, sizeof(*out->deeds), deed_compare);
	jumps_follow(out, &ruleset.rules);
}
