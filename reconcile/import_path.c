/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a connection mark to a next hop: the rule that makes a packet mark of
 * it, the policy rule for that, the route of its table. Each of them must
 * take all of the rule's traffic, and the document's mark is made of the bits
 * that all of them agree in.
 */
#include <string.h>

#include "reconcile/import_parts.h"

enum { PRIORITY_MAIN = 32766 };

const char *lookup_words(struct arena *arena, const struct rule *rule)
{
	const char *mark = rule->mark.mask ? arena_printf(arena, "fwmark 0x%x/0x%x ",
							  rule->mark.value, rule->mark.mask)
					   : "";
	const char *more = rule->has_more ? "with more conditions " : "";

	if (rule->action == RULE_LOOKUP)
		return arena_printf(arena, "%s%slookup %u", mark, more, rule->table);
	return arena_printf(arena, "%s%s%s", mark, more,
			    rule->action == RULE_UNREACHABLE ? "unreachable" : "another action");
}

const char *route_words(struct arena *arena, const struct route *route)
{
	return arena_printf(arena, "%s%s", route->type == ROUTE_UNICAST ? "" : "other ",
			    route_way(arena, route));
}

static bool is_subset(uint32_t bits, uint32_t of)
{
	return !(bits & ~of);
}

/* Whether a connection that bears the mark passes the test; of bits that it says nothing of, no. */
static bool test_takes(const struct foreign_test *test, const struct mark *mark)
{
	bool same = (mark->value & test->mark.mask) == test->mark.value;

	return is_subset(test->mark.mask, mark->mask) && same != test->negate;
}

bool is_convert(const struct foreign_rule *rule, enum family family, const struct mark *mark)
{
	if (!rule->families[family] || !test_takes(&rule->connection, mark))
		return false;
	return rule->action == FOREIGN_RESTORES ||
	       (rule->action == FOREIGN_MARKS_PACKET && rule->connection.mark.mask);
}

static bool asks_for_more(const struct foreign_rule *rule)
{
	for (enum foreign_field field = 0; field < FOREIGN_FIELD_COUNT; field++)
		if (rule->narrowed[field])
			return true;
	return rule->is_new || rule->packet.mark.mask;
}

static const char *convert_wrong(struct inference *in, const struct foreign_rule *convert,
				 const struct foreign_rule *rule)
{
	struct arena *arena = &in->out->arena;

	if (*convert->obscure)
		return arena_printf(arena,
				    "%s makes a packet mark of it, and is not understood: %s",
				    convert->hand.place, convert->obscure);
	if (asks_for_more(convert))
		return arena_printf(arena, "%s makes a packet mark of it for some packets only: %s",
				    convert->hand.place, foreign_words(arena, convert));
	if (convert < rule)
		return arena_printf(arena,
				    "%s makes a packet mark of it, and stands before it: the first "
				    "packet goes straight to the server; put it behind",
				    convert->hand.place);
	return rule_is_shadowed(in, convert);
}

/* The first one that takes it, and takes it well; else what is wrong with the first. */
static const char *convert_find(struct inference *in, const struct foreign_rule *rule,
				enum family family, struct path *path)
{
	const char *first_wrong = NULL;

	for (size_t i = 0; i < in->foreign->rule_count; i++) {
		const struct foreign_rule *convert = &in->foreign->rules[i];
		const char *wrong;

		if (!is_convert(convert, family, &rule->mark))
			continue;
		wrong = convert_wrong(in, convert, rule);
		path->convert = convert;
		if (!wrong)
			return NULL;
		if (!first_wrong)
			first_wrong = wrong;
	}
	if (first_wrong)
		return first_wrong;
	return arena_printf(&in->out->arena,
			    "no rule makes a packet mark of connection mark 0x%x in %s",
			    rule->mark.value, family_name(family));
}

/* What is known of the packet mark after the conversion. */
static struct mark packet_mark(const struct foreign_rule *convert, const struct mark *connection)
{
	if (convert->action == FOREIGN_MARKS_PACKET)
		return convert->mark;
	return (struct mark){
		.value = connection->value & convert->mark.value,
		.mask = convert->mark.mask & (connection->mask | ~convert->mark.value),
	};
}

static bool lookup_takes(const struct rule *lookup, enum family family, const struct mark *packet)
{
	return lookup->family == family && lookup->mark.mask &&
	       is_subset(lookup->mark.mask, packet->mask) &&
	       (packet->value & lookup->mark.mask) == lookup->mark.value;
}

static const char *lookup_wrong(struct inference *in, const struct rule *lookup)
{
	struct arena *arena = &in->out->arena;

	if (lookup->has_more)
		return arena_printf(arena, "%s rule %u looks at more than the packet mark",
				    family_name(lookup->family), lookup->priority);
	if (lookup->action != RULE_LOOKUP)
		return arena_printf(arena, "%s rule %u does not look up a table",
				    family_name(lookup->family), lookup->priority);
	if (!lookup->table || (lookup->table >= TABLE_DEFAULT && lookup->table <= TABLE_LOCAL))
		return arena_printf(arena, "%s rule %u looks up a table that is not a gateway's",
				    family_name(lookup->family), lookup->priority);
	if (lookup->priority > PRIORITY_MAIN)
		return arena_printf(arena, "%s rule %u stands behind the main table",
				    family_name(lookup->family), lookup->priority);
	return NULL;
}

