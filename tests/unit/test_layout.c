/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How documents stand in nf_tables: golden texts, and claims about their shape. */
#include <stdlib.h>
#include <string.h>

#include "reconcile/expand.h"
#include "tests/unit/fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define BYPASS GATEWAY(",'on_loss':'bypass'")
#define SPOOF  GATEWAY(",'spoofs_clients':true")
#define SECOND                                                                                     \
	"{'name':'two','interface':'eth3','addresses':['10.3.0.10'],'mark':'0x0720/0x0ff0',"       \
	"'table':104,'priority':110,'on_loss':'bypass','spoofs_clients':true}"
#define FULL_MASK                                                                                  \
	"{'name':'scb','interface':'eth2','addresses':['10.2.0.10','2001:db8:2::10'],"             \
	"'mark':103,'table':103,'priority':100}"
#define EXISTING(value) REDIRECT("rdp", ",'existing_connections':'" value "'")
#define RDP             REDIRECT("rdp", "")
#define SCTP                                                                                       \
	"{'name':'sctp','gateway':'scb','clients':{'interfaces':['eth0','vlan*']},"                \
	"'servers':{'networks':['10.1.0.7']},'services':['7/sctp','53/udp','53/tcp']}"
#define EXCEPTIONS                                                                                 \
	"{'name':'except','gateway':'scb','clients':{'interfaces':['eth0'],"                       \
	"'networks':['10.0.0.0/24','2001:db8::/64'],'except':['10.0.0.99','2001:db8::1']},"        \
	"'servers':{'networks':['10.1.0.0/24','2001:db8:1::/64'],"                                 \
	"'except':['10.1.0.250-10.1.0.254']},'services':['3389/tcp']}"
#define OF_TWO                                                                                     \
	"{'name':'vnc','gateway':'two','clients':{'interfaces':['eth1']},"                         \
	"'servers':{'networks':['10.0.0.0/24']},'services':['5900-5910/tcp']}"

/* Overlapping servers: told apart by service; by client; by nothing. */
#define ALIKE(name, clients, networks, services)                                                   \
	"{'name':'" name                                                                           \
	"','gateway':'scb','clients':{'interfaces':['eth0'],'networks':['" clients                 \
	"']},'servers':{'networks':['" networks "']},'services':['" services "']}"

static const struct {
	const char *name, *text;
} goldens[] = {
	{ "one_redirect", DOCUMENT(GATEWAY(""), RDP) },
	{ "no_redirect", DOCUMENT(GATEWAY(""), "") },
	{ "exceptions", DOCUMENT(GATEWAY(""), EXCEPTIONS) },
	{ "spoofing", DOCUMENT(SPOOF, RDP) },
	{ "bypass", DOCUMENT(BYPASS, RDP) },
	{ "full_mask", DOCUMENT(FULL_MASK, RDP) },
	{ "existing_keep_all_protocols", DOCUMENT(GATEWAY(""), SCTP) },
	{ "existing_tracked", DOCUMENT(GATEWAY(""), EXISTING("tracked")) },
	{ "existing_redirect", DOCUMENT(GATEWAY(""), EXISTING("redirect")) },
	{ "two_gateways", DOCUMENT(GATEWAY("") "," SECOND, RDP "," OF_TWO) },
	{ "disabled", DOCUMENT(GATEWAY(""), RDP "," REDIRECT("off", ",'enabled':false")) },
	{ "shared_by_service",
	  DOCUMENT(GATEWAY(""), ALIKE("a", "10.0.0.0/24", "10.1.0.0/24", "22/tcp") "," ALIKE(
					"b", "10.0.0.0/24", "10.1.0.0/25", "23/tcp")) },
	{ "shared_by_client",
	  DOCUMENT(GATEWAY(""), ALIKE("a", "10.0.0.0/25", "10.1.0.0/24", "22/tcp") "," ALIKE(
					"b", "10.0.0.128/25", "10.1.0.0/24", "22/tcp")) },
	{ "shared_in_order",
	  DOCUMENT(GATEWAY(""), ALIKE("a", "10.0.0.0/24", "10.1.0.0/24", "22/tcp") "," ALIKE(
					"b", "10.0.0.0/24", "10.1.0.0/24", "22/tcp")) },
};

