/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/file.h"
#include "backends/paths.h"
#include "backends/user.h"

/* Older ones are forgotten: nobody goes through more mistakes than that in one window. */
enum { REVERTED_MAX = 100 };

static void memory_path(const char *name, char *path)
{
	paths_lib(path);
	strncat(path, name, PATHS_MAX - strlen(path) - 1);
}

/* Unless that is what stands there. 0, or -1 with *error. */
static int text_save(const char *path, const char *text, struct error *error)
{
	size_t size = strlen(text);

	if (file_holds(path, text, size) || file_replace(path, text, size, error) == 0)
		return 0;
	return -1;
}

static int json_save(const char *path, const json_t *json, struct error *error)
{
	struct arena arena = { 0 };
	int result = text_save(path, digest_canonical(&arena, json), error);

	arena_free(&arena);
	return result;
}

/* --- what was reverted --------------------------------------------------- */

static json_t *reverted_load(void)
{
	char path[PATHS_MAX];
	json_t *root, *list;

	memory_path("/reverted.json", path);
	root = json_load_file(path, 0, NULL);
	list = json_object_get(root, "reverted");
	list = json_is_array(list) ? json_incref(list) : json_array();
	json_decref(root);
	return list;
}

/* Takes over the list. */
static int reverted_save(json_t *list, struct error *error)
{
	json_t *root = json_pack("{s:i,s:o}", "version", 1, "reverted", list);
	char path[PATHS_MAX];
	int result;

	memory_path("/reverted.json", path);
	result = json_array_size(list)      ? json_save(path, root, error)
		 : file_remove(path, error) ? -1
					    : 0;
	json_decref(root);
	return result;
}

static const char *digest_at(const json_t *list, size_t i)
{
	const char *digest = json_string_value(json_object_get(json_array_get(list, i), "digest"));

	return digest ? digest : "";
}

/* Its place in the list, or the list's length. */
static size_t reverted_find(const json_t *list, const char *digest)
{
	size_t i = 0;

	while (i < json_array_size(list) && strcmp(digest_at(list, i), digest) != 0)
		i++;
	return i;
}

/* It may be undone as a change and still be what is wanted: then the next apply is the repair. */
static bool is_confirmed(const char *digest)
{
	char path[PATHS_MAX], confirmed[DIGEST_TEXT] = "";
	json_t *stored;

	memory_path("/confirmed.json", path);
	stored = json_load_file(path, JSON_ALLOW_NUL, NULL);
	if (stored)
		digest_json(stored, confirmed);
	json_decref(stored);
	return !strcmp(confirmed, digest);
}

int memory_note_reverted(const char *digest, const char *who, int64_t when, struct error *error)
{
	json_t *list;

	/* A destroy has no document, and none is refused for it. */
	if (!*digest || is_confirmed(digest))
		return 0;
	list = reverted_load();
	json_array_remove(list, reverted_find(list, digest));
	json_array_append_new(list, json_pack("{s:s,s:s,s:I}", "digest", digest, "who", who, "when",
					      (json_int_t)when));
	if (json_array_size(list) > REVERTED_MAX)
		json_array_remove(list, 0);
	return reverted_save(list, error);
}

bool memory_is_reverted(const char *digest, char *who, int64_t *when)
{
	json_t *list = reverted_load();
	const json_t *entry = json_array_get(list, reverted_find(list, digest));
	const char *name = json_string_value(json_object_get(entry, "who"));

	bool is_reverted = entry != NULL;

	snprintf(who, USER_TEXT, "%s", name ? name : "somebody");
	*when = json_integer_value(json_object_get(entry, "when"));
	json_decref(list);
	return is_reverted;
}

static int reverted_drop(const char *digest, struct error *error)
{
	json_t *list = reverted_load();

	if (json_array_remove(list, reverted_find(list, digest)) == 0)
		return reverted_save(list, error);
	json_decref(list);
	return 0;
}

/* --- what was confirmed -------------------------------------------------- */

int memory_confirm(const char *document, const char *digest, struct error *error)
{
	char path[PATHS_MAX];

	memory_path("/confirmed.json", path);
	if (text_save(path, document, error))
		return -1;
	return reverted_drop(digest, error);
}

bool memory_has_confirmed(char *path)
{
	memory_path("/confirmed.json", path);
	/* One that is there and cannot be read is told by whoever reads it. */
	return access(path, F_OK) == 0 || errno != ENOENT;
}

int memory_forget(struct error *error)
{
	char path[PATHS_MAX];

	memory_path("/confirmed.json", path);
	return file_remove(path, error) ? -1 : 0;
}
