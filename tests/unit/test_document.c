/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a document becomes, and what no input may do to us. Which fault each
 * mistake gets is in tests/documents, which tests/lab/test_documents.py reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "reconcile/document.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char everything[] =
	"{\"version\": 1, \"gateways\": [{\"name\": \"scb\", \"description\": \"Safeguard pair\","
	" \"interface\": \"eth2\", \"addresses\": [\"10.2.0.10\", \"2001:db8:2::10\"],"
	" \"mark\": \"0x10/0xf0\", \"table\": 103, \"priority\": 100, \"spoofs_clients\": true,"
	" \"rp_filter\": \"off\", \"on_loss\": \"bypass\"}],\n"
	" \"redirects\": [{\"name\": \"rdp\", \"description\": \"CHG\\u00e91\", \"enabled\": true,"
	" \"gateway\": \"scb\", \"clients\": {\"interfaces\": [\"eth0\", \"vlan*\", \"vlan1\"],"
	" \"networks\": [\"10.0.0.0/24\", \"2001:db8::/64\"], \"except\": [\"10.0.0.99\"]},"
	" \"servers\": {\"networks\": [\"10.1.0.128/25\", \"10.1.0.0/24\", \"2001:db8:1::/64\"],"
	" \"except\": [\"10.1.0.250-10.1.0.254\"]},"
	" \"services\": [\"5900-5910/tcp\", \"53/udp\", \"5905-5920/tcp\", \"22/tcp\"],"
	" \"existing_connections\": \"tracked\"}]}";

static int decode(const char *text, struct document *document, struct faults *faults)
{
	*faults = (struct faults){ 0 };
	return document_decode(text, strlen(text), document, faults);
}

static void release(struct document *document, struct faults *faults)
{
	document_free(document);
	faults_free(faults);
}

/* All faults, as validate prints them. */
static void assert_faults(const char *text, const char *expected)
{
	char seen[8192] = "";
	struct document document;
	struct faults faults;
	size_t length = 0;

	assert_int_equal(decode(text, &document, &faults), *expected ? -1 : 0);
	for (size_t i = 0; i < faults.count && length < sizeof(seen); i++)
		length += (size_t)snprintf(seen + length, sizeof(seen) - length, "%s: %s\n",
					   faults.items[i].pointer, faults.items[i].message);
	assert_string_equal(seen, expected);
	release(&document, &faults);
}

static void assert_spans(const struct spans *spans, enum family family, const char *expected)
{
	char seen[512] = "", text[SPAN_TEXT];
	size_t length = 0;

	for (size_t i = 0; i < spans->count; i++)
		length += (size_t)snprintf(seen + length, sizeof(seen) - length, "%s ",
					   span_format(&spans->items[i], family, text));
	assert_string_equal(seen, expected);
}

static void test_a_gateway_is_decoded_in_full(void **state)
{
	struct document document;
	struct faults faults;
	const struct gateway *gateway;

	(void)state;
	assert_int_equal(decode(everything, &document, &faults), 0);
	gateway = document.gateways;
	assert_int_equal(document.gateway_count, 1);
	assert_string_equal(gateway->name, "scb");
	assert_string_equal(gateway->description, "Safeguard pair");
	assert_string_equal(gateway->interface, "eth2");
	assert_true(gateway->has_address[FAMILY_IPV4] && gateway->has_address[FAMILY_IPV6]);
	assert_memory_equal(gateway->address[FAMILY_IPV4], "\x0a\x02\x00\x0a\0\0", 6);
	assert_memory_equal(gateway->address[FAMILY_IPV6], "\x20\x01\x0d\xb8\x00\x02", 6);
	assert_int_equal(gateway->mark.value, 0x10);
	assert_int_equal(gateway->mark.mask, 0xf0);
	assert_false(mark_is_full(&gateway->mark));
	assert_int_equal(gateway->table, 103);
	assert_int_equal(gateway->priority, 100);
	assert_true(gateway->spoofs_clients);
	assert_int_equal(gateway->rp_filter, RP_FILTER_OFF);
	assert_int_equal(gateway->on_loss, ON_LOSS_BYPASS);
	release(&document, &faults);
}