struct layout_test {
	struct arena arena;
	struct document document;
	struct nft_table table;
};

static void layout_make(const char *text, struct layout_test *made)
{
	*made = (struct layout_test){ 0 };
	fixture_document(text, &made->document);
	layout_build(&made->arena, &made->document, &made->table);
	nft_table_sort(&made->table);
}

static void layout_free(struct layout_test *made)
{
	arena_free(&made->arena);
	document_free(&made->document);
}

static char *layout_text(const char *document)
{
	struct layout_test made;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	layout_make(document, &made);
	nft_table_dump(&made.table, out);
	fclose(out);
	layout_free(&made);
	return text;
}

static void check_golden(const char *name, const char *document)
{
	char file[64], *text = layout_text(document);

	snprintf(file, sizeof(file), "layout_%s", name);
	golden_check(file, text);
	free(text);
}

static void test_layouts_are_as_expected(void **state)
{
	char *example = fixture_read("tests/documents/good/contract-example.json");

	(void)state;
	for (size_t i = 0; i < COUNT(goldens); i++)
		check_golden(goldens[i].name, goldens[i].text);
	check_golden("contract_example", example);
	free(example);
}

/* --- many redirects ------------------------------------------------------ */

/* The caller frees it. Each redirect has the same servers and a port of its own. */
static char *redirects_text(unsigned count, const char *last)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("{'version':1,'gateways':[" GATEWAY("") "],'redirects':[", out);
	for (unsigned i = 0; i < count; i++)
		fprintf(out,
			"{'name':'r%u','gateway':'scb','clients':{'interfaces':['eth0']},"
			"'servers':{'networks':['10.1.0.0/24']},'services':['%u/tcp']},",
			i, 1000 + i);
	fprintf(out, "%s]}", last);
	fclose(out);
	return text;
}

static const struct nft_set *find_map(const struct nft_table *table, const char *prefix)
{
	const struct nft_set *found = NULL;

	for (size_t i = 0; i < table->set_count; i++)
		if (!strncmp(table->sets[i].name, prefix, strlen(prefix))) {
			assert_null(found);
			found = &table->sets[i];
		}
	return found;
}

static void test_a_thousand_redirects_of_one_network_are_found_by_service(void **state)
{
	char *text = redirects_text(1000, RDP);
	struct layout_test made;
	const struct nft_set *map;

	(void)state;
	layout_make(text, &made);
	map = find_map(&made.table, "by-service_");
	assert_non_null(map);
	assert_int_equal(map->element_count, 1001);
	assert_null(find_map(&made.table, "by-client_"));
	assert_int_equal(nft_set_find(&made.table, "servers4")->element_count, 1);
	layout_free(&made);
	free(text);
}

/* --- names --------------------------------------------------------------- */

#define OTHER                                                                                      \
	"{'name':'other','gateway':'scb','clients':{'interfaces':['eth0']},"                       \
	"'servers':{'networks':['10.9.0.0/24']},'services':['22/tcp']}"

static void check_same_maps(const struct nft_table *a, const struct nft_table *b)
{
	assert_string_equal(find_map(a, "by-service_")->name, find_map(b, "by-service_")->name);
}

static void test_shared_chains_keep_their_names_when_others_come(void **state)
{
	char *few = redirects_text(2, RDP), *more = redirects_text(2, RDP "," OTHER);
	char *first = redirects_text(0, OTHER "," RDP "," REDIRECT("b", ",'enabled':false"));
	struct layout_test a, b;

	(void)state;
	layout_make(few, &a);
	layout_make(more, &b);
	check_same_maps(&a.table, &b.table);
	layout_free(&a);
	layout_free(&b);
	layout_make(first, &a);
	assert_null(find_map(&a.table, "by-service_"));
	layout_free(&a);
	free(few);
	free(more);
	free(first);
}

