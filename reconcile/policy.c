/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/policy.h"

#include <string.h>

static bool ports_match(const struct ports *ports, uint16_t port)
{
	if (ports->mask)
		return (port & ports->mask) == (ports->from & ports->mask);
	return ports->from <= port && port <= ports->to;
}

static bool span_matches(const struct span *span, const uint8_t *address)
{
	return memcmp(span->from, address, SPAN_BYTES) <= 0 &&
	       memcmp(address, span->to, SPAN_BYTES) <= 0;
}

/* The router's own packets count as coming in by lo; no interface is chosen before routing. */
static bool interfaces_match(const struct fib_rule *rule, const struct flow *flow)
{
	return (!rule->iif || !strcmp(rule->iif, flow->iif ? flow->iif : "lo")) && !rule->oif;
}

static bool addresses_match(const struct fib_rule *rule, const struct flow *flow)
{
	return (!rule->has_src || span_matches(&rule->src, flow->saddr)) &&
	       (!rule->has_dst || span_matches(&rule->dst, flow->daddr));
}

static enum policy_match service_matches(const struct fib_rule *rule, const struct flow *flow)
{
	if (rule->ip_protocol && rule->ip_protocol != flow->protocol)
		return MATCH_NO;
	if (rule->dports.to && flow->dport && !ports_match(&rule->dports, flow->dport))
		return MATCH_NO;
	if (rule->sports.to && flow->sport && !ports_match(&rule->sports, flow->sport))
		return MATCH_NO;
	if ((rule->dports.to && !flow->dport) || (rule->sports.to && !flow->sport))
		return MATCH_MAYBE;
	return MATCH_YES;
}

static enum policy_match selectors_match(const struct fib_rule *rule, const struct flow *flow)
{
	enum policy_match match;

	if ((flow->mark ^ rule->mark.value) & rule->mark.mask || !interfaces_match(rule, flow) ||
	    !addresses_match(rule, flow) || (rule->never && flow->iif))
		return MATCH_NO;
	match = service_matches(rule, flow);
	if (match == MATCH_YES && (rule->unknown || rule->l3mdev || rule->never))
		return MATCH_MAYBE;
	return match;
}

enum policy_match fib_rule_match(const struct fib_rule *rule, const struct flow *flow)
{
	enum policy_match match = selectors_match(rule, flow);

	if (!rule->invert || match == MATCH_MAYBE)
		return match;
	return match == MATCH_YES ? MATCH_NO : MATCH_YES;
}

static const char *span_text(struct arena *arena, const char *word, enum family family, bool has,
			     const struct span *span)
{
	char text[SPAN_TEXT];

	return has ? arena_printf(arena, "%s %s ", word, span_format(span, family, text)) : "";
}

static const char *name_text(struct arena *arena, const char *word, const char *name)
{
	return name ? arena_printf(arena, "%s %s ", word, arena_printable(arena, name)) : "";
}

static const char *ports_text(struct arena *arena, const char *word, const struct ports *ports)
{
	if (!ports->to)
		return "";
	if (ports->mask)
		return arena_printf(arena, "%s %u/0x%x ", word, ports->from, ports->mask);
	if (ports->from == ports->to)
		return arena_printf(arena, "%s %u ", word, ports->from);
	return arena_printf(arena, "%s %u-%u ", word, ports->from, ports->to);
}

static const char *mark_text(struct arena *arena, const struct mark *mark)
{
	return mark->mask ? arena_printf(arena, "fwmark 0x%x/0x%x ", mark->value, mark->mask) : "";
}

static const char *action_text(struct arena *arena, const struct fib_rule *rule)
{
	switch (rule->action) {
	case FIB_LOOKUP:
		if (rule->l3mdev)
			return "lookup [l3mdev-table]";
		if (rule->suppress_prefix >= 0)
			return arena_printf(arena, "lookup %u suppress_prefixlength %d",
					    rule->table, rule->suppress_prefix);
		return arena_printf(arena, "lookup %u", rule->table);
	case FIB_GOTO:
		return arena_printf(arena, "goto %u", rule->target);
	case FIB_NOP:
		return "nop";
	case FIB_UNREACHABLE:
		return "unreachable";
	case FIB_PROHIBIT:
		return "prohibit";
	case FIB_BLACKHOLE:
		return "blackhole";
	case FIB_OTHER:
		break;
	}
	return "another action";
}

