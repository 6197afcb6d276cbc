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
#include <linux/rtnetlink.h>

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

/* The route of an address of links_make(), or of the addresses on a link. */
static bool is_awaited(const struct nlmsghdr *message)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct rtattr *attribute = RTM_RTA(route);
	int left = (int)RTM_PAYLOAD(message);

	if (message->nlmsg_type != RTM_NEWROUTE)
		return false;
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == RTA_DST)
			return *(const uint8_t *)RTA_DATA(attribute) ==
			       (route->rtm_type == RTN_LOCAL ? 0x20 : 0xfe);
	return false;
}

/*
 * The kernel makes some routes of IPv6 in its own time: that of a link's addresses
 * when it has seen the carrier, and that by which it knows an address as its own,
 * even without duplicate address detection.
 */
static void routes_await(int events, int count)
{
	char buffer[8192];

	while (count > 0) {
		ssize_t size = recv(events, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
		int left = (int)size;

		if (size < 0)
			fail_msg("routes of IPv6: %s", strerror(errno));
		for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
			count -= is_awaited(message);
	}
}

static int events_open(void)
{
	const struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
					    .nl_groups = RTMGRP_IPV6_ROUTE };
	const struct timeval patience = { .tv_sec = 30 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		fail_msg("events: %s", strerror(errno));
	return fd;
}

static void links_make(void)
{
	enum { INTERFACES = 4, ADDRESSES = 2 };
	int events = events_open();

	netns_run("ip link set lo up");
	for (int i = 1; i <= 2; i++) {
		netns_run("ip link add eth%d type veth peer name peer%d", i, i);
		netns_run("ip link set eth%d up", i);
		netns_run("ip link set peer%d up", i);
		netns_run("ip addr add 10.%d.0.1/24 dev eth%d", i, i);
		netns_run("ip addr add 2001:db8:%d::1/64 dev eth%d nodad", i, i);
	}
	routes_await(events, INTERFACES + ADDRESSES);
	close(events);
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
