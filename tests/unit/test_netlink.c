/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The netlink socket: whole dumps, acknowledged requests, the kernel's words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "netns.h"

static void count_begin(void *context)
{
	*(size_t *)context = 0;
}

static int count_message(const struct nlmsghdr *message, void *context)
{
	if (message->nlmsg_type == RTM_NEWROUTE)
		++*(size_t *)context;
	return 0;
}

static struct nlmsghdr *routes_request(struct netlink *nl, uint32_t table)
{
	struct nlmsghdr *request = netlink_message(nl, RTM_GETROUTE, 0);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->rtm_family = AF_INET;
	mnl_attr_put_u32(request, RTA_TABLE, table);
	return request;
}

static void test_long_dump_is_whole(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	size_t count = 7;
	struct netlink_reader reader = { count_begin, count_message, &count };

	netns_run("seq 5000 | while read -r i; do echo route add 10.$((i / 250 + 20)).$((i %% "
		  "250)).0/24 "
		  "dev eth2 table 500; done | ip -batch -");
	assert_int_equal(netlink_dump(nl, routes_request(nl, 500), &reader), 0);
	assert_int_equal(count, 5000);
}

static void test_missing_table_is_the_kernels_error(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	size_t count;
	struct netlink_reader reader = { count_begin, count_message, &count };
	int code = netlink_dump(nl, routes_request(nl, 501), &reader);

	assert_int_equal(code, -ENOENT);
	assert_non_null(strstr(netlink_reason(nl, code), "FIB table does not exist"));
}

static void test_answers_to_others_are_passed_over(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct nlmsghdr *request;
	size_t count;
	struct netlink_reader reader = { count_begin, count_message, &count };

	netns_run("ip route add 10.9.0.0/24 dev eth2 table 500");
	for (int i = 0; i < 3; i++) {
		request = routes_request(nl, 502);
		request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		request->nlmsg_seq = netlink_sequence(nl);
		mnl_socket_sendto(nl->socket, request, request->nlmsg_len);
	}
	assert_int_equal(netlink_dump(nl, routes_request(nl, 500), &reader), 0);
	assert_int_equal(count, 1);
}

static int refuse(const struct nlmsghdr *message, void *context)
{
	(void)message;
	(void)context;
	return -EBADMSG;
}

static void test_readers_refusal_leaves_nothing_behind(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	size_t count;
	struct netlink_reader refusing = { NULL, refuse, NULL };
	struct netlink_reader reader = { count_begin, count_message, &count };

	netns_run("ip route add 10.9.0.0/24 dev eth2 table 500");
	assert_int_equal(netlink_dump(nl, routes_request(nl, 500), &refusing), -EBADMSG);
	assert_int_equal(netlink_dump(nl, routes_request(nl, 500), &reader), 0);
	assert_int_equal(count, 1);
}

static void test_unanswered_request_is_lost(void **cmocka)
{
	struct netlink *nl = netns_socket(cmocka);
	struct timeval soon = { .tv_usec = 20000 };
	struct nlmsghdr *request;

	/* The kernel drops a message that claims to be longer than it is. */
	setsockopt(mnl_socket_get_fd(nl->socket), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	request = netlink_message(nl, NLMSG_NOOP, 0);
	assert_true(netlink_is_lost(-ENOBUFS));
	assert_false(netlink_is_lost(-EPERM));
	assert_int_equal(netlink_request(nl, request, NULL), 0);
	request = netlink_message(nl, NLMSG_NOOP, 0);
	request->nlmsg_len = 8;
	assert_true(netlink_is_lost(netlink_request(nl, request, NULL)));
}

struct ack_case {
	uint16_t type, flags;
	uint32_t length;
	int code;
	const char *text;
};

/* Of the acknowledgement in test_ack_is_read_within_its_bounds. */
static const struct ack_case ack_cases[] = {
	{ NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 48, -EPERM, "words" },
	{ NLMSG_ERROR, NLM_F_CAPPED, 48, -EPERM, "" },
	{ NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 40, -EPERM, "" },
	{ NLMSG_ERROR, NLM_F_ACK_TLVS, 48, -EPERM, "" },
	{ NLMSG_ERROR, NLM_F_CAPPED, 20, -EBADMSG, "" },
	{ NLMSG_DONE, 0, 16, 0, "" },
	{ NLMSG_DONE, 0, 20, -EPERM, "" },
};

static void test_ack_is_read_within_its_bounds(void **cmocka)
{
	union {
		struct nlmsghdr header;
		char bytes[64];
	} ack;
	char text[NETLINK_TEXT];

	(void)cmocka;
	for (size_t i = 0; i < sizeof(ack_cases) / sizeof(*ack_cases); i++) {
		const struct ack_case *expected = &ack_cases[i];
		struct nlmsgerr *failure;

		memset(&ack, 0, sizeof(ack));
		mnl_nlmsg_put_header(&ack);
		failure = mnl_nlmsg_put_extra_header(&ack.header, sizeof(*failure));
		failure->error = -EPERM;
		failure->msg.nlmsg_len = 4000;
		mnl_attr_put(&ack.header, NLMSGERR_ATTR_MSG, sizeof("words"), "words");
		ack.header.nlmsg_type = expected->type;
		ack.header.nlmsg_flags = expected->flags;
		ack.header.nlmsg_len = expected->length;
		assert_int_equal(netlink_ack(&ack.header, text), expected->code);
		assert_string_equal(text, expected->text);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, netns_setup, netns_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_long_dump_is_whole),
		TEST(test_missing_table_is_the_kernels_error),
		TEST(test_answers_to_others_are_passed_over),
		TEST(test_readers_refusal_leaves_nothing_behind),
		TEST(test_unanswered_request_is_lost),
		cmocka_unit_test(test_ack_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
