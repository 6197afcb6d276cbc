/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps to messages. Every create is exclusive and every delete and update
 * names what it is about by handle or key: since the transaction stands on the
 * generation that was planned against, a message that meets something else is a
 * fault worth failing for.
 */
#include "backends/nft.h"

#include <arpa/inet.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <libnftnl/udata.h>

#include "backends/nft_parts.h"
#include "reconcile/kernel.h"

enum { CREATE = NLM_F_CREATE | NLM_F_EXCL };

/* A message about the table, or about what has that name in it. */
static int name_write(struct batch *batch, int type, uint16_t flags, uint16_t name_attribute,
		      const char *name)
{
	struct nlmsghdr *message = batch_add(batch, type, flags);

	if (!message)
		return -1;
	/* Attribute 1 is the table's name in messages about tables, chains, rules and sets. */
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, NFT_TABLE);
	if (name)
		mnl_attr_put_strz(message, name_attribute, name);
	batch_close(batch, message);
	return 0;
}

static int table_write(struct batch *batch, uint16_t flags)
{
	struct nlmsghdr *message = batch_add(batch, NFT_MSG_NEWTABLE, flags);

	if (!message)
		return -1;
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, NFT_TABLE);
	if (batch->nl->is_owner)
		mnl_attr_put_u32(message, NFTA_TABLE_FLAGS, htonl(TABLE_PROTECTED));
	batch_close(batch, message);
	return 0;
}

static int table_create(struct batch *batch, const struct step *step)
{
	(void)step;
	return table_write(batch, CREATE);
}

static int table_delete(struct batch *batch, const struct step *step)
{
	(void)step;
	return name_write(batch, NFT_MSG_DELTABLE, 0, 0, NULL);
}

static int table_rebuild(struct batch *batch, const struct step *step)
{
	return table_delete(batch, step) < 0 ? -1 : table_create(batch, step);
}

static void hook_put(struct nlmsghdr *message, const struct nft_chain *chain)
{
	bool is_forward = chain->hook == HOOK_FORWARD;
	struct nlattr *nest = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);

	mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM,
			 htonl(is_forward ? NF_INET_FORWARD : NF_INET_PRE_ROUTING));
	mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl((uint32_t)chain->priority));
	mnl_attr_nest_end(message, nest);
	mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl(chain->drops ? NF_DROP : NF_ACCEPT));
	mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "filter");
}

static int chain_create(struct batch *batch, const struct step *step)
{
	const struct nft_chain *chain = step->after;
	struct nlmsghdr *message;

	if (chain->hook == HOOK_OTHER || (chain->hook != HOOK_NONE && !chain->is_filter))
		return error_set(batch->error, "foreign-chain",
				 "chain %s: it was put into table inet %s by another program, and "
				 "only that can create it again",
				 chain->name, NFT_TABLE);
	message = batch_add(batch, NFT_MSG_NEWCHAIN, CREATE);
	if (!message)
		return -1;
	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, NFT_TABLE);
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, chain->name);
	if (chain->hook != HOOK_NONE)
		hook_put(message, chain);
	batch_close(batch, message);
	return 0;
}

static int chain_delete(struct batch *batch, const struct step *step)
{
	const struct nft_chain *chain = step->before;

	return name_write(batch, NFT_MSG_DELCHAIN, 0, NFTA_CHAIN_NAME, chain->name);
}

static void concatenation_put(struct nlmsghdr *message, const struct key_wire *wire)
{
	struct nlattr *desc = mnl_attr_nest_start(message, NFTA_SET_DESC);
	struct nlattr *fields = mnl_attr_nest_start(message, NFTA_SET_DESC_CONCAT);

	for (size_t i = 0; i < sizeof(wire->fields); i++) {
		struct nlattr *field = mnl_attr_nest_start(message, NFTA_LIST_ELEM);

		mnl_attr_put_u32(message, NFTA_SET_FIELD_LEN, htonl(wire->fields[i]));
		mnl_attr_nest_end(message, field);
	}
	mnl_attr_nest_end(message, fields);
	mnl_attr_nest_end(message, desc);
}

