# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab of network namespaces: client, router, server and gateway, joined by veth pairs.

              eth0 +--------+ eth1
    client --------| router |-------- server      10.0.0.2     10.1.0.5
                   +--------+                     2001:db8::2  2001:db8:1::5
                       | eth2
                    gateway                       10.2.0.10    2001:db8:2::10

What a test asks is who answered: every listener says its name, and the gateway accepts whatever
is sent through it, like a transparent proxy does.

Nothing here waits for time to pass. settle() sends a packet to the server and to the gateway and
waits for its echo: all CPUs but one are left to others, so packets stay in order, and whatever
was sent before has arrived, or never will.

The namespaces' names and all files that detour keeps (/etc, /run, /var/lib) live in a mount
namespace of this process: the machine sees none of it, and all of it ends with the process.

    lab.py run COMMAND...     runs a command in a lab of its own ($LAB-router, ... in ip netns)
    lab.py shell              a shell on the router of a lab, with the tools of Lab.environment()
    lab.py ask ADDRESS PORT   connects and prints who answered
"""

import contextlib
import ctypes
import ctypes.util
import errno
import fcntl
import itertools
import json
import os
import pathlib
import select
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
DETOUR = os.environ.get("DETOUR", str(REPO / "build" / "detour"))
DETOUR_PLAIN = os.environ.get("DETOUR_PLAIN", DETOUR)  # without sanitizers, to be traced
SERVER_PORTS = (21, 22, 3389, 5899, 5900, 5905, 5910, 5911, 8080), (53, 3389)  # TCP, UDP
CLIENT_PORTS = (9000,), ()  # for connections that the server opens
PROXY_PORTS = (1000,), (1000,)  # to which the gateway brings whatever it receives
MARKER_PORT = 9
TAILS = {  # last parts of each host's addresses, in decimal and in hex; the first is its own
    "client": (2, 3, 99),
    "client2": (2,),
    "server": (5, 6, 250),
    "gateway": (10,),
    "gateway2": (10,),
}
PATIENCE = 10  # seconds until an answer that must come counts as lost

# Linux, not in Python 3.11's modules
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
SOL_PACKET, PACKET_STATISTICS = 263, 6
IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75
IP_RECVERR, IPV6_RECVERR = 11, 25
IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR = 20, 74
SIOCETHTOOL, ETHTOOL_GLINK = 0x8946, 0x0A
ETH_P_ALL, PACKET_OUTGOING = 3, 4

IS_ROOT = os.geteuid() == 0  # else enter_private_files() makes us root of a user namespace
libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
serial = itertools.count(1)


class LabError(Exception):
    """The lab itself does not work; says nothing about detour."""


# -- Private files -------------------------------------------------------------------------------


def call(function, *args):
    if function(*args) != 0:
        code = ctypes.get_errno()
        raise LabError(f"{function.__name__}{args}: {os.strerror(code)}")


def mount(source, target, fstype=None, flags=0):
    call(libc.mount, source.encode(), target.encode(), fstype and fstype.encode(), flags, None)


def enter_private_files():
    """Gives this process its own /etc, /run and /var/lib, and a CPU: call it once, early."""
    uid, gid = os.geteuid(), os.getegid()
    call(libc.unshare, CLONE_NEWNS | (CLONE_NEWUSER | CLONE_NEWNET if uid else 0))
    if uid:
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/run", "tmpfs")
    mount("tmpfs", "/var/lib", "tmpfs")
    os.mkdir("/run/etc")
    with contextlib.suppress(shutil.Error):  # what only root may read stays behind
        shutil.copytree("/etc", "/run/etc", symlinks=True, dirs_exist_ok=True)
    ours = shutil.ignore_patterns("detour.conf")  # of a machine that uses detour itself
    shutil.copytree("/etc/iproute2", "/run/iproute2.pristine", ignore=ours)
    mount("/run/etc", "/etc", flags=MS_BIND)
    cpus = sorted(os.sched_getaffinity(0))
    worker = os.environ.get("PYTEST_XDIST_WORKER", f"gw{os.getpid()}")  # gw0, gw1, ... one a CPU
    os.sched_setaffinity(0, {cpus[int(worker[2:]) % len(cpus)]})


def reset_private_files():
    for directory in ("/etc/iproute2", "/etc/detour", "/etc/netns", "/run/detour"):
        shutil.rmtree(directory, ignore_errors=True)
    shutil.rmtree("/var/lib/detour", ignore_errors=True)
    pathlib.Path("/etc/nftables.conf").unlink(missing_ok=True)  # Debian's flushes the ruleset
    shutil.copytree("/run/iproute2.pristine", "/etc/iproute2")
    os.makedirs("/etc/iproute2/rt_tables.d", exist_ok=True)
    # Of a machine on which detour is at work.
    pathlib.Path("/etc/iproute2/rt_tables.d/detour.conf").unlink(missing_ok=True)


# -- Packets by hand -----------------------------------------------------------------------------

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58, "sctp": 132}
TCP_FLAGS = "FSRPAU"


def is_ipv6(address):
    return ":" in address


def af(address):
    return socket.AF_INET6 if is_ipv6(address) else socket.AF_INET


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_checksum(source, target, protocol, payload):
    pack = lambda address: socket.inet_pton(af(address), address)
    pseudo_header = pack(source) + pack(target) + struct.pack("!II", len(payload), protocol)
    return checksum(pseudo_header + payload)


def ip_packet(source, target, protocol, payload):
    number = PROTOCOLS[protocol]
    addresses = socket.inet_pton(af(source), source) + socket.inet_pton(af(target), target)
    if is_ipv6(target):
        return struct.pack("!IHBB", 6 << 28, len(payload), number, 64) + addresses + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, number, 0) + addresses
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def target_of(packet):
    """The address that an IP packet goes to."""
    if packet[0] >> 4 == 6:
        return socket.inet_ntop(socket.AF_INET6, packet[24:40])
    return socket.inet_ntop(socket.AF_INET, packet[16:20])


def tcp_packet(source, target, sport, dport, flags="S", seq=1000, ack=0, data=b"", damage=0):
    """A TCP segment in an IP packet. damage is added to its checksum."""
    bits = sum(1 << TCP_FLAGS.index(flag) for flag in flags)
    seq &= 0xFFFFFFFF
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, bits, 64240, 0, 0)
    right = pseudo_checksum(source, target, 6, header + data)
    header = header[:16] + struct.pack("!H", (right + damage) & 0xFFFF) + header[18:]
    return ip_packet(source, target, "tcp", header + data)


def udp_packet(source, target, sport, dport, data=b"hello"):
    header = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
    right = pseudo_checksum(source, target, 17, header + data) or 0xFFFF
    return ip_packet(source, target, "udp", header[:6] + struct.pack("!H", right) + data)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


SCTP_INIT, SCTP_INIT_ACK, SCTP_COOKIE_ECHO, SCTP_COOKIE_ACK, SCTP_DATA = 1, 2, 10, 11, 0


def sctp_packet(source, target, sport, dport, chunk=SCTP_INIT, tag=0, init_tag=1):
    body = b""
    if chunk in (SCTP_INIT, SCTP_INIT_ACK):
        body = struct.pack("!IIHHI", init_tag, 65535, 1, 1, 1)
    elif chunk == SCTP_DATA:
        body = struct.pack("!IHHI", 1, 0, 0, 0) + b"data"
    chunk_bytes = struct.pack("!BBH", chunk, 3 if chunk == SCTP_DATA else 0, 4 + len(body)) + body
    header = struct.pack("!HHI", sport, dport, tag)
    crc = struct.pack("<I", crc32c(header + b"\0\0\0\0" + chunk_bytes))
    return ip_packet(source, target, "sctp", header + crc + chunk_bytes)


def icmp_packet(source, target, kind, body):
    """An ICMP or ICMPv6 message: kind is (type, code), body all after the checksum."""
    head = struct.pack("!BBH", *kind, 0)
    if is_ipv6(target):
        right = pseudo_checksum(source, target, 58, head + body)
        return ip_packet(source, target, "icmp6", head[:2] + struct.pack("!H", right) + body)
    right = checksum(head + body)
    return ip_packet(source, target, "icmp", head[:2] + struct.pack("!H", right) + body)


class Packet:
    """What a sniffer saw, decoded as far as tests ask."""

    def __init__(self, data):
        self.source = self.target = self.protocol = None
        self.sport = self.dport = self.seq = self.ack = 0
        self.flags, self.payload, names = "", b"", {v: k for k, v in PROTOCOLS.items()}
        version = data[0] >> 4
        if version == 4:
            self.source, self.target = (socket.inet_ntop(2, data[i : i + 4]) for i in (12, 16))
            number, rest = data[9], data[(data[0] & 15) * 4 : struct.unpack("!H", data[2:4])[0]]
        else:
            self.source, self.target = (socket.inet_ntop(10, data[i : i + 16]) for i in (8, 24))
            number, rest = data[6], data[40:]
        self.protocol = names.get(number, number)
        if self.protocol in ("tcp", "udp", "sctp"):
            self.sport, self.dport = struct.unpack("!HH", rest[:4])
        if self.protocol == "tcp":
            self.seq, self.ack = struct.unpack("!II", rest[4:12])
            self.flags = "".join(f for i, f in enumerate(TCP_FLAGS) if rest[13] >> i & 1)
            self.payload = rest[rest[12] >> 4 << 2 :]
        elif self.protocol == "udp":
            self.payload = rest[8:]
        else:
            self.payload = rest

    def __repr__(self):
        ports = f"{self.sport}>{self.dport} {self.flags}"
        return f"<{self.protocol} {self.source} {self.target} {ports} {self.payload[:12]!r}>"


# -- Those who answer ----------------------------------------------------------------------------


class Answerers(threading.Thread):
    """One thread for all listeners of a lab. Each says its name, and again after every line."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab = lab
        self.selector = selectors.DefaultSelector()
        self.mailbox, self.wake = socket.socketpair()
        self.selector.register(self.mailbox, selectors.EVENT_READ, None)

    def add(self, sock, handler):
        self.selector.register(sock, selectors.EVENT_READ, handler)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return self.close_all()
                with contextlib.suppress(OSError):
                    key.data(key.fileobj)

    def stop(self):
        if self.is_alive():
            self.wake.send(b"x")
            self.join()
        self.wake.close()

    def close_all(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def tcp(self, host, port):
        def accept(listener):
            sock, _ = listener.accept()
            if host.startswith("gateway") and self.lab.spoofing:
                threading.Thread(target=self.relay, args=(host, sock), daemon=True).start()
                return
            sock.send(f"{host}\n".encode())
            self.add(sock, answer)

        def answer(sock):
            try:
                if sock.recv(4096):
                    sock.send(f"{host}\n".encode())
                    return
            except OSError:
                pass
            self.selector.unregister(sock)
            sock.close()

        with self.lab.inside(host):
            listener = socket.socket(socket.AF_INET6)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        set_transparent(listener)
        listener.bind(("::", port))
        listener.listen(64)
        self.add(listener, accept)

    def relay(self, host, sock):
        """What a spoofing gateway does: asks the server from the client's address."""
        with contextlib.suppress(OSError), sock, self.lab.inside(host):
            client, server = sock.getpeername()[0], sock.getsockname()
            client, address = client.removeprefix("::ffff:"), server[0].removeprefix("::ffff:")
            with socket.socket(af(client)) as upstream:
                set_transparent(upstream)
                upstream.settimeout(PATIENCE)
                upstream.bind((client, 0))
                upstream.connect((address, server[1]))
                while line := upstream.recv(4096):
                    sock.send(f"{host}+".encode() + line)
                    upstream.send(sock.recv(4096) or exit_thread())

    def udp(self, host, port):
        def answer(sock):
            data, control, _, peer = sock.recvmsg(4096, 256)
            if port == MARKER_PORT:
                return sock.sendto(data, peer)
            target = original_target(control) or (sock.getsockname()[0], port)
            self.reply_from(host, target, peer)

        for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with self.lab.inside(host):
                sock = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
            set_transparent(sock)
            sock.bind((any_address, port))
            self.add(sock, answer)

    def reply_from(self, host, source, peer):
        """Answers a datagram from the address that it was sent to, whoever owns that."""
        with self.lab.inside(host):
            sock = socket.socket(af(source[0]), socket.SOCK_DGRAM)
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            set_transparent(sock)
            sock.bind(source)
            sock.sendto(f"{host}\n".encode(), peer)


def exit_thread():
    raise OSError("the client is gone")


def set_transparent(sock):
    sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)


