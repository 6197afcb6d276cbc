/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/document_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/document_fields.h"
#include "reconcile/selection.h"

struct check {
	struct decoder *decoder;
	const json_t *root;
	struct document *document;
	struct arena arena; /* until the check is done */
	/* Those whose addresses are not all known for a fault: what follows from them would
	 * mislead. */
	bool *gateway_spoilt, *redirect_spoilt;
};

static __attribute__((format(printf, 2, 3))) const char *at(struct check *check, const char *format,
							    ...)
{
	char pointer[128];
	va_list args;

	va_start(args, format);
	vsnprintf(pointer, sizeof(pointer), format, args);
	va_end(args);
	return arena_strdup(&check->arena, pointer);
}

/* Adds a fault whose message begins with the value that stands there. */
static __attribute__((format(printf, 3, 4))) void fault_at(struct check *check, const char *pointer,
							   const char *format, ...)
{
	char message[640], text[VALUE_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	decoder_fault(check->decoder, pointer, "%s: %s",
		      value_text(pointer_value(check->root, pointer), text), message);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Whether a fault at this pointer, below an object, leaves its addresses incomplete. */
static bool pointer_spoils(const char *pointer)
{
	if (begins(pointer, "/clients"))
		return !begins(pointer, "/clients/interfaces");
	return !*pointer || begins(pointer, "/servers") || begins(pointer, "/addresses") ||
	       begins(pointer, "/enabled");
}

static void spoil(const char *pointer, const char *list, bool *spoilt, size_t count)
{
	char *rest;
	size_t index;

	if (!begins(pointer, list))
		return;
	index = strtoul(pointer + strlen(list), &rest, 10);
	if (index < count && pointer_spoils(rest))
		spoilt[index] = true;
}

static void find_spoilt(struct check *check)
{
	size_t gateways = check->document->gateway_count;
	size_t redirects = check->document->redirect_count;
	const struct faults *faults = check->decoder->faults;

	check->gateway_spoilt = arena_alloc(&check->arena, gateways + 1);
	check->redirect_spoilt = arena_alloc(&check->arena, redirects + 1);
	if (check->decoder->unreported) {
		memset(check->gateway_spoilt, true, gateways);
		memset(check->redirect_spoilt, true, redirects);
	}
	for (size_t i = 0; i < faults->count; i++) {
		const char *pointer = faults->items[i].pointer;

		spoil(pointer, "/gateways/", check->gateway_spoilt, gateways);
		spoil(pointer, "/redirects/", check->redirect_spoilt, redirects);
	}
}

/* Names in their order, to find one and to find those that stand twice. */
struct named {
	const char *name;
	size_t index;
};

static int named_compare(const void *a, const void *b)
{
	const struct named *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : (left->index > right->index) - (left->index < right->index);
}

static void fault_names(struct check *check, struct named *names, size_t count, const char *list)
{
	if (count)
		qsort(names, count, sizeof(*names), named_compare);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (strcmp(names[i].name, names[first].name) != 0)
			first = i;
		else if (*names[i].name)
			fault_at(check, at(check, "/%s/%zu/name", list, names[i].index),
				 "this name stands at /%s/%zu/name already", list,
				 names[first].index);
	}
}

static struct named *gateways_by_name(struct check *check)
{
	const struct document *document = check->document;
	size_t count = document->gateway_count;
	struct named *names = arena_alloc(&check->arena, (count + 1) * sizeof(*names));

	for (size_t i = 0; i < count; i++)
		names[i] = (struct named){ document->gateways[i].name, i };
	fault_names(check, names, count, "gateways");
	return names;
}

static void check_redirect_names(struct check *check)
{
	const struct document *document = check->document;
	size_t count = document->redirect_count;
	struct named *names = arena_alloc(&check->arena, (count + 1) * sizeof(*names));

	for (size_t i = 0; i < count; i++)
		names[i] = (struct named){ document->redirects[i].name, i };
	fault_names(check, names, count, "redirects");
}

static int name_compare(const void *key, const void *named)
{
	return strcmp(key, ((const struct named *)named)->name);
}

static void find_gateways(struct check *check, const struct named *names)
{
	struct document *document = check->document;

	for (size_t i = 0; i < document->redirect_count; i++) {
		const char *pointer = at(check, "/redirects/%zu/gateway", i);
		const char *name = json_string_value(pointer_value(check->root, pointer));
		const struct named *named = NULL;

		if (name)
			named = bsearch(name, names, document->gateway_count, sizeof(*names),
					name_compare);
		if (named)
			document->redirects[i].gateway = &document->gateways[named->index];
		else if (name && json_is_array(json_object_get(check->root, "gateways")))
			fault_at(check, pointer, "no gateway of the document has this name");
	}
}

static void compare_marks(struct check *check, size_t later, size_t earlier)
{
	const struct gateway *gateway = &check->document->gateways[earlier];
	const struct mark *a = &gateway->mark, *b = &check->document->gateways[later].mark;

	/* No mask: not decoded. */
	if (!a->mask || !b->mask || (a->value ^ b->value) & a->mask & b->mask)
		return;
	fault_at(check, at(check, "/gateways/%zu/mark", later),
		 "a packet could bear this and the mark 0x%" PRIx32 "/0x%" PRIx32
		 " of gateway \"%s\"; the values must differ in a bit of both masks",
		 a->value, a->mask, gateway->name);
}

static void compare_tables(struct check *check, size_t later, size_t earlier)
{
	const struct gateway *gateway = &check->document->gateways[earlier];

	if (gateway->table && gateway->table == check->document->gateways[later].table)
		fault_at(check, at(check, "/gateways/%zu/table", later),
			 "is the table of gateway \"%s\" already; each needs its own",
			 gateway->name);
}

/* The rule that refuses stands behind the rule that looks up. */
static uint32_t priority_last(const struct gateway *gateway)
{
	return gateway->priority + (gateway->on_loss == ON_LOSS_BLOCK);
}

static void compare_priorities(struct check *check, size_t later, size_t earlier)
{
	const struct gateway *a = &check->document->gateways[earlier];
	const struct gateway *b = &check->document->gateways[later];
	const char *pointer = at(check, "/gateways/%zu/priority", later);

	if (!a->priority || !b->priority || a->priority > priority_last(b) ||
	    b->priority > priority_last(a))
		return;
	if (a->priority == b->priority)
		fault_at(check, pointer, "is the priority of gateway \"%s\" already", a->name);
	else if (a->priority < b->priority)
		fault_at(check, pointer,
			 "gateway \"%s\" uses it too, behind its own %" PRIu32
			 ", because on_loss is \"block\"",
			 a->name, a->priority);
	else
		fault_at(check, pointer,
			 "with on_loss \"block\" %" PRIu32
			 " is used too, which is the priority of gateway \"%s\"",
			 a->priority, a->name);
}

static void compare_gateways(struct check *check)
{
	size_t count = check->document->gateway_count;

	if (count > PRIORITY_MAX) {
		decoder_fault(check->decoder, "/gateways",
			      "%zu gateways: there are priorities for at most %d", count,
			      PRIORITY_MAX);
		return;
	}
	for (size_t later = 1; later < count; later++) {
		for (size_t earlier = 0; earlier < later; earlier++) {
			compare_marks(check, later, earlier);
			compare_tables(check, later, earlier);
			compare_priorities(check, later, earlier);
		}
	}
}

/* A gateway whose interface is among the spans, or NULL. */
static const struct gateway *gateway_behind(const struct document *document,
					    const struct spans *interfaces)
{
	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct gateway *gateway = &document->gateways[i];

		if (gateway->interface &&
		    spans_contain(interfaces, interface_span(gateway->interface).from))
			return gateway;
	}
	return NULL;
}

