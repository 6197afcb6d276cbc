#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares layouts of the nftables table, for docs/layout.md.

    make all bench-tools
    sudo /usr/bin/python3 tests/bench/layout.py [--rounds N] [PART ...]

Parts: networks, redirects, sharing, groups, unselected, rules, commits; all by default.
Everything happens in network namespaces of its own. All contestants of a table
are loaded at once, each on a router of its own, and get short bursts of packets
in turn. Costs are nanoseconds of processor time for a packet, from the client's
interface to the gateway's, medians of the rounds. Ratios are those of packets a
second to the first row's, medians of the ratios within a round.
"""
import argparse
import itertools
import os
import statistics
import sys
import time
from dataclasses import dataclass, replace

from routers import Netlink, Routers, interleave, lab, ratio
from cases import (
    BITS, DIFFERENCES, MARK, MASK, OTHERS, PROTOCOL, SERVERS, TCP, UDP, Case, Redirect, address_text,
    case_networks, case_redirects, network, networks, ports_text, procedure, service, traffic)

CLEAR = f"mark set %s mark & {MASK ^ 0xFFFFFFFF:#x}"
SET = CLEAR + f" | {MARK:#x}"
IS_MARKED = f"ct mark & {MASK:#x} == {MARK:#x}"
IP = {4: "ip", 6: "ip6"}
TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}


def cut(owned):
    """From [(owner, spans)] to disjoint [(span, owners in that order)], cut at every border."""
    edges = {}
    for order, (_, spans) in enumerate(owned):
        for first, last in spans:
            edges.setdefault(first, []).append((order, 1))
            edges.setdefault(last + 1, []).append((order, -1))
    open_spans, result, start = {}, [], None
    for at in sorted(edges):
        if open_spans:
            owners = tuple(owned[order][0] for order in sorted(open_spans))
            result.append(((start, at - 1), owners))
        for order, change in edges[at]:
            open_spans[order] = open_spans.get(order, 0) + change
            if not open_spans[order]:
                del open_spans[order]
        start = at
    return result


# What is asked for, in nft's words.


def braces(elements):
    return "elements = { " + ",\n".join(elements) + " }" if elements else ""


class Layout:
    """Writes the table of a case. Subclasses write `select`: how packets find their redirect.

    Options: steps, what tells redirects on the same servers apart; and what
    else would be done otherwise than in docs/layout.md: own_sets, own_marks,
    one_chain, protocol_first, set_base, prefilter, plain_set, interfaces.
    """

    steps = ("services", "clients")

    def __init__(self, case, **options):
        self.case, self.family, self.options = case, case.family, options
        self.steps = options.get("steps", self.steps)
        self.sets, self.chains, self.set_names, self.shared = [], [], {}, {}
        self.by_name = {r.name: r for r in case.redirects}
        self.service_key, self.service_type = "th dport . meta l4proto", "inet_service . inet_proto"
        if options.get("protocol_first"):
            self.service_key, self.service_type = "meta l4proto . th dport", "inet_proto . inet_service"

    def add_set(self, name, kind, elements, flags="flags interval; ", word="set"):
        """Returns its name, or that of an equal set."""
        body = f"{{ type {kind}; {flags}{braces(elements)} }}"
        if self.options.get("own_sets") or body not in self.set_names:
            self.set_names[body] = name
            self.sets.append(f"{word} {name} {body}")
        return self.set_names[body]

    def add_map(self, name, kind, entries):
        elements = [f"{key} : goto {chain}" for key, chain in entries]
        return self.add_set(name, f"{kind} : verdict", elements, word="map")

    def add_chain(self, name, rules):
        self.chains.append((name, rules))

    def addresses(self, spans):
        return [address_text(s, self.family) for s in spans]

    def service_text(self, span):
        words = [ports_text(span), PROTOCOL[span[0] >> 16]]
        return " . ".join(reversed(words) if self.options.get("protocol_first") else words)

    def interfaces(self, name):
        kind = self.options.get("interfaces", "inline")
        if kind == "inline":
            return '"eth0"'
        if kind == "hash":
            return "@" + self.add_set(f"interfaces_{name}", "ifname", ['"eth0"', '"vlan7"'], "")
        return "@" + self.add_set(f"interfaces_{name}", "ifname", ['"eth0"', '"vlan*"'])

    def conditions(self, redirect):
        """All that a redirect asks of a packet, but for its servers: [(what, set)]."""
        services = self.add_set(f"services_{redirect.name}", self.service_type,
                                [self.service_text(s) for s in redirect.services])
        result = [("iifname", self.interfaces(redirect.name)), (self.service_key, "@" + services)]
        if redirect.clients:
            clients = self.add_set(f"clients_{redirect.name}", TYPE[self.family],
                                   self.addresses(redirect.clients))
            result.append((f"{IP[self.family]} saddr", "@" + clients))
        return result

    def add_redirects(self):
        refuse, mark = "ct state invalid,untracked", f"ct {SET % 'ct'}"
        keep = [
            "meta l4proto tcp tcp flags & (fin|syn|rst|ack) != syn return",
            "meta l4proto udp ct status confirmed return",
        ]
        own = [f"{refuse} counter drop", *keep, f"counter {mark}"]
        if not self.options.get("own_marks"):
            self.add_chain("mark_all", keep + [mark])
        for redirect in self.case.redirects:
            name, conditions = redirect.name, self.conditions(redirect)
            words = " ".join(f"{a} {b}" for a, b in conditions)
            if self.options.get("one_chain"):
                self.add_chain(f"redirect_{name}", [f"{a} != {b} return" for a, b in conditions] + own)
            elif self.options.get("own_marks"):
                self.add_chain(f"redirect_{name}", [f"{words} goto mark_{name}"])
                self.add_chain(f"mark_{name}", own)
            else:
                self.add_chain(f"redirect_{name}", [
                    f"{words} jump mark_all", f"{IS_MARKED} counter", f"{refuse} {words} counter drop"])

    def chain_of(self, group, steps):
        """The chain that serves a group of redirects, which the steps tell apart."""
        if len(group) == 1:
            return f"redirect_{group[0]}"
        if (group, steps) not in self.shared:
            self.shared[group, steps] = f"shared_{len(self.shared)}"
            self.add_shared(self.shared[group, steps], group, steps)
        return self.shared[group, steps]

    def add_shared(self, name, group, steps):
        members = [self.by_name[n] for n in group]
        if not steps:
            self.add_chain(name, [f"jump redirect_{n}" for n in group])
            return
        if steps[0] == "services":
            key, kind, text = self.service_key, self.service_type, self.service_text
            spans = cut([(r.name, r.services) for r in members])
        else:
            key, kind = f"{IP[self.family]} saddr", TYPE[self.family]
            anyone = [(0, (1 << BITS[self.family]) - 1)]
            spans = cut([(r.name, r.clients or anyone) for r in members])

            def text(span):
                return address_text(span, self.family)

        entries = [(text(s), self.chain_of(g, steps[1:])) for s, g in spans]
        self.add_chain(name, [f"{key} vmap @{self.add_map(f'{name}_{steps[0]}', kind, entries)}"])

    def servers_map(self, name, group, steps):
        """A rule that finds the redirect, or the shared chain, of the server's address."""
        spans = cut([(n, self.by_name[n].servers) for n in group])
        entries = [(address_text(s, self.family), self.chain_of(g, steps)) for s, g in spans]
        if self.options.get("parts"):
            entries = self.add_parts(name, [s for s, _ in spans], entries)
        return f"{IP[self.family]} daddr vmap @{self.add_map(name, TYPE[self.family], entries)}"

    def add_parts(self, name, spans, entries):
        """Maps of so many elements each, and the entries of one that leads to them."""
        size, last = self.options["parts"], (1 << BITS[self.family]) - 1
        starts = [0, *(first for first, _ in spans[size::size])]
        parts = []
        for i, (first, behind) in enumerate(zip(starts, [*starts[1:], last + 1])):
            part = f"{name}_{i}"
            self.add_map(part, TYPE[self.family], entries[i * size : (i + 1) * size])
            self.add_chain(part, [f"{IP[self.family]} daddr vmap @{part}"])
            parts.append((address_text((first, behind - 1), self.family), part))
        return parts

    def select(self):
        raise NotImplementedError

    def add_base(self):
        gateway = '"eth2"'
        if self.options.get("set_base"):
            gateway = "@" + self.add_set("gateway_interfaces", "ifname", [gateway], "")
        prerouting = [
            "type filter hook prerouting priority dstnat + 5;",
            f"iifname {gateway} meta {CLEAR % 'meta'}",
        ]
        if self.options.get("set_base"):
            prerouting += [
                "ct state invalid,untracked jump select",
                f"ct state new ct status & confirmed == 0 ct mark & {MASK:#x} != 0 ct {CLEAR % 'ct'}",
                f"ct status & confirmed == 0 ct mark & {MASK:#x} == 0 jump select",
            ]
        else:
            # The deeper path first: what the kernel has validated there, it skips afterwards.
            prerouting += [
                "ct status & confirmed == 0 jump first",
                "ct state invalid,untracked jump select",
            ]
            self.add_chain("first", [
                f"ct mark & {MASK:#x} == 0 goto select",
                f"ct state new ct {CLEAR % 'ct'} goto select",
            ])
        self.add_chain("prerouting", prerouting + ["goto convert"])
        self.add_chain("convert", [
            f"iifname {gateway} accept",
            f"{IS_MARKED} counter meta {SET % 'meta'} accept",
            "accept",
        ])
        self.add_chain("forward", [
            "type filter hook forward priority filter;",
            f'{IS_MARKED} iifname != "eth2" oifname != "eth2" counter drop',
        ])

    def text(self):
        self.add_redirects()
        self.add_chain("select", self.select())
        self.add_base()
        # Chains must be there before the maps that name them, and maps before rules.
        names = [f"chain {n} {{ }}" for n, rules in self.chains if not rules[0].startswith("type ")]
        chains = ["\n".join([f"chain {n} {{", *rules, "}"]) for n, rules in self.chains]
        blocks = [names, self.sets + chains]
        return "".join("\n".join(["table inet detour {", *block, "}", ""]) for block in blocks)


