/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int not_writable(const char *path, struct error *error)
{
	int code = errno;

	return error_set(error, "not-writable", "%s: cannot be written: %s%s", path, strerror(code),
			 code == EROFS ? "; remount the file system read-write, or let a program "
					 "that may write there run detour"
			 : code == EACCES || code == EPERM
				 ? "; give this user write permission to its directory"
				 : "");
}

/* All parents of the path. 0, or -1 with errno. */
static int parents_make(const char *path)
{
	/* What every user has always been able to enter; a chmod() later could meet another file.
	 */
	mode_t usual = umask(022);
	char parent[PATH_MAX];
	int result = 0;

	for (const char *slash = strchr(path + 1, '/'); slash && result == 0;
	     slash = strchr(slash + 1, '/')) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		if (access(parent, F_OK) < 0 && mkdir(parent, 0755) < 0 && errno != EEXIST)
			result = -1;
	}
	umask(usual);
	return result;
}

static int not_lasting(const char *path, struct error *error)
{
	not_writable(path, error);
	return FILE_NOT_LASTING;
}

/* Makes a rename or a removal in the path's directory last. 0, or -1 with errno. */
static int parent_sync(const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX] = ".";
	int fd, result;

	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path) + 1, path);
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = fsync(fd);
	close(fd);
	return result;
}

static int text_write(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, text, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		text += written;
		size -= (size_t)written;
	}
	return fchmod(fd, 0644) < 0 ? -1 : fsync(fd);
}

/* One fixed name, so that a crash leaves no more than one behind, and the next change takes it
 * away. */
static void temporary_name(const char *path, char temporary[PATH_MAX])
{
	snprintf(temporary, PATH_MAX, "%s.new", path);
}

/* 0, or -1 with errno. */
static int temporary_write(const char *path, const char *text, size_t size)
{
	int fd, result;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	result = text_write(fd, text, size);
	if (close(fd) < 0)
		result = -1;
	return result;
}

ssize_t file_peek(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code;
	ssize_t got;

	text[0] = '\0';
	if (fd < 0)
		return -1;
	do
		got = read(fd, text, room - 1);
	while (got < 0 && errno == EINTR);
	code = errno;
	close(fd);
	errno = code;
	text[got > 0 ? got : 0] = '\0';
	return got;
}

int file_parents_make(const char *path, struct error *error)
{
	return parents_make(path) < 0 ? not_writable(path, error) : 0;
}

bool file_holds(const char *path, const char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[16384];
	size_t same = 0;
	ssize_t got;

	if (fd < 0)
		return false;
	while ((got = read(fd, piece, sizeof(piece))) > 0) {
		if ((size_t)got > size - same || memcmp(piece, text + same, (size_t)got) != 0)
			break;
		same += (size_t)got;
	}
	close(fd);
	return got == 0 && same == size;
}

int file_replace(const char *path, const char *text, size_t size, struct error *error)
{
	char temporary[PATH_MAX];

	temporary_name(path, temporary);
	if (file_parents_make(path, error) < 0)
		return -1;
	if (temporary_write(temporary, text, size) < 0 || rename(temporary, path) < 0) {
		not_writable(path, error);
		unlink(temporary);
		return -1;
	}
	return parent_sync(path) < 0 ? not_lasting(path, error) : 0;
}

int file_save(const char *path, const char *text, size_t size, struct error *error)
{
	struct stat status;

	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		return error_set(error, "not-writable",
				 "%s: is no regular file, and is left as it is; name a file", path);
	return file_replace(path, text, size, error);
}

int file_remove(const char *path, struct error *error)
{
	char temporary[PATH_MAX];

	temporary_name(path, temporary);
	unlink(temporary);
	if (unlink(path) < 0)
		return errno == ENOENT ? 0 : not_writable(path, error);
	return parent_sync(path) < 0 ? not_lasting(path, error) : 0;
}
