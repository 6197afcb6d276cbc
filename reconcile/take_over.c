/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/take_over.h"

#include <string.h>

#include "reconcile/import_parts.h"
#include "reconcile/selection.h"

static const char not_named[] = "it serves a gateway that the document does not name";

struct taking {
	struct inference in;
	const struct document *document;
	struct state *observed;
	struct leftovers *out;           /* the observed state's */
	const struct gateway **gateways; /* of each caught: which replaces it, or NULL */
	struct box *boxes;               /* of the redirects of one gateway */
	size_t box_count, box_room;
};

static void finding_add(struct taking *taking, struct findings *to, enum kind kind,
			const char *object, const char *found, const char *why)
{
	struct arena *arena = &taking->observed->arena;

	*ARENA_PUSH(arena, to->items, to->count, to->room) = (struct finding){
		.kind = kind_name(kind),
		.object = arena_printable(arena, object),
		.found = arena_printable(arena, found),
		.why = arena_printable(arena, arena_strdup(arena, why)),
	};
}

/* --- what replaces it -------------------------------------------------------- */

static bool is_same_box(const struct gateway *gateway, const struct route *route)
{
	return !strcmp(gateway->interface, route->dev) && gateway->has_address[route->family] &&
	       !memcmp(gateway->address[route->family], route->gateway, SPAN_BYTES);
}

/* Connections in progress go on only where their mark is the gateway's, too. */
static bool bears_mark(const struct gateway *gateway, const struct mark *mark)
{
	return !(gateway->mark.mask & ~mark->mask) &&
	       (mark->value & gateway->mark.mask) == gateway->mark.value;
}

static bool is_understood(const struct caught *caught)
{
	return !caught->why && (!caught->twin || !caught->twin->why);
}

/* Of gateways that are one box, the one with that mark. */
static const struct gateway *replacement(const struct taking *taking, const struct caught *caught)
{
	const struct gateway *found = NULL;

	for (size_t i = 0; i < taking->document->gateway_count && is_understood(caught); i++) {
		const struct gateway *gateway = &taking->document->gateways[i];

		if (!is_same_box(gateway, caught->path.route))
			continue;
		if (bears_mark(gateway, &caught->path.mark))
			return gateway;
		found = found ? found : gateway;
	}
	return found;
}

static struct spans services_of(struct arena *arena, const struct redirect *redirect)
{
	struct spans services = { 0 };

	for (size_t i = 0; i < redirect->service_count; i++) {
		const struct service *service = &redirect->services[i];
		struct span *span =
			ARENA_PUSH(arena, services.items, services.count, services.room);

		service_key(service->protocol, service->from, span->from);
		service_key(service->protocol, service->to, span->to);
	}
	return services;
}

static struct box box_of(struct arena *arena, const struct selection *selection, enum family family)
{
	return (struct box){
		.family = family,
		.sides = { [SIDE_INTERFACES] = selection->redirect->interface_spans,
			   [SIDE_CLIENTS] = selection->clients[family],
			   [SIDE_SERVERS] = selection->servers[family],
			   [SIDE_SERVICES] = services_of(arena, selection->redirect) },
	};
}

