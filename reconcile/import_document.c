/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The document of what was understood. The decoder has the last word: what it
 * refuses is taken out with its reason, and the rest is put together again.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/document_fields.h"
#include "reconcile/import_parts.h"
#include "reconcile/report.h"

/* A redirect in the making: one box a family. */
struct draft {
	struct box boxes[FAMILY_COUNT];
	bool has[FAMILY_COUNT];
	bool is_new;
	size_t gateway;
	size_t into; /* the draft that it went into; its own index while it stands */
	char name[NAME_SIZE];
};

struct drafts {
	struct draft *items;
	size_t count;
};

/* --- gateways --------------------------------------------------------------- */

static void note(struct inference *in, const char *code, const char *hint, const char *message)
{
	struct import *out = in->out;

	*ARENA_PUSH(&out->arena, out->notes, out->note_count, out->note_room) =
		(struct warning){ .code = code, .message = message, .hint = hint };
}

static bool gateway_has_name(const struct inference *in, const char *name)
{
	for (size_t i = 0; i < in->gateway_count; i++)
		if (!strcmp(in->gateways[i].name, name))
			return true;
	return false;
}

static const char *gateway_name(struct inference *in, uint32_t table)
{
	const struct state *state = in->state;

	for (size_t i = 0; i < state->rt_table_count; i++)
		if (state->rt_tables[i].id == table && name_is_good(state->rt_tables[i].name) &&
		    !gateway_has_name(in, state->rt_tables[i].name))
			return state->rt_tables[i].name;
	return arena_printf(&in->out->arena, "gateway-%u", table);
}

/* Free for the lookup: neither another gateway's nor somebody else's. */
static bool priority_is_free(const struct inference *in, const struct path *path, uint32_t priority)
{
	const struct state *state = in->state;

	for (size_t i = 0; i < in->gateway_count; i++) {
		const struct gateway *other = &in->gateways[i];

		if (priority - other->priority <= (other->on_loss == ON_LOSS_BLOCK) ||
		    (path->refusal && other->priority == priority + 1))
			return false;
	}
	for (size_t i = 0; i < state->rule_count; i++) {
		const struct rule *rule = &state->rules[i];

		if (rule->priority == priority &&
		    (!mark_equal(&rule->mark, &path->lookup->mark) || rule->has_more))
			return false;
	}
	return true;
}

/* The kernel begins with 32765 where none was given; a document ends with 32764. */
static uint32_t priority_choose(const struct inference *in, const struct path *path)
{
	uint32_t found = path->lookup->priority;
	uint32_t priority = found > PRIORITY_MAX ? PRIORITY_MAX : found;

	while (priority > 1 && !priority_is_free(in, path, priority))
		priority--;
	return priority;
}

static enum rp_filter_mode rp_filter_mode(const struct inference *in, const char *interface)
{
	const struct rp_filter *all = state_rp_filter(in->state, "all");
	const struct rp_filter *own = state_rp_filter(in->state, interface);

	return all && own && !all->value && !own->value ? RP_FILTER_OFF : RP_FILTER_LOOSE;
}

static bool is_gateway_of(const struct gateway *gateway, const struct path *path)
{
	enum family family = path->route->family;

	return gateway->table == path->lookup->table && mark_equal(&gateway->mark, &path->mark) &&
	       !strcmp(gateway->interface, path->route->dev) &&
	       (gateway->on_loss == ON_LOSS_BLOCK) == (path->refusal != NULL) &&
	       (!gateway->has_address[family] ||
		!memcmp(gateway->address[family], path->route->gateway, SPAN_BYTES));
}

static size_t gateway_of(struct inference *in, const struct path *path)
{
	size_t index = 0;

	while (index < in->gateway_count && !is_gateway_of(&in->gateways[index], path))
		index++;
	if (index == in->gateway_count) {
		struct gateway made = {
			.name = gateway_name(in, path->lookup->table),
			.interface = path->route->dev,
			.mark = path->mark,
			.table = path->lookup->table,
			.priority = priority_choose(in, path),
			.rp_filter = rp_filter_mode(in, path->route->dev),
			.on_loss = path->refusal ? ON_LOSS_BLOCK : ON_LOSS_BYPASS,
		};

		*ARENA_PUSH(&in->out->arena, in->gateways, in->gateway_count, in->gateway_room) =
			made;
	}
	in->gateways[index].has_address[path->route->family] = true;
	memcpy(in->gateways[index].address[path->route->family], path->route->gateway, SPAN_BYTES);
	return index;
}

