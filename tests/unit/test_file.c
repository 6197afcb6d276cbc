/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files: whole or not at all, and nothing beside them. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "backends/file.h"

static char directory[64];

static int directory_make(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/test_file.XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int directory_remove(void **state)
{
	static const char *const names[] = { "file", "file.new", "link", "victim" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

static size_t entries(void)
{
	DIR *open = opendir(directory);
	size_t count = 0;

	assert_non_null(open);
	while (readdir(open))
		count++;
	closedir(open);
	return count - 2; /* . and .. */
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_holds(const char *name, const char *text)
{
	char found[64];

	assert_int_equal(file_peek(path_of(name), found, sizeof(found)), strlen(text));
	assert_string_equal(found, text);
}

static int replace(const char *name, const char *text)
{
	struct error error;

	return file_replace(path_of(name), text, strlen(text), &error);
}

static void test_what_a_killed_process_left_is_replaced_and_removed(void **state)
{
	struct error error;

	(void)state;
	put("file.new", "half of i");
	assert_int_equal(replace("file", "whole"), 0);
	assert_holds("file", "whole");
	assert_int_equal(entries(), 1);
	put("file.new", "half of i");
	assert_int_equal(file_remove(path_of("file"), &error), 0);
	assert_int_equal(entries(), 0);
	put("file.new", "half of i");
	assert_int_equal(file_remove(path_of("file"), &error), 0);
	assert_int_equal(entries(), 0);
}

static void test_a_link_is_replaced_and_not_followed(void **state)
{
	char target[128];
	struct stat status;

	(void)state;
	put("victim", "precious");
	snprintf(target, sizeof(target), "%s", path_of("victim"));
	assert_int_equal(symlink(target, path_of("file")), 0);
	assert_int_equal(symlink(target, path_of("file.new")), 0);
	assert_int_equal(replace("file", "ours"), 0);
	assert_holds("victim", "precious");
	assert_holds("file", "ours");
	assert_int_equal(lstat(path_of("file"), &status), 0);
	assert_int_equal(status.st_mode, S_IFREG | 0644);
	assert_int_equal(entries(), 2);
}

static int save(const char *name, const char *text)
{
	struct error error;

	return file_save(path_of(name), text, strlen(text), &error);
}

static void test_what_is_no_file_is_left_as_it_is(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(mkfifo(path_of("file"), 0600), 0);
	assert_int_equal(save("file", "ours"), -1);
	assert_int_equal(stat(path_of("file"), &status), 0);
	assert_int_equal(status.st_mode, S_IFIFO | 0600);
	assert_int_equal(symlink("/dev/null", path_of("link")), 0);
	assert_int_equal(save("link", "ours"), -1);
	assert_int_equal(lstat(path_of("link"), &status), 0);
	assert_true(S_ISLNK(status.st_mode));
	assert_int_equal(entries(), 2);
}

static void test_a_peek_ends_where_there_is_no_more_room(void **state)
{
	char text[5];

	(void)state;
	put("file", "longer than that");
	assert_int_equal(file_peek(path_of("file"), text, sizeof(text)), 4);
	assert_string_equal(text, "long");
	assert_int_equal(file_peek(path_of("link"), text, sizeof(text)), -1);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(text, "");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, directory_make, directory_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_a_killed_process_left_is_replaced_and_removed),
		TEST(test_a_link_is_replaced_and_not_followed),
		TEST(test_what_is_no_file_is_left_as_it_is),
		TEST(test_a_peek_ends_where_there_is_no_more_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