/* The rules are sorted by priority: the first that takes the packet decides. */
static const char *lookup_find(struct inference *in, enum family family, const struct mark *packet,
			       struct path *path)
{
	const struct state *state = in->state;

	for (size_t i = 0; i < state->rule_count; i++) {
		const struct rule *rule = &state->rules[i];

		if (!lookup_takes(rule, family, packet))
			continue;
		if (!path->lookup) {
			const char *wrong = lookup_wrong(in, rule);

			if (wrong)
				return wrong;
			path->lookup = rule;
		} else if (rule->action == RULE_UNREACHABLE && !rule->has_more &&
			   rule->priority < PRIORITY_MAIN && !path->refusal) {
			path->refusal = rule;
		}
	}
	if (path->lookup)
		return NULL;
	return arena_printf(&in->out->arena,
			    "no %s policy rule looks up a table for packet mark 0x%x",
			    family_name(family), packet->value);
}

/* NULL with the reason. */
static const struct route *route_find(struct inference *in, enum family family, uint32_t table,
				      const char **why)
{
	const struct state *state = in->state;
	struct arena *arena = &in->out->arena;
	const struct route *found = NULL;

	for (size_t i = 0; i < state->route_count; i++) {
		const struct route *route = &state->routes[i];

		if (route->family != family || route->table != table)
			continue;
		if (found || !route->is_default || route->type != ROUTE_UNICAST ||
		    route->multipath || !route->has_gateway || !*route->dev) {
			*why = arena_printf(arena,
					    "%s table %u holds more than one default route with a "
					    "next hop: %s",
					    family_name(family), table, route_words(arena, route));
			return NULL;
		}
		found = route;
	}
	if (!found)
		*why = arena_printf(arena, "%s table %u has no default route with a next hop",
				    family_name(family), table);
	return found;
}

/* Packets from the gateway must not be sent back to it, and the rule's own packets must be sent. */
static const char *interfaces_wrong(struct inference *in, const struct foreign_rule *rule,
				    const struct path *path)
{
	struct arena *arena = &in->out->arena;
	const struct foreign_rule *convert = path->convert;
	const char *dev = path->route->dev;
	uint8_t key[SPAN_BYTES] = { 0 };
	bool is_named;

	memcpy(key, dev, strnlen(dev, IFNAME_SIZE - 1));
	is_named = spans_contain(&convert->interfaces, key);
	if (convert->among == AMONG_ANY || is_named != (convert->among == AMONG_OTHERS))
		return arena_printf(arena,
				    "%s takes packets from the gateway's interface %s, too, and "
				    "sends them back there; say ! -i %s",
				    convert->hand.place, dev, dev);
	if (convert->among == AMONG_OTHERS && rule->among == AMONG_THESE &&
	    !spans_intersect(&rule->interfaces, &convert->interfaces))
		return NULL;
	if (convert->among == AMONG_THESE && rule->among == AMONG_THESE) {
		struct spans rest;

		spans_subtract(arena, &rule->interfaces, &convert->interfaces, SPAN_BYTES, &rest);
		if (!rest.count)
			return NULL;
	}
	return arena_printf(arena, "%s does not take the packets of all its interfaces",
			    convert->hand.place);
}

static const char *mark_find(struct inference *in, const struct foreign_rule *rule,
			     const struct mark *packet, struct path *path)
{
	const struct foreign_rule *convert = path->convert;
	uint32_t mask = path->lookup->mark.mask & packet->mask;

	if (convert->connection.mark.mask && !convert->connection.negate)
		mask &= convert->connection.mark.mask;
	if (convert->action == FOREIGN_RESTORES)
		mask &= convert->mark.value;
	mask &= rule->mark.mask;
	path->mark = (struct mark){ .value = rule->mark.value & mask, .mask = mask };
	if (path->mark.value && path->mark.value == (packet->value & mask))
		return NULL;
	return arena_printf(&in->out->arena,
			    "its connection mark 0x%x becomes packet mark 0x%x; a gateway has one "
			    "mark for both",
			    rule->mark.value, packet->value);
}

const char *path_find(struct inference *in, const struct foreign_rule *rule, enum family family,
		      struct path *out)
{
	const char *wrong;
	struct mark packet;

	*out = (struct path){ 0 };
	wrong = convert_find(in, rule, family, out);
	if (wrong)
		return wrong;
	packet = packet_mark(out->convert, &rule->mark);
	wrong = lookup_find(in, family, &packet, out);
	if (wrong)
		return wrong;
	out->route = route_find(in, family, out->lookup->table, &wrong);
	if (!out->route)
		return wrong;
	wrong = interfaces_wrong(in, rule, out);
	return wrong ? wrong : mark_find(in, rule, &packet, out);
}
