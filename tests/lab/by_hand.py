# SPDX-License-Identifier: GPL-2.0-or-later
"""The procedure that detour replaces, as an administrator types it."""

import contextlib
import pathlib

from lab import LabError

NAMES = pathlib.Path("/etc/iproute2/rt_tables")
STEP_1 = "-I PREROUTING -i eth0 -p tcp -d {servers} --dport 3389 -j CONNMARK --set-mark 1"
STEP_2 = "-I PREROUTING -i eth1 -p tcp -s {servers} --sport 3389 -j CONNMARK --set-mark 1"
STEP_3 = "-A PREROUTING ! -i eth2 -m connmark --mark 1 -j MARK --set-mark 1"


def iptables(family):
    return "ip6tables-nft" if family.is_ipv6 else "iptables-nft"


def mangle(lab, family, *rules):
    """Rules as typed behind `iptables -t mangle`; what is in quotes is one word."""
    for rule in rules:
        words = rule.format(**vars(family)).split('"')
        split = [part.split() if i % 2 == 0 else [part] for i, part in enumerate(words)]
        lab.tool("router", [iptables(family), "-t", "mangle", *sum(split, [])])


def steps_4_to_7(lab, family, table="103", name="scb", via=None, mark="1", dev="eth2"):
    if f"{table} {name}\n" not in NAMES.read_text():
        with NAMES.open("a") as names:
            names.write(f"{table} {name}\n")
    lab.ip("router", f"{family.ip} route replace default via {via or family.gateway} table {name}")
    lab.ip("router", f"{family.ip} rule add from all fwmark {mark} table {name}")
    lab.sysctl("router", f"net/ipv4/conf/{dev}/rp_filter", 0)
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 0)


def by_hand(lab, family, *rules):
    """The procedure, with these rules for steps 1 to 3."""
    mangle(lab, family, *(rules or (STEP_1, STEP_2, STEP_3)))
    steps_4_to_7(lab, family)


def undo_by_hand(lab, family):
    """However often it was done; the name stays."""
    mangle(lab, family, "-F PREROUTING")
    while "fwmark 0x1 " in lab.ip("router", f"{family.ip} rule"):
        lab.ip("router", f"{family.ip} rule del fwmark 1")
    with contextlib.suppress(LabError):  # where there is no such table
        lab.ip("router", f"{family.ip} route flush table 103")


def imported(lab, exit_code=0):
    """The document, which must be a good one, and the report."""
    result = lab.detour("import")
    assert result.exit == exit_code, repr(result)
    assert lab.detour("validate", result.json["document"]).exit == 0
    return result.json["document"], result.json
