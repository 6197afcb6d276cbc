/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nf_tables takes a transaction as one packet and has answered all of it when
 * sendmsg() returns. Hazards: the packet must fit the send buffer, the answers
 * must fit the receive buffer (else the outcome is unknown), and an
 * acknowledged message proves nothing, since the transaction can still fail at
 * its end, which the kernel reports on its beginning. So every answer is read,
 * and it is done when the last message is acknowledged and none was refused.
 */
#include "backends/nft_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "reconcile/kernel.h"

/* What the kernel charges the receive buffer for one answer. */
enum { ANSWER_CHARGE = 1024 };

/* Which step a message belongs to; NULL for the begin and the end. */
struct sent {
	uint32_t sequence;
	const struct step *step;
};

static bool reserve(void **items, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room ? *room : 1;
	void *grown;

	while (wanted < count)
		wanted *= 2;
	if (wanted == *room)
		return true;
	grown = realloc(*items, wanted * size);
	if (!grown)
		return false;
	/* libmnl leaves the padding between attributes as it finds it. */
	memset((char *)grown + *room * size, 0, (wanted - *room) * size);
	*items = grown;
	*room = wanted;
	return true;
}

uint16_t nft_type(int type)
{
	return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
}

void nft_family_put(struct nlmsghdr *message, uint8_t family, uint16_t resource)
{
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	header->res_id = htons(resource);
}

int batch_no_memory(const struct batch *batch)
{
	return error_set(batch->error, "no-memory",
			 "table inet %s: the transaction needs more memory than there is",
			 NFT_TABLE);
}

static struct nlmsghdr *message_add(struct batch *batch, uint16_t type, uint16_t flags)
{
	void *bytes = batch->bytes, *sent = batch->sent;
	struct nlmsghdr *message;
	bool fits = reserve(&bytes, batch->size + BATCH_MESSAGE, &batch->room, 1) &&
		    reserve(&sent, batch->sent_count + 1, &batch->sent_room, sizeof(struct sent));

	batch->bytes = bytes;
	batch->sent = sent;
	if (!fits) {
		batch_no_memory(batch);
		return NULL;
	}
	message = mnl_nlmsg_put_header(batch->bytes + batch->size);
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = netlink_sequence(batch->nl);
	batch->sent[batch->sent_count++] = (struct sent){ message->nlmsg_seq, batch->step };
	return message;
}

struct nlmsghdr *batch_add(struct batch *batch, int type, uint16_t flags)
{
	struct nlmsghdr *message = message_add(batch, nft_type(type), flags);

	if (message)
		nft_family_put(message, NFPROTO_INET, 0);
	return message;
}

void batch_close(struct batch *batch, const struct nlmsghdr *message)
{
	batch->last = batch->size;
	batch->size += NLMSG_ALIGN(message->nlmsg_len);
}

static struct nlmsghdr *bound_add(struct batch *batch, uint16_t type)
{
	struct nlmsghdr *message;

	batch->step = NULL;
	message = message_add(batch, type, 0);
	if (message)
		nft_family_put(message, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	return message;
}

int batch_begin(struct batch *batch, uint32_t generation)
{
	struct nlmsghdr *message = bound_add(batch, NFNL_MSG_BATCH_BEGIN);

	if (!message)
		return -1;
	mnl_attr_put_u32(message, NFNL_BATCH_GENID, htonl(generation));
	batch_close(batch, message);
	return 0;
}

/* Asks for one acknowledgement: that of the last message which changes something. */
static int batch_end(struct batch *batch)
{
	struct nlmsghdr *last = (struct nlmsghdr *)(batch->bytes + batch->last);
	struct nlmsghdr *message;

	last->nlmsg_flags |= NLM_F_ACK;
	message = bound_add(batch, NFNL_MSG_BATCH_END);
	if (!message)
		return -1;
	batch_close(batch, message);
	return 0;
}

/* Beyond net.core.[rw]mem_max only where CAP_NET_ADMIN holds outside of user namespaces. */
static void buffer_raise(int fd, int option, int force, size_t size)
{
	int wanted = size < INT_MAX / 2 ? (int)size : INT_MAX / 2, current = 0;
	socklen_t length = sizeof(current);

	getsockopt(fd, SOL_SOCKET, option, &current, &length);
	/* The kernel doubles what it is asked for, and says so. */
	if (current / 2 >= wanted)
		return;
	if (setsockopt(fd, SOL_SOCKET, force, &wanted, sizeof(wanted)) < 0)
		setsockopt(fd, SOL_SOCKET, option, &wanted, sizeof(wanted));
}

static int batch_send(struct batch *batch)
{
	int fd = mnl_socket_get_fd(batch->nl->socket);
	ssize_t sent;

	buffer_raise(fd, SO_SNDBUF, SO_SNDBUFFORCE, batch->size);
	buffer_raise(fd, SO_RCVBUF, SO_RCVBUFFORCE, batch->sent_count * ANSWER_CHARGE);
	do
		sent = mnl_socket_sendto(batch->nl->socket, batch->bytes, batch->size);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	if (errno == EMSGSIZE)
		return error_set(batch->error, "too-large",
				 "table inet %s: a transaction of %zu bytes does not fit the "
				 "socket's send buffer; raise net.core.wmem_max to that",
				 NFT_TABLE, batch->size);
	return error_set(batch->error, "no-netlink", "table inet %s: cannot send to the kernel: %s",
			 NFT_TABLE, strerror(errno));
}

/* What the kernel has said so far. */
struct answers {
	bool acknowledged, lost;
	int code; /* of the first refusal */
	const struct sent *refused;
};

static const struct sent *sent_find(const struct batch *batch, uint32_t sequence)
{
	for (size_t i = 0; i < batch->sent_count; i++)
		if (batch->sent[i].sequence == sequence)
			return &batch->sent[i];
	return NULL;
}

static void answer_take(struct batch *batch, struct answers *answers,
			const struct nlmsghdr *message)
{
	const struct sent *sent = sent_find(batch, message->nlmsg_seq);
	char text[NETLINK_TEXT];
	int code;

	if (message->nlmsg_type != NLMSG_ERROR || !sent || answers->code)
		return;
	code = netlink_ack(message, text);
	if (code == 0) {
		answers->acknowledged = true;
		return;
	}
	answers->code = code;
	answers->refused = sent;
	memcpy(batch->nl->text, text, sizeof(text));
}

static void answers_read(struct batch *batch, struct answers *answers)
{
	int fd = mnl_socket_get_fd(batch->nl->socket);

	for (;;) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)batch->nl->answer;
		ssize_t size = recv(fd, batch->nl->answer, NETLINK_ANSWER_MAX, MSG_DONTWAIT);
		int left = (int)size;

