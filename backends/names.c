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

/* 0, or -1 with errno. like: of what all names have in common. */
static int stream_read(FILE *file, const struct rt_table *like, struct names *names)
{
	char line[LINE_MAX_BYTES], text[LINE_MAX_BYTES], *name;
	struct rt_table found = *like;

	for (found.line = 0; fgets(line, sizeof(line), file); found.line++) {
		memcpy(text, line, sizeof(text));
		if (!strchr(line, '\n') && !feof(file)) {
			line_skip(file);
		} else if (line_parse(line, &found.id, &name)) {
			found.name = arena_strdup(names->arena, name);
			found.text = arena_strdup(names->arena, text);
			*ARENA_PUSH(names->arena, names->items, names->count, names->room) = found;
		}
	}
	return ferror(file) ? -1 : 0;
}

/*
 * Whether writing it anew keeps all that it is: the administrator's own file,
 * of the mode that it will have, under no other name.
 */
static bool can_be_rewritten(const char *path, bool own)
{
	struct stat status;

	return !own && !strncmp(path, "/etc/", 5) && lstat(path, &status) == 0 &&
	       S_ISREG(status.st_mode) && (status.st_mode & 07777) == 0644 &&
	       status.st_nlink == 1 && status.st_uid == geteuid();
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
	struct rt_table like = { .own = own, .can_go = can_be_rewritten(path, own) };
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
	like.file = arena_strdup(names->arena, path);
	if (stream_read(file, &like, names) < 0) {
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

/* --- lines of others ------------------------------------------------------ */

static const char *line_end(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline ? newline + 1 : end;
}

/* The file without the first line that is the name's, or with it where it was. */
static void lines_put(FILE *out, const char *text, size_t size, const struct rt_table *name,
		      bool is_put)
{
	const char *at = text, *end = text + size;
	size_t length = strlen(name->text);
	bool is_done = false;

	for (uint32_t line = 0; at < end; line++) {
		const char *next = line_end(at, end);
		bool is_it = (size_t)(next - at) == length && !memcmp(at, name->text, length);

		if (is_put && !is_done && line == name->line) {
			fprintf(out, "%s%s", name->text, strchr(name->text, '\n') ? "" : "\n");
			is_done = true;
		}
		if (is_put || is_done || !is_it)
			fwrite(at, 1, (size_t)(next - at), out);
		else
			is_done = true;
		at = next;
	}
	if (is_put && !is_done)
		fprintf(out, "%s%s", size && end[-1] != '\n' ? "\n" : "", name->text);
}

/* The whole file; NULL with *error. The caller frees it. */
static char *file_load(const char *path, size_t *size, struct error *error)
{
	char *text = NULL, buffer[4096];
	FILE *in = fopen(path, "re"), *out = in ? open_memstream(&text, size) : NULL;
	size_t got;
	bool failed;

	if (!out) {
		not_readable(path, error);
		if (in)
			fclose(in);
		return NULL;
	}
	while ((got = fread(buffer, 1, sizeof(buffer), in)) > 0)
		fwrite(buffer, 1, got, out);
	failed = ferror(in);
	fclose(in);
	if (fclose(out) == EOF || failed) {
		not_readable(path, error);
		free(text);
		return NULL;
	}
	return text;
}

static int line_write(const struct rt_table *name, bool is_put, struct error *error)
{
	size_t size = 0, new_size = 0;
	char *text = file_load(name->file, &size, error), *new_text = NULL;
	FILE *out = text ? open_memstream(&new_text, &new_size) : NULL;
	int result = -1;

	if (out) {
		lines_put(out, text, size, name, is_put);
		if (fclose(out) == EOF)
			error_set(error, "no-memory", "%s: out of memory", name->file);
		else
			result = file_replace(name->file, new_text, new_size, error);
	}
	free(text);
	free(new_text);
	return result;
}

/* --- writing --------------------------------------------------------------- */

static int own_write(const struct step *step, struct error *error)
{
	char buffer[PATHS_MAX];
	const char *path = paths_resolve(OWN_FILE, buffer);
	struct arena arena = { 0 };
	struct names own = { .arena = &arena };
	int result = file_read(path, true, &own, error);

	if (result >= 0)
		result = text_write(path, &own, step, error);
	arena_free(&arena);
	return result;
}

int names_write(const struct step *step, struct error *error)
{
	const struct rt_table *name = step->after ? step->after : step->before;
	int result =
		name->own ? own_write(step, error) : line_write(name, step->after != NULL, error);

	return result == FILE_NOT_LASTING ? OUTCOME_UNKNOWN : result;
}