static void test_clients_that_are_everybody_are_as_if_left_out(void **state)
{
	static const struct {
		const char *networks;
		bool any_client;
	} cases[] = {
		{ "\"0.0.0.0/0\",\"::/0\"", true },
		{ "\"0.0.0.0/1\",\"128.0.0.0-255.255.255.255\",\"::/0\",\"2001:db8::/64\"", true },
		{ "\"0.0.0.0/1\",\"128.0.0.0-255.255.255.254\",\"::/0\"", false },
		{ "\"0.0.0.0/0\",\"2001:db8::/64\"", false },
		{ "\"0.0.0.1-255.255.255.255\",\"::/0\"", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct document document;
		struct faults faults;
		char text[1024];

		snprintf(text, sizeof(text),
			 "{\"version\":1,\"gateways\":[{\"name\":\"scb\",\"interface\":\"eth2\","
			 "\"mark\":1,"
			 "\"addresses\":[\"10.2.0.10\",\"2001:db8:2::10\"],\"table\":103,"
			 "\"priority\":100}],"
			 "\"redirects\":[{\"name\":\"rdp\",\"gateway\":\"scb\",\"services\":["
			 "\"3389/tcp\"],"
			 "\"clients\":{\"interfaces\":[\"eth0\"],\"networks\":[%s]},"
			 "\"servers\":{\"networks\":[\"10.1.0.0/24\",\"2001:db8:1::/64\"]}}]}",
			 cases[i].networks);
		assert_int_equal(decode(text, &document, &faults), 0);
		assert_int_equal(document.redirects[0].any_client, cases[i].any_client);
		assert_int_equal(document.redirects[0].clients.networks[FAMILY_IPV4].count != 0,
				 !cases[i].any_client);
		release(&document, &faults);
	}
}

static void test_a_redirect_is_decoded_in_full_and_normalized(void **state)
{
	struct document document;
	struct faults faults;
	const struct redirect *redirect;
	char service[SPAN_TEXT];

	(void)state;
	assert_int_equal(decode(everything, &document, &faults), 0);
	redirect = document.redirects;
	assert_int_equal(document.redirect_count, 1);
	assert_string_equal(redirect->name, "rdp");
	assert_string_equal(redirect->description, "CHG\xc3\xa9"
						   "1");
	assert_true(redirect->enabled);
	assert_ptr_equal(redirect->gateway, &document.gateways[0]);
	assert_int_equal(redirect->interface_count, 3);
	assert_string_equal(redirect->interfaces[1], "vlan*");
	assert_int_equal(redirect->interface_spans.count, 2);
	assert_false(redirect->any_client);
	assert_spans(&redirect->clients.networks[FAMILY_IPV4], FAMILY_IPV4, "10.0.0.0/24 ");
	assert_spans(&redirect->clients.networks[FAMILY_IPV6], FAMILY_IPV6, "2001:db8::/64 ");
	assert_spans(&redirect->clients.except[FAMILY_IPV4], FAMILY_IPV4, "10.0.0.99 ");
	assert_spans(&redirect->clients.except[FAMILY_IPV6], FAMILY_IPV6, "");
	assert_spans(&redirect->servers.networks[FAMILY_IPV4], FAMILY_IPV4, "10.1.0.0/24 ");
	assert_spans(&redirect->servers.except[FAMILY_IPV4], FAMILY_IPV4, "10.1.0.250-10.1.0.254 ");
	assert_int_equal(redirect->service_count, 3);
	assert_string_equal(service_format(&redirect->services[0], service), "22/tcp");
	assert_string_equal(service_format(&redirect->services[1], service), "5900-5920/tcp");
	assert_string_equal(service_format(&redirect->services[2], service), "53/udp");
	assert_string_equal(existing_name(redirect->existing), "tracked");
	release(&document, &faults);
}

#define GATEWAY_1(name)                                                                            \
	"{\"name\": \"" name "\", \"interface\": \"eth2\", \"addresses\": [\"10.2.0.10\"], "       \
	"\"mark\": 1, \"table\": 103, \"priority\": 100}"
#define GATEWAY_2                                                                                  \
	"{\"name\": \"psm\", \"interface\": \"eth3\", \"addresses\": [\"10.3.0.10\"], "            \
	"\"mark\": 2, \"table\": 104, \"priority\": 110}"
#define REDIRECT(name, gateway, servers)                                                           \
	"{\"name\": \"" name "\", \"gateway\": \"" gateway "\", "                                  \
	"\"clients\": {\"interfaces\": [\"eth0\"]}, \"servers\": {\"networks\": [" servers         \
	"]}, \"services\": [\"22/tcp\"]}"
#define DOCUMENT(gateways, redirects)                                                              \
	"{\"version\": 1, \"gateways\": [" gateways "], \"redirects\": [" redirects "]}"

static void test_what_is_left_out_has_its_default(void **state)
{
	struct document document;
	struct faults faults;

	(void)state;
	assert_int_equal(decode(DOCUMENT(GATEWAY_1("scb"), REDIRECT("ssh", "scb", "\"10.1.0.1\"")),
				&document, &faults),
			 0);
	assert_string_equal(document.gateways[0].description, "");
	assert_false(document.gateways[0].spoofs_clients);
	assert_true(mark_is_full(&document.gateways[0].mark));
	assert_int_equal(document.gateways[0].rp_filter, RP_FILTER_LOOSE);
	assert_int_equal(document.gateways[0].on_loss, ON_LOSS_BLOCK);
	assert_string_equal(document.redirects[0].description, "");
	assert_true(document.redirects[0].enabled);
	assert_true(document.redirects[0].any_client);
	assert_int_equal(document.redirects[0].existing, EXISTING_KEEP);
	assert_true(redirect_works_in(&document.redirects[0], FAMILY_IPV4));
	assert_false(redirect_works_in(&document.redirects[0], FAMILY_IPV6));
	release(&document, &faults);
}

static const struct {
	const char *text, *faults;
} faulty[] = {
	/* In the document's order, whatever found them; what is missing is at the end. */
	{ "{\"redirects\": [{\"name\": \"ssh\", \"gateway\": \"scb\", \"services\": [\"0/tcp\"]}],"
	  " \"gateways\": [" GATEWAY_1("scb") ", " GATEWAY_1("scb") "], \"x\": null}",
	  "/redirects/0/services/0: \"0/tcp\": port must be 1-65535\n"
	  "/redirects/0/clients: missing: must be an object with interfaces, networks and except\n"
	  "/redirects/0/servers: missing: must be an object with networks and except\n"
	  "/gateways/1/name: \"scb\": this name stands at /gateways/0/name already\n"
	  "/gateways/1/mark: 1: a packet could bear this and the mark 0x1/0xffffffff of gateway "
	  "\"scb\"; the values must differ in a bit of both masks\n"
	  "/gateways/1/table: 103: is the table of gateway \"scb\" already; each needs its own\n"
	  "/gateways/1/priority: 100: is the priority of gateway \"scb\" already\n"
	  "/x: \"x\": unknown key; known here: $schema, version, gateways, redirects\n"
	  "/version: missing: must be 1: this detour reads version 1\n" },
	/* Keys that stand twice are found wherever they are, and hide nothing else. */
	{ "{\"version\": 1, \"gateways\": [], \"redirects\": [], \"a\": [{\"~/\": 1, \"\\u007e/\": "
	  "2}],"
	  " \"version\": 2}",
	  "/version: \"version\": stands 2 times in this object; write it once\n"
	  "/version: 2: this detour reads version 1\n"
	  "/a: \"a\": unknown key; known here: $schema, version, gateways, redirects\n"
	  "/a/0/~0~1: \"~/\": stands 2 times in this object; write it once\n" },
	/* Numbers that fit nothing have their place too. */
	{ "{\"version\": 1e999, \"gateways\": -99999999999999999999, \"redirects\": []}",
	  "/version: 1e999: this number is too large for any field\n"
	  "/gateways: -99999999999999999999: this number is too large for any field\n" },
	/* A syntax error behind a duplicate key. */
	{ "{\"version\": 1, \"version\": 1,\n \"gateways\": [1e999 }",
	  "/gateways/0: 1e999: this number is too large for any field\n"
	  "/version: \"version\": stands 2 times in this object; write it once\n"
	  ": line 2, column 21: ']' expected\n" },
	/* A faulty address leaves unknown what follows from it. */
	{ DOCUMENT("{\"name\": \"scb\", \"interface\": \"eth2\", \"addresses\": [\"10.2.0.10\", "
		   "\"x\"],"
		   " \"mark\": 1, \"table\": 103, \"priority\": 100}",
		   REDIRECT("ssh", "scb", "\"::/0\"")),
	  "/gateways/0/addresses/1: \"x\": must be an address, a network such as 10.1.0.0/24 or a "
	  "range such as 10.1.0.1-10.1.0.9\n" },
};

static void test_all_faults_are_reported_at_once_in_the_order_of_the_document(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(faulty); i++)
		assert_faults(faulty[i].text, faulty[i].faults);
}

