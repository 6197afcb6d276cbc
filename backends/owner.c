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

#include "backends/descriptor.h"
#include "backends/notify.h"
#include "backends/paths.h"

/*
 * The answer comes as soon as the watcher has ended the look that it may be taking, or its service
 * has been started again.
 */
enum { PATIENCE_SECONDS = 10, BACKLOG = 16 };

/* Both sockets, as the service manager knows them. */
#define KEPT_TABLE     "detour-table"
#define KEPT_BORROWERS "detour-borrowers"

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

/* A connection to the owner; -1 when there is none, -2 when too many wait for it already. */
static int connect_to(const struct sockaddr_un *address, pid_t *pid)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), result = -1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		result = errno == EAGAIN ? -2 : -1;
	else if (is_trusted(fd, pid))
		return fd;
	close(fd);
	return result;
}

/* -2. The process is 0 when it is not known. */
static int is_silent(pid_t pid, struct error *error)
{
	char who[32] = "";

	if (pid)
		snprintf(who, sizeof(who), ", number %d,", (int)pid);
	error_set(error, "owner-silent",
		  "table inet detour: the process that protects it%s does not answer; end it, or "
		  "stop its service",
		  who);
	return -2;
}

/* --- the owner ------------------------------------------------------------ */

static int not_opened(const struct sockaddr_un *address, struct error *error)
{
	error_set(error, "not-writable", "%s: cannot be made: %s", address->sun_path,
		  strerror(errno));
	owner_close();
	return -1;
}

static bool is_bound_to(int fd, const struct sockaddr_un *address)
{
	struct sockaddr_un found = { 0 };
	socklen_t size = sizeof(found);

	return getsockname(fd, (struct sockaddr *)&found, &size) == 0 &&
	       found.sun_family == AF_UNIX && !strcmp(found.sun_path, address->sun_path);
}

/* The address names the network namespace: what is of another one is of no use. */
bool owner_resume(void)
{
	struct sockaddr_un address;
	struct error ignored;
	int table = notify_kept(KEPT_TABLE), borrowers = notify_kept(KEPT_BORROWERS);

	if (address_of(&address, &ignored) || !is_bound_to(borrowers, &address) ||
	    netlink_adopt(fcntl(table, F_DUPFD_CLOEXEC, 3), &own, &ignored)) {
		owner_forget();
		return false;
	}
	close(table);
	own->is_owner = true;
	listening = borrowers;
	/* Again: whoever connects from now on is told our number. */
	listen(listening, BACKLOG);
	return true;
}

void owner_forget(void)
{
	notify_forget(KEPT_TABLE);
	notify_forget(KEPT_BORROWERS);
}

int owner_open(struct error *error)
{
	struct sockaddr_un address;
	pid_t pid;
	int other;

	if (address_of(&address, error))
		return -1;
	other = connect_to(&address, &pid);
	if (other == -2)
		return is_silent(0, error);
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
	/* What a process that has ended left behind. */
	unlink(address.sun_path);
	if (listening < 0 || fchmod(listening, 0600) < 0 ||
	    bind(listening, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listening, BACKLOG) < 0)
		return not_opened(&address, error);
	notify_keep(KEPT_TABLE, mnl_socket_get_fd(own->socket));
	notify_keep(KEPT_BORROWERS, listening);
	return 0;
}

/* The address stays: the next process of our service may be listening on it. */
void owner_close(void)
{
	if (listening >= 0)
		close(listening);
	listening = -1;
	netlink_close(own);
	own = NULL;
}

int owner_fd(void)
{
	return listening;
}

void owner_serve(void)
{
	pid_t pid;
	int peer;

	while ((peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (is_trusted(peer, &pid))
			descriptor_send(peer, NULL, 0, "table", mnl_socket_get_fd(own->socket));
		close(peer);
	}
}

/* --- those who borrow ----------------------------------------------------- */

/* A duplicate of the owner's socket; -1: nobody protects the table; -2 with *error. */
static int descriptor_borrow(struct error *error)
{
	struct sockaddr_un address;
	int peer, fd;
	pid_t pid = 0;

	if (own)
		return fcntl(mnl_socket_get_fd(own->socket), F_DUPFD_CLOEXEC, 3);
	if (address_of(&address, error))
		return -2;
	peer = connect_to(&address, &pid);
	if (peer < 0)
		return peer == -2 ? is_silent(pid, error) : -1;
	fd = descriptor_receive(peer);
	close(peer);
	return fd == -2 ? is_silent(pid, error) : fd;
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

int owner_knows(uint32_t portid, bool *is_known, struct error *error)
{
	struct netlink *borrowed;

	*is_known = owner_is_self(portid);
	if (*is_known)
		return 0;
	if (owner_borrow(&borrowed, error))
		return -1;
	*is_known = borrowed && borrowed->portid == portid;
	netlink_close(borrowed);
	return 0;
}
