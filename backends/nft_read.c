/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading takes many requests, between which anybody may commit. The number of
 * the ruleset's generation before and after tells; if it moved, all is read
 * again. Only what is ours is asked for, where the kernel can filter.
 *
 * Elements make nearly all of the cost. Those of a set can change only by a
 * transaction, since sets whose elements come and go by themselves are none of
 * ours, and each transaction moves the generation by one. So what is known of a
 * set from before our own transaction need not be read again when there was no
 * other. All else is: a table can lose its owner, and chains an interface,
 * without one.
 */
#include "backends/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <libnftnl/chain.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>

#include "backends/nft_parts.h"
#include "backends/rtnl.h"

enum { ATTEMPTS = 10 };

struct reading {
	struct netlink *nl;
	const struct since *since; /* NULL: nothing is known */
	struct arena *arena;
	struct nft_table table;
	uint32_t generation;
};

static struct nlmsghdr *request_begin(struct reading *reading, int type)
{
	struct nlmsghdr *message = netlink_message(reading->nl, nft_type(type), 0);

	nft_family_put(message, NFPROTO_INET, 0);
	return message;
}

static int generation_take(const struct nlmsghdr *message, void *context)
{
	uint32_t *generation = context;
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message,
			  sizeof(struct nfgenmsg)) if (mnl_attr_get_type(attribute) ==
						       NFTA_GEN_ID) *generation =
		ntohl(mnl_attr_get_u32(attribute));
	return 0;
}

int nft_generation(struct netlink *nl, uint32_t *out)
{
	struct netlink_reader reader = { .message = generation_take, .context = out };
	struct nlmsghdr *request = netlink_message(nl, nft_type(NFT_MSG_GETGEN), 0);

	nft_family_put(request, NFPROTO_INET, 0);
	return netlink_request(nl, request, &reader);
}

int nft_settle(struct netlink *nl, int (*read)(void *context, uint32_t generation), void *context,
	       uint32_t *generation)
{
	int code = 1;

	for (int attempt = 0; attempt < ATTEMPTS && code > 0; attempt++) {
		uint32_t before = 0;

		code = nft_generation(nl, &before);
		if (code)
			return code;
		code = read(context, before);
		if (code == 0)
			code = nft_generation(nl, generation);
		if (code == 0)
			code = *generation != before;
		else if (code == -EINTR || code == -ENOENT)
			code = 1;
	}
	return code;
}

static int table_take(const struct nlmsghdr *message, void *context)
{
	struct reading *reading = context;
	struct nftnl_table *in = nftnl_table_alloc();

	if (!in)
		return -ENOMEM;
	reading->table.exists = true;
	/* Dormant, or whatever comes: ours has none. Protecting it makes no difference to it. */
	reading->table.foreign_flags =
		nftnl_table_nlmsg_parse(message, in) < 0 ||
		nftnl_table_get_u32(in, NFTNL_TABLE_FLAGS) & ~(uint32_t)TABLE_PROTECTED;
	reading->table.owner = nftnl_table_get_u32(in, NFTNL_TABLE_OWNER);
	reading->table.is_persistent =
		nftnl_table_get_u32(in, NFTNL_TABLE_FLAGS) & NFT_TABLE_F_PERSIST;
	reading->table.is_dormant =
		nftnl_table_get_u32(in, NFTNL_TABLE_FLAGS) & NFT_TABLE_F_DORMANT;
	nftnl_table_free(in);
	return 0;
}

static int table_read(struct reading *reading)
{
	struct netlink_reader reader = { .message = table_take, .context = reading };
	struct nlmsghdr *request = request_begin(reading, NFT_MSG_GETTABLE);
	int code;

	mnl_attr_put_strz(request, NFTA_TABLE_NAME, NFT_TABLE);
	code = netlink_request(reading->nl, request, &reader);
	return code == -ENOENT ? 0 : code;
}

/* Attribute 1 of requests for chains, rules and sets is the table's name. */
static int content_dump(struct reading *reading, int type, const struct netlink_reader *reader)
{
	struct nlmsghdr *request = request_begin(reading, type);

	mnl_attr_put_strz(request, NFTA_CHAIN_TABLE, NFT_TABLE);
	return netlink_dump(reading->nl, request, reader);
}

static bool is_ours(const char *table)
{
	return table && strcmp(table, NFT_TABLE) == 0;
}

