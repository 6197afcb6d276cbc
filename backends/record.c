/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/record.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "backends/file.h"
#include "backends/host.h"
#include "backends/paths.h"
#include "reconcile/hex.h"
#include "reconcile/utf8.h"

static int record_path(char *path, struct error *error)
{
	if (paths_run(path, error))
		return -1;
	strncat(path, "/rp_filter.json", PATHS_MAX - strlen(path) - 1);
	return 0;
}

static bool is_of_boot(const json_t *root, const char *boot_id)
{
	const char *recorded = json_string_value(json_object_get(root, "boot_id"));

	return recorded && !strcmp(recorded, boot_id) &&
	       json_integer_value(json_object_get(root, "version")) == 1;
}

static json_t *not_readable(const char *path, struct error *error)
{
	error_set(error, "not-readable",
		  "%s: cannot be read: %s; the values of rp_filter to restore are kept there", path,
		  strerror(errno));
	return NULL;
}

/*
 * The object of interfaces, empty when the file is not there or of no use. Released with
 * json_decref(). NULL with *error when it cannot be read: what it says must not be lost then.
 */
static json_t *interfaces_load(const char *path, struct error *error)
{
	FILE *file = fopen(path, "re");
	json_t *root, *interfaces;
	char boot_id[64];
	bool is_read;

	if (!file)
		return errno == ENOENT ? json_object() : not_readable(path, error);
	errno = 0;
	root = json_loadf(file, JSON_REJECT_DUPLICATES, NULL);
	is_read = !ferror(file);
	if (!is_read)
		not_readable(path, error);
	fclose(file);
	if (!is_read || host_boot_id(boot_id, error) < 0) {
		json_decref(root);
		return NULL;
	}
	interfaces = json_object_get(root, "interfaces");
	if (json_is_object(interfaces) && is_of_boot(root, boot_id))
		json_incref(interfaces);
	else
		interfaces = json_object();
	json_decref(root);
	return interfaces;
}

static int interfaces_save(const char *path, const json_t *interfaces, struct error *error)
{
	char boot_id[64];
	json_t *root;
	char *text;
	int result;

	if (json_object_size(interfaces) == 0)
		return file_remove(path, error) ? -1 : 0;
	if (host_boot_id(boot_id, error) < 0)
		return -1;
	root = json_pack("{s:i, s:s, s:O}", "version", 1, "boot_id", boot_id, "interfaces",
			 (json_t *)interfaces);
	text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
	json_decref(root);
	if (!text)
		return error_set(error, "no-memory", "%s: out of memory", path);
	result = file_replace(path, text, strlen(text), error) ? -1 : 0;
	free(text);
	return result;
}

static const char *key_of(struct arena *arena, const char *interface)
{
	const char *hex = hex_format(arena, interface, strlen(interface));

	return utf8_is_valid(interface) ? interface : arena_printf(arena, "/%s", hex);
}

/* NULL when it is no key. */
static const char *interface_of(struct arena *arena, const char *key)
{
	size_t size = strlen(key) / 2;
	char *name;

	if (*key != '/')
		return arena_strdup(arena, key);
	name = arena_alloc(arena, size + 1);
	return hex_parse(key + 1, name, size) ? name : NULL;
}

static bool is_value(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
	       json_integer_value(value) <= 2;
}

int record_read(struct arena *arena, struct record *out, struct error *error)
{
	char path[PATHS_MAX];
	json_t *interfaces, *entry;
	const char *key;

	*out = (struct record){ 0 };
	if (record_path(path, error))
		return -1;
	interfaces = interfaces_load(path, error);
	if (!interfaces)
		return -1;
	json_object_foreach(interfaces, key, entry)
	{
		const json_t *before = json_object_get(entry, "before");
		const json_t *ours = json_object_get(entry, "ours");

		const char *interface = interface_of(arena, key);

		if (!interface || !is_value(before) || !is_value(ours))
			continue;
		*ARENA_PUSH(arena, out->items, out->count, out->room) = (struct record_entry){
			.interface = interface,
			.before = (int)json_integer_value(before),
			.ours = (int)json_integer_value(ours),
		};
	}
	json_decref(interfaces);
	return 0;
}

const struct record_entry *record_find(const struct record *record, const char *interface)
{
	for (size_t i = 0; i < record->count; i++)
		if (!strcmp(record->items[i].interface, interface))
			return &record->items[i];
	return NULL;
}

int record_note(const char *interface, int before, int ours, struct error *error)
{
	struct arena arena = { 0 };
	char path[PATHS_MAX];
	json_t *interfaces;
	int result;

	if (record_path(path, error))
		return -1;
	interfaces = interfaces_load(path, error);
	if (!interfaces)
		return -1;
	json_object_set_new(interfaces, key_of(&arena, interface),
			    json_pack("{s:i, s:i}", "before", before, "ours", ours));
	result = interfaces_save(path, interfaces, error);
	json_decref(interfaces);
	arena_free(&arena);
	return result;
}

int record_drop(const char *interface, struct error *error)
{
	struct arena arena = { 0 };
	char path[PATHS_MAX];
	json_t *interfaces;
	int result = 0;

	if (record_path(path, error))
		return -1;
	interfaces = interfaces_load(path, error);
	if (!interfaces)
		return -1;
	if (json_object_del(interfaces, key_of(&arena, interface)) == 0)
		result = interfaces_save(path, interfaces, error);
	json_decref(interfaces);
	arena_free(&arena);
	return result;
}

json_t *record_json(struct error *error)
{
	char path[PATHS_MAX];

	return record_path(path, error) ? NULL : interfaces_load(path, error);
}

int record_restore(const json_t *noted, struct error *error)
{
	json_t *interfaces = record_json(error);
	char path[PATHS_MAX];
	int result = 0;

	if (!interfaces || record_path(path, error))
		result = -1;
	else if (!json_equal(interfaces, noted))
		result = interfaces_save(path, noted, error);
	json_decref(interfaces);
	return result;
}
