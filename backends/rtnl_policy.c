/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every policy rule of a family, for those who ask what becomes of a packet. */
#include "backends/rtnl.h"

#include <errno.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

struct policy_reading {
	struct arena *arena;
	struct policy *out;
};

static void policy_begin(void *context)
{
	struct policy_reading *reading = context;

	reading->out->count = 0;
}

/* Newer than the kernel headers that this may be built with: Linux 6.13 to 6.16. */
enum {
	ATTRIBUTE_DSCP = 25,
	ATTRIBUTE_SPORT_MASK = 28,
	ATTRIBUTE_DPORT_MASK = 29,
	ATTRIBUTES = 32,
};

/* Those whose value decode_selectors() reads, and those that select nothing. */
static const bool is_understood[ATTRIBUTES] = {
	[FRA_UNSPEC] = true,
	[FRA_DST] = true,
	[FRA_SRC] = true,
	[FRA_IIFNAME] = true,
	[FRA_OIFNAME] = true,
	[FRA_GOTO] = true,
	[FRA_PRIORITY] = true,
	[FRA_FWMARK] = true,
	[FRA_FWMASK] = true,
	[FRA_FLOW] = true,
	[FRA_TABLE] = true,
	[FRA_PAD] = true,
	[FRA_PROTOCOL] = true,
	[FRA_IP_PROTO] = true,
	[FRA_SPORT_RANGE] = true,
	[FRA_DPORT_RANGE] = true,
	[FRA_SUPPRESS_PREFIXLEN] = true,
	[FRA_TUN_ID] = true,
	[FRA_L3MDEV] = true,
	[FRA_UID_RANGE] = true,
	[ATTRIBUTE_SPORT_MASK] = true,
	[ATTRIBUTE_DPORT_MASK] = true,
};

static const char *const unknown_names[ATTRIBUTES] = {
	[FRA_SUPPRESS_IFGROUP] = "suppress_ifgroup",
	[ATTRIBUTE_DSCP] = "dscp",
};

/* NULL, or the name of the first selector that cannot be evaluated. */
static const char *unknown_find(const struct nlmsghdr *message, const struct fib_rule_hdr *header)
{
	const struct nlattr *attribute;

	if (header->tos)
		return "tos";
	mnl_attr_for_each(attribute, message, sizeof(*header))
	{
		uint16_t type = mnl_attr_get_type(attribute);

		if (type < ATTRIBUTES && is_understood[type])
			continue;
		/* All bits set: none. */
		if (type == FRA_SUPPRESS_IFGROUP &&
		    attribute_u32(attribute, UINT32_MAX) == UINT32_MAX)
			continue;
		if (type < ATTRIBUTES && unknown_names[type])
			return unknown_names[type];
		return "a selector that detour does not know,";
	}
	return NULL;
}

static bool prefix_decode(const struct nlattr *attribute, enum family family, uint8_t length,
			  struct span *span)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != family_bytes(family))
		return false;
	prefix_to_span(mnl_attr_get_payload(attribute), family_bytes(family), length, span);
	return true;
}

static const char *name_decode(struct arena *arena, const struct nlattr *attribute)
{
	if (!attribute || mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0)
		return NULL;
	return arena_strdup(arena, mnl_attr_get_str(attribute));
}

static void ports_decode(const struct nlattr *range, const struct nlattr *mask, struct ports *ports)
{
	struct fib_rule_port_range value;

	if (!range || mnl_attr_get_payload_len(range) < sizeof(value))
		return;
	memcpy(&value, mnl_attr_get_payload(range), sizeof(value));
	ports->from = value.start;
	ports->to = value.end;
	/* A kernel that knows masks shows one for each single port. */
	if (mask && mnl_attr_get_payload_len(mask) >= sizeof(uint16_t) &&
	    mnl_attr_get_u16(mask) != UINT16_MAX)
		ports->mask = mnl_attr_get_u16(mask);
}