class AddressFirst(Layout):
    """A: a map from the server's address to a chain."""

    def select(self):
        everyone = [r.name for r in self.case.redirects]
        if self.options.get("plain_set"):
            servers = self.add_set("servers", TYPE[self.family],
                                   self.addresses(self.case.redirects[0].servers))
            return [f"{IP[self.family]} daddr @{servers} goto redirect_{everyone[0]}"]
        rule = self.servers_map("servers", everyone, self.steps)
        if self.options.get("prefilter"):
            spans = cut([(r.name, r.services) for r in self.case.redirects])
            self.add_set("services", self.service_type, [self.service_text(s) for s, _ in spans])
            rule = f"{self.service_key} @services {rule}"
        return [rule]


class ServiceFirst(Layout):
    """B: a map from service to a class of redirects, and one of addresses for each class."""

    def select(self):
        classes, entries = {}, []
        for span, group in cut([(r.name, r.services) for r in self.case.redirects]):
            if group not in classes:
                name = classes[group] = f"class_{len(classes)}"
                self.add_chain(name, [self.servers_map(f"{name}_servers", group, self.steps[1:])])
            entries.append((self.service_text(span), classes[group]))
        return [f"{self.service_key} vmap @{self.add_map('services', self.service_type, entries)}"]


class Linear(Layout):
    """C: the redirects' conditions in order, as the procedure has them."""

    def add_redirects(self):
        super().add_redirects()
        self.chains = [c for c in self.chains if c[0].startswith("mark_")]

    def select(self):
        rules = []
        for r in self.case.redirects:
            name = self.add_set(f"servers_{r.name}", TYPE[self.family], self.addresses(r.servers))
            words = [(f"{IP[self.family]} daddr", f"@{name}"), *self.conditions(r)]
            rules.append(" ".join(f"{a} {b}" for a, b in words) + f" goto mark_{r.name}")
        return rules


