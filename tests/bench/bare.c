/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bare REQUESTS
 *
 * What a look at the kernel costs at least: sends netlink requests and reads the
 * answers, which it does not look into. REQUESTS is a file of what one run of
 * detour sent, by strace: for each packet the netlink family (0 is rtnetlink, 12
 * netfilter) and the size, two int32_t, then its bytes. Linked to the libraries
 * that detour is linked to, because to load them is part of the time of both.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>

enum { ANSWER_MAX = 65536, REQUEST_MAX = 65536, BUSES = 32 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct mnl_socket *bus_open(int bus)
{
	struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int on = 1;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		die("netlink");
	mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
	/* Without it the kernel would dump the routes of all tables. */
	if (bus == NETLINK_ROUTE)
		mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return socket;
}

static int messages_count(const void *packet, int size)
{
	int count = 0;

	for (const struct nlmsghdr *m = packet; mnl_nlmsg_ok(m, size); m = mnl_nlmsg_next(m, &size))
		count++;
	return count;
}

/* How many requests this packet ends: every dump ends with DONE, all others with an ACK. */
static int ends_count(const void *packet, int size)
{
	int ends = 0;

	for (const struct nlmsghdr *m = packet; mnl_nlmsg_ok(m, size); m = mnl_nlmsg_next(m, &size))
		ends += m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR;
	return ends;
}

static void exchange(struct mnl_socket *socket, const char *request, int size)
{
	static char answer[ANSWER_MAX];
	int wanted = messages_count(request, size);

	if (mnl_socket_sendto(socket, request, (size_t)size) < 0)
		die("send");
	while (wanted > 0) {
		ssize_t received = mnl_socket_recvfrom(socket, answer, sizeof(answer));

		if (received < 0)
			die("receive");
		wanted -= ends_count(answer, (int)received);
	}
}

int main(int argc, char **argv)
{
	static char request[REQUEST_MAX];
	struct mnl_socket *sockets[BUSES] = { 0 };
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	int32_t head[2];

	if (!file) {
		fprintf(stderr, "usage: bare REQUESTS\n");
		return 64;
	}
	while (fread(head, sizeof(head), 1, file) == 1) {
		if (head[0] >= BUSES || head[1] > REQUEST_MAX ||
		    fread(request, (size_t)head[1], 1, file) != 1)
			die(argv[1]);
		if (!sockets[head[0]])
			sockets[head[0]] = bus_open(head[0]);
		exchange(sockets[head[0]], request, head[1]);
	}
	return 0;
}