static enum fib_action action_decode(uint8_t action)
{
	static const enum fib_action actions[] = {
		[FR_ACT_TO_TBL] = FIB_LOOKUP,
		[FR_ACT_GOTO] = FIB_GOTO,
		[FR_ACT_NOP] = FIB_NOP,
		[FR_ACT_BLACKHOLE] = FIB_BLACKHOLE,
		[FR_ACT_UNREACHABLE] = FIB_UNREACHABLE,
		[FR_ACT_PROHIBIT] = FIB_PROHIBIT,
		[FR_ACT_UNSPEC] = FIB_OTHER,
		[FR_ACT_RES3] = FIB_OTHER,
		[FR_ACT_RES4] = FIB_OTHER,
	};

	return action < sizeof(actions) / sizeof(*actions) ? actions[action] : FIB_OTHER;
}

/* What is forwarded has no tunnel's id, and was sent by user 0 as far as a rule can tell. */
static const char *never_find(const struct nlattr *const *found)
{
	if (found[FRA_TUN_ID])
		return "tun_id";
	return found[FRA_UID_RANGE] && attribute_u32(found[FRA_UID_RANGE], 0) ? "uidrange" : NULL;
}

static uint8_t attribute_u8(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) ? mnl_attr_get_u8(attribute) : 0;
}

static void selectors_decode(struct arena *arena, const struct fib_rule_hdr *header,
			     const struct nlattr *const *found, struct fib_rule *rule)
{
	rule->invert = header->flags & FIB_RULE_INVERT;
	rule->l3mdev = attribute_u8(found[FRA_L3MDEV]);
	rule->mark.value = attribute_u32(found[FRA_FWMARK], 0);
	rule->mark.mask = attribute_u32(found[FRA_FWMASK], found[FRA_FWMARK] ? UINT32_MAX : 0);
	rule->iif = name_decode(arena, found[FRA_IIFNAME]);
	rule->oif = name_decode(arena, found[FRA_OIFNAME]);
	rule->has_src = prefix_decode(found[FRA_SRC], rule->family, header->src_len, &rule->src);
	rule->has_dst = prefix_decode(found[FRA_DST], rule->family, header->dst_len, &rule->dst);
	rule->ip_protocol = attribute_u8(found[FRA_IP_PROTO]);
	ports_decode(found[FRA_SPORT_RANGE], found[ATTRIBUTE_SPORT_MASK], &rule->sports);
	ports_decode(found[FRA_DPORT_RANGE], found[ATTRIBUTE_DPORT_MASK], &rule->dports);
	rule->never = never_find(found);
}

static void policy_take(const struct nlmsghdr *message, enum family family, void *context)
{
	struct policy_reading *reading = context;
	struct policy *out = reading->out;
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[ATTRIBUTES];
	struct fib_rule *rule = ARENA_PUSH(reading->arena, out->rules, out->count, out->room);

	rtnl_attributes(message, sizeof(*header), found, ATTRIBUTES - 1);
	*rule = (struct fib_rule){
		.family = family,
		.priority = attribute_u32(found[FRA_PRIORITY], 0),
		.action = action_decode(header->action),
		.table = attribute_u32(found[FRA_TABLE], header->table),
		.target = attribute_u32(found[FRA_GOTO], 0),
		.suppress_prefix =
			(int32_t)attribute_u32(found[FRA_SUPPRESS_PREFIXLEN], UINT32_MAX),
		.protocol = attribute_u8(found[FRA_PROTOCOL]),
		.unknown = unknown_find(message, header),
	};
	selectors_decode(reading->arena, header, found, rule);
}

int rtnl_read_policy(struct netlink *nl, enum family family, struct arena *arena,
		     struct policy *out, struct error *error)
{
	struct policy_reading reading = { .arena = arena, .out = out };
	const struct rule_reader reader = { policy_begin, policy_take, &reading };

	*out = (struct policy){ 0 };
	return rtnl_dump_rules(nl, family, &reader, error);
}