/* The same lists in two orders. */
static const struct {
	const char *one, *other, *prefix, *name; /* NULL: the prefix and a digest */
} sharing[] = {
	{ "['eth0','eth1']", "['eth1','eth0']", "interfaces_", "interfaces_eth0/eth1" },
	{ "['a','b','c']", "['c','b','a']", "interfaces_", "interfaces_a/b/c" },
	{ "['a','b','c','d']", "['d','c','b','a']", "interfaces_", NULL },
	{ "['vlan*']", "['vlan*','vlan7']", "interfaces_", NULL },
	{ "['a','}b']", "['}b','a']", "interfaces_", NULL },
	{ "['3389/tcp']", "['3389/tcp']", "services_", "services_3389/tcp" },
	{ "['22/tcp','5900-5910/udp']", "['5900-5910/udp','22/tcp']", "services_",
	  "services_22/tcp_5900-5910/udp" },
	{ "['1/tcp','2/tcp','3/tcp','4/tcp']", "['4/tcp','1/tcp','3/tcp','2/tcp']", "services_",
	  NULL },
};

static char *sharing_text(size_t i)
{
	static const char redirect[] = "{'name':'%s','gateway':'scb','clients':{'interfaces':%s},"
				       "'servers':{'networks':['10.1.%d.0/24']},'services':%s}";
	bool services = !strcmp(sharing[i].prefix, "services_");
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("{'version':1,'gateways':[" GATEWAY("") "],'redirects':[", out);
	fprintf(out, redirect, "a", services ? "['eth0']" : sharing[i].one, 1,
		services ? sharing[i].one : "['22/tcp']");
	fputs(",", out);
	fprintf(out, redirect, "b", services ? "['eth0']" : sharing[i].other, 2,
		services ? sharing[i].other : "['22/tcp']");
	fputs("]}", out);
	fclose(out);
	return text;
}

static void test_equal_sets_are_one_and_named_after_what_they_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(sharing); i++) {
		size_t length = strlen(sharing[i].prefix);
		char *text = sharing_text(i);
		struct layout_test made;
		const struct nft_set *set;

		layout_make(text, &made);
		set = find_map(&made.table, sharing[i].prefix);
		assert_non_null(set);
		if (sharing[i].name)
			assert_string_equal(set->name, sharing[i].name);
		else
			assert_int_equal(strspn(set->name + length, "0123456789abcdef"), 16);
		layout_free(&made);
		free(text);
	}
}

/* The kernel takes 255 bytes; nft(8) 127 of a comment. */
static void test_names_of_31_characters_fit(void **state)
{
	static const char longest[] = "a234567890123456789012345678901";
	char text[1024];
	struct layout_test made;

	(void)state;
	snprintf(text, sizeof(text),
		 "{'version':1,'gateways':[" SPOOF "],'redirects':[{'name':'%s','gateway':'scb',"
		 "'clients':{'interfaces':['eth0'],'except':['::1']},'services':['1/sctp'],"
		 "'servers':{'networks':['2001:db8:1::/64'],'except':['2001:db8:1::1']}}]}",
		 longest);
	layout_make(text, &made);
	for (size_t i = 0; i < made.table.set_count; i++)
		assert_true(strlen(made.table.sets[i].name) < 128);
	for (size_t i = 0; i < made.table.chain_count; i++)
		for (size_t r = 0; r < made.table.chains[i].rule_count; r++)
			assert_true(strlen(made.table.chains[i].rules[r].comment) <
				    NFT_COMMENT_SIZE - 1);
	layout_free(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts_are_as_expected),
		cmocka_unit_test(test_a_thousand_redirects_of_one_network_are_found_by_service),
		cmocka_unit_test(test_shared_chains_keep_their_names_when_others_come),
		cmocka_unit_test(test_equal_sets_are_one_and_named_after_what_they_hold),
		cmocka_unit_test(test_names_of_31_characters_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
