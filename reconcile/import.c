/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/import.h"

#include <string.h>

#include "reconcile/document_fields.h"
#include "reconcile/import_parts.h"

/* A copy, since places and names are what others wrote, and go with what was read. */
static const char *kept(struct inference *in, const char *text)
{
	struct arena *arena = &in->out->arena;

	return arena_strdup(arena, arena_printable(arena, text));
}

static void finding_add(struct inference *in, struct findings *to, const struct finding *finding)
{
	struct arena *arena = &in->out->arena;

	*ARENA_PUSH(arena, to->items, to->count, to->room) = (struct finding){
		.kind = finding->kind,
		.object = kept(in, finding->object),
		.found = kept(in, finding->found),
		.why = kept(in, finding->why),
	};
}

/* --- steps 1 and 2 --------------------------------------------------------- */

static bool same_way(const struct caught *a, const struct caught *b)
{
	return mark_equal(&a->path.mark, &b->path.mark) &&
	       a->path.lookup->table == b->path.lookup->table;
}

static const struct caught *twin_of(const struct inference *in, const struct caught *caught)
{
	for (const struct caught *other = in->caught; other < caught; other++)
		if (caught_is_used(other) && other->is_answer == caught->is_answer &&
		    other->is_new == caught->is_new && same_way(other, caught) &&
		    box_equal(&other->box, &caught->box))
			return other;
	return NULL;
}

static void rules_catch(struct inference *in)
{
	in->caught = arena_alloc(&in->out->arena,
				 in->foreign->rule_count * FAMILY_COUNT * sizeof(*in->caught));
	for (size_t i = 0; i < in->foreign->rule_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++) {
			const struct foreign_rule *rule = &in->foreign->rules[i];
			struct caught *caught;

			if (rule->action != FOREIGN_MARKS_CONNECTION || *rule->obscure ||
			    !rule->families[family])
				continue;
			caught = &in->caught[in->caught_count++];
			caught->why = caught_read(in, rule, family, caught);
			if (!caught->why)
				caught->why = path_find(in, rule, family, &caught->path);
			if (!caught->why)
				caught->twin = twin_of(in, caught);
		}
}

/* By hand the later rule wins; in a document each connection has one gateway. */
static void overlaps_refuse(struct inference *in)
{
	for (size_t i = 0; i < in->caught_count; i++)
		for (size_t j = i + 1; j < in->caught_count; j++) {
			struct caught *a = &in->caught[i], *b = &in->caught[j];
			struct arena *arena = &in->out->arena;

			if (!caught_is_used(a) || !caught_is_used(b) || a->is_answer ||
			    b->is_answer || same_way(a, b) || !box_intersects(&a->box, &b->box))
				continue;
			a->why = arena_printf(arena, "%s sends some of its connections elsewhere",
					      b->rule->hand.place);
			b->why = arena_printf(arena, "%s sends some of its connections elsewhere",
					      a->rule->hand.place);
		}
}

/*
 * Boxes of step 1 as an answer would be caught: by whatever interface, to
 * whatever client. A gateway that spoofs its clients is recognized by its own
 * connections, so what counts is that the answers are those to connections
 * which are redirected, and those to all of their clients.
 */
static const char *answer_wrong(struct inference *in, const struct caught *answer)
{
	struct arena *arena = &in->out->arena;
	struct box *boxes = arena_alloc(arena, in->caught_count * sizeof(*boxes));
	size_t count = 0;

	for (size_t i = 0; i < in->caught_count; i++) {
		const struct caught *caught = &in->caught[i];
		struct box box = answer->box;
		struct spans missed;

		if (!caught_is_used(caught) || caught->is_answer || !same_way(caught, answer))
			continue;
		box.sides[SIDE_SERVERS] = caught->box.sides[SIDE_SERVERS];
		box.sides[SIDE_SERVICES] = caught->box.sides[SIDE_SERVICES];
		if (caught->box.family != answer->box.family || !box_intersects(&box, &answer->box))
			continue;
		spans_subtract(arena, &caught->box.sides[SIDE_CLIENTS],
			       &answer->box.sides[SIDE_CLIENTS], family_bytes(box.family), &missed);
		if (missed.count)
			return arena_printf(arena,
					    "it takes the answers to some clients of %s only; a "
					    "gateway spoofs all of its clients or none",
					    caught->rule->hand.place);
		boxes[count++] = box;
	}
	if (box_is_covered(arena, &answer->box, boxes, count))
		return NULL;
	return "it takes answers to connections that no rule redirects there";
}

