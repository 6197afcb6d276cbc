/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/netlink.h>

enum {
	RECEIVE_BUFFER = 4 * 1024 * 1024,
	DUMP_ATTEMPTS = 16,
	LISTEN_PACKETS = 4096, /* at a time: whoever listens has other things to do, too */
	/* The kernel answers before send() returns: this ends the wait for an answer it dropped. */
	ANSWER_SECONDS = 5,
};

static void socket_tune(struct mnl_socket *socket, int bus)
{
	int fd = mnl_socket_get_fd(socket), on = 1, size = RECEIVE_BUFFER;
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };

	/* Each is a convenience that an old kernel may lack. */
	mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
	if (bus == NETLINK_ROUTE)
		mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static int not_open(struct error *error)
{
	return error_set(error, "no-netlink", "netlink: cannot open a socket to the kernel: %s",
			 strerror(errno));
}

/* Takes the socket over, also when it fails. */
static int wrap(struct mnl_socket *socket, struct netlink **out, struct error *error)
{
	struct netlink *nl = calloc(1, sizeof(*nl));

	if (!nl) {
		mnl_socket_close(socket);
		return error_set(error, "no-memory", "netlink: out of memory");
	}
	nl->socket = socket;
	/* Zeroed: what pads an attribute is sent, too. */
	nl->request = calloc(1, NETLINK_REQUEST_MAX);
	nl->answer = malloc(NETLINK_ANSWER_MAX);
	if (!nl->request || !nl->answer) {
		netlink_close(nl);
		return error_set(error, "no-memory", "netlink: out of memory");
	}
	nl->portid = mnl_socket_get_portid(socket);
	nl->sequence = (uint32_t)time(NULL);
	*out = nl;
	return 0;
}

int netlink_open(int bus, struct netlink **out, struct error *error)
{
	struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);

	if (!socket)
		return not_open(error);
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		not_open(error);
		mnl_socket_close(socket);
		return -1;
	}
	socket_tune(socket, bus);
	return wrap(socket, out, error);
}

