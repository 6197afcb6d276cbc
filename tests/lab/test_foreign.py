# SPDX-License-Identifier: GPL-2.0-or-later
"""What others keep on the router is not touched; where they stand in our way we stop."""

import pathlib
import subprocess

import pytest

from lab import document, gateway, redirect

RT_TABLES_D = pathlib.Path("/etc/iproute2/rt_tables.d")


def furnish(lab):
    """A router that others use too."""
    commands = """
        iptables-nft -t mangle -A PREROUTING -i eth0 -p tcp --dport 8080 -j CONNMARK --set-mark 1
        iptables-nft -t mangle -A PREROUTING -m connmark --mark 1 -j MARK --set-mark 1
        iptables-nft -A FORWARD -p tcp --dport 25 -j REJECT
        ip6tables-nft -t mangle -A PREROUTING -p tcp --dport 8080 -j CONNMARK --set-mark 1
        ip rule add fwmark 0x1 table 200 priority 99
        ip -6 rule add fwmark 0x1 table 200 priority 99
        ip rule add from 192.0.2.0/24 table 201 priority 105 protocol static
        ip rule add to 192.0.2.0/24 blackhole priority 20000
        ip route add default via 10.1.0.5 table 200
        ip -6 route add default via 2001:db8:1::5 table 200
        ip route add 198.51.100.0/24 via 10.1.0.5 proto bird metric 50
        ip route add blackhole 203.0.113.0/24 table 201
    """
    for command in commands.strip().splitlines():
        lab.tool("router", command.strip())
    lab.nft("router", """
        table inet filter {
            set hosts { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 } }
            chain input { type filter hook input priority 0; policy accept; tcp dport 1 drop; }
        }
        table ip nat {
            chain post { type nat hook postrouting priority srcnat; ip daddr 9.9.9.9 masquerade; }
        }
    """)  # fmt: skip
    (RT_TABLES_D / "admin.conf").write_text("200 uplink\n201 lost\n")
    with open("/etc/iproute2/rt_tables", "a") as table:
        table.write("202 third\n")


WANTED = document(gateway(spoofs_clients=True, rp_filter="off"))


def test_apply_leaves_foreign_state_alone(strict_lab, family):
    lab = strict_lab
    furnish(lab)
    before = lab.snapshot(wants_ours=False)
    lab.apply(WANTED)
    after = lab.snapshot(wants_ours=False)
    assert after["nft"] == before["nft"]
    assert [line for line in after["rules"] if "proto 103" not in line] == before["rules"]
    assert [line for line in after["routes"] if "proto 103" not in line] == before["routes"]
    ours = [name for name in after["files"] if name not in before["files"]]
    assert ours == ["/etc/iproute2/rt_tables.d/detour.conf", "/var/lib/detour/confirmed.json"]
    assert {k: v for k, v in after["files"].items() if k not in ours} == before["files"]
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_destroy_leaves_the_machine_as_it_was(strict_lab, family):
    lab = strict_lab
    furnish(lab)
    before = lab.snapshot()
    lab.apply(WANTED)
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.detour("destroy").exit == 0
    assert lab.snapshot() == before


def test_an_empty_document_does_what_destroy_does(strict_lab):
    lab = strict_lab
    furnish(lab)
    before = lab.snapshot()
    lab.apply(WANTED)
    lab.apply(document([], []), "--allow-empty")
    after = lab.snapshot()
    del after["files"]["/var/lib/detour/confirmed.json"]  # it was asked for, and is remembered
    assert after == before


def test_destroy_on_a_router_that_never_had_us_does_nothing(lab):
    furnish(lab)
    before = lab.snapshot()
    result = lab.detour("destroy")
    assert (result.exit, result.json["changed"]) == (0, False)
    assert lab.snapshot() == before


def test_destroy_removes_what_an_older_document_left(lab):
    """Ownership is the protocol number, the table, the file: not the document of today."""
    before = lab.snapshot()
    lab.apply(document(gateway(name="old", table=150, priority=300), redirect(gateway="old")))
    assert lab.detour("destroy").exit == 0
    assert lab.snapshot() == before


def test_a_renumbered_gateway_leaves_nothing_behind(lab, family):
    lab.apply(document(gateway(table=150, priority=300)))
    lab.apply(document())
    assert "150" not in lab.tool("router", "ip rule")
    assert lab.tool("router", "ip route show table all").count("proto 103") == 2
    assert lab.connect("client", family.server, 3389) == "gateway"


# Names


def test_a_name_that_an_administrator_gave_is_accepted(lab):
    (RT_TABLES_D / "admin.conf").write_text("103 scb\n")
    lab.apply(document())
    assert not (RT_TABLES_D / "detour.conf").exists()
    assert lab.detour("destroy").exit == 0
    assert (RT_TABLES_D / "admin.conf").read_text() == "103 scb\n"


def test_the_name_works_for_ip_route(lab):
    lab.apply(document())
    assert "10.2.0.10" in lab.tool("router", "ip route show table scb")


# Conflicts


def rule_at_our_priority(lab, family):
    lab.ip("router", f"{family.ip} rule add fwmark 0x7 table 222 priority 100")


