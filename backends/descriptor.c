/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/descriptor.h"

#include <errno.h>
#include <string.h>

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

ssize_t descriptor_send(int socket, const struct sockaddr *to, socklen_t to_size, const char *text,
			int fd)
{
	union control control = { .header = { .cmsg_level = SOL_SOCKET,
					      .cmsg_type = SCM_RIGHTS,
					      .cmsg_len = CMSG_LEN(sizeof(fd)) } };
	struct iovec vector = { .iov_base = (char *)text, .iov_len = strlen(text) };
	struct msghdr message = { .msg_name = (struct sockaddr *)to,
				  .msg_namelen = to_size,
				  .msg_iov = &vector,
				  .msg_iovlen = 1 };

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
	}
	return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int descriptor_receive(int socket)
{
	union control control;
	char text[16];
	struct iovec vector = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	const struct cmsghdr *header;
	ssize_t size;
	int fd;

	do
		size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return errno == EAGAIN ? -2 : -1;
	header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}
