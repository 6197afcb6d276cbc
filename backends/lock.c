/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backends/boot.h"
#include "backends/file.h"
#include "backends/paths.h"
#include "backends/user.h"

enum { ROUND_MS = 20, COMMAND_TEXT = 256 };

/* --- who holds it -------------------------------------------------------- */

/*
 * The process in a line of /proc/locks that holds the inode; 0 when it is about
 * something else: "1: FLOCK  ADVISORY  WRITE 1234 00:19:5678 0 EOF". Those that
 * wait have "->" before FLOCK.
 */
static long holder_in(char *line, unsigned long inode)
{
	enum { KIND = 1, PID = 4, INODE = 5, WORDS = 6 };
	const char *words[WORDS] = { NULL }, *number;
	char *rest = line;

	for (size_t i = 0; i < WORDS; i++)
		words[i] = strtok_r(i ? NULL : line, " \n", &rest);
	if (!words[INODE] || strcmp(words[KIND], "FLOCK") != 0)
		return 0;
	number = strrchr(words[INODE], ':');
	return number && strtoul(number + 1, NULL, 10) == inode ? strtol(words[PID], NULL, 10) : 0;
}

/* 0 when it is not known: a process of another PID namespace has no number here. */
static long holder_find(int lock)
{
	FILE *file = fopen("/proc/locks", "re");
	struct stat status;
	char line[256];
	long pid = 0;

	if (!file)
		return 0;
	if (fstat(lock, &status) == 0)
		while (pid <= 0 && fgets(line, sizeof(line), file))
			pid = holder_in(line, status.st_ino);
	fclose(file);
	return pid > 0 ? pid : 0;
}

/* The arguments, with spaces between them. */
static void command_of(long pid, char text[COMMAND_TEXT])
{
	char path[64];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	size = file_peek(path, text, COMMAND_TEXT);
	for (ssize_t i = 0; i + 1 < size; i++)
		if ((unsigned char)text[i] < ' ')
			text[i] = ' ';
}

static int busy(int lock, int seconds, struct error *error)
{
	long pid = holder_find(lock);
	char user[USER_TEXT] = "", command[COMMAND_TEXT] = "";

	if (pid) {
		user_of_process((pid_t)pid, user);
		command_of(pid, command);
		error_set(error, "busy",
			  "another change is being made: process %ld (%s)%s%s holds the lock, and "
			  "%d seconds of waiting did not change that; try again later",
			  pid, command, user[0] ? " of " : "", user, seconds);
	} else {
		error_set(error, "busy",
			  "another change is being made: a process that cannot be seen from here "
			  "holds the lock, and %d seconds of waiting did not change that; try "
			  "again later",
			  seconds);
	}
	return LOCK_BUSY;
}

/* --- the lock ------------------------------------------------------------ */

static int lock_path(char *path, struct error *error)
{
	if (paths_run(path, error))
		return -1;
	strncat(path, "/lock", PATHS_MAX - strlen(path) - 1);
	return 0;
}

/* Negative with errno when it is not there. */
static int lock_open(void)
{
	struct error ignored;
	char path[PATHS_MAX];

	if (lock_path(path, &ignored))
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int not_taken(struct error *error)
{
	return error_set(error, "no-lock", "/run/detour: the lock cannot be taken: %s",
			 strerror(errno));
}

static int lock_make(struct error *error)
{
	int fd = lock_open();
	char path[PATHS_MAX];

	if (fd >= 0)
		return fd;
	if (lock_path(path, error) || file_parents_make(path, error))
		return -1;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return not_taken(error);
	fd = lock_open();
	return fd < 0 ? not_taken(error) : fd;
}

/* Whether it is still the one that others find: else their lock is another. */
static bool is_current(int lock)
{
	struct stat ours, found;
	int fd = lock_open();
	bool same = fd >= 0 && fstat(lock, &ours) == 0 && fstat(fd, &found) == 0 &&
		    ours.st_ino == found.st_ino && ours.st_dev == found.st_dev;

	if (fd >= 0)
		close(fd);
	return same;
}

/* 0, LOCK_BUSY or -1 with errno. flock() knows no time limit, hence the rounds. */
static int wait_for(int fd, int seconds)
{
	const struct timespec pause = { .tv_nsec = ROUND_MS * 1000000L };
	int64_t end = boot_clock() + (int64_t)seconds * 1000;

	for (;;) {
		if (flock(fd, seconds == LOCK_FOREVER ? LOCK_EX : LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		if (seconds != LOCK_FOREVER && boot_clock() >= end)
			return LOCK_BUSY;
		nanosleep(&pause, NULL);
	}
}

int lock_take(int seconds, int *lock, struct error *error)
{
	for (;;) {
		int fd = lock_make(error), result;

		if (fd < 0)
			return -1;
		result = wait_for(fd, seconds);
		if (result == 0 && is_current(fd)) {
			*lock = fd;
			return 0;
		}
		if (result < 0)
			not_taken(error);
		else if (result == LOCK_BUSY)
			busy(fd, seconds, error);
		close(fd);
		if (result)
			return result;
	}
}

void lock_release(int lock)
{
	if (lock >= 0)
		close(lock);
}

bool lock_is_free(void)
{
	int fd = lock_open();
	bool is_free = fd < 0 ? errno == ENOENT : flock(fd, LOCK_SH | LOCK_NB) == 0;

	if (fd >= 0)
		close(fd);
	return is_free;
}
