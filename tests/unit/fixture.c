/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/reconcile.h"

void fixture_document(const char *json, struct document *document)
{
	struct faults faults = { 0 };
	char *text = strdup(json);

	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	document_decode(text, strlen(text), document, &faults);
	for (size_t i = 0; i < faults.count; i++)
		print_error("%s: %s\n", faults.items[i].pointer, faults.items[i].message);
	assert_int_equal(faults.count, 0);
	faults_free(&faults);
	free(text);
}

struct fake *fixture_router(int rp_filter)
{
	struct fake *fake = fake_open(rp_filter);

	fake_link_add(fake, "eth0", "10.0.0.0/24", "2001:db8::/64", NULL);
	fake_link_add(fake, "eth1", "10.1.0.0/24", "2001:db8:1::/64", NULL);
	fake_link_add(fake, "eth2", "10.2.0.0/24", "2001:db8:2::/64", NULL);
	fake_link_add(fake, "eth3", "10.3.0.0/24", "2001:db8:3::/64", NULL);
	return fake;
}

void fixture_apply(struct fake *fake, const char *json)
{
	struct document document;
	struct scope scope = { .document = &document };
	struct apply_options options = { .allow_empty = true };
	struct apply_result result;

	fixture_document(json, &document);
	apply(&fake->kernel, &scope, &options, &result);
	assert_int_equal(result.exit, EXIT_DONE);
	apply_result_free(&result);
	document_free(&document);
}

char *fixture_read(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	else if (getdelim(&text, &size, '\0', file) < 0 && text)
		*text = '\0'; /* an empty file */
	if (file)
		fclose(file);
	return text;
}

static void golden_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

void golden_check(const char *name, const char *text)
{
	char path[256];
	char *wanted;

	snprintf(path, sizeof(path), "tests/unit/golden/%s.txt", name);
	if (getenv("GOLDEN_UPDATE")) {
		golden_write(path, text);
		return;
	}
	wanted = fixture_read(path);
	assert_string_equal(text, wanted);
	free(wanted);
}
