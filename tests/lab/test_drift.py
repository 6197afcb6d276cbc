# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of damage is named rightly, and repaired by the fewest steps.

What a report says about traffic is compared with what a connection meets.
"""

import pathlib
from types import SimpleNamespace

import pytest

from lab import document, redirect, tcp_packet
from trace import traced

NAMES = pathlib.Path("/etc/iproute2/rt_tables.d/detour.conf")
WANTED = document(
    None,
    redirect(
        clients={"interfaces": ["eth0", "eth1"], "except": ["10.0.0.99", "2001:db8::99"]},
        services=["3389/tcp", "5900-5910/tcp"],
    ),
)


def rules_of(lab, chain, role):
    """Live rules (as nft -j shows them) whose comment begins with the role."""
    objects = [item["rule"] for item in lab.ruleset() if "rule" in item]
    ours = [o for o in objects if o["table"] == "detour" and o["chain"].startswith(chain)]
    return [rule for rule in ours if rule.get("comment", "").split(" ")[0] == role]


def delete_rule(lab, chain, role):
    rule = rules_of(lab, chain, role)[0]
    lab.nft("router", f"delete rule inet detour {rule['chain']} handle {rule['handle']}")


def element_deleted(lab):
    lab.nft("router", "delete element inet detour servers4 { 10.1.0.0/24 }")


def service_deleted(lab):
    lab.nft("router", "delete element inet detour services_3389/tcp_5900-5910/tcp { 3389 . tcp }")


def interface_deleted(lab):
    lab.nft("router", 'delete element inet detour interfaces_eth0/eth1 { "eth0" }')


def foreign_exception(lab):
    lab.nft("router", "add element inet detour clients-except4_rdp { 10.0.0.2 }")


def foreign_element(lab):
    lab.nft("router", "add element inet detour interfaces_eth0/eth1 { \"eth9\" }")


def mark_rule_deleted(lab):
    delete_rule(lab, "mark-", "mark")


def select_rule_deleted(lab):
    delete_rule(lab, "redirect_", "select")


def refuse_rule_deleted(lab):
    delete_rule(lab, "redirect_", "refuse")


def take_rule_deleted(lab):
    delete_rule(lab, "redirect_", "take")


def convert_rule_deleted(lab):
    delete_rule(lab, "prerouting", "convert")


def guard_deleted(lab):
    delete_rule(lab, "forward", "guard")


def convert_rule_moved_in_front(lab):
    """The same rule, before the connection marks are set: what an administrator's edit does."""
    text = lab.tool("router", "nft -a list chain inet detour prerouting")
    lines = [line.strip() for line in text.splitlines()]
    line = next(line for line in lines if 'comment "convert' in line)
    words, handle = line.rsplit(" # handle ", 1)
    first = next(line for line in lines if "comment" in line).rsplit(" # handle ", 1)[1]
    lab.nft("router", f"delete rule inet detour prerouting handle {handle}\n"
            f"insert rule inet detour prerouting handle {first} {words}\n")  # fmt: skip


def foreign_rule_in_our_chain(lab):
    lab.nft("router", "insert rule inet detour prerouting accept")


def foreign_chain(lab):
    lab.nft("router", "add chain inet detour foreign")


def foreign_set(lab):
    lab.nft("router", "add set inet detour foreign { type ipv4_addr; }")


def route_deleted(lab):
    lab.ip("router", "route del default table 103")


def route_changed(lab):
    lab.ip("router", "route change default via 10.2.0.99 dev eth2 table 103 proto 103")


def own_extra_route(lab):
    lab.ip("router", "route add 10.9.0.0/24 via 10.2.0.10 table 103 proto 103")


def rule_deleted(lab):
    lab.ip("router", "rule del priority 100")


def refusing_rule_deleted(lab):
    lab.ip("router", "rule del priority 101")


def own_extra_rule(lab):
    lab.ip("router", "rule add fwmark 0x70/0xf0 lookup 103 priority 500 protocol 103")


def rp_filter_made_strict(lab):
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)


def name_deleted(lab):
    NAMES.unlink()


def damage(function, action, drift, kind, *effects):
    return SimpleNamespace(
        do=function, step=(action, drift, kind), effects=effects, __name__=function.__name__
    )