class Concatenated(Layout):
    """D: one map from address, service and protocol together."""

    def select(self):
        entries = []
        for span, group in cut([(r.name, r.servers) for r in self.case.redirects]):
            for wanted, owners in cut([(n, self.by_name[n].services) for n in group]):
                key = f"{address_text(span, self.family)} . {self.service_text(wanted)}"
                entries.append((key, self.chain_of(owners, self.steps[1:])))
        name = self.add_map("selection", f"{TYPE[self.family]} . {self.service_type}", entries)
        return [f"{IP[self.family]} daddr . {self.service_key} vmap @{name}"]


LAYOUTS = {
    "A": (AddressFirst, {}),
    "A, sets of their own": (AddressFirst, {"own_sets": True}),
    "A, marks of their own": (AddressFirst, {"own_marks": True}),
    "A, nothing shared": (
        AddressFirst, {"own_sets": True, "own_marks": True, "interfaces": "interval"}),
    "A, protocol before port": (AddressFirst, {"protocol_first": True}),
    "A, one chain each": (AddressFirst, {"one_chain": True, "own_marks": True}),
    "A, first base chain": (AddressFirst, {"set_base": True}),
    "A, prefilter": (AddressFirst, {"prefilter": True}),
    "A, plain set": (AddressFirst, {"plain_set": True}),
    "A, hash of interfaces": (AddressFirst, {"interfaces": "hash"}),
    "A, interval of interfaces": (AddressFirst, {"interfaces": "interval"}),
    "A, in parts": (AddressFirst, {"parts": 10000}),
    "A1, linear": (AddressFirst, {"steps": ()}),
    "A2, by service": (AddressFirst, {"steps": ("services",)}),
    "B, service first": (ServiceFirst, {}),
    "C, linear": (Linear, {"own_marks": True}),
    "D, concatenated": (Concatenated, {}),
}


