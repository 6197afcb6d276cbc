/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A netlink socket, its promise: a dump is whole or an error, a request is
 * acknowledged or an error, and an error comes with the kernel's own words.
 */
#ifndef BACKENDS_NETLINK_H
#define BACKENDS_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>

#include "backends/progress.h"
#include "reconcile/error.h"

enum { NETLINK_TEXT = 256 };

struct netlink {
	struct mnl_socket *socket; /* for those who send batches themselves */
	uint32_t portid;
	bool is_owner;     /* of the tables that it creates: see owner.h */
	uint32_t sequence; /* of the last message: see netlink_sequence() */
	/* The kernel's words for the last failure, "" when it had none. */
	char text[NETLINK_TEXT];
	char reason[NETLINK_TEXT + 64]; /* netlink_reason() writes it */
	struct progress *progress;      /* NULL: nobody is to be told */
	char *request;                  /* NETLINK_REQUEST_MAX bytes: see netlink_message() */
	char *answer;                   /* NETLINK_ANSWER_MAX bytes */
};

enum {
	NETLINK_REQUEST_MAX = 8192,
	NETLINK_ANSWER_MAX = 65536, /* the kernel fits dump packets to the reader, up to 32 KiB */
};

/* Bus: NETLINK_ROUTE or NETLINK_NETFILTER. 0, or -1 with *error. netlink_close() is due on 0. */
int netlink_open(int bus, struct netlink **out, struct error *error);

/*
 * The same with an open socket, whose queue is emptied: what is in it was for
 * somebody else. The descriptor is ours, and is closed on failure, too.
 */
int netlink_adopt(int fd, struct netlink **out, struct error *error);

/* NULL is fine. */
void netlink_close(struct netlink *nl);

/* Tells nl->progress. */
void netlink_tell(struct netlink *nl, const char *what, size_t done, size_t total);

/* The next sequence number, never 0. */
uint32_t netlink_sequence(struct netlink *nl);

/*
 * Begins a message in nl->request, which the next one overwrites; the caller
 * appends a family header and attributes. Flags: all but those which
 * netlink_dump() and netlink_request() set themselves.
 */
struct nlmsghdr *netlink_message(struct netlink *nl, uint16_t type, uint16_t flags);

/*
 * Where answers go. begin() comes before each attempt and forgets what an
 * interrupted one has left behind. message() returns 0, or a negative errno
 * that ends the reading. Either may be NULL.
 */
struct netlink_reader {
	void (*begin)(void *context);
	int (*message)(const struct nlmsghdr *message, void *context);
	void *context;
};

/*
 * Sends the request as a dump and reads it whole, again from the start when the
 * kernel says that it changed meanwhile (NLM_F_DUMP_INTR). 0 or a negative
 * errno: -EINTR when it would not stay quiet, and the kernel's own.
 */
int netlink_dump(struct netlink *nl, struct nlmsghdr *request, const struct netlink_reader *reader);

/*
 * Joins and leaves a multicast group (RTNLGRP_*, NFNLGRP_*). In between, a notification
 * that arrives during a dump counts as an interruption, for those kinds of
 * dump whose changes the kernel does not flag. 0 or a negative errno.
 */
int netlink_watch(struct netlink *nl, int group);
void netlink_unwatch(struct netlink *nl, int group);

/*
 * Hands what has arrived for groups that netlink_watch() joined to the reader,
 * without waiting for more; a flood is handed on bit by bit. 0, or a negative
 * errno: -ENOBUFS when some of it was lost, and the rest is handed on.
 */
int netlink_listen(struct netlink *nl, const struct netlink_reader *reader);

/*
 * Sends one request and waits for its acknowledgement; reader (may be NULL)
 * gets the answer before that. 0 or a negative errno: see netlink_is_lost().
 */
int netlink_request(struct netlink *nl, struct nlmsghdr *request,
		    const struct netlink_reader *reader);

/* Whether the code means that the answer was lost: the outcome is unknown. */
bool netlink_is_lost(int code);

/*
 * For batches: the code in a NLMSG_ERROR or NLMSG_DONE message, 0 or a negative
 * errno, and the kernel's words, copied to text (NETLINK_TEXT bytes; "" when
 * there are none).
 */
int netlink_ack(const struct nlmsghdr *ack, char *text);

/*
 * "Operation not permitted", or "Invalid argument (kernel: Nexthop has invalid
 * gateway)", for a negative errno. Valid until the next call.
 */
const char *netlink_reason(struct netlink *nl, int code);

#endif