static void gateways_make(struct inference *in)
{
	in->gateways = NULL;
	in->gateway_count = in->gateway_room = 0;
	for (size_t i = 0; i < in->caught_count; i++) {
		struct caught *caught = &in->caught[i];

		if (!caught_is_used(caught))
			continue;
		caught->gateway = gateway_of(in, &caught->path);
		in->gateways[caught->gateway].spoofs_clients |= caught->is_answer;
	}
}

/* --- redirects -------------------------------------------------------------- */

static void drafts_begin(struct inference *in, struct drafts *drafts)
{
	drafts->items = arena_alloc(&in->out->arena, in->caught_count * sizeof(*drafts->items));
	drafts->count = 0;
	for (size_t i = 0; i < in->caught_count; i++) {
		struct caught *caught = &in->caught[i];
		struct draft *draft = &drafts->items[drafts->count];

		if (!caught_is_used(caught) || caught->is_answer)
			continue;
		draft->boxes[caught->box.family] = caught->box;
		draft->has[caught->box.family] = true;
		draft->is_new = caught->is_new;
		draft->gateway = caught->gateway;
		draft->into = caught->redirect = drafts->count++;
	}
}

static bool same_but_addresses(const struct box *a, const struct box *b)
{
	struct box other = *b;

	other.family = a->family;
	other.sides[SIDE_CLIENTS] = a->sides[SIDE_CLIENTS];
	other.sides[SIDE_SERVERS] = a->sides[SIDE_SERVERS];
	return box_equal(a, &other);
}

/* One family each: the same family makes one box, two families stand side by side. */
static bool drafts_merge(struct arena *arena, struct draft *a, const struct draft *b, bool families)
{
	enum family left = a->has[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6;
	enum family right = b->has[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6;

	if (a->gateway != b->gateway || a->is_new != b->is_new)
		return false;
	if (!families)
		return left == right && box_merge(arena, &a->boxes[left], &b->boxes[right]);
	if (a->has[right] || b->has[left] || !same_but_addresses(&a->boxes[left], &b->boxes[right]))
		return false;
	a->boxes[right] = b->boxes[right];
	a->has[right] = true;
	return true;
}

static bool drafts_merge_once(struct arena *arena, struct drafts *drafts, bool families)
{
	bool merged = false;

	for (size_t i = 0; i < drafts->count; i++)
		for (size_t j = i + 1; j < drafts->count; j++) {
			struct draft *a = &drafts->items[i], *b = &drafts->items[j];

			if (a->into != i || b->into != j || !drafts_merge(arena, a, b, families))
				continue;
			b->into = i;
			merged = true;
		}
	return merged;
}

static const struct draft *draft_of(const struct drafts *drafts, size_t index)
{
	while (drafts->items[index].into != index)
		index = drafts->items[index].into;
	return &drafts->items[index];
}

/* --- JSON ------------------------------------------------------------------- */

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static json_t *spans_json(const struct spans *spans, enum family family, json_t *list)
{
	char text[SPAN_TEXT];

	for (size_t i = 0; i < spans->count; i++)
		json_array_append_new(list,
				      json_string(span_format(&spans->items[i], family, text)));
	return list;
}

static json_t *interfaces_json(const struct spans *spans)
{
	json_t *list = json_array();
	char text[IFNAME_SIZE + 1];

	for (size_t i = 0; i < spans->count; i++)
		json_array_append_new(list, json_string(interface_format(&spans->items[i], text)));
	return list;
}

static struct service service_of(const struct span *span)
{
	return (struct service){ .protocol = span->from[0],
				 .from = (uint16_t)(span->from[1] << 8 | span->from[2]),
				 .to = (uint16_t)(span->to[1] << 8 | span->to[2]) };
}

static json_t *services_json(const struct spans *spans)
{
	json_t *list = json_array();
	char text[SPAN_TEXT];

	for (size_t i = 0; i < spans->count; i++) {
		struct service service = service_of(&spans->items[i]);

		json_array_append_new(list, json_string(service_format(&service, text)));
	}
	return list;
}

static bool is_everybody(const struct spans *spans, enum family family)
{
	return spans->count == 1 && !memcmp(spans->items, family_span(family), sizeof(struct span));
}

static json_t *clients_json(const struct draft *draft, const struct box *any)
{
	json_t *clients = json_object(), *networks = json_array();
	bool everybody = true;

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct spans *spans = &draft->boxes[family].sides[SIDE_CLIENTS];

		if (!draft->has[family])
			continue;
		everybody &= is_everybody(spans, family);
		spans_json(spans, family, networks);
	}
	set(clients, "interfaces", interfaces_json(&any->sides[SIDE_INTERFACES]));
	if (everybody)
		json_decref(networks);
	else
		set(clients, "networks", networks);
	return clients;
}

/* What is sent to the gateway itself gets there either way; a document does not redirect it. */
static void except_gateway(const struct gateway *gateway, const struct box *box, json_t *except)
{
	struct span own = { 0 };
	struct spans alone = { &own, 1, 1 };

	memcpy(own.from, gateway->address[box->family], SPAN_BYTES);
	memcpy(own.to, gateway->address[box->family], SPAN_BYTES);
	if (spans_contain(&box->sides[SIDE_SERVERS], own.from))
		spans_json(&alone, box->family, except);
}

static json_t *servers_json(const struct draft *draft, const struct gateway *gateway)
{
	json_t *servers = json_object(), *networks = json_array(), *except = json_array();

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct box *box = &draft->boxes[family];

		if (!draft->has[family])
			continue;
		spans_json(&box->sides[SIDE_SERVERS], family, networks);
		except_gateway(gateway, box, except);
	}
	set(servers, "networks", networks);
	if (json_array_size(except))
		set(servers, "except", except);
	else
		json_decref(except);
	return servers;
}

