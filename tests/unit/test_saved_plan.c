/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reconcile/saved_plan.h"

static void test_a_plan_is_told_from_a_document_by_its_key(void **state)
{
	static const struct {
		const char *text;
		bool is_plan;
	} files[] = {
		{ "{\"format_version\": 1, \"kind\": \"plan\"}", true },
		{ "{\"kind\": \"plan\", \"format_version\"\n\t : 1}", true },
		{ "{\"format_version\":", true }, /* cut off */
		{ "{\"format_version\"", false },
		{ "", false },
		{ "{\"version\": 1}", false },
		{ "{\"description\": \"format_version\", \"version\": 1}", false },
		{ "{\"description\": \"\\\"format_version\\\": 1\"}", false },
		{ "{\"description\": \"format_version\", \"format_version\": 1}", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		assert_int_equal(saved_plan_is(files[i].text, strlen(files[i].text)),
				 files[i].is_plan);
}

static void test_a_plan_that_is_too_large_is_not_even_read(void **state)
{
	struct error error;

	(void)state;
	assert_null(saved_plan_parse("{", (size_t)PLAN_MAX_BYTES + 1, &error));
	assert_string_equal(error.code, "too-large");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_plan_is_told_from_a_document_by_its_key),
		cmocka_unit_test(test_a_plan_that_is_too_large_is_not_even_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