def table(case, label):
    kind, options = LAYOUTS[label]
    return kind(case, **options).text()


# What is measured.


@dataclass
class Row:
    label: str
    case: Case
    rules: str = ""  # for nft; "procedure" for iptables
    selected: bool = True


def row(size, label, case, selected=True):
    return Row(f"{size}: {label}" if size else label, case, table(case, label), selected)


CONNTRACK = """table inet detour {
chain prerouting {
type filter hook prerouting priority dstnat + 5;
ct state invalid drop
}
}
"""


# No classification at all: the packet's mark alone.
DIVERTED = f"""table inet detour {{
chain prerouting {{
type filter hook prerouting priority dstnat + 5;
iifname "eth0" ct state new,established meta mark set {MARK:#x}
}}
}}
"""


def contend(rows, flows, rounds):
    """{(label, packets a flow): costs} of the rows."""
    with Routers() as routers:
        contestants = {}
        for r in rows:
            contestants[r.label] = router = routers.add()
            router.divert(f"{MARK:#x}/{MASK:#x}")
            if r.rules == "procedure":
                router.load_procedure(r.case.family, procedure(r.case))
            elif r.rules:
                router.load(r.rules)
            router.aim(r.case.packets, r.selected)
        return interleave(contestants, flows, rounds)


def compare(title, rows, rounds):
    flows = 8, 1
    figures = contend(rows, flows, rounds)
    print(f"\n{title}")
    print(f"  {'a new flow every':40}{'8 packets':>20}{'packet':>20}")
    for r in rows:
        line = f"  {r.label:40}"
        for n in flows:
            mine = figures[r.label, n]
            line += f"{statistics.median(mine):10.0f} ns {ratio(figures[rows[0].label, n], mine):6.3f}"
        print(line)
    last = rows[-1]
    if last.rules == "procedure":
        for r in rows[:-1]:
            if r.case is not last.case and r.label.endswith(": A"):
                times = (ratio(figures[last.label, n], figures[r.label, n]) for n in flows)
                print(f"  {r.label} / {last.label}".ljust(42) + "".join(f"{t:20.1f}" for t in times))
    sys.stdout.flush()


def bench_networks(rounds):
    for family in 4, 6:
        one, many = case_networks(family, 100000)
        thousand = Case(family, [Redirect("r0", many.redirects[0].servers[:1000])], [])
        thousand.packets = traffic(family, thousand.redirects)
        rows = [row("1", "A", one), Row("no rules", one, selected=False),
                Row("conntrack alone", one, CONNTRACK, False)]
        rows += [row("1", label, one) for label in LAYOUTS
                 if label.startswith("A, ") or label.startswith("D")]
        rows.append(row("1,000", "A", thousand))
        rows += [row("100,000", label, many) for label in (
            "A", "A, plain set", "A, prefilter", "B, service first", "C, linear", "D, concatenated")]
        compare(f"Networks of one redirect, IPv{family}", rows, rounds)


