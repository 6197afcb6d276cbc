/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "backends/boot.h"
#include "backends/file.h"
#include "backends/host.h"
#include "backends/paths.h"

static const char *const phase_names[] = {
	[PHASE_NONE] = "none",
	[PHASE_APPLYING] = "applying",
	[PHASE_PENDING] = "pending",
};

static int journal_path(char *path, struct error *error)
{
	if (paths_run(path, error))
		return -1;
	strncat(path, "/journal.json", PATHS_MAX - strlen(path) - 1);
	return 0;
}

/* --- reading ------------------------------------------------------------- */

static int damaged(const char *path, const char *why, struct error *error)
{
	return error_set(error, "damaged-journal",
			 "%s: a change was interrupted, and the note of how to undo it is damaged "
			 "(%s); run `detour apply` with the document that should hold, which sets "
			 "that file aside, or remove the file",
			 path, why);
}

static bool is_of_boot(const json_t *root, const char *boot_id)
{
	const char *noted = json_string_value(json_object_get(root, "boot_id"));

	return noted && !strcmp(noted, boot_id);
}

static enum phase phase_of(const char *name)
{
	for (enum phase phase = PHASE_APPLYING; phase <= PHASE_PENDING; phase++)
		if (!strcmp(phase_names[phase], name))
			return phase;
	return PHASE_NONE;
}

#define COPY(journal, member, text)                                                                \
	snprintf((journal)->member, sizeof((journal)->member), "%s", (text))

static int journal_unpack(json_t *root, struct journal *journal, json_error_t *why)
{
	const char *phase, *id, *verb, *who, *reason, *digest;
	json_int_t pid, guard, started, deadline;
	int everything, foreign;
	json_t *document, *before, *record;

	if (json_unpack_ex(root, why, 0,
			   "{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:b,s:b,s:o,s:o,s:o}", "phase",
			   &phase, "id", &id, "verb", &verb, "who", &who, "reason", &reason,
			   "digest", &digest, "pid", &pid, "guard", &guard, "started", &started,
			   "deadline", &deadline, "everything", &everything, "foreign", &foreign,
			   "document", &document, "before", &before, "record", &record))
		return -1;
	COPY(journal, id, id);
	COPY(journal, verb, verb);
	COPY(journal, who, who);
	COPY(journal, reason, reason);
	COPY(journal, digest, digest);
	journal->pid = (pid_t)pid;
	journal->guard = (pid_t)guard;
	journal->started = started;
	journal->deadline = deadline;
	journal->everything = everything;
	journal->foreign = foreign;
	journal->document = json_incref(document);
	journal->before = json_incref(before);
	journal->record = json_incref(record);
	journal->phase = phase_of(phase);
	return 0;
}

static int journal_take(const char *path, json_t *root, struct journal *journal,
			struct error *error)
{
	const char *version = json_string_value(json_object_get(root, "detour"));
	json_error_t why;
	char boot_id[64];

	if (!version || !json_object_get(root, "boot_id"))
		return damaged(path, "it is no journal", error);
	if (host_boot_id(boot_id, error) < 0)
		return -1;
	if (!is_of_boot(root, boot_id))
		return 0;
	if (strcmp(version, VERSION) != 0)
		return error_set(
			error, "other-version",
			"%s: a change by detour %s was interrupted or is pending, and only "
			"that version can undo it; run its `detour recover` or `detour "
			"revert`, or run `detour apply` with the document that should "
			"hold, which sets that file aside",
			path, version);
	if (journal_unpack(root, journal, &why))
		return damaged(path, why.text, error);
	return journal->phase == PHASE_NONE ? damaged(path, "of no known phase", error) : 0;
}

int journal_read(struct journal *journal, struct error *error)
{
	char path[PATHS_MAX];
	json_error_t why;
	json_t *root;
	int result;

	*journal = (struct journal){ 0 };
	if (journal_path(path, error))
		return -1;
	root = json_load_file(path, JSON_ALLOW_NUL, &why);
	if (!root && json_error_code(&why) == json_error_cannot_open_file && errno == ENOENT)
		return 0;
	if (!root)
		return damaged(path, why.text, error);
	result = journal_take(path, root, journal, error);
	json_decref(root);
	return result;
}

/* --- writing ------------------------------------------------------------- */

static json_t *journal_json(const struct journal *journal, const char *boot_id)
{
	return json_pack(
		"{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:b,s:b,s:O,s:O,s:O}",
		"version", 1, "detour", VERSION, "boot_id", boot_id, "phase",
		phase_names[journal->phase], "id", journal->id, "verb", journal->verb, "who",
		journal->who, "reason", journal->reason, "digest", journal->digest, "pid",
		(json_int_t)journal->pid, "guard", (json_int_t)journal->guard, "started",
		(json_int_t)journal->started, "deadline", (json_int_t)journal->deadline,
		"everything", (int)journal->everything, "foreign", (int)journal->foreign,
		"document", journal->document, "before", journal->before, "record",
		journal->record);
}

int journal_write(const struct journal *journal, struct error *error)
{
	char path[PATHS_MAX], boot_id[64];
	json_t *root;
	char *text;
	int result;

	if (journal_path(path, error) || host_boot_id(boot_id, error))
		return -1;
	root = journal_json(journal, boot_id);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (!text)
		return error_set(error, "no-memory", "%s: out of memory", path);
	result = file_replace(path, text, strlen(text), error) ? -1 : 0;
	free(text);
	return result;
}

int journal_remove(struct error *error)
{
	char path[PATHS_MAX];

	if (journal_path(path, error))
		return -1;
	/* Whether the removal would outlive a power cut does not matter: no journal does. */
	if (file_remove(path, error) == 0 || (access(path, F_OK) < 0 && errno == ENOENT))
		return 0;
	return -1;
}

int journal_set_aside(struct error *error)
{
	char path[PATHS_MAX], aside[PATHS_MAX + 16];

	if (journal_path(path, error))
		return -1;
	snprintf(aside, sizeof(aside), "%s.damaged", path);
	if (rename(path, aside) < 0)
		return error_set(error, "not-writable", "%s: cannot be renamed: %s", path,
				 strerror(errno));
	return 0;
}

void journal_free(struct journal *journal)
{
	json_decref(journal->document);
	json_decref(journal->before);
	json_decref(journal->record);
	*journal = (struct journal){ 0 };
}

void journal_name(struct journal *journal)
{
	uint64_t random[2] = { 0 };

	/* Without entropy the time is still another one than that of any journal before. */
	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		random[0] = (uint64_t)boot_clock();
	snprintf(journal->id, sizeof(journal->id), "%016" PRIx64 "%016" PRIx64, random[0],
		 random[1]);
}