static bool draft_has_name(const struct drafts *drafts, const struct draft *draft, const char *name)
{
	for (const struct draft *other = drafts->items; other < draft; other++)
		if (!strcmp(other->name, name))
			return true;
	return false;
}

/* "tcp-3389", "tcp-3389-2" */
static void draft_name(const struct drafts *drafts, struct draft *draft, const struct box *any)
{
	struct service service = service_of(any->sides[SIDE_SERVICES].items);
	char name[NAME_SIZE];
	int length = snprintf(name, sizeof(name), "%s-%u", protocol_name(service.protocol),
			      service.from);

	for (unsigned int number = 2; draft_has_name(drafts, draft, name); number++)
		snprintf(name + length, sizeof(name) - (size_t)length, "-%u", number);
	memcpy(draft->name, name, sizeof(name));
}

static json_t *redirect_json(const struct inference *in, const struct drafts *drafts,
			     struct draft *draft)
{
	const struct box *any = &draft->boxes[draft->has[FAMILY_IPV4] ? FAMILY_IPV4 : FAMILY_IPV6];
	const struct gateway *gateway = &in->gateways[draft->gateway];
	json_t *object = json_object();

	draft_name(drafts, draft, any);
	set(object, "name", json_string(draft->name));
	set(object, "gateway", json_string(gateway->name));
	set(object, "clients", clients_json(draft, any));
	set(object, "servers", servers_json(draft, gateway));
	set(object, "services", services_json(&any->sides[SIDE_SERVICES]));
	set(object, "existing_connections", json_string(draft->is_new ? "tracked" : "redirect"));
	return object;
}

static json_t *mark_json(const struct mark *mark)
{
	if (mark_is_full(mark))
		return json_integer(mark->value);
	return json_sprintf("0x%x/0x%x", mark->value, mark->mask);
}

static json_t *gateway_json(const struct gateway *gateway)
{
	json_t *object = json_object(), *addresses = json_array();

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct span own = { 0 };
		struct spans alone = { &own, 1, 1 };

		memcpy(own.from, gateway->address[family], SPAN_BYTES);
		memcpy(own.to, gateway->address[family], SPAN_BYTES);
		if (gateway->has_address[family])
			spans_json(&alone, family, addresses);
	}
	set(object, "name", json_string(gateway->name));
	set(object, "interface", json_string(gateway->interface));
	set(object, "addresses", addresses);
	set(object, "mark", mark_json(&gateway->mark));
	set(object, "table", json_integer(gateway->table));
	set(object, "priority", json_integer(gateway->priority));
	if (gateway->spoofs_clients)
		set(object, "spoofs_clients", json_true());
	if (gateway->rp_filter == RP_FILTER_OFF)
		set(object, "rp_filter", json_string("off"));
	if (gateway->on_loss == ON_LOSS_BYPASS)
		set(object, "on_loss", json_string("bypass"));
	return object;
}

