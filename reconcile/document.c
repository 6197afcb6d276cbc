/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/document.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "reconcile/decode.h"
#include "reconcile/document_check.h"
#include "reconcile/document_fields.h"
#include "reconcile/json_repair.h"

#define COUNT(array)    (sizeof(array) / sizeof((array)[0]))
#define GATEWAY(field)  offsetof(struct gateway, field)
#define REDIRECT(field) offsetof(struct redirect, field)

#define WHAT_NAME                                                                                  \
	"a name: a letter a-z, then at most 30 of a-z, 0-9, _ and - (\"scb-1\", for example)"
#define WHAT_DESCRIPTION "a text of at most 200 characters"
#define WHAT_NETWORKS    "an array with at least one address, network or range"
#define WHAT_EXCEPTIONS  "an array of addresses, networks and ranges"

static const struct member gateway_members[] = {
	{ "name", WHAT_NAME, true, decode_name, GATEWAY(name) },
	{ "description", WHAT_DESCRIPTION, false, decode_description, GATEWAY(description) },
	{ "interface", "the name of the router's interface that faces the gateway", true,
	  decode_gateway_interface, GATEWAY(interface) },
	{ "addresses", "an array of one IPv4 address, one IPv6 address or both", true,
	  decode_addresses, 0 },
	{ "mark", "\"value/mask\" such as \"0x10/0xf0\", or a number 1-4294967295", true,
	  decode_mark, GATEWAY(mark) },
	{ "table", "a number 1-252 or 256-4294967294", true, decode_table, GATEWAY(table) },
	{ "priority", "a number 1-32764", true, decode_priority, GATEWAY(priority) },
	{ "spoofs_clients", "true or false", false, decode_boolean, GATEWAY(spoofs_clients) },
	{ "rp_filter", "\"loose\", \"off\" or \"keep\"", false, decode_rp_filter,
	  GATEWAY(rp_filter) },
	{ "on_loss", "\"block\" or \"bypass\"", false, decode_on_loss, GATEWAY(on_loss) },
};

static const struct member client_members[] = {
	{ "interfaces", "an array with at least one interface name such as \"eth0\" or \"vlan*\"",
	  true, decode_interfaces, 0 },
	{ "networks", WHAT_NETWORKS " (any, when it is left out)", false, decode_networks,
	  REDIRECT(clients.networks) },
	{ "except", WHAT_EXCEPTIONS, false, decode_exceptions, REDIRECT(clients.except) },
};

static const struct member server_members[] = {
	{ "networks", WHAT_NETWORKS, true, decode_networks, REDIRECT(servers.networks) },
	{ "except", WHAT_EXCEPTIONS, false, decode_exceptions, REDIRECT(servers.except) },
};

static void decode_clients(struct decoder *decoder, const struct value *value, void *out)
{
	struct redirect *redirect = out;

	redirect->any_client = !json_object_get(value->json, "networks");
	decode_object(decoder, value, client_members, COUNT(client_members), redirect);
}

static void decode_servers(struct decoder *decoder, const struct value *value, void *out)
{
	decode_object(decoder, value, server_members, COUNT(server_members), out);
}

/* The gateway's name is looked up when all gateways are known: by document_check(). */
static const struct member redirect_members[] = {
	{ "name", WHAT_NAME, true, decode_name, REDIRECT(name) },
	{ "description", WHAT_DESCRIPTION, false, decode_description, REDIRECT(description) },
	{ "enabled", "true or false", false, decode_boolean, REDIRECT(enabled) },
	{ "gateway", "the name of a gateway", true, decode_ignored_text, 0 },
	{ "clients", "an object with interfaces, networks and except", true, decode_clients, 0 },
	{ "servers", "an object with networks and except", true, decode_servers, 0 },
	{ "services", "an array with at least one service such as \"3389/tcp\"", true,
	  decode_services, 0 },
	{ "existing_connections", "\"keep\", \"tracked\" or \"redirect\"", false, decode_existing,
	  REDIRECT(existing) },
};

