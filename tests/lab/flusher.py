# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody who flushes the ruleset and all policy rules, over and over, in a process of their own.

    flusher.py    a line for each round: when it ended, by CLOCK_MONOTONIC

Each round makes a table, which the flush of the round before must have taken away, flushes the
ruleset, deletes all policy rules but the one for the router's own addresses, as ip rule flush does,
and adds the one that looks up the table main.
"""

import contextlib
import errno
import itertools
import os
import select
import socket
import statistics
import struct
import sys
import time

from lab import Companion

PERIOD = 0.006  # seconds at least, with time to spare for 100 rounds a second

# linux/netlink.h, linux/rtnetlink.h, linux/fib_rules.h, linux/netfilter/nfnetlink.h, nf_tables.h
NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x300, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
FRA_PRIORITY, FR_ACT_TO_TBL, RT_TABLE_MAIN, MAIN_PRIORITY = 6, 1, 254, 32766
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES = 16, 17, 10
NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFTA_TABLE_NAME = 0xA00, 0xA02, 1
NFPROTO_INET = 1


class Flusher(Companion):
    """While the block runs. rounds: when each has ended."""

    def __init__(self, lab):
        super().__init__(lab, "router", __file__)
        self.rounds = []

    def __enter__(self):
        super().__enter__()
        assert self.wait_for(lambda: self.rounds)
        return self

    def take(self, line):
        self.rounds.append(float(line))

    def interval(self):
        """Seconds from round to round: the median, since a busy machine may stop for a while."""
        return statistics.median(b - a for a, b in itertools.pairwise(self.rounds))


# -- The process ---------------------------------------------------------------------------------


def attribute(kind, value):
    padding = b"\0" * (-len(value) % 4)
    return struct.pack("=HH", 4 + len(value), kind) + value + padding


class Netlink:
    def __init__(self, bus):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, bus)

    def send(self, *messages):
        """Each is a type, flags and a body, all in one packet."""
        self.sock.send(
            b"".join(
                struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, 0, 0) + body
                for kind, flags, body in messages
            )
        )

    def receive(self):
        """Type and body of the messages in one packet."""
        data = self.sock.recv(65536)
        while data:
            size, kind = struct.unpack_from("=IH", data)
            yield kind, data[16:size]
            data = data[(size + 3) & ~3 :]

    def request(self, kind, flags, body):
        """0, or the errno of a refusal."""
        self.send((kind, flags | NLM_F_ACK, body))
        ((_, answer),) = self.receive()
        return refusal(answer)

    def dump(self, kind, body):
        self.send((kind, NLM_F_DUMP, body))
        while True:
            for answer, found in self.receive():
                if answer in (NLMSG_DONE, NLMSG_ERROR):
                    return
                yield found


def refusal(answer):
    return -struct.unpack_from("=i", answer)[0]


def nfgenmsg(family, resource=0):
    return struct.pack("!BBH", family, 0, resource)


def transaction(netlink, kind, flags, body):
    """One message to nf_tables, which must not be refused."""
    bound = nfgenmsg(0, NFNL_SUBSYS_NFTABLES)
    netlink.send(
        (NFNL_MSG_BATCH_BEGIN, 0, bound),
        (kind, flags | NLM_F_ACK, body),
        (NFNL_MSG_BATCH_END, 0, bound),
    )
    assert [refusal(answer) for _, answer in netlink.receive()] == [0]


def flush_tables(netlink):
    name = attribute(NFTA_TABLE_NAME, b"flushed\0")
    created = nfgenmsg(NFPROTO_INET) + name
    transaction(netlink, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, created)
    transaction(netlink, NFT_MSG_DELTABLE, 0, nfgenmsg(0))  # all of them


def flush_rules(netlink, family):
    """A rule of priority 0 has no such attribute. Others may be deleting rules, too."""
    header = struct.pack("=12B", family, *[0] * 11)
    rules = list(netlink.dump(RTM_GETRULE, header))
    for rule in rules:
        if any(kind == FRA_PRIORITY for kind in kinds(rule[12:])):
            assert netlink.request(RTM_DELRULE, 0, rule) in (0, errno.ENOENT)
    main = struct.pack("=BBBBBBBBI", family, 0, 0, 0, RT_TABLE_MAIN, 0, 0, FR_ACT_TO_TBL, 0)
    main += attribute(FRA_PRIORITY, struct.pack("=I", MAIN_PRIORITY))
    assert netlink.request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, main) == 0


def kinds(attributes):
    while attributes:
        size, kind = struct.unpack_from("=HH", attributes)
        yield kind
        attributes = attributes[(size + 3) & ~3 :]


def main():
    route, netfilter = Netlink(NETLINK_ROUTE), Netlink(NETLINK_NETFILTER)
    with contextlib.suppress(PermissionError):  # on a busy machine, too
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(due - time.monotonic(), 0))[0]:
        flush_tables(netfilter)
        for family in (socket.AF_INET, socket.AF_INET6):
            flush_rules(route, family)
        print(time.monotonic(), flush=True)
        due = max(due, time.monotonic() - PERIOD) + PERIOD


if __name__ == "__main__":
    main()