static const char *selector_text(struct arena *arena, const char *name)
{
	return name ? arena_printf(arena, "%s ", name) : "";
}

const char *fib_rule_format(struct arena *arena, const struct fib_rule *rule)
{
	const char *protocol =
		rule->ip_protocol ? arena_printf(arena, "ipproto %u ", rule->ip_protocol) : "";

	return arena_printf(
		arena, "%s rule %u: %s%s%s%s%s%s%s%s%s%s%s%s", family_name(rule->family),
		rule->priority, rule->invert ? "not " : "",
		span_text(arena, "from", rule->family, rule->has_src, &rule->src),
		span_text(arena, "to", rule->family, rule->has_dst, &rule->dst),
		name_text(arena, "iif", rule->iif), name_text(arena, "oif", rule->oif),
		mark_text(arena, &rule->mark), protocol, ports_text(arena, "sport", &rule->sports),
		ports_text(arena, "dport", &rule->dports), selector_text(arena, rule->never),
		selector_text(arena, rule->unknown), action_text(arena, rule));
}

/* A goto leads to the first rule of exactly that priority, or when there is none, nowhere. */
const struct fib_rule *policy_next(const struct policy *policy, const struct fib_rule *rule,
				   enum policy_match match)
{
	const struct fib_rule *end = policy->rules + policy->count;

	if (rule->action == FIB_GOTO && match == MATCH_YES)
		for (const struct fib_rule *to = rule + 1; to < end; to++)
			if (to->priority == rule->target)
				return to;
	return rule + 1 < end ? rule + 1 : NULL;
}

/* The answer that a refusing rule makes. */
static bool refuses_so(const struct fib_rule *rule, enum fate fate)
{
	return (rule->action == FIB_UNREACHABLE && fate == FATE_NO_ROUTE) ||
	       (rule->action == FIB_PROHIBIT && fate == FATE_PROHIBITED) ||
	       (rule->action == FIB_BLACKHOLE && fate == FATE_INVALID);
}

static bool was_found(const struct course *course)
{
	return course->fate == FATE_FORWARDED || course->fate == FATE_DELIVERED;
}

/* Whether the course came out of this look-up. */
static bool looks_up_so(const struct fib_rule *rule, const struct course *course)
{
	return was_found(course) && rule->table == course->table &&
	       rule->suppress_prefix < (int32_t)course->prefix;
}

/* True when the rule ends the search; a look-up that found nothing does not. */
static bool decides(const struct fib_rule *rule, const struct course *course,
		    struct policy_verdict *out)
{
	switch (rule->action) {
	case FIB_LOOKUP:
		if (!looks_up_so(rule, course))
			return false;
		out->rule = rule;
		return true;
	case FIB_UNREACHABLE:
	case FIB_PROHIBIT:
	case FIB_BLACKHOLE:
		out->rule = refuses_so(rule, course->fate) ? rule : NULL;
		out->contradicts = was_found(course);
		return true;
	case FIB_GOTO:
	case FIB_NOP:
	case FIB_OTHER:
		break;
	}
	return false;
}

/*
 * A look-up that matches and is not the one that the answer names has found
 * nothing: the kernel says so by having gone on.
 */
void policy_explain(const struct policy *policy, const struct flow *flow,
		    const struct course *course, struct policy_verdict *out)
{
	const struct fib_rule *rule = policy->count ? policy->rules : NULL;

	*out = (struct policy_verdict){ 0 };
	while (rule) {
		enum policy_match match = fib_rule_match(rule, flow);

		if (match == MATCH_YES && decides(rule, course, out))
			return;
		if (match == MATCH_MAYBE && !out->doubt)
			out->doubt = rule;
		rule = policy_next(policy, rule, match);
	}
	out->contradicts = was_found(course);
}