DAMAGES = [
    damage(element_deleted, "create", "missing", "nft_element", "leak"),
    damage(service_deleted, "create", "missing", "nft_element", "leak"),
    damage(interface_deleted, "create", "missing", "nft_element", "leak"),
    damage(foreign_exception, "delete", "extra", "nft_element", "leak"),
    damage(foreign_element, "delete", "extra", "nft_element", "none"),
    damage(mark_rule_deleted, "create", "missing", "nft_rule", "leak"),
    damage(select_rule_deleted, "create", "missing", "nft_rule", "leak"),
    damage(refuse_rule_deleted, "create", "missing", "nft_rule", "leak"),
    damage(take_rule_deleted, "create", "missing", "nft_rule", "none"),
    damage(convert_rule_deleted, "create", "missing", "nft_rule", "outage"),
    damage(convert_rule_moved_in_front, "move", "misordered", "nft_rule", "outage"),
    damage(guard_deleted, "create", "missing", "nft_rule", "exposed"),
    damage(foreign_rule_in_our_chain, "delete", "extra", "nft_rule", "leak"),
    damage(foreign_chain, "delete", "extra", "nft_chain", "none"),
    damage(foreign_set, "delete", "extra", "nft_set", "none"),
    damage(route_deleted, "create", "missing", "route", "outage"),
    damage(route_changed, "update", "changed", "route", "outage"),
    damage(own_extra_route, "delete", "extra", "route", "none"),
    damage(rule_deleted, "create", "missing", "rule", "outage"),
    damage(refusing_rule_deleted, "create", "missing", "rule", "exposed", "none"),
    damage(own_extra_rule, "delete", "extra", "rule", "none"),
    damage(rp_filter_made_strict, "update", "changed", "rp_filter", "outage"),
    damage(name_deleted, "create", "missing", "rt_table", "none"),
]

every_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)


@every_damage
def test_damage_is_one_step_with_the_right_words(strict_lab, damage):
    lab = strict_lab
    lab.apply(WANTED)
    damage.do(lab)
    result = lab.detour("drift", WANTED)
    assert result.exit == 2 and result.json["in_sync"] is False
    assert result.steps("action", "drift", "kind") == [damage.step]
    step = result.json["steps"][0]
    assert step["effect"] in damage.effects
    assert result.json["effect"] == step["effect"]
    assert step["object"] and step["why"]
    assert (step["before"] is None) == (damage.step[0] == "create")
    assert (step["after"] is None) == (damage.step[0] == "delete")
    total = result.json["summary"]
    assert total == {"create": 0, "update": 0, "move": 0, "delete": 0} | {damage.step[0]: 1}


@every_damage
def test_the_effect_is_what_a_connection_meets(strict_lab, damage):
    lab = strict_lab
    lab.apply(WANTED)
    damage.do(lab)
    effect = lab.detour("drift", WANTED).json["effect"]
    with lab.watch("server") as seen:
        answer = lab.connect("client", "10.1.0.5", 3389)
        # An invalid packet of the selection, which only the refusal stops
        lab.send("client", tcp_packet("10.0.0.2", "10.1.0.5", 40000, 3389, "SF"))
    assert bool(seen.at("server", 3389)) == (effect == "leak")
    if effect == "outage":
        assert answer in ("unreachable", "timeout")
    if effect in ("exposed", "none"):
        assert answer == "gateway"


@every_damage
def test_damage_is_repaired_by_one_write_and_leaves_the_rest_alone(strict_lab, damage):
    lab = strict_lab
    lab.apply(WANTED)
    before = lab.snapshot()
    damage.do(lab)
    result, trace = traced(lab, "apply", WANTED)
    assert (result.exit, result.json["changed"]) == (0, True)
    writes = [kind for kind in trace.changing() if "CT_DELETE" not in kind]
    is_move = damage.step[0] == "move"
    is_file = damage.step[2] in ("rt_table",)
    assert len(writes) == (2 if is_move else 0 if is_file else 1), writes
    assert lab.detour("drift", WANTED).exit == 0
    after = lab.snapshot()
    for part in ("rules", "routes", "rp_filter"):
        assert sorted(after[part], key=str) == sorted(before[part], key=str)
    assert without_handles(after["nft"]) == without_handles(before["nft"])
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"


def without_handles(items):
    """A ruleset whose order of elements and handles do not count."""

    def strip(body):
        plain = {key: value for key, value in body.items() if key != "handle"}
        return plain | {"elem": sorted(plain.get("elem", []), key=str)}

    return [{kind: strip(body)} for item in items for kind, body in item.items()]


