#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures detour beside what it is compared with, and prints one table: `make bench`.

    bench.py [NAME ...]     rows by name; all of them by default

Ours and what it is compared with take turns, on routers in network namespaces of their own, and
what counts is the median of the ratios within a turn: other work on the machine meets both. Rows
without a target tell something that the rows before them leave out. Exits with 1 when a row falls
short of its target.
"""

import contextlib
import functools
import json
import re
import socket
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import Callable

from routers import TOOLS, Netlink, RouteNews, Routers, interleave, lab, ratio
from cases import (
    SERVERS, Case, Redirect, case_networks, case_redirects, networks, procedure, traffic, wanted)

MANY = 100_000
ROUTES, FOREIGN_NFT_RULES, FOREIGN_POLICY_RULES = 500_000, 20_000, 1_000
ROUNDS_MIN, ROUNDS_MAX, PATIENCE = 7, 41, 20  # turns of a comparison; seconds after which it ends
FLOOD_ROUNDS = 15
TABLE = "inet", "detour"


# -- Commands ------------------------------------------------------------------------------------


@dataclass
class Sample:
    """One run of a command."""

    seconds: float
    cpu_seconds: float
    bytes: int  # its peak memory


@dataclass
class Contestant:
    """A command on a router, and what has to be done before each of its runs."""

    router: object
    words: list
    prepare: Callable = lambda: None

    def run(self):
        self.prepare()
        figures = self.router.execute(str(TOOLS / "measure"), *self.words)
        wall, cpu, kib, code = map(int, figures.split())
        if code != 0:
            raise lab.LabError(f"exit {code}: {' '.join(self.words)}")
        return Sample(wall / 1e9, cpu / 1e9, kib * 1024)


def take_turns(*contestants, least=ROUNDS_MIN, patience=PATIENCE):
    """A list of samples of each, from as many turns as there is time for."""
    samples, started, turn = [[] for _ in contestants], time.monotonic(), 0
    while turn < least or (turn < ROUNDS_MAX and time.monotonic() - started < patience):
        for contestant, mine in zip(contestants, samples):
            mine.append(contestant.run())
        turn += 1
    return samples


def detour(router, verb, path, prepare=lambda: None):
    return Contestant(router, [lab.DETOUR, verb, "--quiet", path], prepare)


def bare(routers, router, path):
    """The same requests as those of drift, and nothing else."""
    packets = requests_of(router, [lab.DETOUR, "drift", "--quiet", path])
    return Contestant(router, [str(TOOLS / "bare"), routers.file("requests", packets)])


def requests_of(router, words):
    """What a command sends by netlink, as bare reads it."""
    trace = router.routers.file("trace", "")
    router.execute("strace", "-qq", "-yy", "-e", "trace=sendto,sendmsg", "-e", "write=all",
                   "-e", "signal=none", "-o", trace, *words)
    packets = []
    with open(trace, encoding="utf-8") as lines:
        for line in lines:
            if call := re.match(r"send\w+\(\d+<(?:NETLINK:\[(\w+))?", line):
                packets.append((call[1], bytearray()))
            elif line.startswith(" | "):
                packets[-1][1].extend(bytes.fromhex(line[10:59]))
    buses = {"ROUTE": 0, "NETFILTER": 12}
    return b"".join(struct.pack("=ii", buses[bus], len(data)) + data for bus, data in packets if bus)


@contextlib.contextmanager
def router_of(document):
    """Its file, and a router that it was applied to."""
    with Routers() as routers:
        router, path = routers.add(), routers.file("document.json", json.dumps(document))
        router.execute(lab.DETOUR, "apply", "--quiet", path)
        yield routers, router, path


# -- The procedure's example ---------------------------------------------------------------------

EXAMPLE = lab.document(lab.gateway(addresses=["192.168.2.2"]),
                       lab.redirect(servers={"networks": ["10.1.0.0/24"]}))
LOOK = """
iptables-save
ip rule
ip route show table 103
sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.eth2.rp_filter
"""


def follow_procedure(router):
    router.divert("1")
    router.load_procedure(4, """*mangle