/* What the document sends to the gateway. */
static void boxes_find(struct taking *taking, const struct gateway *gateway)
{
	struct arena *arena = &taking->observed->arena;
	const struct selection *selections;
	size_t count = selections_build(arena, taking->document, &selections);

	taking->box_count = 0;
	for (size_t i = 0; i < count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (selections[i].redirect->gateway == gateway &&
			    selections[i].servers[family].count)
				*ARENA_PUSH(arena, taking->boxes, taking->box_count,
					    taking->box_room) =
					box_of(arena, &selections[i], family);
}

/* What is sent to the gateway itself gets there without a redirect. */
static bool is_redirected(struct taking *taking, const struct gateway *gateway,
			  const struct caught *caught)
{
	struct arena *arena = &taking->observed->arena;
	struct box box = caught->box;
	struct span own = { 0 };
	const struct spans alone = { &own, 1, 1 };

	memcpy(own.from, gateway->address[box.family], SPAN_BYTES);
	memcpy(own.to, gateway->address[box.family], SPAN_BYTES);
	spans_subtract(arena, &caught->box.sides[SIDE_SERVERS], &alone, family_bytes(box.family),
		       &box.sides[SIDE_SERVERS]);
	return box_is_covered(arena, &box, taking->boxes, taking->box_count);
}

static const char *mark_text(struct arena *arena, const struct mark *mark)
{
	return mark_is_full(mark) ? arena_printf(arena, "%u", mark->value)
				  : arena_printf(arena, "\"0x%x/0x%x\"", mark->value, mark->mask);
}

static bool is_on_path(const struct rule *rule, const struct path *path)
{
	return same_lookup(rule, path->lookup) ||
	       (path->refusal && same_lookup(rule, path->refusal));
}

/* Rules of one priority go by age: what is put back comes behind the others. */
static bool shares_priority(const struct taking *taking, const struct path *path,
			    const struct rule *rule)
{
	for (size_t i = 0; i < taking->observed->rule_count; i++) {
		const struct rule *other = &taking->observed->rules[i];
		uint32_t common = other->mark.mask & path->mark.mask;

		if (other->protocol != PROTOCOL_DETOUR && other->family == rule->family &&
		    other->priority == rule->priority && !is_on_path(other, path) &&
		    !((other->mark.value ^ path->mark.value) & common))
			return true;
	}
	return false;
}

/* Why it cannot go, and what would help. NULL: it can. */
static const char *refusal(struct taking *taking, const struct gateway *gateway,
			   const struct caught *caught)
{
	struct arena *arena = &taking->observed->arena;
	const struct path *path = &caught->path;

	if (gateway->table != path->lookup->table)
		return arena_printf(arena,
				    "gateway %s has another table: say \"table\": %u, and another "
				    "one in a later apply",
				    gateway->name, path->lookup->table);
	if (!bears_mark(gateway, &path->mark))
		return arena_printf(arena,
				    "its connections would lose their way to gateway %s, which has "
				    "another mark: say \"mark\": %s, and another one in a later "
				    "apply",
				    gateway->name, mark_text(arena, &path->mark));
	if (shares_priority(taking, path, path->lookup) ||
	    (path->refusal && shares_priority(taking, path, path->refusal)))
		return "its policy rule has the priority of another one, and would come back "
		       "behind it; give the other one a priority of its own";
	if (caught->rule->is_bound)
		return "it has a set without a name, which could not be put back; delete it by "
		       "hand, or name the set";
	if (caught->is_answer && !gateway->spoofs_clients)
		return "it marks the answers of the servers: say \"spoofs_clients\", or delete it "
		       "by hand";
	if (!caught->is_answer && !is_redirected(taking, gateway, caught))
		return "the document does not redirect all of its connections: add them, or "
		       "delete it by hand";
	return NULL;
}

static void refuse(struct taking *taking, const struct foreign_rule *rule, const char *why)
{
	finding_add(taking, &taking->out->refused, KIND_HAND_RULE, rule->hand.place,
		    foreign_words(&taking->observed->arena, rule), why);
}

static bool gateway_is_refused(struct taking *taking, const struct gateway *gateway)
{
	bool is_refused = false;

	boxes_find(taking, gateway);
	for (size_t i = 0; i < taking->in.caught_count; i++) {
		const struct caught *caught = &taking->in.caught[i];
		const char *why;

		if (!taking->gateways[i] || taking->gateways[i] != gateway)
			continue;
		why = refusal(taking, gateway, caught);
		if (!why)
			continue;
		is_refused = true;
		refuse(taking, caught->rule, why);
	}
	return is_refused;
}

static void replacements_find(struct taking *taking)
{
	size_t count = taking->in.caught_count;

	taking->gateways = arena_alloc(&taking->observed->arena, count * sizeof(*taking->gateways));
	for (size_t i = 0; i < count; i++)
		taking->gateways[i] = replacement(taking, &taking->in.caught[i]);
	for (size_t g = 0; g < taking->document->gateway_count; g++) {
		const struct gateway *gateway = &taking->document->gateways[g];

		if (!gateway_is_refused(taking, gateway))
			continue;
		for (size_t i = 0; i < count; i++)
			if (taking->gateways[i] == gateway)
				taking->gateways[i] = NULL;
	}
}

/* --- what goes ---------------------------------------------------------------- */

/* In all families that it is about. */
static bool selection_goes(const struct taking *taking, const struct foreign_rule *rule)
{
	bool goes = false;

	for (size_t i = 0; i < taking->in.caught_count; i++) {
		if (taking->in.caught[i].rule != rule)
			continue;
		if (!taking->gateways[i])
			return false;
		goes = true;
	}
	return goes;
}

static bool serves_replaced(const struct taking *taking, const struct foreign_rule *convert)
{
	for (size_t i = 0; i < taking->in.caught_count; i++)
		if (taking->gateways[i] &&
		    (taking->in.caught[i].path.convert == convert ||
		     same_conversion(taking->in.caught[i].path.convert, convert)))
			return true;
	return false;
}

/* Connections with that mark are converted by the document, too. */
static bool mark_is_replaced(const struct taking *taking, const struct mark *mark)
{
	for (size_t i = 0; i < taking->in.caught_count; i++)
		if (taking->gateways[i] && bears_mark(taking->gateways[i], mark))
			return true;
	return false;
}

/* Somebody else's connections may need it, whether or not they were understood. */
static bool serves_others(const struct taking *taking, const struct foreign_rule *convert)
{
	const struct foreign *foreign = taking->in.foreign;

	for (size_t i = 0; i < foreign->rule_count; i++) {
		const struct foreign_rule *rule = &foreign->rules[i];

		if (rule->action != FOREIGN_MARKS_CONNECTION || selection_goes(taking, rule) ||
		    mark_is_replaced(taking, &rule->mark))
			continue;
		if (*rule->obscure && convert->action == FOREIGN_RESTORES)
			return true;
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (rule->families[family] && is_convert(convert, family, &rule->mark))
				return true;
	}
	return false;
}

static bool lookup_goes(const struct taking *taking, const struct rule *rule)
{
	bool goes = false;

	for (size_t i = 0; i < taking->in.caught_count; i++) {
		const struct caught *caught = &taking->in.caught[i];

		if (caught->why || !is_on_path(rule, &caught->path))
			continue;
		if (!taking->gateways[i])
			return false;
		goes = true;
	}
	return goes;
}

/* Whether a connection that bears the mark may pass the test; its other bits may be any. */
static bool may_pass(const struct foreign_test *test, const struct mark *mark)
{
	uint32_t common = test->mark.mask & mark->mask;
	bool same = !((test->mark.value ^ mark->value) & common);

	return test->negate ? !same || common != test->mark.mask : same;
}

/* Whoever marks connections may do so at any hook; the policy rule tells that it is done. */
static bool restores_for_others(const struct taking *taking, const struct foreign_rule *convert)
{
	for (size_t i = 0; i < taking->observed->rule_count; i++) {
		const struct rule *rule = &taking->observed->rules[i];

		if (rule->protocol != PROTOCOL_DETOUR && convert->families[rule->family] &&
		    rule->mark.mask & convert->mark.value &&
		    may_pass(&convert->connection, &rule->mark) && !lookup_goes(taking, rule) &&
		    !mark_is_replaced(taking, &rule->mark))
			return true;
	}
	return false;
}

static bool rule_goes(const struct taking *taking, const struct foreign_rule *rule)
{
	switch (rule->action) {
	case FOREIGN_MARKS_CONNECTION:
		return selection_goes(taking, rule);
	case FOREIGN_MARKS_PACKET:
		return serves_replaced(taking, rule) && !serves_others(taking, rule);
	case FOREIGN_RESTORES:
		return serves_replaced(taking, rule) && !serves_others(taking, rule) &&
		       !restores_for_others(taking, rule);
	case FOREIGN_NOTHING:
	case FOREIGN_LEAVES:
	case FOREIGN_UNKNOWN:
		break;
	}
	return false;
}

/* The handle of the next rule of the chain that stays; 0 when none does. */
static uint64_t successor_of(const struct taking *taking, const struct foreign_rule *rule)
{
	const struct foreign *foreign = taking->in.foreign;

	for (const struct foreign_rule *next = rule + 1;
	     next < foreign->rules + foreign->rule_count && next->hook == rule->hook; next++)
		if (!rule_goes(taking, next))
			return next->hand.handle;
	return 0;
}

static const char *words_of(struct arena *arena, const struct foreign_rule *rule)
{
	return arena_printable(arena, foreign_words(arena, rule));
}

static void hand_rule_take(struct state *observed, const struct foreign_rule *rule,
			   uint64_t successor)
{
	struct arena *arena = &observed->arena;
	struct hand_rule *taken = ARENA_PUSH(arena, observed->hand_rules, observed->hand_rule_count,
					     observed->hand_rule_room);

	*taken = rule->hand;
	taken->words = words_of(arena, rule);
	taken->successor = successor;
}

static void rules_take(struct taking *taking)
{
	const struct foreign *foreign = taking->in.foreign;

	for (size_t i = 0; i < foreign->rule_count; i++)
		if (rule_goes(taking, &foreign->rules[i]))
			hand_rule_take(taking->observed, &foreign->rules[i],
				       successor_of(taking, &foreign->rules[i]));
}

static void lookups_take(struct taking *taking)
{
	struct state *observed = taking->observed;

	for (size_t i = 0; i < observed->rule_count; i++)
		observed->rules[i].taken = observed->rules[i].protocol != PROTOCOL_DETOUR &&
					   lookup_goes(taking, &observed->rules[i]);
}

/* A route that says more is not like the one that would be put back: it stays in the way. */
static void route_take(struct route *route)
{
	route->taken = route->protocol != PROTOCOL_DETOUR && !route->has_more;
}

static void routes_take(struct taking *taking)
{
	struct state *observed = taking->observed;

	for (size_t i = 0; i < observed->route_count; i++)
		for (size_t j = 0; j < taking->in.caught_count; j++)
			if (taking->gateways[j] &&
			    taking->in.caught[j].path.route == &observed->routes[i])
				route_take(&observed->routes[i]);
}

static bool is_of_replaced(const struct taking *taking, const struct rt_table *name)
{
	for (size_t i = 0; i < taking->in.caught_count; i++)
		if (taking->gateways[i] && taking->gateways[i]->table == name->id)
			return !name->own;
	return false;
}

static void names_take(struct taking *taking)
{
	struct state *observed = taking->observed;

	for (size_t i = 0; i < observed->rt_table_count; i++) {
		struct rt_table *name = &observed->rt_tables[i];

		name->taken = name->can_go && is_of_replaced(taking, name);
	}
}

/* --- what stays ---------------------------------------------------------------- */

/* Whether packets or connections of a gateway may bear the bits. */
static bool concerns(const struct taking *taking, enum family family, uint32_t bits)
{
	for (size_t i = 0; i < taking->document->gateway_count; i++) {
		const struct gateway *gateway = &taking->document->gateways[i];

		if (gateway->has_address[family] && gateway->mark.mask & bits)
			return true;
	}
	return false;
}

/* Whether it writes bits of a gateway's mark, or may. */
static bool rule_concerns(const struct taking *taking, const struct foreign_rule *rule)
{
	/* What is not known to write certain bits may write any. */
	uint32_t bits = rule->mark.mask ? rule->mark.mask : UINT32_MAX;

	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (rule->families[family] && concerns(taking, family, bits))
			return true;
	return false;
}

/*
 * Our table clears a gateway's bits of connections that it does not select: what
 * others mark with these bits would lose its mark after the first packet.
 */
static void markers_refuse(struct taking *taking)
{
	for (size_t i = 0; i < taking->in.foreign->rule_count; i++) {
		const struct foreign_rule *rule = &taking->in.foreign->rules[i], *twin;
		const char *why = rule_unused(&taking->in, rule, &twin);

		if (rule->action != FOREIGN_MARKS_CONNECTION || rule_goes(taking, rule) ||
		    !rule_concerns(taking, rule))
			continue;
		refuse(taking, rule,
		       arena_printf(&taking->observed->arena,
				    "%s; its connections would lose their mark: redirect them in "
				    "the document and delete it by hand, or give the gateways a "
				    "mask without its bits",
				    why ? why : not_named));
	}
}

/* Of a rule that is understood. */
static const char *why_rule_stays(const struct taking *taking, const struct foreign_rule *rule)
{
	switch (rule->action) {
	case FOREIGN_NOTHING:
	case FOREIGN_LEAVES:
		return NULL;
	case FOREIGN_MARKS_PACKET:
	case FOREIGN_RESTORES:
		if (serves_replaced(taking, rule))
			return "rules that stay need it";
		break;
	case FOREIGN_MARKS_CONNECTION:
	case FOREIGN_UNKNOWN:
		break;
	}
	return not_named;
}

static void rules_leave(struct taking *taking)
{
	for (size_t i = 0; i < taking->in.foreign->rule_count; i++) {
		const struct foreign_rule *rule = &taking->in.foreign->rules[i], *twin;
		const char *why = rule_unused(&taking->in, rule, &twin);

		if (rule_goes(taking, rule) || !rule_concerns(taking, rule))
			continue;
		why = why ? why : why_rule_stays(taking, rule);
		if (why)
			finding_add(taking, &taking->out->left, KIND_HAND_RULE, rule->hand.place,
				    foreign_words(&taking->observed->arena, rule), why);
	}
}

static void lookups_leave(struct taking *taking)
{
	struct arena *arena = &taking->observed->arena;

	for (size_t i = 0; i < taking->observed->rule_count; i++) {
		const struct rule *rule = &taking->observed->rules[i], *twin;
		const char *why = lookup_unused(&taking->in, rule, &twin);

		if (rule_is_managed(rule) || !concerns(taking, rule->family, rule->mark.mask))
			continue;
		finding_add(taking, &taking->out->left, KIND_RULE, lookup_place(arena, rule),
			    lookup_words(arena, rule), why ? why : not_named);
	}
}

static void names_leave(struct taking *taking)
{
	struct arena *arena = &taking->observed->arena;

	for (size_t i = 0; i < taking->observed->rt_table_count; i++) {
		const struct rt_table *name = &taking->observed->rt_tables[i];

		if (is_of_replaced(taking, name) && !name->taken)
			finding_add(taking, &taking->out->left, KIND_RT_TABLE,
				    arena_printf(arena, "%u %s", name->id, name->name), name->file,
				    "the file cannot be written anew as it is: it is a link, or "
				    "not of mode 0644, or not under /etc, or another user's");
	}
}

static void all_leave(struct taking *taking)
{
	rules_leave(taking);
	lookups_leave(taking);
	names_leave(taking);
}

/* --- all of it ------------------------------------------------------------------- */

/* Whether rules that are replaced redirect all that the gateway's redirects do. */
static bool gateway_is_by_hand(struct taking *taking, const struct gateway *gateway)
{
	struct arena *arena = &taking->observed->arena;
	struct box *boxes = arena_alloc(arena, taking->in.caught_count * sizeof(*boxes));
	size_t count = 0;

	for (size_t i = 0; i < taking->in.caught_count; i++)
		if (taking->gateways[i] == gateway && !taking->in.caught[i].is_answer)
			boxes[count++] = taking->in.caught[i].box;
	boxes_find(taking, gateway);
	for (size_t i = 0; i < taking->box_count; i++)
		if (!box_is_covered(arena, &taking->boxes[i], boxes, count))
			return false;
	return true;
}

static bool all_is_by_hand(struct taking *taking)
{
	for (size_t i = 0; i < taking->document->gateway_count; i++)
		if (!gateway_is_by_hand(taking, &taking->document->gateways[i]))
			return false;
	return taking->observed->hand_rule_count > 0;
}

void take_over(const struct document *document, struct state *observed)
{
	struct leftovers *leftovers = arena_alloc(&observed->arena, sizeof(*leftovers));
	struct import import = { 0 };
	struct taking taking = {
		.in = { .state = observed, .foreign = observed->foreign, .out = &import },
		.document = document,
		.observed = observed,
		.out = leftovers,
	};

	observed->leftovers = leftovers;
	inference_run(&taking.in);
	replacements_find(&taking);
	rules_take(&taking);
	lookups_take(&taking);
	routes_take(&taking);
	names_take(&taking);
	observed->is_by_hand = all_is_by_hand(&taking);
	if (observed->hand_rule_count || !observed->nft.exists)
		markers_refuse(&taking);
	/* With conflicts all of it stays. */
	if (!taking.out->refused.count)
		all_leave(&taking);
	import_free(&import);
}

static void conflict_add(struct plan *plan, const struct finding *finding)
{
	*ARENA_PUSH(&plan->arena, plan->conflicts, plan->conflict_count, plan->conflict_room) =
		(struct conflict){
			.kind = KIND_HAND_RULE,
			.object = finding->object,
			.found = finding->found,
			.wanted = "a rule that can be replaced",
			.hint = finding->why,
		};
}

void leftovers_refuse(const struct leftovers *leftovers, struct plan *plan)
{
	for (size_t i = 0; leftovers && i < leftovers->refused.count; i++)
		conflict_add(plan, &leftovers->refused.items[i]);
}

/* --- a later look --------------------------------------------------------------- */

/* The same words, too: a set that it looks up may hold more by now. */
static bool rule_was_taken(const struct state *earlier, struct arena *arena,
			   const struct foreign_rule *rule)
{
	for (size_t i = 0; i < earlier->hand_rule_count; i++) {
		const struct hand_rule *old = &earlier->hand_rules[i];

		if (old->handle == rule->hand.handle && hand_rule_equal(old, &rule->hand))
			return !strcmp(old->words, words_of(arena, rule));
	}
	return false;
}

static void lookup_take_again(const struct state *earlier, struct rule *rule)
{
	for (size_t i = 0; i < earlier->rule_count; i++)
		rule->taken |= earlier->rules[i].taken && rule_equal(&earlier->rules[i], rule);
}

static void route_take_again(const struct state *earlier, struct route *route)
{
	for (size_t i = 0; i < earlier->route_count; i++)
		route->taken |= earlier->routes[i].taken && route_equal(&earlier->routes[i], route);
}

static void name_take_again(const struct state *earlier, struct rt_table *name)
{
	for (size_t i = 0; i < earlier->rt_table_count && name->can_go; i++) {
		const struct rt_table *old = &earlier->rt_tables[i];

		name->taken |= old->taken && !strcmp(old->text, name->text) &&
			       !strcmp(old->file, name->file);
	}
}

/* In the first look all rules that mark a gateway's connections were taken, or nothing was. */
static void rules_take_again(struct taking *taking, const struct state *earlier)
{
	const struct foreign *foreign = taking->observed->foreign;

	for (size_t i = 0; i < foreign->rule_count; i++) {
		const struct foreign_rule *rule = &foreign->rules[i];

		if (rule_was_taken(earlier, &taking->observed->arena, rule))
			hand_rule_take(taking->observed, rule, 0);
		else if (earlier->hand_rule_count && rule->action == FOREIGN_MARKS_CONNECTION &&
			 rule_concerns(taking, rule))
			refuse(taking, rule, "it came meanwhile, or was changed; run it again");
	}
}

void take_over_again(const struct document *document, const struct state *earlier,
		     struct state *observed)
{
	struct leftovers *leftovers = arena_alloc(&observed->arena, sizeof(*leftovers));
	struct taking taking = { .document = document, .observed = observed, .out = leftovers };

	leftovers->left = earlier->leftovers->left;
	observed->leftovers = leftovers;
	rules_take_again(&taking, earlier);
	for (size_t i = 0; i < observed->rule_count; i++)
		lookup_take_again(earlier, &observed->rules[i]);
	for (size_t i = 0; i < observed->route_count; i++)
		route_take_again(earlier, &observed->routes[i]);
	for (size_t i = 0; i < observed->rt_table_count; i++)
		name_take_again(earlier, &observed->rt_tables[i]);
}
