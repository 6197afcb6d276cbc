/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open files that go from one process to another by a Unix socket (unix(7), SCM_RIGHTS). */
#ifndef BACKENDS_DESCRIPTOR_H
#define BACKENDS_DESCRIPTOR_H

#include <sys/socket.h>
#include <sys/types.h>

/*
 * Sends the text, and a duplicate of the descriptor with it unless that is
 * negative; `to` may be NULL for a connected socket. Does not wait. As sendmsg(2).
 */
ssize_t descriptor_send(int socket, const struct sockaddr *to, socklen_t to_size, const char *text,
			int fd);

/*
 * The descriptor that comes with the next message, which is the caller's; -1
 * when none does or the other end has gone, -2 when nothing came in time.
 */
int descriptor_receive(int socket);

#endif
