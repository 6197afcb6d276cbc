/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures of a router, as golden texts. */
#include "tests/unit/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "reconcile/picture.h"
#include "reconcile/reconcile.h"
#include "reconcile/report.h"

#define RDP DOCUMENT(GATEWAY(""), REDIRECT("rdp", ""))

/* only: NULL for all of it. canvas: NULL for the SVG document. */
static void part_check(struct fake *fake, const char *json, const char *only,
		       const struct canvas *canvas, const char *golden)
{
	struct document document;
	struct scope scope = { .document = &document, .neighbours = true, .connections = true };
	struct comparison comparison;
	struct picture picture;
	struct report report = { .verb = "show", .picture = &picture };
	struct error error;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fixture_document(json, &document);
	assert_int_equal(comparison_make(&fake->kernel, &scope, &comparison, &error), 0);
	picture_make(&document, &comparison, &picture);
	if (only)
		assert_int_equal(picture_narrow(&picture, only, &error), 0);
	report.plan = &comparison.plan;
	if (canvas)
		report_show(&report, canvas, out);
	else
		assert_int_equal(report_svg(&report, out), 0);
	fclose(out);
	golden_check(golden, text);
	free(text);
	picture_free(&picture);
	comparison_free(&comparison);
	document_free(&document);
}

static void picture_check(struct fake *fake, const char *json, const struct canvas *canvas,
			  const char *golden)
{
	part_check(fake, json, NULL, canvas, golden);
}

static const struct canvas wide = { .columns = 100 }, narrow = { .columns = 10 },
			   plain = { .columns = 80, .is_ascii = true },
			   colourful = { .columns = 80, .colour = true };

static void test_picture_of_what_is_well(void **cmocka)
{
	struct fake *fake = fixture_router(0);

	(void)cmocka;
	fixture_apply(fake, RDP);
	fake_neighbour_set(fake, "eth2", "10.2.0.10", NEIGHBOUR_REACHABLE, "02:00:00:00:00:01");
	fake_connections_add(fake, 0x10, 42);
	picture_check(fake, RDP, &wide, "show_well");
	picture_check(fake, RDP, &plain, "show_ascii");
	picture_check(fake, RDP, &narrow, "show_narrow");
	picture_check(fake, RDP, &colourful, "show_colour");
	picture_check(fake, RDP, NULL, "show_svg_well");
	fake_close(fake);
}

static void test_picture_marks_what_is_broken(void **cmocka)
{
	struct fake *fake = fixture_router(0);

	(void)cmocka;
	picture_check(fake, RDP, &wide, "show_not_live");
	fixture_apply(fake, RDP);
	fake_neighbour_set(fake, "eth2", "10.2.0.10", NEIGHBOUR_FAILED, NULL);
	fake_neighbour_set(fake, "eth2", "2001:db8:2::10", NEIGHBOUR_FAILED, NULL);
	picture_check(fake, RDP, &wide, "show_silent");
	fake_link_set(fake, "eth2", false);
	picture_check(fake, RDP, &wide, "show_down");
	picture_check(fake, RDP, NULL, "show_svg_down");
	fake_close(fake);
}

static void test_picture_tells_the_document_from_what_is_live(void **cmocka)
{
	struct fake *fake = fixture_router(0);

	(void)cmocka;
	fixture_apply(fake, RDP);
	picture_check(fake, DOCUMENT(GATEWAY(""), REDIRECT("ssh", "")), &wide, "show_extra");
	fake_close(fake);
}

static char *many(unsigned int count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("{'version':1,'gateways':[" GATEWAY("") "],'redirects':[", out);
	for (unsigned int i = 0; i < count; i++)
		fprintf(out,
			"%s{'name':'r%u','gateway':'scb','clients':{'interfaces':['eth0']},"
			"'servers':{'networks':['10.1.%u.0/24']},'services':['3389/tcp']}",
			i ? "," : "", i, i);
	fputs("]}", out);
	fclose(out);
	return text;
}