int netlink_adopt(int fd, struct netlink **out, struct error *error)
{
	struct mnl_socket *socket = mnl_socket_fdopen(fd);

	if (!socket) {
		not_open(error);
		close(fd);
		return -1;
	}
	if (wrap(socket, out, error))
		return -1;
	while (recv(fd, (*out)->answer, NETLINK_ANSWER_MAX, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (!nl)
		return;
	if (nl->socket)
		mnl_socket_close(nl->socket);
	free(nl->request);
	free(nl->answer);
	free(nl);
}

void netlink_tell(struct netlink *nl, const char *what, size_t done, size_t total)
{
	if (nl->progress)
		nl->progress->tell(nl->progress, what, done, total);
}

uint32_t netlink_sequence(struct netlink *nl)
{
	if (++nl->sequence == 0)
		nl->sequence = 1;
	return nl->sequence;
}

struct nlmsghdr *netlink_message(struct netlink *nl, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(nl->request);

	nl->text[0] = '\0';
	message->nlmsg_type = type;
	message->nlmsg_flags = flags;
	return message;
}

static int copy_text(const struct nlattr *attribute, void *text)
{
	if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		snprintf(text, NETLINK_TEXT, "%s", mnl_attr_get_str(attribute));
	return MNL_CB_OK;
}

int netlink_ack(const struct nlmsghdr *ack, char *text)
{
	const struct nlmsgerr *failure = mnl_nlmsg_get_payload(ack);
	bool ends_dump = ack->nlmsg_type == NLMSG_DONE;
	size_t skip = ends_dump ? sizeof(int) : sizeof(*failure);

	text[0] = '\0';
	/* nfnetlink ends a dump with a bare NLMSG_DONE on old kernels. */
	if (mnl_nlmsg_get_payload_len(ack) < skip)
		return ends_dump ? 0 : -EBADMSG;
	if (!ends_dump && !(ack->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&failure->msg);
	if (ack->nlmsg_flags & NLM_F_ACK_TLVS && skip < mnl_nlmsg_get_payload_len(ack))
		mnl_attr_parse(ack, (unsigned int)skip, copy_text, text);
	return failure->error > 0 ? 0 : failure->error;
}

const char *netlink_reason(struct netlink *nl, int code)
{
	const char *words = strerror(-code);

	if (!nl->text[0])
		return words;
	snprintf(nl->reason, sizeof(nl->reason), "%s (kernel: %s)", words, nl->text);
	return nl->reason;
}

/*
 * One packet from the kernel, and from nobody else: its size, or a negative
 * errno. A notice is one that went to a multicast group.
 */
static ssize_t receive(struct netlink *nl, int flags, bool *is_notice)
{
	struct sockaddr_nl from = { 0 };
	struct iovec vector = { .iov_base = nl->answer, .iov_len = NETLINK_ANSWER_MAX };
	struct msghdr packet;
	ssize_t size;

	do {
		packet = (struct msghdr){ .msg_name = &from,
					  .msg_namelen = sizeof(from),
					  .msg_iov = &vector,
					  .msg_iovlen = 1 };
		size = recvmsg(mnl_socket_get_fd(nl->socket), &packet, flags);
	} while (size < 0 ? errno == EINTR : from.nl_pid != 0);
	if (size < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	*is_notice = from.nl_groups != 0;
	return packet.msg_flags & MSG_TRUNC ? -EMSGSIZE : size;
}

struct answer {
	const struct netlink_reader *reader;
	uint32_t sequence;
	bool complete, interrupted;
	int code; /* the kernel's, or the reader's */
};

static void answer_take(struct netlink *nl, struct answer *answer, const struct nlmsghdr *message)
{
	/* What an earlier request that was given up on has left in the queue. */
	if (message->nlmsg_seq != answer->sequence || message->nlmsg_pid != nl->portid)
		return;
	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->interrupted = true;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		int code = netlink_ack(message, nl->text);

		answer->complete = true;
		answer->code = answer->code ? answer->code : code;
	} else if (message->nlmsg_type >= NLMSG_MIN_TYPE && !answer->code && answer->reader &&
		   answer->reader->message) {
		answer->code = answer->reader->message(message, answer->reader->context);
	}
}

/* Reads on to the end even when the reader has failed, so that nothing is left for the next one. */
static int answer_read(struct netlink *nl, struct answer *answer, bool is_dump)
{
	while (!answer->complete) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)nl->answer;
		bool is_notice = false;
		ssize_t size = receive(nl, 0, &is_notice);
		int left = (int)size;

		if (is_notice || (size == -ENOBUFS && is_dump)) {
			answer->interrupted = true;
			continue;
		}
		/* Whatever is wrong with the socket: the request may have been carried out. */
		if (size < 0)
			return netlink_is_lost((int)size) ? (int)size : -ETIMEDOUT;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			answer_take(nl, answer, message);
	}
	return 0;
}

static int exchange(struct netlink *nl, struct nlmsghdr *request, struct answer *answer)
{
	ssize_t sent;

	nl->text[0] = '\0';
	if (answer->reader && answer->reader->begin)
		answer->reader->begin(answer->reader->context);
	request->nlmsg_seq = answer->sequence = netlink_sequence(nl);
	do
		sent = mnl_socket_sendto(nl->socket, request, request->nlmsg_len);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return answer_read(nl, answer, request->nlmsg_flags & NLM_F_DUMP);
}

int netlink_dump(struct netlink *nl, struct nlmsghdr *request, const struct netlink_reader *reader)
{
	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	for (int attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
		struct answer answer = { .reader = reader };
		int code = exchange(nl, request, &answer);

		if (code)
			return code;
		if (!answer.interrupted)
			return answer.code;
		usleep((useconds_t)attempt * 1000);
	}
	return -EINTR;
}

int netlink_watch(struct netlink *nl, int group)
{
	return mnl_socket_setsockopt(nl->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0
		       ? -errno
		       : 0;
}

void netlink_unwatch(struct netlink *nl, int group)
{
	mnl_socket_setsockopt(nl->socket, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group));
}

int netlink_listen(struct netlink *nl, const struct netlink_reader *reader)
{
	int code = 0;

	for (int packets = 0; packets < LISTEN_PACKETS; packets++) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)nl->answer;
		bool is_notice;
		ssize_t size = receive(nl, MSG_DONTWAIT, &is_notice);
		int left = (int)size;

		if (size == -ETIMEDOUT)
			return code;
		if (size < 0 && !netlink_is_lost((int)size))
			return (int)size;
		if (size < 0)
			code = -ENOBUFS;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			reader->message(message, reader->context);
	}
	return code;
}

int netlink_request(struct netlink *nl, struct nlmsghdr *request,
		    const struct netlink_reader *reader)
{
	struct answer answer = { .reader = reader };
	int code;

	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	code = exchange(nl, request, &answer);
	return code ? code : answer.code;
}

bool netlink_is_lost(int code)
{
	return code == -ENOBUFS || code == -ETIMEDOUT || code == -EMSGSIZE;
}