def original_target(control):
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, IP_RECVORIGDSTADDR):
            return socket.inet_ntop(2, data[4:8]), struct.unpack("!H", data[2:4])[0]
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR):
            return socket.inet_ntop(10, data[8:24]), struct.unpack("!H", data[2:4])[0]
    return None


# -- Those who ask -------------------------------------------------------------------------------


class Connection:
    """A TCP connection and who answered it: a name, "refused", "unreachable" or "timeout"."""

    def __init__(self, sock, answer):
        self.sock, self.answer, self.buffer = sock, answer, b""
        self.port = sock.getsockname()[1]

    def read_name(self):
        try:
            while b"\n" not in self.buffer:
                data = self.sock.recv(4096)
                if not data:
                    return "closed"
                self.buffer += data
        except TimeoutError:
            return "silence"
        except ConnectionResetError:
            return "reset"
        except OSError as error:
            return outcome(error.errno)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def ask(self):
        """Says something on the open connection: who answers now?"""
        with contextlib.suppress(OSError):
            self.sock.send(b"who?\n")
        return self.read_name()

    def say(self):
        """Sends without waiting for an answer: what arrives where is for a watch to tell."""
        with contextlib.suppress(OSError):
            self.sock.send(b"who?\n")

    def close(self):
        self.sock.close()


