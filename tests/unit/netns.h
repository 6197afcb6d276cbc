/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A router of one's own for tests on the real kernel: user, network and mount
 * namespaces, so that nothing needs root and nothing outside is touched.
 */
#ifndef TESTS_UNIT_NETNS_H
#define TESTS_UNIT_NETNS_H

#include <stddef.h>

#include "backends/netlink.h"

/*
 * A cmocka setup for each test: an empty network namespace with lo up, the
 * veth pairs eth1-peer1 and eth2-peer2 up, 10.1.0.1/24 and 2001:db8:1::1/64 on
 * eth1, 10.2.0.1/24 and 2001:db8:2::1/64 on eth2; empty /run and /etc/iproute2.
 * *state is a struct netlink on NETLINK_ROUTE; NULL where the kernel forbids it.
 */
int netns_setup(void **state);
int netns_teardown(void **state);

/* The socket; skips the test, with the reason, when there is none. */
struct netlink *netns_socket(void **state);

/* Runs a command of other tools (ip, sysctl): others' hand, and an independent witness. It must
 * succeed. */
void netns_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How many lines such a command prints. */
size_t netns_lines(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