def bench_redirects(rounds):
    for family, (difference, words) in itertools.product((4, 6), DIFFERENCES.items()):
        one, many = case_redirects(family, 1000, difference)
        first = [replace(r, services=r.services[:1]) for r in many.redirects]
        rows = [row("1", "A", one), Row("conntrack alone", one, CONNTRACK, False)]
        rows += [row("1,000", label, many) for label in LAYOUTS if label != "A, plain set"]
        rows.append(Row("1,000 iptables rules", Case(family, first, traffic(family, first)),
                        "procedure"))
        compare(f"Redirects with {words}, IPv{family}", rows, rounds)


def bench_sharing(rounds):
    """What redirects have in common, stored once or for each of them."""
    for family in 4, 6:
        one, many = case_redirects(family, 1000, "servers")
        first = [replace(r, services=r.services[:1]) for r in many.redirects]
        packets = traffic(family, first)
        rows = [row("1", "A", replace(one, packets=packets))]
        rows += [row("1,000", label, replace(many, packets=packets)) for label in (
            "A", "A, interval of interfaces", "A, sets of their own", "A, marks of their own",
            "A, one chain each", "A, nothing shared")]
        rows.append(Row("conntrack alone", replace(one, packets=packets), CONNTRACK, False))
        rows.append(Row("conntrack, all to the gateway", replace(one, packets=packets), DIVERTED))
        rows.append(Row("1,000 iptables rules", Case(family, first, packets), "procedure"))
        compare(f"What 1,000 redirects share, IPv{family}", rows, rounds)


def bench_groups(rounds):
    """From how many redirects on a map pays, where their servers are the same."""
    for difference in "services", "clients":
        rows = []
        for size in 1, 2, 4, 8, 16:
            _, many = case_redirects(4, size, difference)
            for label in ("A", "A1, linear") if size > 1 else ("A",):
                rows.append(row(str(size), label, many))
        compare(f"Few redirects with {DIFFERENCES[difference]}, IPv4", rows, rounds)


def bench_unselected(rounds):
    labels = ["A", "A, first base chain", "A, prefilter", "B, service first", "D, concatenated"]
    for family in 4, 6:
        _, many = case_redirects(family, 1000, "servers")
        servers = [s for r in many.redirects for s in r.servers]
        others = traffic(family, many.redirects, servers=[network(OTHERS[family])])
        ports = traffic(family, many.redirects, servers=servers, ports=service(UDP, 53))
        for title, packets in ("other servers", others), ("other services", ports):
            case = replace(many, packets=packets)
            rows = [Row("conntrack alone", case, CONNTRACK, False), Row("no rules", case, "", False)]
            rows += [row("", label, case, False) for label in labels]
            compare(f"Packets to {title}, 1,000 redirects, IPv{family}", rows, rounds)


def bench_rules(rounds):
    """The price of a single rule: of a chain that holds it many times."""
    times = 50
    one, many = case_networks(4, 100000)

    def ruleset(rule, kind="", elements=(), flags="flags interval; "):
        word = "map" if kind.endswith("verdict") else "set"
        lines = ["table inet detour {", "chain empty {", "}"]
        if kind:
            lines.append(f"{word} m {{ type {kind}; {flags}{braces(elements)} }}")
        lines += ["chain c {", "type filter hook prerouting priority 0;"] + [rule] * times
        return "\n".join(lines + ["}", "}", ""])

    subjects = {
        "nothing": ruleset("continue"),
        "counter": ruleset("counter"),
        "jump to an empty chain": ruleset("jump empty"),
        "interface, inline": ruleset('iifname "eth7" drop'),
        "interface, hash": ruleset("iifname @m drop", "ifname", ['"eth7"', '"vlan7"'], ""),
        "interface, interval": ruleset("iifname @m drop", "ifname", ['"eth7"', '"vlan*"']),
    }
    for number in 1, 1000, 100000:
        spans = [address_text(s, 4) for s in many.redirects[0].servers[:number]]
        jumps = [f"{s} : jump empty" for s in spans]
        subjects[f"address, set of {number:,}"] = ruleset("ip daddr @m continue", TYPE[4], spans)
        subjects[f"address, verdict map of {number:,}"] = ruleset(
            "ip daddr vmap @m", f"{TYPE[4]} : verdict", jumps)
    for number in 1, 3, 100, 1000, 3000:
        ports = [str(3389 + 2 * i) for i in range(number)]
        subjects[f"protocol . port, set of {number:,}"] = ruleset(
            "meta l4proto . th dport @m continue", "inet_proto . inet_service",
            [f"udp . {p}" for p in ports])
        subjects[f"port . protocol, set of {number:,}"] = ruleset(
            "th dport . meta l4proto @m continue", "inet_service . inet_proto",
            [f"{p} . udp" for p in ports])
        subjects[f"udp, then port, set of {number:,}"] = ruleset(
            "meta l4proto udp th dport @m continue", "inet_service", ports)
    rows = [Row(label, one, text, False) for label, text in subjects.items()]
    figures = contend(rows, [8], rounds)
    print("\nA single rule, ns")
    for label in subjects:
        costs = [(m - b) / times for m, b in zip(figures[label, 8], figures["nothing", 8])]
        print(f"  {label:40}{statistics.median(costs):10.0f}")
    sys.stdout.flush()