static void test_faults_past_the_limit_are_counted(void **state)
{
	static char text[64 * 1024];
	struct document document;
	struct faults faults;
	size_t length = 0;

	(void)state;
	for (int i = 0; i < 1500; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s\"k%d\": 1",
					   i ? ", "
					     : "{\"version\": 1, \"gateways\": [], "
					       "\"redirects\": [], ",
					   i);
	strcat(text, "}");
	assert_int_equal(decode(text, &document, &faults), -1);
	assert_int_equal(faults.count, 1001);
	assert_string_equal(faults.items[999].pointer, "/k999");
	assert_string_equal(faults.items[1000].message, "500 more faults are not shown");
	release(&document, &faults);
}

static void test_a_file_that_is_too_large_is_not_even_parsed(void **state)
{
	size_t size = 100 * 1024 * 1024;
	char *text = calloc(1, size);
	struct faults faults = { 0 };
	struct document document;

	(void)state;
	assert_int_equal(document_decode(text, size, &document, &faults), -1);
	assert_int_equal(faults.count, 1);
	assert_string_equal(faults.items[0].message,
			    "the document has more than the 33554432 bytes that are read");
	release(&document, &faults);
	free(text);
}

static void test_deep_nesting_is_refused(void **state)
{
	enum { DEPTH = 10000 };
	char *text = calloc(1, DEPTH * 5 + 64);

	(void)state;
	memset(text, '[', DEPTH);
	assert_faults(text, ": line 1, column 2049: nested too deeply: "
			    "more than 2048 arrays and objects\n");
	for (size_t i = 0; i < DEPTH; i++)
		memcpy(text + i * 5, "{\"a\":", 5);
	assert_faults(text, ": line 1, column 10241: nested too deeply: "
			    "more than 2048 arrays and objects\n");
	/* A duplicate key makes us go through the text before the parser has. */
	memcpy(text, "{\"a\":1,\"a\":", 11);
	memset(text + 11, '[', DEPTH * 5 - 11);
	assert_faults(text, "/a: \"a\": stands 2 times in this object; write it once\n"
			    ": line 1, column 2059: nested too deeply: "
			    "more than 2048 arrays and objects\n");
	free(text);
}