/* For nft(8): in which byte order it has to read the keys. */
static void byte_order_put(struct nlmsghdr *message, uint32_t order)
{
	uint8_t data[2 + sizeof(order)] = { NFTNL_UDATA_SET_KEYBYTEORDER, sizeof(order) };

	memcpy(data + 2, &order, sizeof(order));
	mnl_attr_put(message, NFTA_SET_USERDATA, sizeof(data), data);
}

static void set_put(struct nlmsghdr *message, const struct nft_set *set)
{
	const struct key_wire *wire = &key_wires[set->key];

	mnl_attr_put_strz(message, NFTA_SET_TABLE, NFT_TABLE);
	mnl_attr_put_strz(message, NFTA_SET_NAME, set->name);
	/* The kernel wants a number, though everything here goes by name. */
	mnl_attr_put_u32(message, NFTA_SET_ID, htonl(1));
	mnl_attr_put_u32(message, NFTA_SET_FLAGS, htonl(set_flags(set)));
	mnl_attr_put_u32(message, NFTA_SET_KEY_TYPE, htonl(wire->datatype));
	mnl_attr_put_u32(message, NFTA_SET_KEY_LEN, htonl(wire->bytes));
	if (set->is_map)
		mnl_attr_put_u32(message, NFTA_SET_DATA_TYPE, htonl(NFT_DATA_VERDICT));
	if (set->key == KEY_SERVICE)
		concatenation_put(message, wire);
	else
		byte_order_put(message, wire->byte_order);
}

static int set_create(struct batch *batch, const struct step *step)
{
	const struct nft_set *set = step->after;
	struct nlmsghdr *message;

	if (set->key == KEY_OTHER || set->foreign_flags)
		return error_set(batch->error, "foreign-set",
				 "set %s: it was put into table inet %s by another program, and "
				 "only that can create it again",
				 set->name, NFT_TABLE);
	message = batch_add(batch, NFT_MSG_NEWSET, CREATE);
	if (!message)
		return -1;
	set_put(message, set);
	batch_close(batch, message);
	return 0;
}

static int set_delete(struct batch *batch, const struct step *step)
{
	const struct nft_set *set = step->before;

	return name_write(batch, NFT_MSG_DELSET, 0, NFTA_SET_NAME, set->name);
}

static int elements_create(struct batch *batch, const struct step *step)
{
	return elements_write(batch, NFT_MSG_NEWSETELEM, step->set, step->after, step->count);
}

static int elements_delete(struct batch *batch, const struct step *step)
{
	return elements_write(batch, NFT_MSG_DELSETELEM, step->set, step->before, step->count);
}

static int elements_update(struct batch *batch, const struct step *step)
{
	return elements_delete(batch, step) < 0 ? -1 : elements_create(batch, step);
}

static void comment_put(struct nlmsghdr *message, const char *comment)
{
	uint8_t data[2 + NFT_COMMENT_SIZE] = { NFTNL_UDATA_RULE_COMMENT };
	size_t size = strnlen(comment, NFT_COMMENT_SIZE - 1) + 1;

	if (size == 1)
		return;
	data[1] = (uint8_t)size;
	memcpy(data + 2, comment, size - 1);
	mnl_attr_put(message, NFTA_RULE_USERDATA, 2 + size, data);
}

/* before: NULL, or the rule whose counter goes on in this one. */
static int content_put(struct nlmsghdr *message, const struct nft_rule *rule,
		       const struct nft_rule *before)
{
	const struct stmt *counter =
		nft_rule_counter(rule) && before ? nft_rule_counter(before) : NULL;

	if (!rule->raw) {
		comment_put(message, rule->comment);
		return expr_encode(message, rule, counter);
	}
	memcpy(mnl_nlmsg_get_payload_tail(message), rule->raw, rule->raw_size);
	message->nlmsg_len += (uint32_t)rule->raw_size;
	return 0;
}