-A PREROUTING -i eth0 -p tcp -d 10.1.0.0/24 --dport 3389 -j CONNMARK --set-mark 1
-A PREROUTING ! -i eth2 -m connmark --mark 1 -j MARK --set-mark 1
COMMIT
""")


def example_beside_script():
    with router_of(EXAMPLE) as (routers, router, path):
        by_hand = routers.add()
        follow_procedure(by_hand)
        script = Contestant(by_hand, ["sh", routers.file("look", LOOK)])
        return take_turns(detour(router, "drift", path), script)


def example_beside_bare():
    with router_of(EXAMPLE) as (routers, router, path):
        return take_turns(detour(router, "drift", path), bare(routers, router, path))


def crowd(router):
    """All that foreigners may have on a router, but for policy rules."""
    prefixes = ((16 << 24) + (i << 8) for i in range(ROUTES))
    router.ip(*(f"route add {socket.inet_ntoa(struct.pack('!I', p))}/24 dev eth1" for p in prefixes))
    rules = (f"ip saddr 198.18.{i // 250}.{i % 250} counter" for i in range(FOREIGN_NFT_RULES))
    router.load("table ip foreign {\nchain c {\n" + "\n".join(rules) + "\n}\n}\n")


def crowd_rules(router):
    router.ip(*(f"rule add from 203.0.{i // 250}.{i % 250} lookup main priority {20000 + i}"
                for i in range(FOREIGN_POLICY_RULES)))


def example_in_crowd():
    with router_of(EXAMPLE) as (routers, empty, path):
        crowded = routers.add()
        crowd(crowded)
        crowded.apply(EXAMPLE)
        return take_turns(detour(crowded, "drift", path), detour(empty, "drift", path))


def example_among_rules():
    with router_of(EXAMPLE) as (routers, router, path):
        crowd_rules(router)
        return take_turns(detour(router, "drift", path), bare(routers, router, path))


# -- A link that comes back ----------------------------------------------------------------------

LOSSES = 20


@contextlib.contextmanager
def watching(router, path):
    """A function that waits for the next event of that name of a watcher that repairs."""
    words = ["ip", "netns", "exec", router.name, lab.DETOUR, "watch", "--repair", "--json", path]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            yield lambda name: next(e for e in map(json.loads, watcher.stdout) if e["event"] == name)
        finally:
            watcher.terminate()


def returns_of_the_link():
    """Milliseconds from `ip link set up`, itself included, to the gateway's route."""
    took = []
    with router_of(EXAMPLE) as (_, router, path), watching(router, path) as wait_for:
        wait_for("in-sync")
        with contextlib.closing(RouteNews(router.name)) as news:
            for _ in range(LOSSES):
                router.ip("link set eth2 down")
                wait_for("drift")
                started = time.monotonic()
                router.ip("link set eth2 up")
                news.wait(EXAMPLE["gateways"][0]["table"])
                took.append(1000 * (time.monotonic() - started))
                wait_for("repaired")
    return took


# -- Many networks -------------------------------------------------------------------------------


def many_networks(number, first=0):
    """A document with one redirect to so many."""
    spans = networks(SERVERS[4], 4, first, number)
    return wanted(Case(4, [Redirect("r0", spans)], []))


@functools.cache
def drift_beside_list():
    with router_of(many_networks(MANY)) as (_, router, path):
        listing = Contestant(router, ["nft", "-j", "list", "table", *TABLE])
        return take_turns(detour(router, "drift", path), listing)


def drift_beside_bare():
    with router_of(many_networks(MANY)) as (routers, router, path):
        return take_turns(detour(router, "drift", path), bare(routers, router, path))


