/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connections that a rule marks, as a box. */
#include <string.h>

#include "reconcile/document_fields.h"
#include "reconcile/import_parts.h"

/* netinet/in.h */
enum { TCP = 6, UDP = 17, SCTP = 132, PORT_MAX = 65535 };

const char *rule_is_shadowed(struct inference *in, const struct foreign_rule *rule)
{
	for (const struct foreign_rule *other = in->foreign->rules; other < rule; other++)
		if (other->hook == rule->hook &&
		    (other->action == FOREIGN_LEAVES || other->action == FOREIGN_UNKNOWN) &&
		    !foreign_disjoint(other, rule))
			return arena_printf(&in->out->arena,
					    "%s before %s may keep packets from it",
					    other->hand.place, rule->hand.place);
	return NULL;
}

static struct spans span_alone(struct arena *arena, const struct span *span)
{
	struct span *item = arena_alloc(arena, sizeof(*item));

	*item = *span;
	return (struct spans){ item, 1, 1 };
}

static struct spans addresses_of(struct arena *arena, const struct foreign_rule *rule,
				 enum foreign_field field, enum family family)
{
	return rule->narrowed[field] ? rule->addresses[field][family]
				     : span_alone(arena, family_span(family));
}

static uint16_t port_of(const uint8_t *key)
{
	return (uint16_t)(key[0] << 8 | key[1]);
}

/* Port 0 is no service: a range from it begins with 1. */
static void services_add(struct arena *arena, uint8_t protocol, const struct spans *ports,
			 struct spans *out)
{
	for (size_t i = 0; i < ports->count; i++) {
		uint16_t from = port_of(ports->items[i].from), to = port_of(ports->items[i].to);
		struct span *span;

		if (!to)
			continue;
		span = ARENA_PUSH(arena, out->items, out->count, out->room);
		service_key(protocol, from ? from : 1, span->from);
		service_key(protocol, to, span->to);
	}
}

static struct spans services_of(struct arena *arena, const struct foreign_rule *rule,
				enum foreign_field field)
{
	static const uint8_t known[] = { TCP, UDP, SCTP };
	static struct span any = { .to = { 0xff, 0xff } };
	const struct spans any_port = { &any, 1, 1 };
	struct spans services = { 0 };

	for (size_t i = 0; i < sizeof(known); i++) {
		uint8_t key[SPAN_BYTES] = { known[i] };

		if (spans_contain(&rule->numbers[FOREIGN_PROTOCOL], key))
			services_add(arena, known[i],
				     rule->narrowed[field] ? &rule->numbers[field] : &any_port,
				     &services);
	}
	return services;
}

static bool has_other_protocols(const struct foreign_rule *rule)
{
	const struct spans *spans = &rule->numbers[FOREIGN_PROTOCOL];

	for (size_t i = 0; i < spans->count; i++)
		for (unsigned int p = spans->items[i].from[0]; p <= spans->items[i].to[0]; p++)
			if (p != TCP && p != UDP && p != SCTP)
				return true;
	return !rule->narrowed[FOREIGN_PROTOCOL];
}

/* A pattern of a document must say the same. */
static bool interfaces_have_patterns(const struct foreign_rule *rule)
{
	char text[IFNAME_SIZE + 1];

	for (size_t i = 0; i < rule->interfaces.count; i++)
		if (!interface_format(&rule->interfaces.items[i], text))
			return false;
	return true;
}

static const char *rule_wrong(struct inference *in, const struct foreign_rule *rule)
{
	if (rule->among != AMONG_THESE)
		return "it does not say by which interfaces the packets come in; name them";
	if (!interfaces_have_patterns(rule))
		return "the name of an interface is none that a document can hold";
	if (has_other_protocols(rule))
		return "it takes protocols other than tcp, udp and sctp, or all; a redirect has "
		       "services";
	if (rule->narrowed[FOREIGN_SPORT] && rule->narrowed[FOREIGN_DPORT])
		return "it looks at both ports; a redirect has services of servers only";
	if (rule->connection.mark.mask || rule->packet.mark.mask)
		return "it looks at marks that are there already; a redirect does not";
	if (rule->narrowed[FOREIGN_SPORT] && rule->is_new)
		return "no answer is a new connection: it never matches";
	return rule_is_shadowed(in, rule);
}

const char *caught_read(struct inference *in, const struct foreign_rule *rule, enum family family,
			struct caught *out)
{
	struct arena *arena = &in->out->arena;
	bool is_answer = rule->narrowed[FOREIGN_SPORT];
	enum foreign_field client = is_answer ? FOREIGN_DESTINATION : FOREIGN_SOURCE;
	enum foreign_field server = is_answer ? FOREIGN_SOURCE : FOREIGN_DESTINATION;
	const char *wrong = rule_wrong(in, rule);

	*out = (struct caught){ .rule = rule, .is_answer = is_answer, .is_new = rule->is_new };
	if (wrong)
		return wrong;
	out->box.family = family;
	out->box.sides[SIDE_INTERFACES] = rule->interfaces;
	out->box.sides[SIDE_CLIENTS] = addresses_of(arena, rule, client, family);
	out->box.sides[SIDE_SERVERS] = addresses_of(arena, rule, server, family);
	out->box.sides[SIDE_SERVICES] =
		services_of(arena, rule, is_answer ? FOREIGN_SPORT : FOREIGN_DPORT);
	for (enum side side = 0; side < SIDE_COUNT; side++)
		if (!out->box.sides[side].count)
			return "its conditions exclude each other: it never matches";
	return NULL;
}