static void test_many_redirects_take_a_line_each_after_the_broken(void **cmocka)
{
	struct fake *fake = fixture_router(0);
	char *fewer = many(13), *more = many(15);

	(void)cmocka;
	fixture_apply(fake, fewer);
	picture_check(fake, more, &wide, "show_many");
	free(fewer);
	free(more);
	fake_close(fake);
}

/* To two gateways; one of the redirects has the name of a gateway. */
#define PSM                                                                                        \
	"{'name':'psm','interface':'eth3','addresses':['10.3.0.10'],'mark':'0x20/0xf0',"           \
	"'table':104,'priority':102}"
#define TO_PSM(name, port)                                                                         \
	"{'name':'" name "','gateway':'psm','clients':{'interfaces':['eth0']},"                    \
	"'servers':{'networks':['10.1.0.0/24']},'services':['" port "/tcp']}"
#define SEVERAL                                                                                    \
	DOCUMENT(GATEWAY("") "," PSM, REDIRECT("rdp", "") "," TO_PSM("web", "80") "," TO_PSM(      \
					      "scb", "81") "," TO_PSM("ssh", "22"))

static void test_a_name_narrows_the_picture_to_what_belongs_to_it(void **cmocka)
{
	static const struct {
		const char *json, *name;
		const struct canvas *canvas;
		const char *golden;
	} parts[] = {
		{ SEVERAL, "psm", &wide, "show_only_gateway" },
		{ SEVERAL, "web", &wide, "show_only_redirect" },
		{ SEVERAL, "scb", &wide, "show_only_both" },
		{ SEVERAL, "ssh", NULL, "show_only_svg" },
		{ DOCUMENT(PSM, TO_PSM("web", "80")), "rdp", &wide, "show_only_extra" },
		{ DOCUMENT(PSM, TO_PSM("web", "80")), "psm", &wide, "show_only_differs" },
	};
	struct fake *fake = fixture_router(0);

	(void)cmocka;
	fixture_apply(fake, SEVERAL);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		part_check(fake, parts[i].json, parts[i].name, parts[i].canvas, parts[i].golden);
	fake_close(fake);
}

/* What is said of a name that nothing has. */
static void refusal_check(struct fake *fake, const char *json, const char *name, const char *said)
{
	struct document document;
	struct scope scope = { .document = &document };
	struct comparison comparison;
	struct picture picture;
	struct error error;

	fixture_document(json, &document);
	assert_int_equal(comparison_make(&fake->kernel, &scope, &comparison, &error), 0);
	picture_make(&document, &comparison, &picture);
	assert_int_equal(picture_narrow(&picture, name, &error), -1);
	assert_string_equal(error.code, "usage");
	assert_string_equal(error.message, said);
	picture_free(&picture);
	comparison_free(&comparison);
	document_free(&document);
}

#define UNKNOWN "no gateway and no enabled redirect has that name, in the document or live; "

static void test_a_name_that_nothing_has_is_told_those_that_there_are(void **cmocka)
{
	struct fake *fake = fixture_router(0);
	char *more = many(15);

	(void)cmocka;
	refusal_check(fake, DOCUMENT("", ""), "",
		      "--only : " UNKNOWN "gateways: none; redirects: none");
	refusal_check(fake, DOCUMENT(GATEWAY(""), REDIRECT("off", ",'enabled':false")), "off",
		      "--only off: " UNKNOWN "gateways: scb; redirects: none");
	refusal_check(fake, more, "r",
		      "--only r: " UNKNOWN "gateways: scb; redirects: r0, r1, r2 and 12 more");
	free(more);
	fixture_apply(fake, RDP);
	refusal_check(fake, DOCUMENT("", ""), "x",
		      "--only x: " UNKNOWN "gateways: scb; redirects: rdp");
	fake_close(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picture_of_what_is_well),
		cmocka_unit_test(test_picture_marks_what_is_broken),
		cmocka_unit_test(test_picture_tells_the_document_from_what_is_live),
		cmocka_unit_test(test_many_redirects_take_a_line_each_after_the_broken),
		cmocka_unit_test(test_a_name_narrows_the_picture_to_what_belongs_to_it),
		cmocka_unit_test(test_a_name_that_nothing_has_is_told_those_that_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
