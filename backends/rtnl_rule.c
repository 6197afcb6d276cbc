/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy rules. They have no key: the kernel deletes the first rule that
 * agrees in the fields given, and accepts twins that differ in protocol only.
 * So every field is sent, and a rule that has more than the fields of struct
 * rule is kept as the kernel showed it and deleted by that.
 *
 * A dump of more than one packet resumes by position. When a rule before that
 * position is deleted meanwhile, the one at it is left out, in silence, and at
 * the same place in the next dump, if the same rule comes and goes. So
 * notifications are watched: one that falls into a dump makes it void.
 */
#include "backends/rtnl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

/* --- all of a family ------------------------------------------------------ */

struct dump {
	enum family family;
	const struct rule_reader *reader;
	uint64_t digest;
};

static void dump_begin(void *context)
{
	struct dump *dump = context;

	dump->digest = 0;
	dump->reader->begin(dump->reader->context);
}

static int dump_take(const struct nlmsghdr *message, void *context)
{
	struct dump *dump = context;
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != RTM_NEWRULE)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	if (header->family != rtnl_family(dump->family))
		return 0;
	digest_add(&dump->digest, header, mnl_nlmsg_get_payload_len(message));
	dump->reader->take(message, dump->family, dump->reader->context);
	return 0;
}

int rtnl_dump_rules(struct netlink *nl, enum family family, const struct rule_reader *reader,
		    struct error *error)
{
	struct dump dump = { .family = family, .reader = reader };
	const struct netlink_reader settled = { dump_begin, dump_take, &dump };
	struct nlmsghdr *request = netlink_message(nl, RTM_GETRULE, 0);
	struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	int group = family == FAMILY_IPV4 ? RTNLGRP_IPV4_RULE : RTNLGRP_IPV6_RULE;
	char what[64];
	int code;

	header->family = rtnl_family(family);
	code = netlink_watch(nl, group);
	if (!code)
		code = rtnl_dump_settled(nl, request, &settled, &dump.digest);
	netlink_unwatch(nl, group);
	if (code == 0 || code == -EAFNOSUPPORT)
		return 0;
	snprintf(what, sizeof(what), "%s policy rules", family_name(family));
	return rtnl_unreadable(nl, code, what, error);
}

/* --- those that concern a document ---------------------------------------- */

struct rule_reading {
	const struct document *document;
	struct state *out;
	size_t start; /* rules that were there before */
};

static void rules_begin(void *context)
{
	struct rule_reading *reading = context;

	reading->out->rule_count = reading->start;
}

enum meaning {
	SELECTOR = 0, /* whatever a later kernel adds is one, too */
	FIELD,        /* of struct rule */
	SUPPRESSOR,   /* all bits set: none */
};

static const enum meaning meanings[FRA_MAX + 1] = {
	[FRA_UNSPEC] = FIELD,
	[FRA_PAD] = FIELD,
	[FRA_PRIORITY] = FIELD,
	[FRA_FWMARK] = FIELD,
	[FRA_FWMASK] = FIELD,
	[FRA_TABLE] = FIELD,
	[FRA_PROTOCOL] = FIELD,
	[FRA_SUPPRESS_PREFIXLEN] = SUPPRESSOR,
	[FRA_SUPPRESS_IFGROUP] = SUPPRESSOR,
};

static bool is_selector(const struct nlattr *attribute)
{
	uint16_t type = mnl_attr_get_type(attribute);
	enum meaning meaning = type <= FRA_MAX ? meanings[type] : SELECTOR;

	if (meaning == SUPPRESSOR)
		return attribute_u32(attribute, UINT32_MAX) != UINT32_MAX;
	return meaning == SELECTOR;
}