void answers_judge(struct inference *in)
{
	for (size_t i = 0; i < in->caught_count; i++) {
		struct caught *caught = &in->caught[i];

		if (caught->is_answer && caught_is_used(caught))
			caught->why = answer_wrong(in, caught);
	}
}

/* --- what is left ---------------------------------------------------------- */

static void duplicate(struct inference *in, enum kind kind, const char *object, const char *found,
		      const char *of)
{
	finding_add(in, &in->out->duplicates,
		    &(struct finding){ kind_name(kind), object, found, of });
}

/* In all families that it is about. */
static const char *selection_unused(struct inference *in, const struct foreign_rule *rule,
				    const struct foreign_rule **twin)
{
	for (size_t i = 0; i < in->caught_count; i++) {
		const struct caught *caught = &in->caught[i];

		if (caught->rule != rule)
			continue;
		if (caught->why)
			return caught->why;
		if (caught->twin && caught->twin->why)
			return caught->twin->why;
		if (caught->twin)
			*twin = caught->twin->rule;
	}
	return NULL;
}

static bool converts(const struct inference *in, const struct foreign_rule *rule)
{
	for (size_t i = 0; i < in->caught_count; i++)
		if (caught_is_used(&in->caught[i]) && in->caught[i].path.convert == rule)
			return true;
	return false;
}

bool same_conversion(const struct foreign_rule *a, const struct foreign_rule *b)
{
	return a->action == b->action && mark_equal(&a->mark, &b->mark) && a->among == b->among &&
	       !memcmp(a->families, b->families, sizeof(a->families)) && !*a->obscure &&
	       !*b->obscure && mark_equal(&a->connection.mark, &b->connection.mark) &&
	       a->connection.negate == b->connection.negate && a->is_new == b->is_new &&
	       mark_equal(&a->packet.mark, &b->packet.mark) &&
	       !memcmp(a->narrowed, b->narrowed, sizeof(a->narrowed)) &&
	       a->interfaces.count == b->interfaces.count &&
	       (!a->interfaces.count ||
		!memcmp(a->interfaces.items, b->interfaces.items,
			a->interfaces.count * sizeof(*a->interfaces.items)));
}

static const char *conversion_unused(struct inference *in, const struct foreign_rule *rule,
				     const struct foreign_rule **twin)
{
	if (converts(in, rule))
		return NULL;
	for (size_t i = 0; i < in->foreign->rule_count; i++) {
		const struct foreign_rule *other = &in->foreign->rules[i];

		if (!converts(in, other) || !same_conversion(rule, other))
			continue;
		*twin = other;
		return NULL;
	}
	if (rule->action == FOREIGN_RESTORES || rule->connection.mark.mask)
		return "no rule that could be used sets the connection mark that it looks at";
	return "it marks packets, not connections: a redirect takes whole connections";
}

const char *rule_unused(struct inference *in, const struct foreign_rule *rule,
			const struct foreign_rule **twin)
{
	*twin = NULL;
	if (rule->action == FOREIGN_NOTHING || rule->action == FOREIGN_LEAVES)
		return NULL;
	if (*rule->obscure)
		return arena_printf(&in->out->arena, "not understood: %s", rule->obscure);
	if (rule->action == FOREIGN_MARKS_CONNECTION)
		return selection_unused(in, rule, twin);
	return conversion_unused(in, rule, twin);
}

