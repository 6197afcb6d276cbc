/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <linux/netlink.h>

#include <cmocka.h>

static char obstacle[256]; /* why there is no namespace */

static int refuse(const char *what)
{
	snprintf(obstacle, sizeof(obstacle), "%s: %s", what, strerror(errno));
	return -1;
}

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text),
		written = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return written == length ? 0 : refuse(path);
}

/* Once a process: root in a user namespace, with mounts that nobody else sees. */
static int user_enter(void)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return refuse("unshare");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (file_write("/proc/self/setgroups", "deny") || file_write("/proc/self/uid_map", map))
		return -1;
	snprintf(map, sizeof(map), "0 %u 1", gid);
	if (file_write("/proc/self/gid_map", map))
		return -1;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return refuse("mount");
	return 0;
}

static int fresh_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return refuse("unshare");
	if (mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 ||
	    mount("tmpfs", "/etc/iproute2", "tmpfs", 0, NULL) < 0)
		return refuse("mount");
	if (system("ip link show lo >/dev/null") != 0)
		return refuse("iproute2's ip does not run");
	return 0;
}

static void links_make(void)
{
	netns_run("ip link set lo up");
	for (int i = 1; i <= 2; i++) {
		netns_run("ip link add eth%d type veth peer name peer%d", i, i);
		netns_run("ip link set eth%d up", i);
		netns_run("ip link set peer%d up", i);
		netns_run("ip addr add 10.%d.0.1/24 dev eth%d", i, i);
		netns_run("ip addr add 2001:db8:%d::1/64 dev eth%d nodad", i, i);
	}
}

int netns_setup(void **state)
{
	static enum { UNTRIED, FORBIDDEN, ENTERED } user;
	struct netlink *nl;
	struct error error;

	if (user == UNTRIED)
		user = user_enter() ? FORBIDDEN : ENTERED;
	if (user == FORBIDDEN || fresh_enter())
		return 0;
	links_make();
	if (netlink_open(NETLINK_ROUTE, &nl, &error))
		fail_msg("%s", error.message);
	*state = nl;
	return 0;
}

int netns_teardown(void **state)
{
	netlink_close(*state);
	return 0;
}

struct netlink *netns_socket(void **state)
{
	if (!*state) {
		print_message("no namespace of our own: %s\n", obstacle);
		skip();
	}
	return *state;
}

void netns_run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

size_t netns_lines(const char *format, ...)
{
	char command[512];
	size_t lines = 0;
	va_list args;
	FILE *pipe;
	int c;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while ((c = fgetc(pipe)) != EOF)
		lines += c == '\n';
	pclose(pipe);
	return lines;
}