def test_of_a_shared_map_only_the_redirects_that_differ_are_named(lab):
    nets = lambda n: {"networks": [f"10.{n}.0.0/24", f"2001:db8:{n}::/64"]}
    ours = [redirect(name=f"r{n}", servers=nets(n)) for n in (1, 3, 4)]
    wanted = document(redirects=ours)
    lab.apply(wanted)
    lab.nft(
        "router",
        "delete element inet detour servers4 { 10.1.0.0/24, 10.3.0.0/24 }\n"
        "delete element inet detour servers6 { 2001:db8:1::/64, 2001:db8:3::/64 }\n",
    )
    steps = lab.detour("drift", wanted).json["steps"]
    assert [(step["count"], step["redirects"]) for step in steps] == [(2, ["r1", "r3"])] * 2
    assert "\nr4: " not in lab.detour("drift", wanted, wants_json=False).text
    shown = lab.detour("show", wanted).json["redirects"]
    assert [item["flaws"] for item in shown] == [["server networks differ"]] * 2 + [[]]


def test_all_damage_together_is_repaired_at_once(strict_lab, family):
    lab = strict_lab
    lab.apply(WANTED)
    before = lab.snapshot()
    for entry in (element_deleted, convert_rule_moved_in_front, guard_deleted, foreign_chain,
                  route_deleted, rule_deleted, rp_filter_made_strict, name_deleted):  # fmt: skip
        entry(lab)
    result = lab.detour("drift", WANTED)
    assert result.json["effect"] == "leak"
    assert len(result.json["steps"]) == 8
    lab.apply(WANTED)
    assert without_handles(lab.snapshot()["nft"]) == without_handles(before["nft"])
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_deleted_table_is_built_anew(lab, family):
    lab.apply(WANTED)
    before = lab.ruleset()
    lab.nft("router", "delete table inet detour")
    assert lab.detour("drift", WANTED).json["effect"] == "leak"
    lab.apply(WANTED)
    assert without_handles(lab.ruleset()) == without_handles(before)
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_flushed_table_is_filled_anew(lab, family):
    lab.apply(WANTED)
    before = lab.ruleset()
    lab.nft("router", "flush table inet detour")
    assert lab.detour("drift", WANTED).json["effect"] == "leak"
    lab.apply(WANTED)
    assert without_handles(lab.ruleset()) == without_handles(before)
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_chain_of_another_priority_is_replaced(lab, family):
    lab.apply(WANTED)
    text = lab.tool("router", "nft list table inet detour")
    lab.nft("router", "delete table inet detour\n" + text.replace("dstnat + 5", "dstnat - 50"))
    result = lab.detour("drift", WANTED)
    assert result.exit == 2
    lab.apply(WANTED)
    assert lab.detour("drift", WANTED).exit == 0
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_dormant_table_is_woken(lab, family):
    lab.apply(WANTED)
    lab.nft("router", "add table inet detour { flags dormant; }")
    assert lab.connect("client", family.server, 3389) == "server"
    assert lab.detour("drift", WANTED).json["effect"] == "leak"
    lab.apply(WANTED)
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_the_restored_listing_of_nft_is_in_sync(lab, family):
    """nft list, flush, nft -f: what people do with backups. Their nft must read it back."""
    lab.apply(WANTED)
    text = lab.tool("router", "nft list table inet detour")
    lab.nft("router", "delete table inet detour")
    lab.nft("router", text)
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.detour("drift", WANTED).exit == 0


def test_a_rule_with_other_selectors_is_not_taken_for_ours(lab, family):
    lab.apply(WANTED)
    lab.ip("router", f"{family.ip} rule del priority 100")
    narrower = "fwmark 0x10/0xf0 iif lo lookup 103 priority 100 protocol 103"
    lab.ip("router", f"{family.ip} rule add {narrower}")
    assert lab.detour("drift", WANTED).exit == 2
    lab.apply(WANTED)
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert "iif" not in lab.tool("router", ["ip", family.ip, "rule"])


def test_a_doubled_rule_is_one_delete_and_cuts_nothing(lab, family):
    lab.apply(WANTED)
    session = lab.open("client", family.server, 3389)
    lab.ip("router", f"{family.ip} rule add fwmark 0x10/0xf0 lookup 103 priority 90 protocol 103")
    result = lab.detour("drift", WANTED)
    assert result.steps("action", "kind") == [("delete", "rule")]
    lab.apply(WANTED)
    assert lab.detour("drift", WANTED).exit == 0
    assert session.ask() == "gateway"


def test_drift_of_a_router_in_sync_is_quiet(lab):
    lab.apply(WANTED)
    result = lab.detour("drift", WANTED, "--quiet", wants_json=False)
    assert (result.exit, result.text, result.errors) == (0, "", "")