def apply_beside_nft():
    with router_of(many_networks(MANY)) as (routers, router, path):
        table = routers.file("table.nft", router.execute("nft", "list", "table", *TABLE))

        def remove():
            router.execute(lab.DETOUR, "destroy", "--quiet")

        return take_turns(detour(router, "apply", path, remove),
                          Contestant(router, ["nft", "-f", table], remove))


def add_beside_drift():
    with router_of(many_networks(MANY)) as (routers, router, path):
        more = routers.file("more.json", json.dumps(many_networks(MANY + 1)))

        def remove():
            router.execute(lab.DETOUR, "apply", "--quiet", path)

        return take_turns(detour(router, "apply", more, remove),
                          Contestant(router, [lab.DETOUR, "drift", "--quiet", more]))


def add_on_the_wire():
    """Objects in the kernel's notifications, beside the one that has to be there."""
    with router_of(many_networks(MANY)) as (_, router, _):
        netlink = Netlink(router.name)
        netlink.listen()
        router.apply(many_networks(MANY + 1))
        heard = netlink.heard_changes()
        netlink.close()
        return [heard], [1]


def validate_beside_jq():
    with router_of(many_networks(MANY)) as (_, router, path):
        return take_turns(detour(router, "validate", path), Contestant(router, ["jq", ".", path]))


def growth(verb):
    """Bytes for each network more: of the upper half of sizes, and of the lower."""
    sizes, medians = (10_000, 55_000, 100_000), []
    for size in sizes:
        with router_of(many_networks(size)) as (_, router, path):
            samples = [detour(router, verb, path).run().bytes for _ in range(3)]
        medians.append(statistics.median(samples))
    steps = [(b - a) / 45_000 for a, b in zip(medians, medians[1:])]
    return [steps[1]], [steps[0]]


# -- Packets -------------------------------------------------------------------------------------


def packets_a_second(contestants, per_flow):
    """Of routers and packets, in bursts in turn: a list of figures each."""
    for router, case in contestants:
        router.aim(case.packets, True)
    named = dict(enumerate(router for router, _ in contestants))
    figures = interleave(named, [per_flow], FLOOD_ROUNDS)
    return [[1e9 / cost for cost in figures[number, per_flow]] for number in named]


def by_detour(routers, case):
    router = routers.add()
    router.apply(wanted(case))
    return router, case


def by_hand(routers, case):
    router = routers.add()
    router.divert("0x10/0xf0")
    router.load_procedure(case.family, procedure(case))
    return router, case


def packets_by_networks(family):
    one, many = case_networks(family, MANY)
    with Routers() as routers:
        return packets_a_second([by_detour(routers, many), by_detour(routers, one)], 8)


def packets_by_redirects(family):
    one, many = case_redirects(family, 1000, "servers")
    with Routers() as routers:
        return packets_a_second([by_detour(routers, many), by_detour(routers, one)], 8)


def packets_beside_procedure(case):
    """New packets, for the first services: the procedure's rules have no others."""
    case.packets = traffic(case.family, [replace(r, services=r.services[:1]) for r in case.redirects])
    with Routers() as routers:
        return packets_a_second([by_detour(routers, case), by_hand(routers, case)], 1)


def packets_of_redirects_beside_procedure(family):
    return packets_beside_procedure(case_redirects(family, 1000, "servers")[1])


# -- The table -----------------------------------------------------------------------------------

AT_MOST, AT_LEAST = "<=", ">="


@dataclass
class Row:
    name: str
    work: str
    beside: str
    compare: Callable  # returns the figures of both
    unit: str = "ms"
    target: float = None
    sense: str = AT_MOST

    def measure(self):
        ours, beside = ([UNITS[self.unit](figure) for figure in side] for side in self.compare())
        return statistics.median(ours), statistics.median(beside), ratio(ours, beside)

    def falls_short(self, value):
        if self.target is None:
            return False
        return value > self.target if self.sense == AT_MOST else value < self.target

    def ratio_text(self, value):
        return f"{value:.2f}"

    def target_text(self):
        return "" if self.target is None else f"{self.sense} {self.target:g}"