/* The text is at the end of its memory, so that reading past it is found out. */
static void assert_refused(const char *text, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct faults faults = { 0 };
	struct document document;

	memcpy(exact, text, size);
	assert_int_equal(document_decode(exact, size, &document, &faults), -1);
	assert_true(faults.count > 0);
	release(&document, &faults);
	free(exact);
}

static void test_a_document_cut_off_at_any_byte_is_refused(void **state)
{
	(void)state;
	for (size_t size = 0; size < sizeof(everything) - 1; size++)
		assert_refused(everything, size);
}

static void mutate(char *text, size_t size)
{
	static const char likely[] = "{}[]\",:0123456789eE.-/*\\u \n\0\x7f\xc3\xff";

	for (int changes = 1 + rand() % 3; changes; changes--) {
		size_t at = (size_t)rand() % size;

		if (rand() % 4)
			text[at] = likely[(size_t)rand() % sizeof(likely)];
		else
			memmove(text + at, text + (size_t)rand() % size / 2,
				(size - at < size / 2 ? size - at : size / 2) / 4);
	}
}

/* Reports are JSON, and JSON is UTF-8. */
static void assert_printable(const struct faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		json_t *fault = json_pack("{ss ss}", "pointer", faults->items[i].pointer, "message",
					  faults->items[i].message);

		assert_non_null(fault);
		json_decref(fault);
	}
}

static void test_no_mutation_of_a_document_does_harm(void **state)
{
	char text[sizeof(everything)];
	size_t refused = 0;

	(void)state;
	srand(2);
	for (int round = 0; round < 4000; round++) {
		struct faults faults = { 0 };
		struct document document;

		memcpy(text, everything, sizeof(text));
		mutate(text, sizeof(text) - 1);
		refused += document_decode(text, sizeof(text) - 1, &document, &faults) < 0;
		assert_printable(&faults);
		release(&document, &faults);
	}
	assert_true(refused > 3000);
}

/* A redirect in a world so small that all its connections can be tried. */
enum { REDIRECTS = 6, INTERFACES = 3, ADDRESSES = 16, PORTS = 4 };

struct range {
	int from, to;
};

struct sample {
	bool enabled;
	int gateway;
	const char *interfaces;
	struct range clients, servers, except, ports;
};

static struct range range_random(int size)
{
	int from = rand() % size;

	return (struct range){ from, from + rand() % (size - from) };
}

static struct sample sample_random(void)
{
	static const char *const interfaces[] = { "e0", "e1", "e2", "e*" };

	return (struct sample){ rand() % 8 > 0,          rand() % 2,
				interfaces[rand() % 4],  range_random(ADDRESSES),
				range_random(ADDRESSES), range_random(ADDRESSES),
				range_random(PORTS) };
}