static void decode_gateways(struct decoder *decoder, const struct value *value, void *out)
{
	size_t count = json_array_size(value->json);
	struct document *document = out;
	struct gateway *gateways = arena_alloc(decoder->arena, (count + 1) * sizeof(*gateways));

	if (!json_is_array(value->json))
		value_fault_kind(decoder, value);
	for (size_t i = 0; i < count; i++) {
		struct value element = value_element(value, i, "an object, a gateway");

		gateways[i].name = gateways[i].description = "";
		decode_object(decoder, &element, gateway_members, COUNT(gateway_members),
			      &gateways[i]);
	}
	document->gateways = gateways;
	document->gateway_count = count;
}

static void decode_redirects(struct decoder *decoder, const struct value *value, void *out)
{
	size_t count = json_array_size(value->json);
	struct document *document = out;
	struct redirect *redirects = arena_alloc(decoder->arena, (count + 1) * sizeof(*redirects));

	if (!json_is_array(value->json))
		value_fault_kind(decoder, value);
	for (size_t i = 0; i < count; i++) {
		struct value element = value_element(value, i, "an object, a redirect");

		redirects[i].name = redirects[i].description = "";
		redirects[i].enabled = true;
		decode_object(decoder, &element, redirect_members, COUNT(redirect_members),
			      &redirects[i]);
	}
	document->redirects = redirects;
	document->redirect_count = count;
}

static const struct member document_members[] = {
	{ "$schema", "a string", false, decode_ignored_text, 0 },
	{ "version", "1: this detour reads version 1", true, decode_version, 0 },
	{ "gateways", "an array of gateways, which may be empty", true, decode_gateways, 0 },
	{ "redirects", "an array of redirects, which may be empty", true, decode_redirects, 0 },
};

/* What jansson's error codes mean to the author of a document; others are put in its own words. */
static const struct {
	enum json_error_code code;
	const char *message;
} syntax_messages[] = {
	{ json_error_premature_end_of_input,
	  "the text ends here, in the middle; is it truncated?" },
	{ json_error_end_of_input_expected, "nothing may follow the end of the document" },
	{ json_error_stack_overflow, "nested too deeply: more than 2048 arrays and objects" },
	{ json_error_invalid_utf8, "this is not UTF-8" },
	{ json_error_null_byte_in_key, "a key must not contain a NUL character" },
};

static void fault_syntax(struct decoder *decoder, const json_error_t *error)
{
	const char *near = strstr(error->text, " near ");
	int length = near ? (int)(near - error->text) : (int)strlen(error->text);
	const char *message = NULL;

	for (size_t i = 0; i < COUNT(syntax_messages); i++)
		if (json_error_code(error) == syntax_messages[i].code)
			message = syntax_messages[i].message;
	if (message)
		decoder_fault(decoder, "", "line %d, column %d: %s", error->line, error->column,
			      message);
	else
		decoder_fault(decoder, "", "line %d, column %d: %.*s", error->line, error->column,
			      length, error->text);
}

/* Parses; what jansson would only say without its place is looked for first. */
static json_t *text_parse(struct decoder *decoder, const char *text, size_t size)
{
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	struct arena arena = { 0 };
	json_error_t error;
	json_t *root = json_loadb(text, size, flags | JSON_REJECT_DUPLICATES, &error);

	if (!root && (json_error_code(&error) == json_error_duplicate_key ||
		      json_error_code(&error) == json_error_numeric_overflow)) {
		decoder->repaired = true;
		text = json_repair(decoder, &arena, text, size);
		root = json_loadb(text, size, flags, &error);
	}
	if (!root)
		fault_syntax(decoder, &error);
	arena_free(&arena);
	return root;
}

static bool is_blank(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!strchr(" \t\r\n", text[i]))
			return false;
	return true;
}