static void rule_report(struct inference *in, const struct foreign_rule *rule)
{
	const struct foreign_rule *twin;
	const char *why = rule_unused(in, rule, &twin);
	const char *words = foreign_words(&in->out->arena, rule);

	if (why)
		finding_add(in, &in->out->unexpressed,
			    &(struct finding){ kind_name(KIND_NFT_RULE), rule->hand.place, words,
					       why });
	else if (twin)
		duplicate(in, KIND_NFT_RULE, rule->hand.place, words, twin->hand.place);
}

bool same_lookup(const struct rule *a, const struct rule *b)
{
	return a->family == b->family && mark_equal(&a->mark, &b->mark) && a->action == b->action &&
	       a->table == b->table && !a->has_more && !b->has_more;
}

const char *lookup_unused(const struct inference *in, const struct rule *rule,
			  const struct rule **twin)
{
	*twin = NULL;
	for (size_t i = 0; i < in->caught_count; i++) {
		const struct path *path = &in->caught[i].path;

		if (!caught_is_used(&in->caught[i]))
			continue;
		if (rule == path->lookup || rule == path->refusal)
			return NULL;
		if (same_lookup(rule, path->lookup))
			*twin = path->lookup;
		else if (path->refusal && same_lookup(rule, path->refusal))
			*twin = path->refusal;
		if (*twin)
			return NULL;
	}
	return "no rule that could be used gives packets that mark";
}

const char *lookup_place(struct arena *arena, const struct rule *rule)
{
	return arena_printf(arena, "%s priority %u", family_name(rule->family), rule->priority);
}

static void lookup_report(struct inference *in, const struct rule *rule)
{
	struct arena *arena = &in->out->arena;
	const struct rule *twin;
	const char *why = lookup_unused(in, rule, &twin);
	const char *object = lookup_place(arena, rule), *words = lookup_words(arena, rule);

	if (why)
		finding_add(in, &in->out->unexpressed,
			    &(struct finding){ kind_name(KIND_RULE), object, words, why });
	else if (twin)
		duplicate(in, KIND_RULE, object, words, lookup_place(arena, twin));
}

static void lookups_report(struct inference *in)
{
	const struct state *state = in->state;

	for (size_t i = 0; i < state->rule_count; i++)
		if (state->rules[i].mark.mask && state->rules[i].protocol != PROTOCOL_DETOUR)
			lookup_report(in, &state->rules[i]);
}

static void names_report(struct inference *in)
{
	const struct state *state = in->state;
	struct arena *arena = &in->out->arena;

	for (size_t i = 1; i < state->rt_table_count; i++) {
		const struct rt_table *name = &state->rt_tables[i], *other = name - 1;

		for (size_t j = 0; j < in->gateway_count; j++)
			if (in->gateways[j].table == name->id && other->id == name->id &&
			    !strcmp(other->name, name->name) && !name->own && !other->own)
				duplicate(in, KIND_RT_TABLE,
					  arena_printf(arena, "%u %s in %s", name->id, name->name,
						       name->file),
					  name->name, other->file);
	}
}

static void legacy_report(struct inference *in)
{
	for (size_t i = 0; i < in->foreign->legacy_count; i++) {
		const struct legacy_rule *legacy = &in->foreign->legacy[i];

		finding_add(in, &in->out->unexpressed,
			    &(struct finding){ "iptables-legacy", legacy->place, legacy->found,
					       legacy->remedy });
	}
}

void inference_run(struct inference *in)
{
	rules_catch(in);
	overlaps_refuse(in);
	in->out->document = import_document(in);
}

void import_infer(const struct state *observed, struct import *out)
{
	const struct foreign *foreign = observed->foreign;
	struct inference in = { .state = observed, .foreign = foreign, .out = out };

	*out = (struct import){ 0 };
	inference_run(&in);
	for (size_t i = 0; i < foreign->rule_count; i++)
		rule_report(&in, &foreign->rules[i]);
	lookups_report(&in);
	names_report(&in);
	legacy_report(&in);
}

void import_free(struct import *import)
{
	json_decref(import->document);
	arena_free(&import->arena);
	*import = (struct import){ 0 };
}