static enum hook hook_of(const struct nftnl_chain *in)
{
	if (!nftnl_chain_is_set(in, NFTNL_CHAIN_HOOKNUM))
		return HOOK_NONE;
	switch (nftnl_chain_get_u32(in, NFTNL_CHAIN_HOOKNUM)) {
	case NF_INET_PRE_ROUTING:
		return HOOK_PREROUTING;
	case NF_INET_FORWARD:
		return HOOK_FORWARD;
	default:
		return HOOK_OTHER;
	}
}

/* Chains that nft(8) makes for "jump { }" live and die with their rule. */
static bool chain_is_anonymous(const struct nftnl_chain *in)
{
	return nftnl_chain_get_u32(in, NFTNL_CHAIN_FLAGS) & NFT_CHAIN_BINDING;
}

static void chain_add(void *context, const struct nftnl_chain *in)
{
	struct reading *reading = context;
	struct nft_table *table = &reading->table;
	const char *type = nftnl_chain_get_str(in, NFTNL_CHAIN_TYPE);
	struct nft_chain *chain;

	if (!is_ours(nftnl_chain_get_str(in, NFTNL_CHAIN_TABLE)) || chain_is_anonymous(in))
		return;
	chain = ARENA_PUSH(reading->arena, table->chains, table->chain_count, table->chain_room);
	chain->name = arena_strdup(reading->arena, nftnl_chain_get_str(in, NFTNL_CHAIN_NAME));
	chain->hook = hook_of(in);
	if (chain->hook == HOOK_NONE)
		return;
	chain->priority = nftnl_chain_get_s32(in, NFTNL_CHAIN_PRIO);
	chain->drops = nftnl_chain_get_u32(in, NFTNL_CHAIN_POLICY) == NF_DROP;
	chain->is_filter = type && strcmp(type, "filter") == 0;
}

int nft_chain_take(const struct nlmsghdr *message,
		   void (*add)(void *context, const struct nftnl_chain *chain), void *context)
{
	struct nftnl_chain *in = nftnl_chain_alloc();
	int code = 0;

	if (!in)
		return -ENOMEM;
	if (nftnl_chain_nlmsg_parse(message, in) < 0)
		code = -EBADMSG;
	else
		add(context, in);
	nftnl_chain_free(in);
	return code;
}

static int chain_take(const struct nlmsghdr *message, void *context)
{
	return nft_chain_take(message, chain_add, context);
}

/* The arrays of an interrupted attempt are left to the arena: ARENA_PUSH wants fresh ones. */
static void chains_begin(void *context)
{
	struct nft_table *table = &((struct reading *)context)->table;

	table->chains = NULL;
	table->chain_count = table->chain_room = 0;
}

static int comment_find(const struct nftnl_udata *data, void *context)
{
	const char **comment = context;
	const char *text = nftnl_udata_get(data);
	uint8_t length = nftnl_udata_len(data);

	if (nftnl_udata_type(data) == NFTNL_UDATA_RULE_COMMENT && length &&
	    text[length - 1] == '\0')
		*comment = text;
	return 0;
}

static const char *comment_read(struct arena *arena, const struct nlattr *userdata)
{
	const char *comment = "";

	if (userdata)
		nftnl_udata_parse(mnl_attr_get_payload(userdata),
				  mnl_attr_get_payload_len(userdata), comment_find, &comment);
	return arena_strdup(arena, comment);
}

void nft_raw_keep(struct arena *arena, const struct nlmsghdr *message, const void **raw,
		  size_t *size)
{
	static const bool kept[NFTA_RULE_MAX + 1] = {
		[NFTA_RULE_EXPRESSIONS] = true,
		[NFTA_RULE_COMPAT] = true,
		[NFTA_RULE_USERDATA] = true,
	};
	char *copy = arena_alloc(arena, message->nlmsg_len);
	const struct nlattr *attribute;

	*raw = copy;
	*size = 0;
	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		uint16_t type = mnl_attr_get_type(attribute);

		if (type > NFTA_RULE_MAX || !kept[type])
			continue;
		memcpy(copy + *size, attribute, attribute->nla_len);
		*size += MNL_ALIGN(attribute->nla_len);
	}
}

static void rule_decode(struct arena *arena, const struct nlmsghdr *message, struct nftnl_rule *in,
			struct nft_rule *rule)
{
	bool ours;

	/* libnftnl gives up on a rule with an expression that is newer than itself. */
	if (nftnl_rule_nlmsg_parse(message, in) < 0) {
		expr_other(arena, rule, "unknown");
		ours = false;
	} else {
		ours = expr_decode(arena, in, rule);
	}
	if (!ours)
		nft_raw_keep(arena, message, &rule->raw, &rule->raw_size);
}