static json_t *text_read(struct decoder *decoder, const char *text, size_t size)
{
	if (size > DOCUMENT_MAX_BYTES)
		decoder_fault(decoder, "", "the document has more than the %d bytes that are read",
			      DOCUMENT_MAX_BYTES);
	/* What a crash leaves of a file; jansson would take it for the end. */
	else if (memchr(text, '\0', size))
		decoder_fault(decoder, "", "byte %zu is a NUL: this is no text, or damaged",
			      (size_t)((char *)memchr(text, '\0', size) - text));
	else if (is_blank(text, size))
		decoder_fault(decoder, "", "the document is empty");
	else if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		decoder_fault(decoder, "",
			      "the document begins with a byte order mark; "
			      "save it as UTF-8 without one");
	else
		return text_parse(decoder, text, size);
	return NULL;
}

static void document_fill(struct decoder *decoder, const json_t *root, struct document *document)
{
	struct value value = { .json = root,
			       .what = "an object, with version, gateways and redirects" };

	decode_object(decoder, &value, document_members, COUNT(document_members), document);
	document_check(decoder, root, document);
	faults_sort(decoder->faults, root);
}

static void fault_unreported(const struct decoder *decoder)
{
	if (decoder->unreported)
		faults_add(decoder->faults, "", "%zu more faults are not shown",
			   decoder->unreported);
}

json_t *document_parse(const char *text, size_t size, struct faults *faults)
{
	struct document rest = { 0 };
	struct decoder decoder = { .arena = &rest.arena, .faults = faults };
	json_t *root = text_read(&decoder, text, size);

	if (decoder.repaired && root) {
		document_fill(&decoder, root, &rest);
		json_decref(root);
		root = NULL;
	}
	fault_unreported(&decoder);
	document_free(&rest);
	return root;
}

static bool is_everybody(const struct spans *spans, enum family family)
{
	uint8_t next[SPAN_BYTES] = { 0 };

	for (size_t i = 0; i < spans->count; i++) {
		if (memcmp(spans->items[i].from, next, sizeof(next)) != 0)
			return false;
		memcpy(next, spans->items[i].to, sizeof(next));
		if (!key_increment(next, family_bytes(family)))
			return true;
	}
	return false;
}

/* Clients that are everybody are no condition, however they are written. */
static void clients_simplify(struct redirect *redirect)
{
	struct spans *networks = redirect->clients.networks;

	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (redirect_works_in(redirect, family) && !is_everybody(&networks[family], family))
			return;
	redirect->any_client = true;
	memset(networks, 0, sizeof(redirect->clients.networks));
}

int document_decode_json(const json_t *json, struct document *document, struct faults *faults)
{
	struct decoder decoder = { .arena = &document->arena, .faults = faults };

	document_empty(document);
	document_fill(&decoder, json, document);
	fault_unreported(&decoder);
	if (faults->count)
		return -1;
	for (size_t i = 0; i < document->redirect_count; i++)
		clients_simplify(&document->redirects[i]);
	return 0;
}

int document_decode(const char *text, size_t size, struct document *document, struct faults *faults)
{
	json_t *json = document_parse(text, size, faults);
	int result = -1;

	document_empty(document);
	if (json)
		result = document_decode_json(json, document, faults);
	json_decref(json);
	return result;
}

void document_empty(struct document *document)
{
	*document = (struct document){ 0 };
}

void document_free(struct document *document)
{
	arena_free(&document->arena);
	document_empty(document);
}

bool redirect_works_in(const struct redirect *redirect, enum family family)
{
	return redirect->gateway->has_address[family] && redirect->servers.networks[family].count;
}

bool mark_is_full(const struct mark *mark)
{
	return mark->mask == UINT32_MAX;
}

const char *service_format(const struct service *service, char *text)
{
	const char *protocol = protocol_name(service->protocol);

	if (service->from == service->to)
		snprintf(text, SPAN_TEXT, "%u/%s", service->from, protocol);
	else
		snprintf(text, SPAN_TEXT, "%u-%u/%s", service->from, service->to, protocol);
	return text;
}
