/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/user.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/file.h"
#include "reconcile/arena.h"
#include "reconcile/utf8.h"

static void name_put(const char *name, char text[USER_TEXT])
{
	struct arena arena = { 0 };
	const char *printable = arena_printable(&arena, name);
	size_t size = strlen(printable);

	if (size >= USER_TEXT)
		size = utf8_whole(printable, USER_TEXT - 1);
	snprintf(text, USER_TEXT, "%.*s", (int)size, printable);
	arena_free(&arena);
}

static void name_of(unsigned int uid, char text[USER_TEXT])
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		name_put(user->pw_name, text);
	else
		snprintf(text, USER_TEXT, "uid %u", uid);
}

void user_of_process(pid_t pid, char text[USER_TEXT])
{
	unsigned long uid;
	char path[64], line[32];

	text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/loginuid", (int)pid);
	/* UINT_MAX stands for what was never logged in: a service, a cron job. */
	uid = file_peek(path, line, sizeof(line)) > 0 ? strtoul(line, NULL, 10) : UINT_MAX;
	if (uid < UINT_MAX)
		name_of((unsigned int)uid, text);
}

void user_self(char text[USER_TEXT])
{
	const char *sudo = getenv("SUDO_USER");

	user_of_process(getpid(), text);
	if (text[0])
		return;
	if (sudo && *sudo)
		name_put(sudo, text);
	else
		name_of(getuid(), text);
}