static int rule_take(const struct nlmsghdr *message, void *context)
{
	struct reading *reading = context;
	const struct nlattr *at[NFTA_RULE_MAX + 1];
	struct nftnl_rule *in;
	struct nft_chain *chain;
	struct nft_rule *rule;

	rtnl_attributes(message, sizeof(struct nfgenmsg), at, NFTA_RULE_MAX);
	if (!at[NFTA_RULE_TABLE] || !at[NFTA_RULE_CHAIN] || !at[NFTA_RULE_HANDLE] ||
	    !is_ours(mnl_attr_get_str(at[NFTA_RULE_TABLE])))
		return 0;
	/* None: an anonymous chain, or one that has come since; the generation will tell. */
	chain = nft_chain_find(&reading->table, mnl_attr_get_str(at[NFTA_RULE_CHAIN]));
	if (!chain)
		return 0;
	in = nftnl_rule_alloc();
	if (!in)
		return -ENOMEM;
	rule = ARENA_PUSH(reading->arena, chain->rules, chain->rule_count, chain->rule_room);
	rule->handle = be64toh(mnl_attr_get_u64(at[NFTA_RULE_HANDLE]));
	rule->comment = comment_read(reading->arena, at[NFTA_RULE_USERDATA]);
	rule->role = role_of_comment(rule->comment);
	rule_decode(reading->arena, message, in, rule);
	nftnl_rule_free(in);
	return 0;
}

static void rules_begin(void *context)
{
	struct reading *reading = context;

	for (size_t i = 0; i < reading->table.chain_count; i++) {
		struct nft_chain *chain = &reading->table.chains[i];

		chain->rules = NULL;
		chain->rule_count = chain->rule_room = 0;
	}
}

static enum key_type key_of(const struct nftnl_set *in)
{
	uint32_t datatype = nftnl_set_get_u32(in, NFTNL_SET_KEY_TYPE);
	uint32_t bytes = nftnl_set_get_u32(in, NFTNL_SET_KEY_LEN);

	for (enum key_type key = 0; key < KEY_OTHER; key++)
		if (key_wires[key].datatype == datatype && key_wires[key].bytes == bytes)
			return key;
	return KEY_OTHER;
}

static bool fields_are_ours(const struct nftnl_set *in, const struct key_wire *wire)
{
	uint32_t size = 0;
	const uint8_t *fields = nftnl_set_get_data(in, NFTNL_SET_DESC_CONCAT, &size);

	if (!wire->fields[0])
		return true;
	return fields && size >= sizeof(wire->fields) &&
	       memcmp(fields, wire->fields, sizeof(wire->fields)) == 0;
}

static bool set_is_foreign(const struct nftnl_set *in, const struct nft_set *set)
{
	static const uint16_t never[] = {
		NFTNL_SET_DESC_SIZE, NFTNL_SET_TIMEOUT, NFTNL_SET_GC_INTERVAL,
		NFTNL_SET_OBJ_TYPE,  NFTNL_SET_EXPR,    NFTNL_SET_EXPRESSIONS,
	};

	if (set->key == KEY_OTHER || nftnl_set_get_u32(in, NFTNL_SET_FLAGS) != set_flags(set))
		return true;
	if (set->is_map && nftnl_set_get_u32(in, NFTNL_SET_DATA_TYPE) != NFT_DATA_VERDICT)
		return true;
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		if (nftnl_set_is_set(in, never[i]))
			return true;
	return !fields_are_ours(in, &key_wires[set->key]);
}

static void set_add(struct reading *reading, const struct nftnl_set *in)
{
	struct nft_table *table = &reading->table;
	uint32_t flags = nftnl_set_get_u32(in, NFTNL_SET_FLAGS);
	struct nft_set *set;

	/* Those that nft(8) makes for "{ 1, 2 }" live and die with their rule. */
	if (flags & NFT_SET_ANONYMOUS)
		return;
	set = ARENA_PUSH(reading->arena, table->sets, table->set_count, table->set_room);
	set->name = arena_strdup(reading->arena, nftnl_set_get_str(in, NFTNL_SET_NAME));
	set->key = key_of(in);
	set->is_map = flags & NFT_SET_MAP;
	set->foreign_flags = set_is_foreign(in, set);
}

static int set_take(const struct nlmsghdr *message, void *context)
{
	struct nftnl_set *in = nftnl_set_alloc();
	int code = 0;

	if (!in)
		return -ENOMEM;
	if (nftnl_set_nlmsg_parse(message, in) < 0)
		code = -EBADMSG;
	else if (is_ours(nftnl_set_get_str(in, NFTNL_SET_TABLE)))
		set_add(context, in);
	nftnl_set_free(in);
	return code;
}

