/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/file.h"
#include "backends/paths.h"
#include "reconcile/kernel.h"

#define OWN_FILE "/etc/iproute2/rt_tables.d/detour.conf"
#define HEADING  "# Managed by detour: what is written here by hand is lost.\n"

enum { LINE_MAX_BYTES = 512 }; /* iproute2 reads no longer ones */

/* In iproute2's order: the first rt_tables counts, and the first rt_tables.d/X.conf. */
static const char *const directories[] = { "/etc/iproute2", "/usr/share/iproute2",
					   "/usr/lib/iproute2" };

enum { DIRECTORIES = sizeof(directories) / sizeof(*directories) };

struct names {
	struct arena *arena;
	struct rt_table *items;
	size_t count, room;
};

/* False for comments, empty lines and what is neither. */
static bool line_parse(char *line, uint32_t *id, char **name)
{
	char *end, *start = line + strspn(line, " \t");
	unsigned long long number;

	if (*start < '0' || *start > '9')
		return false;
	errno = 0;
	number = strtoull(start, &end, strncmp(start, "0x", 2) != 0 ? 10 : 16);
	if (errno || number > UINT32_MAX || (*end != ' ' && *end != '\t'))
		return false;
	*name = end + strspn(end, " \t");
	end = *name + strcspn(*name, " \t\r\n");
	/* After the name iproute2 takes nothing but a comment. */
	if (end == *name || **name == '#' || !strchr("#\r\n", end[strspn(end, " \t")]))
		return false;
	*end = '\0';
	*id = (uint32_t)number;
	return true;
}

static void line_skip(FILE *file)
{
	int c;

	do
		c = fgetc(file);
	while (c != '\n' && c != EOF);
}

/* 0, or -1 with errno. */
static int stream_read(FILE *file, const char *path, bool own, struct names *names)
{
	char line[LINE_MAX_BYTES], *name;
	const char *kept_path = arena_strdup(names->arena, path);
	uint32_t id;

	while (fgets(line, sizeof(line), file)) {
		if (!strchr(line, '\n') && !feof(file))
			line_skip(file);
		else if (line_parse(line, &id, &name))
			*ARENA_PUSH(names->arena, names->items, names->count, names->room) =
				(struct rt_table){ .id = id,
						   .name = arena_strdup(names->arena, name),
						   .own = own,
						   .file = kept_path };
	}
	return ferror(file) ? -1 : 0;
}

static int not_readable(const char *path, struct error *error)
{
	return error_set(error, "not-readable",
			 "%s: cannot be read: %s; names of routing tables are kept there", path,
			 strerror(errno));
}

/* 1 when it was read, 0 when it is not there, or -1 with *error. */
static int file_read(const char *path, bool own, struct names *names, struct error *error)
{
	/* A FIFO must not make us wait. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	FILE *file;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : not_readable(path, error);
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return 0;
	}
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return error_set(error, "no-memory", "%s: out of memory", path);
	}
	if (stream_read(file, path, own, names) < 0) {
		not_readable(path, error);
		fclose(file);
		return -1;
	}
	fclose(file);
	return 1;
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       !strcmp(entry->d_name + length - 5, ".conf");
}

/* Whether a directory before this one has a file of that name. */
static bool is_shadowed(struct arena *arena, size_t directory, const char *name)
{
	char buffer[PATHS_MAX];

	for (size_t i = 0; i < directory; i++) {
		const char *path = arena_printf(arena, "%s/rt_tables.d/%s", directories[i], name);

		if (access(paths_resolve(path, buffer), F_OK) == 0)
			return true;
	}
	return false;
}

static int conf_read(size_t directory, const char *name, struct names *names, struct error *error)
{
	const char *path =
		arena_printf(names->arena, "%s/rt_tables.d/%s", directories[directory], name);
	char buffer[PATHS_MAX];

	if (is_shadowed(names->arena, directory, name))
		return 0;
	return file_read(paths_resolve(path, buffer), !strcmp(path, OWN_FILE), names, error);
}

static int directory_read(size_t directory, struct names *names, struct error *error)
{
	const char *path = arena_printf(names->arena, "%s/rt_tables.d", directories[directory]);
	char buffer[PATHS_MAX];
	struct dirent **entries = NULL;
	int count, result = 0;

	path = paths_resolve(path, buffer);
	count = scandir(path, &entries, is_conf, alphasort);
	if (count < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : not_readable(path, error);
	for (int i = 0; i < count; i++) {
		if (result >= 0)
			result = conf_read(directory, entries[i]->d_name, names, error);
		free(entries[i]);
	}
	free(entries);
	return result < 0 ? -1 : 0;
}

static int main_file_read(struct names *names, struct error *error)
{
	char buffer[PATHS_MAX];
	int found = 0;

	for (size_t i = 0; i < DIRECTORIES && !found; i++) {
		const char *path = arena_printf(names->arena, "%s/rt_tables", directories[i]);

		found = file_read(paths_resolve(path, buffer), false, names, error);
	}
	return found < 0 ? -1 : 0;
}

static bool name_matters(const struct rt_table *table, const struct document *document)
{
	if (!document || table->own)
		return true;
	for (size_t i = 0; i < document->gateway_count; i++)
		if (table->id == document->gateways[i].table ||
		    !strcmp(table->name, document->gateways[i].name))
			return true;
	return false;
}

int names_read(const struct document *document, struct state *out, struct error *error)
{
	struct names names = { .arena = &out->arena };

	if (main_file_read(&names, error))
		return -1;
	for (size_t i = 0; i < DIRECTORIES; i++)
		if (directory_read(i, &names, error))
			return -1;
	for (size_t i = 0; i < names.count; i++)
		if (name_matters(&names.items[i], document))
			*ARENA_PUSH(&out->arena, out->rt_tables, out->rt_table_count,
				    out->rt_table_room) = names.items[i];
	return 0;
}

static bool is_same(const struct rt_table *a, const struct rt_table *b)
{
	return b && a->id == b->id && !strcmp(a->name, b->name);
}

static void line_put(FILE *text, const struct rt_table *item)
{
	fprintf(text, "%s%u\t%s\n", ftell(text) ? "" : HEADING, item->id, item->name);
}

/* Our file with `before` taken out and `after` put in by its number; either may be NULL. */
static void text_build(FILE *text, const struct names *own, const struct step *step)
{
	const struct rt_table *after = step->after;
	bool is_put = !after;

	for (size_t i = 0; i < own->count; i++) {
		const struct rt_table *item = &own->items[i];

		if (is_same(item, step->before) || is_same(item, after))
			continue;
		if (!is_put && after->id < item->id) {
			line_put(text, after);
			is_put = true;
		}
		line_put(text, item);
	}
	if (!is_put)
		line_put(text, after);
}

static int text_write(const char *path, const struct names *own, const struct step *step,
		      struct error *error)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	int result;

	if (!stream)
		return error_set(error, "no-memory", "%s: out of memory", path);
	text_build(stream, own, step);
	if (fclose(stream) == EOF)
		result = error_set(error, "no-memory", "%s: out of memory", path);
	else
		result = size ? file_replace(path, text, size, error) : file_remove(path, error);
	free(text);
	return result;
}

int names_write(const struct step *step, struct error *error)
{
	char buffer[PATHS_MAX];
	const char *path = paths_resolve(OWN_FILE, buffer);
	struct arena arena = { 0 };
	struct names own = { .arena = &arena };
	int result = file_read(path, true, &own, error);

	if (result >= 0)
		result = text_write(path, &own, step, error);
	arena_free(&arena);
	return result == FILE_NOT_LASTING ? OUTCOME_UNKNOWN : result;
}