static bool rule_has_more(const struct nlmsghdr *message, const struct fib_rule_hdr *header)
{
	const struct nlattr *attribute;

	if (header->src_len || header->dst_len || header->tos ||
	    header->flags & ~(uint32_t)FIB_RULE_PERMANENT)
		return true;
	mnl_attr_for_each(attribute, message,
			  sizeof(*header)) if (is_selector(attribute)) return true;
	return false;
}

static enum rule_action action_decode(uint8_t action)
{
	if (action == FR_ACT_TO_TBL)
		return RULE_LOOKUP;
	return action == FR_ACT_UNREACHABLE ? RULE_UNREACHABLE : RULE_OTHER;
}

static void rule_decode(const struct nlmsghdr *message, enum family family, struct rule *rule)
{
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[FRA_MAX + 1];

	rtnl_attributes(message, sizeof(*header), found, FRA_MAX);
	memset(rule, 0, sizeof(*rule));
	rule->family = family;
	rule->priority = attribute_u32(found[FRA_PRIORITY], 0);
	rule->mark.value = attribute_u32(found[FRA_FWMARK], 0);
	rule->mark.mask = attribute_u32(found[FRA_FWMASK], found[FRA_FWMARK] ? UINT32_MAX : 0);
	rule->action = action_decode(header->action);
	if (rule->action == RULE_LOOKUP)
		rule->table = attribute_u32(found[FRA_TABLE], header->table);
	if (found[FRA_PROTOCOL] && mnl_attr_get_payload_len(found[FRA_PROTOCOL]))
		rule->protocol = mnl_attr_get_u8(found[FRA_PROTOCOL]);
	/* An action that struct rule has no word for must be deleted as it was shown, too. */
	rule->has_more = rule->action == RULE_OTHER || rule_has_more(message, header);
}

static bool rule_matters(const struct rule *rule, const struct document *document)
{
	if (!document || rule->protocol == PROTOCOL_DETOUR)
		return true;
	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct gateway *gateway = &document->gateways[i];

		if (rule->priority == gateway->priority ||
		    rule->priority == gateway->priority + 1 ||
		    (rule->action == RULE_LOOKUP && rule->table == gateway->table))
			return true;
	}
	return false;
}

static void rule_take(const struct nlmsghdr *message, enum family family, void *context)
{
	struct rule_reading *reading = context;
	struct state *out = reading->out;
	struct rule rule;

	rule_decode(message, family, &rule);
	if (!rule_matters(&rule, reading->document))
		return;
	if (rule.has_more) {
		rule.raw_size = message->nlmsg_len;
		rule.raw = memcpy(arena_alloc(&out->arena, rule.raw_size), message, rule.raw_size);
	}
	*ARENA_PUSH(&out->arena, out->rules, out->rule_count, out->rule_room) = rule;
}

int rtnl_read_rules(struct netlink *nl, const struct document *document, struct state *out,
		    struct error *error)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct rule_reading reading = { .document = document,
						.out = out,
						.start = out->rule_count };
		const struct rule_reader reader = { rules_begin, rule_take, &reading };

		if (rtnl_dump_rules(nl, family, &reader, error))
			return -1;
	}
	return 0;
}

/* --- writing -------------------------------------------------------------- */

static void rule_describe(const struct rule *rule, char *text, size_t size)
{
	char action[32] = "unreachable";

	if (rule->action == RULE_LOOKUP)
		snprintf(action, sizeof(action), "lookup %u", rule->table);
	snprintf(text, size, "%s rule %u: fwmark 0x%x/0x%x %s", family_name(rule->family),
		 rule->priority, rule->mark.value, rule->mark.mask, action);
}