def outcome(code):
    names = {
        0: "connected",
        errno.ECONNREFUSED: "refused",
        errno.ECONNRESET: "reset",
        errno.ETIMEDOUT: "timeout",
        errno.EHOSTUNREACH: "unreachable",
        errno.ENETUNREACH: "unreachable",
        errno.EACCES: "unreachable",
    }
    return names.get(code, os.strerror(code))


def want_errors(sock, wanted):
    """Keeps ICMP errors for read_error(), even those that arrive while we still connect."""
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, int(wanted))
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, int(wanted))


def read_error(sock):
    """The errno of an ICMP error, or 0: struct sock_extended_err begins with it."""
    try:
        control = sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)[1]
    except BlockingIOError:
        return 0
    return next((struct.unpack("=I", data[:4])[0] for _, _, data in control), 0)


def first_packets(family, port):
    """For a Flood: SYNs of ever new connections."""
    return lambda i: tcp_packet(family.client, family.server, 1024 + i % 60000, port, "S", i)


class Flood(threading.Thread):
    """Sends packets from the client, over and over, while the block runs under a watch."""

    def __init__(self, watch, make_packet):
        super().__init__(daemon=True)
        self.watch, self.make_packet, self.sent, self.running = watch, make_packet, 0, True
        self.progress = threading.Condition()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.join()

    def run(self):
        with self.watch.lab.raw_socket("client", self.make_packet(0)) as sock:
            while self.running:
                packet = self.make_packet(self.sent)
                sock.sendto(packet, (target_of(packet), 0))
                self.sent += 1
                if self.sent % 32 == 0:
                    self.watch.drain()
                    with self.progress:
                        self.progress.notify_all()

    def flow(self, count):
        """Returns when that many more were sent."""
        enough = self.sent + count
        with self.progress:
            assert self.progress.wait_for(lambda: self.sent >= enough, PATIENCE)