@dataclass
class Limit(Row):
    """Beside nothing but the worst of its own figures: the target is one for their median."""

    def measure(self):
        figures = self.compare()
        return statistics.median(figures), max(figures), statistics.median(figures)

    def ratio_text(self, value):
        return ""

    def target_text(self):
        return f"{super().target_text()} {self.unit}"


UNITS = {
    "ms": lambda sample: 1000 * sample.seconds,
    "MiB": lambda sample: sample.bytes / (1 << 20),
    "B": float,
    "": float,
    "k": lambda rate: rate / 1000,
}

BARE = "a bare program, same requests"
ROWS = [
    Row("example", "drift in sync: the procedure's example",
        "iptables-save, ip rule, ip route, sysctl", example_beside_script, target=0.25),
    Row("bare", "drift in sync: the procedure's example", BARE, example_beside_bare, target=1.5),
    Row("crowded", "the same, beside 500,000 routes, 20,000 nft rules", "on an empty router",
        example_in_crowd, target=1.2),
    Row("rules", "the same, beside 1,000 policy rules", BARE, example_among_rules),
    Limit("link", f"the route is back after a loss of the link, median of {LOSSES}",
          "the slowest of them", returns_of_the_link, target=50),
    Row("drift", "drift in sync: 100,000 networks", "nft -j list table inet detour",
        drift_beside_list, target=0.35),
    Row("drift-memory", "the same, peak memory", "nft -j list table inet detour",
        drift_beside_list, "MiB", 0.35),
    Row("drift-bare", "drift in sync: 100,000 networks", BARE, drift_beside_bare),
    Row("apply", "first apply of 100,000 networks", "nft -f of the same elements", apply_beside_nft,
        target=0.7),
    Row("add", "one network added to 100,000", "drift of the same", add_beside_drift, target=1.3),
    Row("add-wire", "the same, elements on the wire", "one", add_on_the_wire, "", 1),
    Row("validate", "validate of 100,000 networks", "jq . FILE", validate_beside_jq, target=0.7),
    Row("memory", "drift, memory for each network up to 100,000", "up to 55,000",
        functools.partial(growth, "drift"), "B", 1.2),
]
for ip in 4, 6:
    ROWS += [
        Row(f"networks-ipv{ip}", f"packets a second, 100,000 networks, IPv{ip}", "1 network",
            functools.partial(packets_by_networks, ip), "k", 0.8, AT_LEAST),
        Row(f"redirects-ipv{ip}", f"packets a second, 1,000 redirects of 3 services, IPv{ip}",
            "1 redirect", functools.partial(packets_by_redirects, ip), "k", 0.7, AT_LEAST),
        Row(f"procedure-ipv{ip}", f"new packets a second, 1,000 redirects, IPv{ip}",
            "the procedure's 1,000 iptables rules",
            functools.partial(packets_of_redirects_beside_procedure, ip), "k", 10, AT_LEAST),
    ]

LINE = "{:15} {:56} {:>9}  {:40} {:>9} {:>6} {:>8}  {}"


def figure(value, unit):
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}".rstrip()


def print_row(row):
    """Whether it met its target."""
    ours, beside, value = row.measure()
    short = row.falls_short(value)
    verdict = "" if row.target is None else "SHORT" if short else "ok"
    print(LINE.format(row.name, row.work, figure(ours, row.unit), row.beside,
                      figure(beside, row.unit), row.ratio_text(value), row.target_text(),
                      verdict).rstrip(), flush=True)
    return not short


def main(names):
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no row {', '.join(sorted(unknown))}; there are {', '.join(r.name for r in ROWS)}")
    lab.enter_private_files()
    print(LINE.format("row", "work", "ours", "beside", "", "ratio", "target", "verdict"))
    met = [print_row(row) for row in ROWS if not names or row.name in names]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