static struct nlmsghdr *rule_message(struct netlink *nl, uint16_t type, uint16_t flags,
				     const struct rule *rule)
{
	struct nlmsghdr *request = netlink_message(nl, type, flags);
	struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->family = rtnl_family(rule->family);
	header->action = rule->action == RULE_LOOKUP ? FR_ACT_TO_TBL : FR_ACT_UNREACHABLE;
	mnl_attr_put_u32(request, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u8(request, FRA_PROTOCOL, rule->protocol);
	if (rule->mark.mask) {
		mnl_attr_put_u32(request, FRA_FWMARK, rule->mark.value);
		mnl_attr_put_u32(request, FRA_FWMASK, rule->mark.mask);
	}
	if (rule->action == RULE_LOOKUP)
		mnl_attr_put_u32(request, FRA_TABLE, rule->table);
	return request;
}

/* The message that showed the rule, as a request. NULL when it is not such a message. */
static struct nlmsghdr *rule_message_raw(struct netlink *nl, uint16_t type, uint16_t flags,
					 const struct rule *rule)
{
	const size_t header = MNL_NLMSG_HDRLEN + sizeof(struct fib_rule_hdr);
	struct nlmsghdr *request;

	if (!rule->raw || rule->raw_size < header || rule->raw_size > NETLINK_REQUEST_MAX)
		return NULL;
	request = netlink_message(nl, type, flags);
	memcpy(mnl_nlmsg_get_payload(request), (const char *)rule->raw + MNL_NLMSG_HDRLEN,
	       rule->raw_size - MNL_NLMSG_HDRLEN);
	request->nlmsg_len = (uint32_t)rule->raw_size;
	return request;
}

static int rule_send(struct netlink *nl, uint16_t type, uint16_t flags, const struct rule *rule)
{
	struct nlmsghdr *request = rule->has_more ? rule_message_raw(nl, type, flags, rule)
						  : rule_message(nl, type, flags, rule);

	return request ? netlink_request(nl, request, NULL) : -EBADMSG;
}

/* Whether exactly this rule is there. When that cannot be told, it is. */
static bool rule_stands(struct netlink *nl, const struct rule *rule)
{
	struct state live = { 0 };
	struct error ignored;
	bool stands = rtnl_read_rules(nl, NULL, &live, &ignored) != 0;

	for (size_t i = 0; i < live.rule_count; i++)
		stands = stands || rule_equal(&live.rules[i], rule);
	state_free(&live);
	return stands;
}

static int rule_create(struct netlink *nl, const struct rule *rule, struct error *error)
{
	int code = rule_send(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
	char what[128];

	/*
	 * To the kernel a rule exists already when one with additional from, to,
	 * tos or not does: an altered rule of ours would keep the right one out.
	 */
	if (code == -EEXIST && !rule->has_more && !rule_stands(nl, rule))
		code = rule_send(nl, RTM_NEWRULE, NLM_F_CREATE, rule);
	rule_describe(rule, what, sizeof(what));
	return code ? rtnl_refused(nl, code, what, "created", error) : OUTCOME_DONE;
}

static int rule_delete(struct netlink *nl, const struct rule *rule, struct error *error)
{
	char what[128];
	int code;

	/* The kernel would take one that has more, too. */
	if (rule->taken && !rule_stands(nl, rule))
		return OUTCOME_STALE;
	code = rule_send(nl, RTM_DELRULE, 0, rule);
	rule_describe(rule, what, sizeof(what));
	if (code == 0 || code == -ENOENT)
		return OUTCOME_DONE;
	return rtnl_refused(nl, code, what, "deleted", error);
}

/* There is no replace: the new rule stands before the old one goes. */
static int rule_update(struct netlink *nl, const struct step *step, struct error *error)
{
	struct error ignored;
	int outcome = rule_create(nl, step->after, error);

	if (outcome != OUTCOME_DONE)
		return outcome;
	outcome = rule_delete(nl, step->before, error);
	if (outcome == -1)
		rule_delete(nl, step->after, &ignored);
	return outcome;
}

int rtnl_write_rule(struct netlink *nl, const struct step *step, struct error *error)
{
	if (!step->before)
		return rule_create(nl, step->after, error);
	if (!step->after)
		return rule_delete(nl, step->before, error);
	return rule_update(nl, step, error);
}