/* attribute: how `handle` is meant; 0: no handle. */
static int rule_write(struct batch *batch, const struct step *step, uint16_t flags,
		      uint16_t attribute, uint64_t handle)
{
	struct nlmsghdr *message = batch_add(batch, NFT_MSG_NEWRULE, flags);

	if (!message)
		return -1;
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, NFT_TABLE);
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, step->container);
	if (attribute)
		mnl_attr_put_u64(message, attribute, htobe64(handle));
	if (content_put(message, step->after, step->before) < 0)
		return batch_no_memory(batch);
	batch_close(batch, message);
	return 0;
}

static int rule_create(struct batch *batch, const struct step *step)
{
	if (step->successor)
		return rule_write(batch, step, NLM_F_CREATE, NFTA_RULE_POSITION,
				  step->successor->handle);
	return rule_write(batch, step, NLM_F_CREATE | NLM_F_APPEND, 0, 0);
}

static int rule_update(struct batch *batch, const struct step *step)
{
	const struct nft_rule *before = step->before;

	return rule_write(batch, step, NLM_F_REPLACE, NFTA_RULE_HANDLE, before->handle);
}

static int rule_delete(struct batch *batch, const struct step *step)
{
	const struct nft_rule *rule = step->before;
	struct nlmsghdr *message = batch_add(batch, NFT_MSG_DELRULE, 0);

	if (!message)
		return -1;
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, NFT_TABLE);
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, step->container);
	mnl_attr_put_u64(message, NFTA_RULE_HANDLE, htobe64(rule->handle));
	batch_close(batch, message);
	return 0;
}

static int rule_move(struct batch *batch, const struct step *step)
{
	return rule_delete(batch, step) < 0 ? -1 : rule_create(batch, step);
}

/* --- rules in chains of others ---------------------------------------------- */

static struct nlmsghdr *hand_rule_begin(struct batch *batch, int type, uint16_t flags,
					const struct hand_rule *rule)
{
	struct nlmsghdr *message = batch_add(batch, type, flags);
	struct nfgenmsg *header;

	if (!message)
		return NULL;
	header = mnl_nlmsg_get_payload(message);
	header->nfgen_family = rule->nfproto;
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, rule->table);
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, rule->chain);
	return message;
}

/* The kernel does not show what xt extensions were told of the protocol, and wants to hear it. */
static void protocol_put(struct nlmsghdr *message, uint32_t protocol)
{
	struct nlattr *nest = mnl_attr_nest_start(message, NFTA_RULE_COMPAT);

	mnl_attr_put_u32(message, NFTA_RULE_COMPAT_PROTO, htonl(protocol));
	mnl_attr_put_u32(message, NFTA_RULE_COMPAT_FLAGS, 0);
	mnl_attr_nest_end(message, nest);
}

static int hand_rule_create(struct batch *batch, const struct step *step)
{
	const struct hand_rule *rule = step->after;
	uint16_t flags = NLM_F_CREATE | (rule->successor ? 0 : NLM_F_APPEND);
	struct nlmsghdr *message = hand_rule_begin(batch, NFT_MSG_NEWRULE, flags, rule);

	if (!message)
		return -1;
	if (rule->successor)
		mnl_attr_put_u64(message, NFTA_RULE_POSITION, htobe64(rule->successor));
	memcpy(mnl_nlmsg_get_payload_tail(message), rule->raw, rule->raw_size);
	message->nlmsg_len += (uint32_t)rule->raw_size;
	if (rule->protocol)
		protocol_put(message, rule->protocol);
	batch_close(batch, message);
	return 0;
}

static int hand_rule_delete(struct batch *batch, const struct step *step)
{
	const struct hand_rule *rule = step->before;
	struct nlmsghdr *message = hand_rule_begin(batch, NFT_MSG_DELRULE, 0, rule);

	if (!message)
		return -1;
	mnl_attr_put_u64(message, NFTA_RULE_HANDLE, htobe64(rule->handle));
	batch_close(batch, message);
	return 0;
}