static void sets_begin(void *context)
{
	struct nft_table *table = &((struct reading *)context)->table;

	table->sets = NULL;
	table->set_count = table->set_room = 0;
}

static int set_elements_read(struct reading *reading, struct nft_set *set)
{
	struct element_reader elements = {
		.arena = reading->arena,
		.bytes = key_bytes(set->key),
		.has_ends = set->key != KEY_SERVICE,
		.table = &reading->table,
		.set = set,
	};
	struct netlink_reader reader = { elements_begin, elements_message, &elements };
	struct nlmsghdr *request = request_begin(reading, NFT_MSG_GETSETELEM);
	int code;

	mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, set->name);
	code = netlink_dump(reading->nl, request, &reader);
	elements_finish(&elements);
	return code;
}

/* The set as it was before our transaction, which has not touched it; else NULL. */
static const struct nft_set *known_set(const struct reading *reading, const char *name)
{
	const struct since *since = reading->since;
	const struct nft_set *set = since ? nft_set_find(since->table, name) : NULL;

	if (!set || set->foreign_flags || steps_touch_set(since->steps, since->step_count, name))
		return NULL;
	return set;
}

/* A set that is not like ours is replaced whole: what is in it does not matter. */
static int elements_read(struct reading *reading)
{
	size_t read = 0;
	int code = 0;

	for (size_t i = 0; i < reading->table.set_count && code == 0; i++) {
		struct nft_set *set = &reading->table.sets[i];
		const struct nft_set *known = known_set(reading, set->name);

		if (set->foreign_flags)
			continue;
		if (!known) {
			code = set_elements_read(reading, set);
			read += set->element_count;
			netlink_tell(reading->nl, "read", read, 0);
			continue;
		}
		set->elements = known->elements;
		set->element_count = known->element_count;
	}
	return code;
}

static int content_read(struct reading *reading)
{
	const struct netlink_reader chains = { chains_begin, chain_take, reading };
	const struct netlink_reader rules = { rules_begin, rule_take, reading };
	const struct netlink_reader sets = { sets_begin, set_take, reading };
	int code = content_dump(reading, NFT_MSG_GETCHAIN, &chains);

	/* Rules and elements look their chain up by name. */
	nft_table_sort(&reading->table);
	if (code == 0)
		code = content_dump(reading, NFT_MSG_GETRULE, &rules);
	if (code == 0)
		code = content_dump(reading, NFT_MSG_GETSET, &sets);
	if (code == 0)
		code = elements_read(reading);
	nft_table_sort(&reading->table);
	return code;
}

/* The kernel never gives out 0. */
static bool is_next(uint32_t earlier, uint32_t generation)
{
	return generation == (earlier == UINT32_MAX ? 1 : earlier + 1);
}

static int read_once(void *context, uint32_t generation)
{
	struct reading *reading = context;
	int code;

	*reading = (struct reading){ .nl = reading->nl,
				     .since = reading->since,
				     .arena = reading->arena,
				     .generation = generation };
	if (reading->since && !is_next(reading->since->table->generation, generation))
		reading->since = NULL;
	code = table_read(reading);
	if (code == 0 && reading->table.exists)
		code = content_read(reading);
	return code;
}

static int read_failed(const struct reading *reading, int code, struct error *error)
{
	if (code == -EPERM)
		return error_set(error, "no-permission",
				 "table inet %s: reading nf_tables is not permitted; run as root "
				 "or with CAP_NET_ADMIN",
				 NFT_TABLE);
	if (code > 0)
		return error_set(error, "ruleset-busy",
				 "table inet %s: the nf_tables ruleset kept changing while it was "
				 "read; stop whatever rewrites it, or try again",
				 NFT_TABLE);
	/* A kernel without nf_tables does not even know the first question. */
	if (reading->generation == 0 && (code == -EINVAL || code == -EOPNOTSUPP))
		return error_set(error, "no-nf-tables",
				 "table inet %s: the kernel has no nf_tables; load the module "
				 "nf_tables",
				 NFT_TABLE);
	return error_set(error, "kernel-refused",
			 "table inet %s: cannot read it from the kernel: %s; nothing was changed",
			 NFT_TABLE, netlink_reason(reading->nl, code));
}

int nft_read(struct netlink *nl, const struct since *since, struct arena *arena,
	     struct nft_table *out, struct error *error)
{
	struct reading reading = { .nl = nl, .since = since, .arena = arena };
	uint32_t generation;
	int code = nft_settle(nl, read_once, &reading, &generation);

	if (code)
		return read_failed(&reading, code, error);
	*out = reading.table;
	out->generation = generation;
	return 0;
}