static void check_interfaces(struct check *check, size_t index)
{
	const struct redirect *redirect = &check->document->redirects[index];
	const json_t *list;

	if (!gateway_behind(check->document, &redirect->interface_spans))
		return;
	list = pointer_value(check->root, at(check, "/redirects/%zu/clients/interfaces", index));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		const struct gateway *gateway = NULL;

		if (name && !pattern_wrong(name)) {
			struct span span = interface_span(name);

			gateway = gateway_behind(check->document, &(struct spans){ &span, 1, 1 });
		}
		if (gateway)
			fault_at(check,
				 at(check, "/redirects/%zu/clients/interfaces/%zu", index, i),
				 "covers %s, the interface of gateway \"%s\"; "
				 "clients must come in by another one",
				 gateway->interface, gateway->name);
	}
}

static const char *family_title(enum family family)
{
	return family == FAMILY_IPV4 ? "IPv4" : "IPv6";
}

/* Calls for each network that is written in servers.networks and intersects. */
static void fault_servers(struct check *check, size_t index, enum family family,
			  const struct spans *with, const char *message)
{
	const char *pointer = at(check, "/redirects/%zu/servers/networks", index);
	const json_t *list = pointer_value(check->root, pointer);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		enum family of;
		struct span span;
		struct spans spans = { &span, 1, 1 };

		if (text && !span_parse(text, &of, &span) && of == family &&
		    spans_intersect(&spans, with))
			fault_at(check, at(check, "%s/%zu", pointer, i), "%s", message);
	}
}

