/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy rules with all that they select by (linux/fib_rules.h), and the routes
 * to servers in the tables of those rules that may take our packets: a rule
 * whose table has no route is passed over by the kernel. No other table is read.
 */
#include "backends/surround.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "backends/rtnl.h"

struct policy_reading {
	struct surroundings *out;
	enum family family;
	size_t start; /* rules that were there before */
	uint64_t digest;
};

static void policy_begin(void *context)
{
	struct policy_reading *reading = context;

	reading->out->rule_count = reading->start;
	reading->digest = 0;
}

/* What is decoded below; everything else narrows a rule in a way that we do not follow. */
static const bool is_decoded[FRA_MAX + 1] = {
	[FRA_UNSPEC] = true,    [FRA_PAD] = true,
	[FRA_PRIORITY] = true,  [FRA_FWMARK] = true,
	[FRA_FWMASK] = true,    [FRA_TABLE] = true,
	[FRA_PROTOCOL] = true,  [FRA_SUPPRESS_PREFIXLEN] = true,
	[FRA_SRC] = true,       [FRA_DST] = true,
	[FRA_IIFNAME] = true,   [FRA_OIFNAME] = true,
	[FRA_GOTO] = true,      [FRA_L3MDEV] = true,
	[FRA_IP_PROTO] = true,  [FRA_DPORT_RANGE] = true,
	[FRA_TUN_ID] = true,    [FRA_SUPPRESS_IFGROUP] = true,
	[FRA_UID_RANGE] = true,
};

static bool selects_by_more(const struct nlmsghdr *message, const struct fib_rule_hdr *header)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(*header))
	{
		uint16_t type = mnl_attr_get_type(attribute);

		if (type > FRA_MAX || !is_decoded[type])
			return true;
	}
	return header->tos != 0;
}

static enum policy_action action_decode(uint8_t action)
{
	switch (action) {
	case FR_ACT_TO_TBL:
		return POLICY_LOOKUP;
	case FR_ACT_GOTO:
		return POLICY_JUMP;
	case FR_ACT_NOP:
		return POLICY_NOTHING;
	default:
		return POLICY_REFUSE;
	}
}

static bool network_decode(const struct nlattr *address, uint8_t length, enum family family,
			   struct span *span)
{
	size_t bytes = family_bytes(family);

	if (!length || !address || mnl_attr_get_payload_len(address) != bytes)
		return false;
	prefix_to_span(mnl_attr_get_payload(address), bytes, length, span);
	return true;
}

/* What is forwarded was sent by user 0 as far as a rule can tell. */
static bool excludes_root(const struct nlattr *range)
{
	return range && attribute_u32(range, 0) > 0;
}

static void selectors_decode(const struct fib_rule_hdr *header, const struct nlattr *const *found,
			     struct arena *arena, struct policy_rule *rule)
{
	const struct fib_rule_port_range *ports;

	rule->has_from = network_decode(found[FRA_SRC], header->src_len, rule->family, &rule->from);
	rule->has_to = network_decode(found[FRA_DST], header->dst_len, rule->family, &rule->to);
	rule->mark.value = attribute_u32(found[FRA_FWMARK], 0);
	rule->mark.mask = attribute_u32(found[FRA_FWMASK], found[FRA_FWMARK] ? UINT32_MAX : 0);
	if (found[FRA_IIFNAME])
		rule->interface = arena_strdup(arena, mnl_attr_get_str(found[FRA_IIFNAME]));
	rule->is_for_others =
		found[FRA_OIFNAME] || found[FRA_TUN_ID] || excludes_root(found[FRA_UID_RANGE]);
	if (found[FRA_L3MDEV])
		rule->l3mdev = mnl_attr_get_u8(found[FRA_L3MDEV]);
	if (found[FRA_IP_PROTO])
		rule->ip_protocol = mnl_attr_get_u8(found[FRA_IP_PROTO]);
	if (found[FRA_DPORT_RANGE] &&
	    mnl_attr_get_payload_len(found[FRA_DPORT_RANGE]) >= sizeof(*ports)) {
		ports = mnl_attr_get_payload(found[FRA_DPORT_RANGE]);
		rule->dport_from = ports->start;
		rule->dport_to = ports->end;
	}
}

static void policy_decode(const struct nlmsghdr *message, enum family family, struct arena *arena,
			  struct policy_rule *rule)
{
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[FRA_MAX + 1];