static bool within(struct range range, int value)
{
	return value >= range.from && value <= range.to;
}

static bool takes(const struct sample *sample, int interface, int client, int server, int port)
{
	return sample->enabled &&
	       (sample->interfaces[1] == '*' || sample->interfaces[1] == '0' + interface) &&
	       within(sample->clients, client) && within(sample->servers, server) &&
	       !within(sample->except, server) && within(sample->ports, port);
}

static bool samples_overlap(const struct sample *a, const struct sample *b)
{
	if (a->gateway == b->gateway)
		return false;
	for (int i = 0; i < INTERFACES; i++)
		for (int client = 0; client < ADDRESSES; client++)
			for (int server = 0; server < ADDRESSES; server++)
				for (int port = 0; port < PORTS; port++)
					if (takes(a, i, client, server, port) &&
					    takes(b, i, client, server, port))
						return true;
	return false;
}

static char *samples_write(const struct sample *samples)
{
	static char text[8192];
	int length = snprintf(text, sizeof(text),
			      "{\"version\": 1, \"gateways\": [%s, %s], \"redirects\": [",
			      GATEWAY_1("gateway0"), GATEWAY_2);

	for (int i = 0; i < REDIRECTS; i++) {
		const struct sample *sample = &samples[i];

		length += snprintf(
			text + length, sizeof(text) - (size_t)length,
			"%s{\"name\": \"r%d\", \"enabled\": %s, \"gateway\": \"%s\", \"clients\": "
			"{\"interfaces\": [\"%s\"], \"networks\": [\"10.0.0.%d-10.0.0.%d\"]}, "
			"\"servers\": {\"networks\": [\"10.1.0.%d-10.1.0.%d\"], "
			"\"except\": [\"10.1.0.%d-10.1.0.%d\"]}, \"services\": [\"%d-%d/tcp\"]}",
			i ? ", " : "", i, sample->enabled ? "true" : "false",
			sample->gateway ? "psm" : "gateway0", sample->interfaces,
			sample->clients.from, sample->clients.to, sample->servers.from,
			sample->servers.to, sample->except.from, sample->except.to,
			sample->ports.from + 1, sample->ports.to + 1);
	}
	strcat(text, "]}");
	return text;
}

static bool overlap_is_reported(const struct faults *faults, int earlier, int later)
{
	char pointer[32], message[64];

	snprintf(pointer, sizeof(pointer), "/redirects/%d", later);
	snprintf(message, sizeof(message), "\"r%d\": overlaps redirect \"r%d\"", later, earlier);
	for (size_t i = 0; i < faults->count; i++)
		if (strcmp(faults->items[i].pointer, pointer) == 0 &&
		    strncmp(faults->items[i].message, message, strlen(message)) == 0)
			return true;
	return false;
}

static void test_overlaps_are_those_that_trying_every_connection_finds(void **state)
{
	size_t overlaps = 0;

	(void)state;
	srand(3);
	for (int round = 0; round < 300; round++) {
		struct sample samples[REDIRECTS];
		struct document document;
		struct faults faults;

		for (int i = 0; i < REDIRECTS; i++)
			samples[i] = sample_random();
		decode(samples_write(samples), &document, &faults);
		for (int later = 1; later < REDIRECTS; later++) {
			for (int earlier = 0; earlier < later; earlier++) {
				bool overlap = samples_overlap(&samples[earlier], &samples[later]);

				overlaps += overlap;
				assert_int_equal(overlap_is_reported(&faults, earlier, later),
						 overlap);
			}
		}
		release(&document, &faults);
	}
	assert_true(overlaps > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_gateway_is_decoded_in_full),
		cmocka_unit_test(test_a_redirect_is_decoded_in_full_and_normalized),
		cmocka_unit_test(test_clients_that_are_everybody_are_as_if_left_out),
		cmocka_unit_test(test_what_is_left_out_has_its_default),
		cmocka_unit_test(test_all_faults_are_reported_at_once_in_the_order_of_the_document),
		cmocka_unit_test(test_faults_past_the_limit_are_counted),
		cmocka_unit_test(test_a_file_that_is_too_large_is_not_even_parsed),
		cmocka_unit_test(test_deep_nesting_is_refused),
		cmocka_unit_test(test_a_document_cut_off_at_any_byte_is_refused),
		cmocka_unit_test(test_no_mutation_of_a_document_does_harm),
		cmocka_unit_test(test_overlaps_are_those_that_trying_every_connection_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