class Companion(threading.Thread):
    """A script in a process of its own on a host, while the block runs: take() gets its lines."""

    def __init__(self, lab, host, *words):
        super().__init__(daemon=True)
        self.changed = threading.Condition()
        with lab.inside(host):
            self.process = subprocess.Popen(
                [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # ends it
        self.join()
        self.process.stdout.close()
        assert self.process.wait(PATIENCE) == 0

    def run(self):
        for line in self.process.stdout:
            with self.changed:
                self.take(line)
                self.changed.notify_all()

    def wait_for(self, predicate):
        """Returns when it holds; asked after each line."""
        with self.changed:
            return self.changed.wait_for(predicate, 3 * PATIENCE)


class Watch:
    """Sniffers: what arrived at these hosts while the block ran, in order and completely."""

    def __init__(self, lab, hosts):
        self.lab, self.hosts, self.packets = lab, hosts, {host: [] for host in hosts}

    def __enter__(self):
        self.sockets = {}
        for host in self.hosts:
            with self.lab.inside(host):
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            sock.setblocking(False)
            self.sockets[host] = sock
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.lab.settle()
            self.drain()
        for host, sock in self.sockets.items():
            lost = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
            sock.close()
            if lost:
                raise LabError(f"the sniffer at {host} lost {lost} packets")

    def drain(self):
        for host, sock in self.sockets.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, address = sock.recvfrom(65535)
                    if address[2] != PACKET_OUTGOING and address[1] in (0x0800, 0x86DD):
                        self.packets[host].append(Packet(data))

    def at(self, host, port=None, protocol=None):
        """Packets that arrived at a host, to or from a port. Markers do not count."""
        return [
            packet
            for packet in self.packets[host]
            if packet.protocol in ("tcp", "udp", "sctp", "icmp", "icmp6")
            and MARKER_PORT not in (packet.sport, packet.dport)
            and port in (None, packet.sport, packet.dport)
            and protocol in (None, packet.protocol)
        ]


class Result:
    """What one run of detour gave."""

    def __init__(self, process, wants_json):
        self.exit, self.text, self.errors = process.returncode, process.stdout, process.stderr
        self.json = None
        if wants_json:
            try:
                self.json = json.loads(self.text)
            except ValueError:
                raise AssertionError(f"not one JSON object: {self!r}") from None
            assert isinstance(self.json, dict) and self.json["exit"] == self.exit, repr(self)

    def steps(self, *keys, of="steps"):
        """The report's steps as tuples of these keys."""
        return [tuple(step.get(key) for key in keys) for step in self.json[of]]

    def remaining(self, *keys):
        """Likewise the steps that an apply could not do yet."""
        return self.steps(*keys, of="remaining")

    def __repr__(self):
        return f"exit {self.exit}\n{self.text}{self.errors}"


# -- The lab -------------------------------------------------------------------------------------

GATEWAY_RULES = """
table inet proxy {
    chain prerouting {
        type filter hook prerouting priority mangle;
        ip daddr { 10.2.0.0/15 } accept
        ip6 daddr { 2001:db8:2::/63, fe80::/10, ff00::/8 } accept
        meta l4proto tcp socket transparent 1 meta mark set 1 accept
        meta l4proto { tcp, udp } th dport != 9 meta mark set 1 tproxy to :1000 accept
    }
}
"""


class Lab:
    def __init__(self, strict=False, second_gateway=False, second_client=None):
        """strict: rp_filter all=1. second_client: the router's interface for another client."""
        self.prefix = f"lab{os.getpid()}n{next(serial)}"
        self.spoofing = False
        self.handles, self.connections, self.markers = {}, [], {}
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.links = {"eth0": ("client", 0), "eth1": ("server", 1), "eth2": ("gateway", 2)}
        if second_gateway:
            self.links["eth3"] = ("gateway2", 3)
        if second_client:
            self.links[second_client] = ("client2", 4)
        reset_private_files()
        try:
            self.build(strict)
            self.answerers = Answerers(self)
            for host, _ in self.links.values():
                self.listen(host)
            self.answerers.start()
            self.settle()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for connection in self.connections:
            connection.close()
        for sock in self.markers.values():
            sock.close()
        if hasattr(self, "answerers"):
            self.answerers.stop()
        for host, handle in self.handles.items():
            os.close(handle)
            subprocess.run(["ip", "netns", "del", self.netns(host)], check=False)
        os.close(self.home)
        self.handles = {}

    # Building

    def netns(self, host):
        return f"{self.prefix}-{host}"

    def build(self, strict):
        self.add_host("router", strict)
        for interface, (host, _) in self.links.items():
            self.add_host(host)
            self.add_link(interface)
            if host.startswith("gateway"):
                self.make_proxy(host)

    def add_host(self, host, strict=False):
        run(["ip", "netns", "add", self.netns(host)])
        self.handles[host] = os.open(f"/run/netns/{self.netns(host)}", os.O_RDONLY)
        self.set_defaults(host, strict)

    def plug_in_client2(self, interface):
        """Another client, on an interface of the router that was not there before."""
        self.links[interface] = ("client2", 4)
        self.add_host("client2")
        self.add_link(interface)
        self.listen("client2")

    def set_defaults(self, host, strict):
        self.sysctl(host, "net/ipv6/conf/all/accept_dad", 0)
        self.sysctl(host, "net/ipv6/conf/default/accept_dad", 0)
        self.sysctl(host, "net/ipv4/conf/default/rp_filter", 0)
        self.sysctl(host, "net/ipv4/conf/all/rp_filter", int(strict))
        self.sysctl(host, "net/ipv4/conf/all/src_valid_mark", 0)
        self.sysctl(host, "net/ipv4/conf/all/send_redirects", 0)
        self.sysctl(host, "net/ipv4/conf/default/send_redirects", 0)
        self.sysctl(host, "net/ipv4/ip_forward", int(host == "router"))
        self.sysctl(host, "net/ipv6/conf/all/forwarding", int(host == "router"))
        self.sysctl(host, "net/ipv4/icmp_ratelimit", 0)
        self.sysctl(host, "net/ipv6/icmp/ratelimit", 0)
        self.ip(host, "link set lo up")

    def add_link(self, interface):
        """One of self.links with its addresses; also to bring back a deleted one."""
        host, net = self.links[interface]
        self.ip(
            "router",
            f"link add {interface} type veth peer name eth0 netns {self.netns(host)}",
            f"link set {interface} up",
            *addresses(net, 1, interface),
        )
        self.ip(
            host,
            "link set eth0 up",
            *(line for tail in TAILS[host] for line in addresses(net, tail, "eth0")),
            f"route add default via 10.{net}.0.1",
            f"route add ::/0 via 2001:db8:{net}::1 dev eth0",
        )

    def make_proxy(self, host):
        self.tool(host, "nft -f -", GATEWAY_RULES)
        self.ip(host, "rule add fwmark 1 lookup 100", "route add local 0.0.0.0/0 dev lo table 100")
        self.ip(host, "-6 rule add fwmark 1 lookup 100")
        self.ip(host, "route add local ::/0 dev lo table 100")

    def listen(self, host):
        ports = CLIENT_PORTS if host.startswith("client") else PROXY_PORTS
        tcp_ports, udp_ports = SERVER_PORTS if host == "server" else ports
        for port in tcp_ports:
            self.answerers.tcp(host, port)
        for port in (MARKER_PORT, *udp_ports):
            self.answerers.udp(host, port)

    # Tools

    @contextlib.contextmanager
    def inside(self, host):
        """This thread, what it opens and what it starts, is in the host's network."""
        call(libc.setns, self.handles[host], CLONE_NEWNET)
        try:
            yield
        finally:
            call(libc.setns, self.home, CLONE_NEWNET)

    def tool(self, host, command, stdin=None):
        """Runs a command on a host and returns its output. It must not fail."""
        words = command.split() if isinstance(command, str) else command
        with self.inside(host):
            return run(words, stdin)

    def ip(self, host, *lines):
        """Commands of ip(8). They must not fail."""
        if len(lines) == 1:
            return self.tool(host, ["ip", *lines[0].split()])
        return self.tool(host, "ip -batch -", "\n".join(lines) + "\n")

    def nft(self, host, text):
        """Commands of nft(8), as one transaction."""
        return self.tool(host, "nft -f -", text)

    def foreign_chain(self, host, hook, priority, *rules, kind="filter"):
        """A base chain in somebody else's table."""
        lines = ["table inet foreign {", f"chain c{next(serial)} {{"]
        lines += [f"type {kind} hook {hook} priority {priority};", *rules, "}", "}"]
        self.nft(host, "\n".join(lines) + "\n")

    def sysctl(self, host, name, value=None):
        with self.inside(host):
            path = pathlib.Path("/proc/sys", name)
            if value is None:
                return path.read_text().strip()
            return path.write_text(f"{value}\n")

    def rp_filters(self):
        """The router's values by interface, all and default included."""
        with self.inside("router"):
            paths = pathlib.Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter")
            return {path.parent.name: int(path.read_text()) for path in paths}

    # The program

    def detour(
        self, verb, document=None, *args, wants_json=True, wrapper=(), cwd=None, program=DETOUR
    ):
        """Runs detour on the router. document: a dict, a text, a path, or None for no file."""
        words = [*wrapper, program, verb, *args, *(["--json"] if wants_json else [])]
        stdin = None
        if isinstance(document, pathlib.Path):
            words.append(str(document))
        elif document is not None:
            words.append("-")
            stdin = document if isinstance(document, str) else json.dumps(document)
        with self.inside("router"):
            process = subprocess.run(
                words, input=stdin, capture_output=True, text=True, timeout=60, cwd=cwd
            )
        return Result(process, wants_json)

    def apply(self, document, *args):
        """Applies a document; all of it must succeed."""
        result = self.detour("apply", document, *args)
        assert result.exit == 0, repr(result)
        return result

    def save(self, document):
        """Puts it where detour looks for it."""
        path = pathlib.Path("/etc/detour/detour.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))

    def environment(self):
        """For a shell on the router: `detour`, `ask ADDRESS PORT` connects from the client and
        says who answered, `on HOST COMMAND...` runs a command elsewhere."""
        tools = pathlib.Path("/run/lab", self.prefix)
        tools.mkdir(parents=True)
        (tools / "detour").symlink_to(os.path.abspath(DETOUR))
        for name, command in (
            ("ask", f'ip netns exec {self.netns("client")} {sys.executable} {__file__} ask "$@"'),
            ("on", f'host=$1; shift; exec ip netns exec "{self.prefix}-$host" "$@"'),
        ):
            (tools / name).write_text(f"#!/bin/sh\n{command}\n")
            (tools / name).chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        return os.environ | {"LAB": self.prefix, "PATH": path, "PS1": "router# "}

    # Connections and packets

    def open(self, host, address, port, source=None, source_port=0, patience=0):
        """A Connection. patience: seconds to wait for more than the first attempt."""
        sock = self.socket(host, address, socket.SOCK_STREAM, source, source_port)
        sock.setblocking(False)
        want_errors(sock, True)
        code = sock.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            self.settle(host)
            ready = select.select([], [sock], [], patience)[1]
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else 0
            code = code or read_error(sock) or (0 if ready else errno.ETIMEDOUT)
        want_errors(sock, False)
        connection = Connection(sock, outcome(code))
        self.connections.append(connection)
        sock.settimeout(PATIENCE)
        if code == 0:
            connection.answer = connection.read_name()
        return connection

    def connect(self, host, address, port, **options):
        """Who answers a new connection: see Connection."""
        connection = self.open(host, address, port, **options)
        connection.close()
        return connection.answer

    def ask_udp(self, host, address, port, source=None, source_port=0):
        """Who answers a datagram."""
        with self.socket(host, address, socket.SOCK_DGRAM, source, source_port) as sock:
            sock.connect((address, port))
            sock.setblocking(False)
            want_errors(sock, True)
            try:
                sock.send(b"who?")
                self.settle(host)  # whoever echoes the marker has answered us before
                return sock.recv(4096).decode().strip()
            except BlockingIOError:
                return "timeout"
            except OSError as error:
                return outcome(error.errno)

    def socket(self, host, address, kind, source=None, source_port=0):
        with self.inside(host):
            sock = socket.socket(af(address), kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        set_transparent(sock)  # so that any source may be claimed
        sock.bind((source or self.address(host, is_ipv6(address)), source_port))
        return sock

    def address(self, host, wants_ipv6):
        net = next(net for name, net in self.links.values() if name == host)
        return v6(net, TAILS[host][0]) if wants_ipv6 else f"10.{net}.0.{TAILS[host][0]}"

    def send(self, host, packet):
        """Sends an IP packet made by hand."""
        with self.raw_socket(host, packet) as sock:
            sock.sendto(packet, (target_of(packet), 0))

    def raw_socket(self, host, packet):
        """For IP packets of this one's family."""
        with self.inside(host):
            return socket.socket(af(target_of(packet)), socket.SOCK_RAW, socket.IPPROTO_RAW)

    def watch(self, *hosts):
        return Watch(self, hosts or [host for host in self.handles if host != "router"])

    def settle(self, host="client"):
        """Returns when all packets that the host sent before, and their answers, have arrived."""
        for interface, (peer, _) in self.links.items():
            if peer != host and self.has_carrier(interface):
                for wants_ipv6 in (False, True):
                    self.exchange_marker(host, self.address(peer, wants_ipv6))

    def has_carrier(self, interface):
        """False too for an interface that is down or gone."""
        request = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_GLINK, 0))
        with self.inside("router"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                fcntl.ioctl(
                    sock,
                    SIOCETHTOOL,
                    struct.pack("16sP", interface.encode(), ctypes.addressof(request)),
                )
            except OSError:
                return False
        return struct.unpack("II", request.raw[:8])[1] == 1

    def exchange_marker(self, host, address):
        key = host, is_ipv6(address)
        if key not in self.markers:
            self.markers[key] = self.socket(host, address, socket.SOCK_DGRAM)
            self.markers[key].settimeout(1)
        number = str(next(serial)).encode()
        end = time.monotonic() + PATIENCE
        try:
            while not self.send_marker(self.markers[key], number, address):
                if time.monotonic() > end:
                    raise LabError(f"marker from {host} to {address}: timed out")
        except OSError as error:
            raise LabError(f"marker from {host} to {address}: {error}") from None

    @staticmethod
    def send_marker(sock, number, address):
        """Whether it came back; on a busy machine the next hop may not be found in time."""
        sock.sendto(number, (address, MARKER_PORT))
        try:
            while sock.recv(64) != number:
                pass
        except TimeoutError:
            return False
        return True

    # The router's links

    def link_down(self, interface):
        self.ip("router", f"link set {interface} down")

    def link_up(self, interface):
        """Brings it up, and back the IPv6 address that the kernel took away, as a manager does."""
        net = self.links[interface][1]
        self.ip("router", f"link set {interface} up")
        self.ip("router", f"-6 addr replace {v6(net, 1)}/64 dev {interface} nodad")

    def link_delete(self, interface):
        self.ip("router", f"link del {interface}")

    def cut_carrier(self, interface):
        """Takes the other end of the cable down."""
        self.ip(self.links[interface][0], "link set eth0 down")

    # What stands on the router

    def ruleset(self, wants_ours=True):
        """nft -j list ruleset, without counters."""
        objects = json.loads(self.tool("router", "nft -j list ruleset"))["nftables"][1:]
        is_ours = lambda item: "detour" in (item.get("table"), item.get("name"))
        bodies = [(kind, body) for item in objects for kind, body in item.items()]
        return [
            {kind: without_counters(body)}
            for kind, body in bodies
            if wants_ours or not is_ours(body)
        ]

    def snapshot(self, wants_ours=True):
        """All that somebody could have changed: compare two of them."""
        show = lambda command: self.tool("router", command).splitlines()
        return {
            "nft": self.ruleset(wants_ours),
            "rules": show("ip -4 rule") + show("ip -6 rule"),
            "routes": show("ip -4 route show table all") + show("ip -6 route show table all"),
            "rp_filter": self.rp_filters(),
            "forwarding": self.sysctl("router", "net/ipv4/ip_forward"),
            "files": files_below("/etc/iproute2", "/etc/detour", "/etc/netns", "/var/lib"),
        }

    def tracked(self, mark=None):
        """conntrack's entries, of a mark or all, markers left out."""
        command = ["conntrack", "-L", "-o", "extended"]
        lines = self.tool("router", command + (["-m", mark] if mark else [])).splitlines()
        return [line for line in lines if f"dport={MARKER_PORT} " not in line]


def v6(net, tail):
    return f"2001:db8:{net}::{tail}" if net else f"2001:db8::{tail}"


def addresses(net, tail, interface):
    return (
        f"addr add 10.{net}.0.{tail}/24 dev {interface}",
        f"addr add {v6(net, tail)}/64 dev {interface} nodad",
    )


def without_counters(item):
    if isinstance(item, list):
        return [without_counters(entry) for entry in item]
    if isinstance(item, dict):
        return {k: without_counters(v) for k, v in item.items() if k not in ("packets", "bytes")}
    return item


def files_below(*directories):
    paths = [path for top in directories for path in sorted(pathlib.Path(top).rglob("*"))]
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in paths
        if path.is_file()
    }


def run(words, stdin=None):
    """What is no UTF-8, in names and comments, comes and goes as surrogates."""
    process = subprocess.run(
        words, input=stdin, capture_output=True, text=True, errors="surrogateescape", timeout=60
    )
    if process.returncode != 0:
        raise LabError(f"{' '.join(words)}: {process.stderr or process.stdout}{stdin or ''}")
    return process.stdout


# -- Documents -----------------------------------------------------------------------------------


def gateway(**fields):
    """The contract's gateway; fields replace or add."""
    return {
        "name": "scb",
        "interface": "eth2",
        "addresses": ["10.2.0.10", "2001:db8:2::10"],
        "mark": "0x10/0xf0",
        "table": 103,
        "priority": 100,
    } | fields


def second_gateway(**fields):
    """gateway2 of a wide lab, beside gateway(); fields replace or add."""
    return {
        "name": "second",
        "interface": "eth3",
        "addresses": ["10.3.0.10", "2001:db8:3::10"],
        "mark": "0x20/0xf0",
        "table": 104,
        "priority": 102,
    } | fields


def redirect(**fields):
    """RDP of all clients on eth0 to all servers; fields replace or add."""
    return {
        "name": "rdp",
        "gateway": "scb",
        "clients": {"interfaces": ["eth0"]},
        "servers": {"networks": ["10.1.0.0/24", "2001:db8:1::/64"]},
        "services": ["3389/tcp"],
    } | fields


def document(gateways=None, redirects=None):
    """By default one gateway and one redirect. Single ones may be given as dicts."""
    as_list = lambda given, default: [default()] if given is None else given
    gateways, redirects = as_list(gateways, gateway), as_list(redirects, redirect)
    return {
        "version": 1,
        "gateways": [gateways] if isinstance(gateways, dict) else gateways,
        "redirects": [redirects] if isinstance(redirects, dict) else redirects,
    }


# -- By hand -------------------------------------------------------------------------------------


def main(words):
    if words[:1] == ["ask"] and len(words) == 3:
        return ask(words[1], int(words[2]))
    if words[:1] == ["run"] and len(words) > 1:
        return run_by_hand(words[1:])
    if words == ["shell"]:
        return run_by_hand(["bash", "--norc"], "router")
    print(__doc__, file=sys.stderr)
    return 64


def run_by_hand(words, host=None):
    enter_private_files()
    with Lab(strict=True) as lab, lab.inside(host) if host else contextlib.nullcontext():
        return subprocess.run(words, env=lab.environment()).returncode


def ask(address, port):
    try:
        with socket.create_connection((address, port), timeout=2) as sock:
            print("answered by:", Connection(sock, "").read_name())
            return 0
    except OSError as error:
        print("nobody answered:", error.strerror or error)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