	rtnl_attributes(message, sizeof(*header), found, FRA_MAX);
	rule->family = family;
	rule->priority = attribute_u32(found[FRA_PRIORITY], 0);
	rule->table = attribute_u32(found[FRA_TABLE], header->table);
	rule->target = attribute_u32(found[FRA_GOTO], 0);
	rule->action = action_decode(header->action);
	if (found[FRA_PROTOCOL])
		rule->protocol = mnl_attr_get_u8(found[FRA_PROTOCOL]);
	rule->invert = header->flags & FIB_RULE_INVERT;
	rule->has_more = selects_by_more(message, header);
	rule->suppressed = (int)attribute_u32(found[FRA_SUPPRESS_PREFIXLEN], UINT32_MAX);
	selectors_decode(header, found, arena, rule);
}

static int policy_take(const struct nlmsghdr *message, void *context)
{
	struct policy_reading *reading = context;
	struct surroundings *out = reading->out;
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	struct policy_rule rule = { 0 };

	if (message->nlmsg_type != RTM_NEWRULE)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	if (header->family != rtnl_family(reading->family))
		return 0;
	digest_add(&reading->digest, header, mnl_nlmsg_get_payload_len(message));
	policy_decode(message, reading->family, &out->arena, &rule);
	if (rule.protocol != PROTOCOL_DETOUR)
		*ARENA_PUSH(&out->arena, out->rules, out->rule_count, out->rule_room) = rule;
	return 0;
}

static bool rules_read(struct netlink *route, enum family family, struct surroundings *out)
{
	struct policy_reading reading = { .out = out, .family = family, .start = out->rule_count };
	struct netlink_reader reader = { policy_begin, policy_take, &reading };
	struct error ignored;

	if (rtnl_dump_rules(route, family, &reader, &reading.digest, &ignored) == 0)
		return true;
	policy_begin(&reading);
	return false;
}

/* --- where a rule leads -------------------------------------------------- */

static bool may_take(const struct surroundings *out, const struct policy_rule *rule,
		     const struct selection *selections, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (policy_rule_meets(out, rule, &selections[i]))
			return true;
	return false;
}

static bool leads_to_servers(const struct span *destination, enum family family,
			     const struct selection *selections, size_t count)
{
	struct spans one = { (struct span *)destination, 1, 1 };

	for (size_t i = 0; i < count; i++)
		if (spans_intersect(&selections[i].servers[family], &one))
			return true;
	return false;
}

/* A default route has length 0, every other one more. */
static bool is_suppressed(const struct policy_rule *rule, const struct route *route)
{
	return rule->suppressed >= (route->is_default ? 0 : span_prefix(&route->dst, rule->family));
}

static void routes_keep(struct surroundings *out, struct policy_rule *rule,
			const struct state *table, const struct selection *selections, size_t count)
{
	for (size_t i = 0; i < table->route_count; i++) {
		const struct route *route = &table->routes[i];
		struct span span = { 0 };

		prefix_to_span(route->dst.from, family_bytes(rule->family),
			       route->is_default
				       ? 0
				       : (unsigned int)span_prefix(&route->dst, rule->family),
			       &span);
		if (is_suppressed(rule, route) ||
		    !leads_to_servers(&span, rule->family, selections, count))
			continue;
		*ARENA_PUSH(&out->arena, rule->routes.items, rule->routes.count,
			    rule->routes.room) = span;
		rule->has_default |= route->is_default;
	}
	spans_normalize(&rule->routes);
}

static void routes_read(struct netlink *route, struct surroundings *out, struct policy_rule *rule,
			const struct selection *selections, size_t count)
{
	struct state table = { 0 };
	struct error ignored;

	if (rtnl_read_table(route, rule->family, rule->table, &table, &ignored) == 0)
		routes_keep(out, rule, &table, selections, count);
	state_free(&table);
}

void surround_policy(struct netlink *route, const struct document *document,
		     struct surroundings *out)
{
	const struct selection *selections;
	size_t count = selections_build(&out->arena, document, &selections);

	out->has_rules = true;
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		out->has_rules &= rules_read(route, family, out);
	for (size_t i = 0; i < out->rule_count; i++) {
		struct policy_rule *rule = &out->rules[i];

		/* The local table is about the router's own addresses alone. */
		if (rule->action == POLICY_LOOKUP && !rule->l3mdev && rule->table != TABLE_LOCAL &&
		    may_take(out, rule, selections, count))
			routes_read(route, out, rule, selections, count);
	}
}