static json_t *document_json(struct inference *in, struct drafts *drafts)
{
	json_t *gateways = json_array(), *redirects = json_array(), *object = json_object();

	for (size_t i = 0; i < in->gateway_count; i++)
		json_array_append_new(gateways, gateway_json(&in->gateways[i]));
	for (size_t i = 0; i < drafts->count; i++)
		if (drafts->items[i].into == i)
			json_array_append_new(redirects,
					      redirect_json(in, drafts, &drafts->items[i]));
	set(object, "version", json_integer(1));
	set(object, "gateways", gateways);
	set(object, "redirects", redirects);
	return object;
}

/* --- the decoder's word ------------------------------------------------------ */

/* Of the drafts that stand, the one with this index in the document. */
static const struct draft *draft_at(const struct drafts *drafts, size_t index)
{
	for (size_t i = 0; i < drafts->count; i++)
		if (drafts->items[i].into == i && !index--)
			return &drafts->items[i];
	return NULL;
}

/* Whether the pointer leads into an array of the document, and where in it. */
static bool pointer_index(const char *pointer, const char *array, size_t *index)
{
	size_t length = strlen(array);

	if (strncmp(pointer, array, length) != 0 || !isdigit((unsigned char)pointer[length]))
		return false;
	*index = strtoul(pointer + length, NULL, 10);
	return true;
}

/* A fault of neither a gateway nor a redirect takes out all. */
static bool is_at_fault(const struct drafts *drafts, const struct fault *fault,
			const struct caught *caught)
{
	size_t index;

	if (pointer_index(fault->pointer, "/redirects/", &index))
		return !caught->is_answer &&
		       draft_of(drafts, caught->redirect) == draft_at(drafts, index);
	return !pointer_index(fault->pointer, "/gateways/", &index) || caught->gateway == index;
}

static void take_out(struct inference *in, const struct drafts *drafts, const struct fault *fault)
{
	for (size_t i = 0; i < in->caught_count; i++) {
		struct caught *caught = &in->caught[i];

		if (caught_is_used(caught) && is_at_fault(drafts, fault, caught))
			caught->why = arena_printf(&in->out->arena, "a document cannot say it: %s",
						   fault->message);
	}
}

/* Whether it is a good one; else what is wrong is taken out. */
static bool document_stands(struct inference *in, const struct drafts *drafts, const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	struct document document;
	struct faults faults = { 0 };
	bool stands =
		document_decode(text ? text : "", text ? strlen(text) : 0, &document, &faults) == 0;

	for (size_t i = 0; i < faults.count; i++)
		take_out(in, drafts, &faults.items[i]);
	document_free(&document);
	faults_free(&faults);
	free(text);
	return stands;
}

static void note_priority(struct inference *in, size_t gateway)
{
	uint32_t priority = in->gateways[gateway].priority;

	for (size_t i = 0; i < in->caught_count; i++) {
		const struct caught *caught = &in->caught[i];

		if (!caught_is_used(caught) || caught->gateway != gateway ||
		    caught->path.lookup->priority == priority)
			continue;
		note(in, "imported-priority", "see that no other policy rule stands in between",
		     arena_printf(&in->out->arena,
				  "gateway %s: its %s rule has priority %u, in the document it is "
				  "%u",
				  in->gateways[gateway].name,
				  family_name(caught->path.lookup->family),
				  caught->path.lookup->priority, priority));
		return;
	}
}

static void notes_make(struct inference *in)
{
	struct arena *arena = &in->out->arena;

	if (!in->gateway_count)
		note(in, "nothing-imported", "see what is listed, or write the document by hand",
		     "nothing that could be used was found: no redirect");
	for (size_t i = 0; i < in->gateway_count; i++) {
		const struct gateway *gateway = &in->gateways[i];

		note_priority(in, i);
		if (gateway->on_loss == ON_LOSS_BYPASS)
			note(in, "imported-bypass",
			     "take \"on_loss\" out of the gateway to have it refused then",
			     arena_printf(arena,
					  "gateway %s: nothing here refuses its traffic when its "
					  "route is gone, so \"on_loss\" is \"bypass\"",
					  gateway->name));
	}
}

json_t *import_document(struct inference *in)
{
	for (;;) {
		struct drafts drafts;
		json_t *json;

		answers_judge(in);
		gateways_make(in);
		drafts_begin(in, &drafts);
		while (drafts_merge_once(&in->out->arena, &drafts, false))
			;
		drafts_merge_once(&in->out->arena, &drafts, true);
		json = document_json(in, &drafts);
		if (document_stands(in, &drafts, json)) {
			notes_make(in);
			return json;
		}
		json_decref(json);
	}
}