def bench_commits(rounds):
    """What it takes to write and to read the table."""
    subjects = []
    for family in 4, 6:
        case = case_networks(family, 100000)[1]
        for label in "A", "A, plain set", "B, service first", "D, concatenated":
            subjects.append((f"100,000 networks: {label}, IPv{family}", label, case))
    for difference in DIFFERENCES:
        case = case_redirects(4, 1000, difference)[1]
        for label in "A", "A, sets of their own", "A1, linear", "B, service first", "C, linear":
            subjects.append((f"1,000, other {difference}: {label}", label, case))
    case = case_redirects(4, 1000, "services")[1]
    for r in case.redirects:
        r.servers = networks(SERVERS[4], 4, 0, 10000)
    for label in "A", "A1, linear":
        subjects.append((f"1,000 on the same 10,000: {label}", label, case))
    columns = "nft -f", "kernel", "add one", "delete it", "nft list", "lines"
    print("\nWriting and reading, ms")
    print("  %-44s" % "" + "".join(f"{c:>11}" for c in columns))
    for name, label, case in subjects:
        values = [commit(case, label) for _ in range(max(1, rounds // 5))]
        medians = [statistics.median(v) for v in zip(*values)]
        times = "".join(f"{1000 * m:11.1f}" if m >= 0 else f"{'-':>11}" for m in medians[:-1])
        print(f"  {name:44}{times}{medians[-1]:11.0f}", flush=True)


def commit(case, label):
    """Seconds to load with nft, and with the kernel alone; to add and delete one; to list; lines."""
    name, chain = {
        "A, plain set": ("servers", None),
        "B, service first": ("class_0_servers", "redirect_r0"),
        "C, linear": ("servers_r0", None),
    }.get(label, ("servers", "redirect_r0"))
    new = [network("192.0.2.0/28" if case.family == 4 else "2001:dba::/64")]
    text = table(case, label)
    kernel = added = deleted = -1
    with Routers() as routers:
        router, width = routers.add(), BITS[case.family] // 8
        loaded = router.load(text)
        netlink = Netlink(router.name)
        if not label.startswith("D"):  # its elements have another shape
            added = netlink.elements(netlink.NEWSETELEM, name, width, new, chain)
            deleted = netlink.elements(netlink.DELSETELEM, name, width, new)
        started = time.monotonic()
        listing = router.execute("nft", "list", "table", "inet", "detour")
        listed = time.monotonic() - started
        if len(case.redirects) == 1 and added >= 0:
            kind = "set" if chain is None else "map"
            router.execute("nft", "flush", kind, "inet", "detour", name)
            kernel = netlink.elements(netlink.NEWSETELEM, name, width, case.redirects[0].servers, chain)
        netlink.close()
    return loaded, kernel, added, deleted, listed, listing.count("\n")


def main():
    parts = {"networks": bench_networks, "redirects": bench_redirects, "sharing": bench_sharing,
             "groups": bench_groups, "unselected": bench_unselected, "rules": bench_rules, "commits": bench_commits}
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    options = parser.parse_args()
    unknown = set(options.parts) - set(parts)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    lab.enter_private_files()
    print("Linux", os.uname().release, lab.run(["nft", "--version"]).strip())
    for part in options.parts or parts:
        parts[part](options.rounds)


if __name__ == "__main__":
    main()
