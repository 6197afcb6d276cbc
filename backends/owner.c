/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/netlink.h>

#include "backends/paths.h"

/* The answer comes as soon as the watcher has ended the look that it may be taking. */
enum { PATIENCE_SECONDS = 10, BACKLOG = 16 };

/* Like the namespace that the table is in, this belongs to the whole process. */
static struct netlink *own;
static int listening = -1;

static int address_of(struct sockaddr_un *address, struct error *error)
{
	char path[PATHS_MAX];

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (paths_run(path, error))
		return -1;
	snprintf(address->sun_path, sizeof(address->sun_path), "%.80s/owner.sock", path);
	return 0;
}

/* Root, or whoever we are: nobody else may hand us a socket, or be handed ours. */
static bool is_trusted(int fd, pid_t *pid)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	*pid = peer.pid;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* A connection to the owner, or negative when there is none. */
static int connect_to(const struct sockaddr_un *address, pid_t *pid)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
	    is_trusted(fd, pid))
		return fd;
	close(fd);
	return -1;
}

/* --- the owner ------------------------------------------------------------ */

static int not_opened(const struct sockaddr_un *address, struct error *error)
{
	error_set(error, "not-writable", "%s: cannot be made: %s", address->sun_path,
		  strerror(errno));
	owner_close();
	return -1;
}

int owner_open(struct error *error)
{
	struct sockaddr_un address;
	pid_t pid;
	int other;

	if (address_of(&address, error))
		return -1;
	other = connect_to(&address, &pid);
	if (other >= 0) {
		close(other);
		error_set(error, "busy", "process %d protects the table already; end it first",
			  (int)pid);
		return OWNER_TAKEN;
	}
	if (netlink_open(NETLINK_NETFILTER, &own, error))
		return -1;
	own->is_owner = true;
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* What a process that was killed has left behind. */
	unlink(address.sun_path);
	if (listening < 0 || fchmod(listening, 0600) < 0 ||
	    bind(listening, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listening, BACKLOG) < 0)
		return not_opened(&address, error);
	return 0;
}

void owner_close(void)
{
	struct sockaddr_un address;
	struct error ignored;

	if (listening >= 0) {
		if (address_of(&address, &ignored) == 0)
			unlink(address.sun_path);
		close(listening);
	}
	listening = -1;
	netlink_close(own);
	own = NULL;
}

int owner_fd(void)
{
	return listening;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void hand_over(int peer)
{
	const int fd = mnl_socket_get_fd(own->socket);
	union control control = { .header = { .cmsg_level = SOL_SOCKET,
					      .cmsg_type = SCM_RIGHTS,
					      .cmsg_len = CMSG_LEN(sizeof(fd)) } };
	struct iovec nothing = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &nothing,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	sendmsg(peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void owner_serve(void)
{
	pid_t pid;
	int peer;

	while ((peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (is_trusted(peer, &pid))
			hand_over(peer);
		close(peer);
	}
}

/* --- those who borrow ----------------------------------------------------- */

/* Negative with errno; 0 at the end, should the owner have ended meanwhile. */
static ssize_t receive(int peer, int *fd)
{
	union control control;
	char nothing;
	struct iovec vector = { .iov_base = &nothing, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	const struct cmsghdr *header;
	ssize_t size;

	do
		size = recvmsg(peer, &message, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return size < 0 ? -1 : 0;
	memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	return size;
}

/* A duplicate of the owner's socket; -1: nobody protects the table; -2 with *error. */
static int descriptor_borrow(struct error *error)
{
	struct sockaddr_un address;
	int peer, fd = -1;
	ssize_t size;
	pid_t pid = 0;

	if (own)
		return fcntl(mnl_socket_get_fd(own->socket), F_DUPFD_CLOEXEC, 3);
	if (address_of(&address, error))
		return -2;
	peer = connect_to(&address, &pid);
	if (peer < 0)
		return -1;
	size = receive(peer, &fd);
	close(peer);
	if (size >= 0 || errno == ECONNRESET)
		return fd;
	error_set(
		error, "owner-silent",
		"table inet detour: process %d protects it, and does not answer; end that process",
		(int)pid);
	return -2;
}

int owner_borrow(struct netlink **out, struct error *error)
{
	int fd = descriptor_borrow(error);

	*out = NULL;
	if (fd == -1)
		return 0;
	if (fd < 0 || netlink_adopt(fd, out, error))
		return -1;
	(*out)->is_owner = true;
	return 0;
}

bool owner_is_self(uint32_t portid)
{
	return own && own->portid == portid;
}

bool owner_is(uint32_t portid)
{
	struct netlink *borrowed;
	struct error ignored;
	bool is_it;

	if (owner_is_self(portid))
		return true;
	if (owner_borrow(&borrowed, &ignored) || !borrowed)
		return false;
	is_it = borrowed->portid == portid;
	netlink_close(borrowed);
	return is_it;
}
