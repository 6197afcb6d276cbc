/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE /* asm-generic/socket.h, since Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

/* Of the namespace that was entered; "" in the one we were started in. */
static char entered[NAME_MAX + 1];

static bool name_is_valid(const char *name)
{
	return name[0] && strlen(name) <= NAME_MAX && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int paths_enter(const char *name, struct error *error)
{
	char path[PATHS_MAX];
	int fd, code;

	if (!name_is_valid(name))
		return error_set(error, "no-netns", "--netns \"%s\": is not a name in /run/netns",
				 name);
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	/* Not waiting, should somebody have put a FIFO there. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(error, "no-netns",
				 "--netns %s: cannot open %s: %s; `ip netns list` shows those that "
				 "there are",
				 name, path, strerror(errno));
	code = setns(fd, CLONE_NEWNET) < 0 ? errno : 0;
	close(fd);
	if (code)
		return error_set(error, "no-netns", "--netns %s: cannot enter %s: %s%s", name, path,
				 strerror(code), code == EPERM ? "; that takes CAP_SYS_ADMIN" : "");
	snprintf(entered, sizeof(entered), "%s", name);
	return 0;
}

const char *paths_resolve(const char *path, char *buffer)
{
	const size_t etc = sizeof("/etc/") - 1;
	size_t top;

	if (!entered[0] || strncmp(path, "/etc/", etc) != 0)
		return path;
	top = strcspn(path + etc, "/");
	snprintf(buffer, PATHS_MAX, "/etc/netns/%s/%.*s", entered, (int)top, path + etc);
	if (access(buffer, F_OK) < 0)
		return path;
	snprintf(buffer, PATHS_MAX, "/etc/netns/%s/%s", entered, path + etc);
	return buffer;
}

void paths_lib(char *buffer)
{
	snprintf(buffer, PATHS_MAX, "/var/lib/detour%s%s", entered[0] ? "/" : "", entered);
}

int paths_run(char *buffer, struct error *error)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), code;
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie = 0;

	code = fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0 ? errno
											 : 0;
	if (fd >= 0)
		close(fd);
	if (code)
		return error_set(error, "no-netns-cookie",
				 "/run/detour: cannot tell this network namespace from others: %s; "
				 "that takes Linux 5.14",
				 strerror(code));
	snprintf(buffer, PATHS_MAX, "/run/detour/%llu", (unsigned long long)cookie);
	return 0;
}