		if (size < 0 && errno == ENOBUFS)
			answers->lost = true;
		else if (size < 0 && errno != EINTR)
			return;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			answer_take(batch, answers, message);
	}
}

static int refused_whole(const struct batch *batch, int code)
{
	switch (-code) {
	case EPERM:
		return error_set(batch->error, "no-permission",
				 "table inet %s: writing nf_tables is not permitted; run as root "
				 "or with CAP_NET_ADMIN",
				 NFT_TABLE);
	case EOPNOTSUPP:
		return error_set(batch->error, "no-nf-tables",
				 "table inet %s: the kernel has no nf_tables; load the module "
				 "nf_tables",
				 NFT_TABLE);
	default:
		return error_set(batch->error, "kernel-refused",
				 "table inet %s: the kernel refused the transaction as a whole, "
				 "and nothing was changed: %s",
				 NFT_TABLE, netlink_reason(batch->nl, code));
	}
}

static int refused_step(const struct batch *batch, const struct step *step, int code)
{
	bool lacks = code == -EOPNOTSUPP || (code == -ENOENT && step->action == ACTION_CREATE);

	if (batch->nl->is_owner && step->kind == KIND_NFT_TABLE && code == -EOPNOTSUPP)
		return error_set(batch->error, "no-protection",
				 "table inet %s: this kernel cannot protect it, which takes Linux "
				 "6.9; leave out --protect",
				 NFT_TABLE);
	if (step->kind == KIND_HAND_RULE && code == -ENOENT)
		return error_set(batch->error, "chain-gone",
				 "%s %s: it cannot be put back, since its chain, or a set that it "
				 "looks up, is gone; make that again, a chain of iptables by any "
				 "iptables -t mangle command",
				 kind_name(step->kind), step->object);
	return error_set(batch->error, lacks ? "no-nf-tables" : "kernel-refused",
			 "%s %s: the kernel refused to %s it, and nothing was changed: %s%s",
			 kind_name(step->kind), step->object, action_name(step->action),
			 netlink_reason(batch->nl, code),
			 lacks ? "; it may lack the modules nft_ct, nf_conntrack or nf_tables"
			       : "");
}

static int outcome(const struct batch *batch, const struct answers *answers)
{
	if (answers->code == -ERESTART)
		return OUTCOME_STALE;
	if (answers->code && answers->refused->step)
		return refused_step(batch, answers->refused->step, answers->code);
	if (answers->code)
		return refused_whole(batch, answers->code);
	return answers->acknowledged && !answers->lost ? OUTCOME_DONE : OUTCOME_UNKNOWN;
}

int batch_commit(struct batch *batch)
{
	struct answers answers = { 0 };

	/* Steps without elements: nothing but the beginning. */
	if (batch->sent_count == 1)
		return OUTCOME_DONE;
	if (batch_end(batch) < 0)
		return -1;
	if (batch_send(batch) < 0)
		return -1;
	answers_read(batch, &answers);
	return outcome(batch, &answers);
}

void batch_free(struct batch *batch)
{
	free(batch->bytes);
	free(batch->sent);
}