typedef int step_writer(struct batch *batch, const struct step *step);

static step_writer *const writers[KIND_COUNT][ACTION_DELETE + 1] = {
	[KIND_NFT_TABLE] = { [ACTION_CREATE] = table_create,
			     [ACTION_UPDATE] = table_rebuild,
			     [ACTION_DELETE] = table_delete },
	[KIND_NFT_CHAIN] = { [ACTION_CREATE] = chain_create, [ACTION_DELETE] = chain_delete },
	[KIND_NFT_SET] = { [ACTION_CREATE] = set_create, [ACTION_DELETE] = set_delete },
	[KIND_NFT_ELEMENT] = { [ACTION_CREATE] = elements_create,
			       [ACTION_UPDATE] = elements_update,
			       [ACTION_DELETE] = elements_delete },
	[KIND_NFT_RULE] = { [ACTION_CREATE] = rule_create,
			    [ACTION_UPDATE] = rule_update,
			    [ACTION_MOVE] = rule_move,
			    [ACTION_DELETE] = rule_delete },
	[KIND_HAND_RULE] = { [ACTION_CREATE] = hand_rule_create,
			     [ACTION_DELETE] = hand_rule_delete },
};

static int step_write(struct batch *batch, const struct step *step)
{
	step_writer *write = writers[step->kind][step->action];

	if (!write)
		return error_set(batch->error, "unsupported-step",
				 "%s %s: nf_tables has no way to %s it; delete and create it",
				 kind_name(step->kind), step->object, action_name(step->action));
	batch->step = step;
	return write(batch, step);
}

static size_t elements_count(const struct step *steps, size_t count)
{
	size_t elements = 0;

	for (size_t i = 0; i < count; i++)
		if (steps[i].kind == KIND_NFT_ELEMENT)
			elements += steps[i].count;
	return elements;
}

static int steps_write(struct batch *batch, const struct step *steps, size_t count,
		       uint32_t generation)
{
	size_t sent = 0, total = elements_count(steps, count);

	if (batch_begin(batch, generation) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (step_write(batch, &steps[i]) < 0)
			return -1;
		if (steps[i].kind != KIND_NFT_ELEMENT)
			continue;
		sent += steps[i].count;
		netlink_tell(batch->nl, "sent", sent, total);
	}
	return 0;
}

int nft_commit(struct netlink *nl, const struct step *steps, size_t count, uint32_t generation,
	       struct error *error)
{
	struct batch batch = { .nl = nl, .error = error };
	int outcome = steps_write(&batch, steps, count, generation);

	if (outcome == 0)
		outcome = batch_commit(&batch);
	batch_free(&batch);
	return outcome;
}

/* All of a table as it was read, counters included, in the place of the live one. */
static int table_repeat(struct netlink *nl, const struct nft_table *table, struct error *error)
{
	const struct document nothing = { 0 };
	const struct state none = { 0 }, state = { .nft = *table };
	struct plan plan;
	int outcome;

	plan_build(&nothing, &state, &none, &plan);
	plan.steps[0].action = ACTION_UPDATE;
	outcome = nft_commit(nl, plan.steps, plan.step_count, table->generation, error);
	plan_free(&plan);
	return outcome;
}

/* One that has outlived its owner is only taken over. */
static int table_take_over(struct netlink *nl, const struct nft_table *table, struct error *error)
{
	const struct step step = { .kind = KIND_NFT_TABLE, .object = "inet " NFT_TABLE };
	struct batch batch = { .nl = nl, .error = error, .step = &step };
	int outcome = batch_begin(&batch, table->generation);

	batch.step = &step;
	if (outcome == 0)
		outcome = table_write(&batch, NLM_F_CREATE);
	if (outcome == 0)
		outcome = batch_commit(&batch);
	batch_free(&batch);
	return outcome;
}

int nft_protect(struct netlink *nl, const struct nft_table *table, struct error *error)
{
	return table->is_persistent ? table_take_over(nl, table, error)
				    : table_repeat(nl, table, error);
}
