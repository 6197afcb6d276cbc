# SPDX-License-Identifier: GPL-2.0-or-later
"""Selections of traffic to measure: redirects of one family, and the packets sent at them."""

import ipaddress
import random
from dataclasses import dataclass, field, replace

import routers
from lab import document, gateway, redirect

MARK, MASK = 0x10, 0xF0
UDP, TCP = 17, 6
PROTOCOL = {UDP: "udp", TCP: "tcp"}
BITS = {4: 32, 6: 128}
SERVERS = {4: "10.0.0.0/8", 6: "2001:db8::/36"}
CLIENTS = {4: "100.64.0.0/10", 6: "2001:db8:c000::/36"}
OTHERS = {4: "172.16.0.0/12", 6: "2001:db8:e000::/36"}
LENGTH = {4: 28, 6: 64}
STEP = {4: 1 << 7, 6: 1 << 64}  # from one network to the next

# What is asked for. Spans are (first, last), those of services (protocol << 16 | port).


def network(text):
    net = ipaddress.ip_network(text)
    return int(net[0]), int(net[-1])


def networks(base, family, first, number):
    start = network(base)[0]
    size = 1 << (BITS[family] - LENGTH[family])
    starts = (start + STEP[family] * i for i in range(first, first + number))
    return [(s, s + size - 1) for s in starts]


def service(protocol, first, last=None):
    return protocol << 16 | first, protocol << 16 | (last or first)


COMMON = [service(UDP, 3389), service(UDP, 5900, 5910), service(TCP, 22)]


@dataclass
class Redirect:
    name: str
    servers: list
    services: list = field(default_factory=lambda: COMMON)
    clients: list = field(default_factory=list)


@dataclass
class Case:
    """Redirects of a family, and the packets that are sent at them: (saddr, daddr, dport)."""

    family: int
    redirects: list
    packets: list


def pick(rng, span):
    return span[0] + rng.randrange(min(span[1] - span[0] + 1, 1 << 32))


def traffic(family, redirects, servers=None, ports=None):
    """Packets that the redirects select, unless servers or ports say otherwise."""
    rng = random.Random(1)
    packets = []
    for _ in range(20000):
        redirect = rng.choice(redirects)
        wanted = rng.choice([s for s in redirect.services if s[0] >> 16 == UDP])
        saddr = pick(rng, rng.choice(redirect.clients or [network(CLIENTS[family])]))
        daddr = pick(rng, rng.choice(servers or redirect.servers))
        dport = pick(rng, ports or wanted) & 0xFFFF
        packets.append((address(saddr, family), address(daddr, family), dport))
    return packets


def case_networks(family, number):
    """One redirect of one network, and one of many; the same packets suit both."""
    one = [Redirect("r0", [network(SERVERS[family])])]
    many = [Redirect("r0", networks(SERVERS[family], family, 0, number))]
    packets = traffic(family, many)
    return Case(family, one, packets), Case(family, many, packets)


DIFFERENCES = {
    "servers": "other servers each",
    "services": "the same servers, other services each",
    "clients": "the same servers and services, other clients each",
}


def case_redirects(family, number, difference):
    """One redirect, and many that together select the same packets and differ in one thing."""
    servers, many = networks(SERVERS[family], family, 0, number), []
    one = Redirect("r0", [network(SERVERS[family])])
    for i in range(number):
        redirect = replace(one, name=f"r{i}")
        if difference == "servers":
            redirect.servers = [servers[i]]
        if difference == "services":
            redirect.services = [service(UDP, 10000 + 3 * i + k) for k in range(3)]
        if difference == "clients":
            redirect.clients = networks(CLIENTS[family], family, i, 1)
        many.append(redirect)
    if difference == "services":
        first = range(10000, 10000 + 3 * number, number)
        one.services = [service(UDP, port, port + number - 1) for port in first]
    if difference == "clients":
        one.clients = [network(CLIENTS[family])]
    packets = traffic(family, many)
    return Case(family, [one], packets), Case(family, many, packets)


def address(value, family):
    return str((ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address)(value))


def address_text(span, family):
    first, last = address(span[0], family), address(span[1], family)
    return first if first == last else f"{first}-{last}"


def ports_text(span):
    first, last = span[0] & 0xFFFF, span[1] & 0xFFFF
    return f"{first}" if first == last else f"{first}-{last}"


def cidr(span, family):
    first, last = (ipaddress.ip_address(address(value, family)) for value in span)
    return str(next(ipaddress.summarize_address_range(first, last)))


# The same for those who are compared.


def wanted(case):
    """The document that detour gets."""
    redirects = []
    for each in case.redirects:
        clients, servers = ([cidr(s, case.family) for s in spans]
                            for spans in (each.clients, each.servers))
        redirects.append(redirect(
            name=each.name,
            clients={"interfaces": ["eth0"]} | ({"networks": clients} if clients else {}),
            servers={"networks": servers},
            services=[f"{ports_text(s)}/{PROTOCOL[s[0] >> 16]}" for s in each.services]))
    box = gateway(addresses=[routers.GATEWAY[case.family]], mark=f"{MARK:#x}/{MASK:#x}")
    return document(box, redirects)


def procedure(case):
    """The procedure's iptables rules with our mark, for each network and the first service."""
    mark = f"{MARK:#x}/{MASK:#x}"
    rules = ["*mangle"]
    for each in case.redirects:
        source = f"-s {cidr(each.clients[0], case.family)} " if each.clients else ""
        ports = ports_text(each.services[0]).replace("-", ":")
        rules += [f"-A PREROUTING -i eth0 {source}-p udp -d {cidr(span, case.family)} "
                  f"--dport {ports} -j CONNMARK --set-xmark {mark}" for span in each.servers]
    rules.append(f"-A PREROUTING ! -i eth2 -m connmark --mark {mark} -j MARK --set-xmark {mark}")
    return "\n".join(rules + ["COMMIT", ""])
