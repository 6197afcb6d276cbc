/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures of a router, as golden texts. */
#include "tests/unit/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "reconcile/picture.h"
#include "reconcile/reconcile.h"
#include "reconcile/report.h"

#define RDP DOCUMENT(GATEWAY(""), REDIRECT("rdp", ""))

/* canvas: NULL for the SVG document. */
static void picture_check(struct fake *fake, const char *json, const struct canvas *canvas,
			  const char *golden)
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picture_of_what_is_well),
		cmocka_unit_test(test_picture_marks_what_is_broken),
		cmocka_unit_test(test_picture_tells_the_document_from_what_is_live),
		cmocka_unit_test(test_many_redirects_take_a_line_each_after_the_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
