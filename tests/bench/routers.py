# SPDX-License-Identifier: GPL-2.0-or-later
"""Routers to measure, each between a client and a sink, for the gateway's and the servers' packets.

         client --- eth0 router eth1 (the servers'), eth2 (the gateway's) --- sink

All routers of a comparison stand at once and get their turns, so that what else happens on the
machine meets them alike. They differ in what is loaded into them only.
"""

import contextlib
import json
import os
import pathlib
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))
import lab

TOOLS = pathlib.Path(lab.DETOUR).parent / "bench"
GATEWAY = {4: "192.168.2.2", 6: "fd00:2::2"}
SERVER_HOP = {4: "192.168.1.2", 6: "fd00:1::2"}
MAC, HOP = "02:00:00:00:00:01", "02:00:00:00:00:02"


def netlink_socket(namespace, bus):
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        lab.call(lab.libc.setns, there.fileno(), lab.CLONE_NEWNET)
        try:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, bus)
        finally:
            lab.call(lab.libc.setns, home.fileno(), lab.CLONE_NEWNET)


class Netlink:
    """A netfilter socket in a namespace, for what nft is too slow to be timed with."""

    CT_DELETE, BATCH_BEGIN, BATCH_END = 0x102, 0x10, 0x11
    NEWSETELEM, DELSETELEM, NEWGEN, INTERVAL_END = 0xA0C, 0xA0E, 0xA0F, 1
    REQUEST, ACK, CREATE = 1, 4, 0x400
    SO_SNDBUFFORCE, NETLINK_NETFILTER, NESTED, GOTO = 32, 12, 0x8000, -4
    SOL_NETLINK, ADD_MEMBERSHIP, NFTABLES_GROUP = 270, 1, 7

    def __init__(self, namespace):
        self.socket = netlink_socket(namespace, self.NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, self.SO_SNDBUFFORCE, 1 << 28)

    def close(self):
        self.socket.close()

    def message(self, kind, flags, body=b"", family=0, resource=0):
        head = struct.pack("=IHHII", 20 + len(body), kind, flags | self.REQUEST, 0, 0)
        return head + struct.pack(">BBH", family, 0, resource) + body

    def attribute(self, kind, value, nested=True):
        kind |= self.NESTED if nested else 0
        return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)

    def string(self, kind, text):
        return self.attribute(kind, text.encode() + b"\0", False)

    def send(self, data):
        """Seconds until the one acknowledgement that was asked for."""
        started = time.monotonic()
        self.socket.send(data)
        answer = self.socket.recv(65536)
        seconds = time.monotonic() - started
        error = struct.unpack_from("=i", answer, 16)[0]
        if error:
            raise lab.LabError(f"netlink: {os.strerror(-error)}")
        return seconds

    def listen(self):
        """To what is changed in nftables. A socket without an address would count as the changer."""
        self.socket.bind((0, 0))
        self.socket.setsockopt(self.SOL_NETLINK, self.ADD_MEMBERSHIP, self.NFTABLES_GROUP)

    def heard_changes(self):
        """How many objects have changed since listen(); an element is one, with both its ends."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = self.socket.recv(1 << 20, socket.MSG_DONTWAIT)
                count += sum(changes_in(kind, body) for kind, body in messages_in(packet))
        return count

    def forget_connections(self):
        self.send(self.message(self.CT_DELETE, self.ACK))

    def element(self, key, chain, end):
        body = self.attribute(3, struct.pack(">I", 1), False) if end else b""
        body += self.attribute(1, self.attribute(1, key, False))
        if chain:
            verdict = self.attribute(1, struct.pack(">i", self.GOTO), False) + self.string(2, chain)
            body += self.attribute(2, self.attribute(2, verdict))
        return self.attribute(1, body)

    def elements(self, kind, name, width, spans, chain=None):
        """Adds or deletes spans of a set of inet detour, in one transaction; returns seconds.

        width: of an address, in bytes."""
        head = self.string(1, "detour") + self.string(2, name)
        create = self.CREATE if kind == self.NEWSETELEM else 0
        messages = [self.message(self.BATCH_BEGIN, 0, resource=10)]
        for at in range(0, len(spans), 200):
            items = b"".join(
                self.element(first.to_bytes(width, "big"), chain, False)
                + self.element((last + 1).to_bytes(width, "big"), None, True)
                for first, last in spans[at : at + 200])
            flags = create | (self.ACK if at + 200 >= len(spans) else 0)
            messages.append(self.message(kind, flags, head + self.attribute(3, items), family=1))
        messages.append(self.message(self.BATCH_END, 0, resource=10))
        return self.send(b"".join(messages))


def records_in(data, head, kind_at):
    """Netlink messages or attributes, which are alike: [(kind, body)]."""
    while data:
        size = struct.unpack_from("=I" if head > 4 else "=H", data)[0]
        yield struct.unpack_from("=H", data, kind_at)[0], data[head:size]
        data = data[(size + 3) & ~3 :]


class RouteNews:
    """What the kernel says of IPv4 routes in a namespace."""

    NETLINK_ROUTE, IPV4_ROUTES, NEWROUTE, TABLE = 0, 0x40, 24, 4

    def __init__(self, namespace):
        self.socket = netlink_socket(namespace, self.NETLINK_ROUTE)
        self.socket.bind((0, self.IPV4_ROUTES))
        self.socket.settimeout(lab.PATIENCE)

    def wait(self, table):
        """Returns once there is a route more in the table."""
        while not any(kind == self.NEWROUTE and body[self.TABLE] == table
                      for kind, body in messages_in(self.socket.recv(1 << 16))):
            pass

    def close(self):
        self.socket.close()


def messages_in(packet):
    return records_in(packet, 16, 4)


def attributes_in(body):
    return {kind & 0x3FFF: value for kind, value in records_in(body, 4, 2)}


def changes_in(kind, body):
    """Of a notification of nftables."""
    if kind == Netlink.NEWGEN:
        return 0
    if kind not in (Netlink.NEWSETELEM, Netlink.DELSETELEM):
        return 1
    elements = (attributes_in(e) for _, e in records_in(attributes_in(body[4:])[3], 4, 2))
    return sum(not int.from_bytes(e.get(3, b""), "big") & Netlink.INTERVAL_END for e in elements)


class Routers:
    def __enter__(self):
        self.prefix = f"bench{os.getpid()}n{next(lab.serial)}"
        self.directory = tempfile.TemporaryDirectory(prefix="bench-")
        self.names, self.count = [], 0
        try:
            self.client, self.sink = self.namespace("client"), self.namespace("sink")
            for family in "-4", "-6":
                ip(self.sink, family, "route", "add", "blackhole", "default")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)
        self.directory.cleanup()

    def namespace(self, name):
        full = f"{self.prefix}-{name}"
        lab.run(["ip", "netns", "add", full])
        self.names.append(full)
        ip(full, "link", "set", "lo", "up")
        return full

    def file(self, name, content):
        """The path of a new file of text or bytes."""
        path = pathlib.Path(self.directory.name, name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def add(self):
        self.count += 1
        return Router(self, self.count, self.namespace(f"router{self.count}"))


def ip(namespace, *words):
    lab.run(["ip", "-n", namespace, *words])


class Router:
    """With interfaces, addresses, neighbours and a default route to the servers, and no more."""

    def __init__(self, routers, number, name):
        self.routers, self.number, self.name = routers, number, name
        self.add_links()
        settings = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
        for where in "all", "default", "eth0", "eth1", "eth2":
            settings += [f"net.ipv4.conf.{where}.rp_filter=0", f"net.ipv6.conf.{where}.accept_dad=0"]
        self.execute("sysctl", "-qw", *settings)
        self.add_addresses()

    def add_links(self):
        for index, letter in enumerate("csg"):
            peer = self.routers.client if letter == "c" else self.routers.sink
            ip(self.name, "link", "add", f"eth{index}", "address", MAC, "type", "veth",
               "peer", "name", f"{letter}{self.number}", "netns", peer, "address", HOP)
            ip(peer, "link", "set", f"{letter}{self.number}", "up")

    def add_addresses(self):
        lines = []
        for index in range(3):
            lines += [f"link set eth{index} up",
                      f"address add 192.168.{index}.1/24 dev eth{index}",
                      f"address add fd00:{index}::1/64 dev eth{index} nodad"]
            lines += [f"neigh add {hop} lladdr {HOP} dev eth{index} nud permanent"
                      for hop in (f"192.168.{index}.2", f"fd00:{index}::2")]
        self.ip(*lines, f"route add 0.0.0.0/0 via {SERVER_HOP[4]}",
                f"route add ::/0 via {SERVER_HOP[6]}")

    # Tools

    def execute(self, *words, stdin=None):
        return lab.run(["ip", "netns", "exec", self.name, *words], stdin)

    def ip(self, *lines):
        self.execute("ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    # What is loaded

    def divert(self, mark):
        """The procedure's route and rule."""
        for family in 4, 6:
            words = self.name, f"-{family}"
            ip(*words, "route", "add", "default", "via", GATEWAY[family], "table", "103")
            ip(*words, "rule", "add", "fwmark", mark, "lookup", "103", "priority", "100")

    def load(self, text):
        """nftables; seconds."""
        started = time.monotonic()
        self.execute("nft", "-f", "-", stdin=text)
        return time.monotonic() - started

    def load_procedure(self, family, text):
        self.execute("iptables-restore" if family == 4 else "ip6tables-restore", stdin=text)

    def apply(self, document):
        self.execute(lab.DETOUR, "apply", "--quiet", "-", stdin=json.dumps(document))

    # Packets

    def aim(self, packets, selected):
        """What measure() will send, and whether it should come out at the gateway."""
        path = self.routers.file(f"packets{self.number}", "".join("%s %s %d\n" % p for p in packets))
        self.end, self.sent = "g" if selected else "s", 0
        self.before = self.received()
        self.flood = subprocess.Popen(
            ["ip", "netns", "exec", self.routers.client, TOOLS / "flood", f"c{self.number}", MAC, path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.netlink = Netlink(self.name)

    def measure(self, per_flow):
        """Nanoseconds of processor time for each packet of one burst."""
        flows = 8192 if per_flow == 1 else 4096
        self.flood.stdin.write(f"{flows} {per_flow} 150\n")
        self.flood.stdin.flush()
        sent, _, cpu = map(int, self.flood.stdout.readline().split())
        self.netlink.forget_connections()
        self.sent += sent
        return cpu / sent

    def finish(self):
        self.flood.stdin.close()
        self.flood.wait()
        self.netlink.close()
        arrived = self.received() - self.before
        if arrived < 0.99 * self.sent:
            raise lab.LabError(f"router {self.number}: {arrived} of {self.sent} packets arrived")

    def received(self):
        path = f"/sys/class/net/{self.end}{self.number}/statistics/rx_packets"
        return int(lab.run(["ip", "netns", "exec", self.routers.sink, "cat", path]))


def interleave(contestants, flows, rounds):
    """{(label, packets a flow): costs} of {label: a router that was aimed}, in bursts in turn."""
    figures = {(label, per_flow): [] for label in contestants for per_flow in flows}
    for turn in range(rounds + 1):  # the first one warms up
        for per_flow in flows:
            for label in random.sample(list(contestants), len(contestants)):
                cost = contestants[label].measure(per_flow)
                if turn:
                    figures[label, per_flow].append(cost)
    for router in contestants.values():
        router.finish()
    return figures


def ratio(mine, beside):
    """The median of the ratios within a round."""
    return statistics.median(m / b for m, b in zip(mine, beside))