def rule_at_the_refusing_priority(lab, family):
    lab.ip("router", f"{family.ip} rule add fwmark 0x7 table 222 priority 101")


def rule_that_looks_up_our_table(lab, family):
    lab.ip("router", f"{family.ip} rule add fwmark 0x7 table 103 priority 9000")


def route_in_our_table(lab, family):
    lab.ip("router", f"{family.ip} route add {family.gateway} dev eth2 table 103")


def default_in_our_table(lab, family):
    lab.ip("router", f"{family.ip} route add default via {family.server} table 103")


def name_on_another_id(lab, family):
    (RT_TABLES_D / "admin.conf").write_text("222 scb\n")


def id_under_another_name(lab, family):
    (RT_TABLES_D / "admin.conf").write_text("103 other\n")


CONFLICTS = {
    rule_at_our_priority: "rule",
    rule_at_the_refusing_priority: "rule",
    rule_that_looks_up_our_table: "rule",
    route_in_our_table: "route",
    default_in_our_table: "route",
    name_on_another_id: "rt_table",
    id_under_another_name: "rt_table",
}


@pytest.mark.parametrize("verb", ["plan", "apply", "drift"])
@pytest.mark.parametrize("conflict", CONFLICTS, ids=lambda c: c.__name__)
def test_a_conflict_stops_everything(lab, family, conflict, verb):
    conflict(lab, family)
    before = lab.snapshot()
    result = lab.detour(verb, document())
    assert result.exit == 3
    assert [entry["kind"] for entry in result.json["conflicts"]] == [CONFLICTS[conflict]]
    entry = result.json["conflicts"][0]
    assert entry["object"] and entry["found"] and entry["wanted"] and entry["hint"]
    assert lab.snapshot() == before
    assert lab.connect("client", family.server, 3389) == "server"


@pytest.mark.parametrize(
    "conflict", [c for c in CONFLICTS if c is not default_in_our_table], ids=lambda c: c.__name__
)
def test_a_conflict_outranks_drift_and_leaves_what_stands(lab, family, conflict):
    lab.apply(document())
    lab.nft("router", "add chain inet detour foreign")
    conflict(lab, family)
    before = lab.snapshot()
    result = lab.detour("apply", document())
    assert result.exit == 3
    assert lab.snapshot() == before


def test_all_conflicts_are_listed_at_once(lab, family):
    chosen = [rule_at_our_priority, route_in_our_table, name_on_another_id]
    for conflict in chosen:
        conflict(lab, family)
    result = lab.detour("apply", document())
    assert result.exit == 3
    assert sorted(e["kind"] for e in result.json["conflicts"]) == ["route", "rt_table", "rule"]
    text = lab.detour("apply", document(), wants_json=False)
    assert text.exit == 3 and "222" in text.text


def test_conflicts_count_only_in_families_that_the_gateway_has(lab):
    lab.ip("router", "-6 rule add fwmark 0x7 table 222 priority 100")
    lab.ip("router", "-6 route add 2001:db8:7::/64 dev eth2 table 103")
    servers = {"networks": ["10.1.0.0/24"]}
    only4 = document(gateway(addresses=["10.2.0.10"]), redirect(servers=servers))
    lab.apply(only4)
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"


def test_a_rule_behind_a_bypassing_gateway_is_no_conflict(lab, family):
    rule_at_the_refusing_priority(lab, family)
    lab.apply(document(gateway(on_loss="bypass")))
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_conflict_that_is_gone_no_longer_stops(lab, family):
    rule_at_our_priority(lab, family)
    assert lab.detour("apply", document()).exit == 3
    lab.ip("router", f"{family.ip} rule del priority 100")
    lab.apply(document())
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_foreign_route_merged_into_ours_is_a_conflict_or_repaired(lab):
    """ip -6 route append makes a multipath route under our protocol number."""
    lab.apply(document())
    lab.ip("router", "-6 route append default via 2001:db8:1::5 dev eth1 table 103 metric 1024")
    assert lab.detour("drift", document()).exit in (2, 3)
    assert lab.detour("apply", document()).exit in (0, 3)


def test_ownership_survives_a_flush_by_others(lab, family):
    """nft flush ruleset, as in the stock nftables.service, wipes us too: drift, then repair."""
    lab.apply(document())
    lab.tool("router", "nft flush ruleset")
    assert lab.detour("drift", document()).exit == 2
    lab.apply(document())
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_table_that_another_program_owns_is_a_conflict(lab):
    """NFT_TABLE_F_OWNER: only the owner's socket may change the table while it lives."""
    with lab.inside("router"):
        words = ["nft", "--interactive"]
        owner = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        owner.stdin.write("add table inet detour { flags owner; }\nlist tables\n")
        owner.stdin.flush()
        while "table inet detour" not in owner.stdout.readline():
            assert owner.poll() is None
        look = "nft list ruleset", "ip rule", "ip route show table all"
        before = [lab.tool("router", command) for command in look]
        result = lab.detour("apply", document())
        assert result.exit == 3, repr(result)
        assert [conflict["kind"] for conflict in result.json["conflicts"]] == ["nft_table"]
        assert [lab.tool("router", command) for command in look] == before
    finally:
        owner.kill()
        owner.wait()
    lab.apply(document())
