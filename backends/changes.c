/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/changes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_split(const char *path, struct changes *changes, struct error *error)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (!*name || strlen(name) > NAME_MAX || strlen(path) >= PATHS_MAX)
		return error_set(error, "unreadable", "%s: is not the name of a file", path);
	snprintf(changes->name, sizeof(changes->name), "%s", name);
	if (!slash)
		snprintf(changes->directory, sizeof(changes->directory), ".");
	else
		snprintf(changes->directory, sizeof(changes->directory), "%.*s",
			 slash == path ? 1 : (int)(slash - path), path);
	return 0;
}

/* A directory by that name may be another one by now. */
static void watch(const struct changes *changes, const char *directory, int *descriptor)
{
	int found =
		inotify_add_watch(changes->fd, directory,
				  IN_CLOSE_WRITE | IN_MOVE | IN_DELETE | IN_ATTRIB | IN_ONLYDIR);

	if (*descriptor >= 0 && *descriptor != found)
		inotify_rm_watch(changes->fd, *descriptor);
	*descriptor = found;
}

void changes_renew(struct changes *changes)
{
	struct error ignored;
	char run[PATHS_MAX];

	watch(changes, changes->directory, &changes->document);
	if (paths_run(run, &ignored) == 0)
		watch(changes, run, &changes->run);
}

int changes_open(const char *path, struct changes *changes, struct error *error)
{
	*changes = (struct changes){ .fd = -1, .document = -1, .run = -1 };
	if (path_split(path, changes, error) < 0)
		return -1;
	changes->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (changes->fd < 0)
		return error_set(error, "no-events", "%s: changes cannot be watched for: %s", path,
				 strerror(errno));
	changes_renew(changes);
	return 0;
}

void changes_close(struct changes *changes)
{
	if (changes->fd >= 0)
		close(changes->fd);
	changes->fd = -1;
}

static unsigned int judge(const struct changes *changes, const struct inotify_event *event)
{
	/* More than the queue holds, or the directory itself has gone. */
	if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED))
		return CHANGE_DOCUMENT | CHANGE_JOURNAL;
	if (!event->len)
		return 0;
	return (event->wd == changes->document && !strcmp(event->name, changes->name)
			? CHANGE_DOCUMENT
			: 0) |
	       (event->wd == changes->run && !strcmp(event->name, "journal.json") ? CHANGE_JOURNAL
										  : 0);
}

unsigned int changes_read(const struct changes *changes)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buffer;
	unsigned int found = 0;
	ssize_t size;

	while ((size = read(changes->fd, buffer.bytes, sizeof(buffer.bytes))) > 0)
		for (char *at = buffer.bytes; at < buffer.bytes + size;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			found |= judge(changes, event);
			at += sizeof(*event) + event->len;
		}
	return found;
}

int stamp_read(const char *path, struct stamp *stamp, struct error *error)
{
	struct stat status;

	*stamp = (struct stamp){ 0 };
	if (stat(path, &status) < 0)
		return error_set(error, "unreadable", "%s: %s", path, strerror(errno));
	*stamp = (struct stamp){
		.device = status.st_dev,
		.inode = status.st_ino,
		.size = (uint64_t)status.st_size,
		.seconds = status.st_ctim.tv_sec,
		.nanoseconds = status.st_ctim.tv_nsec,
	};
	if (!S_ISREG(status.st_mode))
		return error_set(error, "unreadable", "%s: is not a regular file", path);
	return 0;
}

bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}