static void check_families(struct check *check, size_t index, enum family family)
{
	const struct redirect *redirect = &check->document->redirects[index];
	const struct gateway *gateway = redirect->gateway;
	const char *title = family_title(family);

	if (!redirect->servers.networks[family].count)
		return;
	if (!gateway->has_address[family])
		fault_servers(check, index, family, &redirect->servers.networks[family],
			      arena_printf(&check->arena, "gateway \"%s\" has no %s address",
					   gateway->name, title));
	if (!redirect->any_client && !redirect->clients.networks[family].count &&
	    !check->redirect_spoilt[index])
		fault_at(check, at(check, "/redirects/%zu/clients/networks", index),
			 "names no %s client, though servers are named in %s; write \"%s\" for any",
			 title, title, family == FAMILY_IPV4 ? "0.0.0.0/0" : "::/0");
}

static void check_own_address(struct check *check, const struct selection *selection,
			      enum family family)
{
	const struct gateway *gateway = selection->redirect->gateway;
	struct span address = { 0 };
	struct spans spans = { &address, 1, 1 };
	char text[SPAN_TEXT];

	memcpy(address.from, gateway->address[family], SPAN_BYTES);
	memcpy(address.to, gateway->address[family], SPAN_BYTES);
	if (!spans_contain(&selection->servers[family], address.from))
		return;
	fault_servers(check, selection->index, family, &spans,
		      arena_printf(&check->arena,
				   "holds %s, the address of gateway \"%s\" itself; "
				   "name it in servers.except",
				   span_format(&address, family, text), gateway->name));
}

static void check_emptied(struct check *check, const struct selection *selection,
			  enum family family)
{
	const struct redirect *redirect = selection->redirect;

	if (!selection->servers[family].count)
		fault_at(check, at(check, "/redirects/%zu/servers/except", selection->index),
			 "leaves no %s server to redirect", family_title(family));
	if (!selection->clients[family].count &&
	    (redirect->any_client || redirect->clients.networks[family].count))
		fault_at(check, at(check, "/redirects/%zu/clients/except", selection->index),
			 "leaves no %s client to redirect", family_title(family));
}

static void check_selection(struct check *check, const struct selection *selection)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		if (!redirect_works_in(selection->redirect, family))
			continue;
		check_own_address(check, selection, family);
		check_emptied(check, selection, family);
	}
}

static void check_overlaps(struct check *check, const struct selection *selections, size_t count)
{
	struct overlap *overlaps;
	size_t overlap_count = selections_overlap(&check->arena, selections, count, &overlaps);

	for (size_t i = 0; i < overlap_count; i++) {
		const struct redirect *earlier = overlaps[i].earlier->redirect;
		const struct redirect *later = overlaps[i].later->redirect;

		decoder_fault(check->decoder, at(check, "/redirects/%zu", overlaps[i].later->index),
			      "\"%s\": overlaps redirect \"%s\", which goes through gateway \"%s\" "
			      "instead of \"%s\": both take %s",
			      later->name, earlier->name, earlier->gateway->name,
			      later->gateway->name, overlap_example(&check->arena, &overlaps[i]));
	}
}

static bool gateway_is_spoilt(const struct check *check, const struct gateway *gateway)
{
	return check->gateway_spoilt[gateway - check->document->gateways];
}

/* A redirect that is not enabled is as if it were not there: it is in nobody's way. */
static void check_redirects(struct check *check)
{
	struct document *document = check->document;
	struct selection *selections =
		arena_alloc(&check->arena, (document->redirect_count + 1) * sizeof(*selections));
	size_t count = 0;

	for (size_t i = 0; i < document->redirect_count; i++) {
		const struct redirect *redirect = &document->redirects[i];

		if (!redirect->enabled)
			continue;
		check_interfaces(check, i);
		if (!redirect->gateway || gateway_is_spoilt(check, redirect->gateway))
			continue;
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			check_families(check, i, family);
		if (check->redirect_spoilt[i])
			continue;
		selection_build(&check->arena, redirect, i, &selections[count]);
		check_selection(check, &selections[count++]);
	}
	check_overlaps(check, selections, count);
}

void document_check(struct decoder *decoder, const json_t *root, struct document *document)
{
	struct check check = { .decoder = decoder, .root = root, .document = document };

	find_spoilt(&check);
	find_gateways(&check, gateways_by_name(&check));
	check_redirect_names(&check);
	compare_gateways(&check);
	check_redirects(&check);
	arena_free(&check.arena);
}
