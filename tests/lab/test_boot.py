# SPDX-License-Identifier: GPL-2.0-or-later
"""Applied at boot: the gateway's interface is not there yet, or down, or has no address."""

import pathlib
import shutil

import pytest

from lab import Flood, document, first_packets, gateway, redirect, second_gateway
from units import commands

NOBODY = ("unreachable", "timeout")
CONFIRMED = pathlib.Path("/var/lib/detour/confirmed.json")


def missing(lab, family):
    lab.link_delete("eth2")
    return lambda: lab.add_link("eth2")


def down(lab, family):
    lab.link_down("eth2")
    return lambda: lab.link_up("eth2")


def without_address(lab, family):
    lab.ip("router", "addr flush dev eth2 scope global")
    gone = lab.links.pop("eth2")

    def back():
        lab.links["eth2"] = gone
        lab.ip("router", "addr add 10.2.0.1/24 dev eth2")
        lab.ip("router", "addr add 2001:db8:2::1/64 dev eth2 nodad")

    return back


@pytest.mark.parametrize("obstacle", [missing, down, without_address], ids=lambda o: o.__name__)
def test_all_else_is_applied_and_blocks_until_the_interface_comes(strict_lab, family, obstacle):
    lab, wanted = strict_lab, document()
    remove = obstacle(lab, family)
    result = lab.detour("apply", wanted)
    assert result.exit == 2
    remaining = result.remaining("kind")
    assert remaining.count(("route",)) == 2
    assert set(remaining) <= {("route",), ("rp_filter",)}
    with lab.watch("server") as seen:
        assert lab.connect("client", family.server, 3389) in NOBODY
    assert not seen.at("server", 3389)
    remove()
    with lab.watch("server") as seen:
        assert lab.connect("client", family.server, 3389) in NOBODY
    assert not seen.at("server", 3389)
    lab.apply(wanted)
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_an_apply_while_the_interface_is_missing_writes_nothing_twice(lab):
    lab.link_delete("eth2")
    first = lab.detour("apply", document())
    second = lab.detour("apply", document())
    assert (first.exit, second.exit) == (2, 2)
    assert (first.json["changed"], second.json["changed"]) == (True, False)


def test_drift_names_the_missing_route_with_its_gateway_and_redirects(lab):
    lab.link_delete("eth2")
    lab.detour("apply", document())
    result = lab.detour("drift", document())
    assert result.exit == 2
    routes = [step for step in result.json["steps"] if step["kind"] == "route"]
    assert [(s["drift"], s["gateway"], s["redirects"]) for s in routes] == [
        ("missing", "scb", ["rdp"])
    ] * 2
    assert all(step["effect"] == "outage" for step in routes)


def test_with_bypass_a_missing_gateway_lets_through(lab, family):
    lab.link_delete("eth2")
    assert lab.detour("apply", document(gateway(on_loss="bypass"))).exit == 2
    assert lab.connect("client", family.server, 3389) == "server"


def test_a_next_hop_that_is_not_on_the_link_is_no_error(lab, family):
    far = document(gateway(addresses=["192.0.2.10", "2001:db8:dead::10"]))
    result = lab.detour("apply", far)
    assert result.exit == 2
    assert result.remaining("kind") == [("route",)] * 2
    assert lab.connect("client", family.server, 3389) in NOBODY


def test_a_missing_client_interface_is_a_warning(lab, family):
    wanted = document(None, redirect(clients={"interfaces": ["eth0", "eth77"]}))
    result = lab.apply(wanted)
    assert any("eth77" in warning["message"] for warning in result.json["warnings"])
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_one_missing_gateway_does_not_keep_another_from_working(wide_lab, family):
    lab = wide_lab
    lab.link_delete("eth3")
    second = second_gateway()
    ssh = redirect(name="ssh", gateway="second", services=["22/tcp"])
    result = lab.detour("apply", document([gateway(), second], [redirect(), ssh]))
    assert result.exit == 2
    assert set(result.remaining("gateway")) == {("second",)}
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.server, 22) in NOBODY


def test_forwarding_is_never_turned_on(lab):
    lab.sysctl("router", "net/ipv4/ip_forward", 0)
    lab.sysctl("router", "net/ipv6/conf/all/forwarding", 0)
    lab.apply(document())
    assert lab.sysctl("router", "net/ipv4/ip_forward") == "0"
    assert lab.sysctl("router", "net/ipv6/conf/all/forwarding") == "0"


# -- As detour.service does ----------------------------------------------------------------------


def reboot(lab):
    """Nothing is left but what is on disk, and no link is up."""
    lab.nft("router", "flush ruleset\n")
    for family in ("-4", "-6"):
        lab.ip("router", f"{family} rule flush protocol 103")
    lab.link_delete("eth2")
    lab.link_down("eth0")
    lab.link_down("eth1")
    lab.tool("router", "conntrack -F")
    shutil.rmtree("/run/detour")


def start(lab, unit):
    (verb, *options), *_ = commands(unit)
    return lab.detour(verb, None, *options)


def test_from_boot_on_no_connection_gets_past_the_gateway(strict_lab, family):
    lab = strict_lab
    lab.apply(document())
    reboot(lab)
    with lab.watch("server") as seen:
        assert start(lab, "detour.service").exit == 2
        lab.link_up("eth0")
        lab.link_up("eth1")
        with Flood(seen, first_packets(family, 3389)) as flood:
            flood.flow(100)
            lab.add_link("eth2")
            flood.flow(100)
            assert lab.connect("client", family.server, 3389) in NOBODY
            assert start(lab, "detour-networkd.service").exit == 0
            flood.flow(100)
            assert lab.connect("client", family.server, 3389) == "gateway"
    assert len(seen.at("server", 3389)) == 0


OTHER = document(None, redirect(services=["22/tcp"]))
FAULTY = document(gateway(mark="0x10"))


@pytest.mark.parametrize("edited", [OTHER, FAULTY, None], ids=["another", "faulty", "deleted"])
def test_the_last_confirmed_document_is_applied_whatever_became_of_the_file(lab, edited):
    lab.apply(document())
    reboot(lab)
    if edited:
        lab.save(edited)
    start(lab, "detour.service")
    assert lab.detour("drift", document()).steps("kind") == [("route",), ("route",)]


def test_without_a_confirmed_document_the_file_is_applied(lab):
    lab.save(document())
    assert start(lab, "detour.service").exit == 0
    assert lab.detour("drift").exit == 0


def test_a_reverted_document_does_not_keep_the_confirmed_one_from_being_applied(lab):
    lab.apply(document())
    lab.detour("apply", OTHER, "--confirm", "60")
    assert lab.detour("revert").exit == 0
    reboot(lab)
    lab.save(OTHER)
    assert start(lab, "detour.service").exit == 2
    assert lab.detour("drift", document()).steps("kind") == [("route",), ("route",)]


def test_a_reverted_document_is_not_applied_when_nothing_was_confirmed(lab):
    before = lab.snapshot()
    lab.save(document())
    lab.detour("apply", None, "--confirm", "60")
    assert lab.detour("revert").exit == 0
    result = start(lab, "detour.service")
    assert (result.exit, result.json["changed"]) == (0, False)
    assert [warning["code"] for warning in result.json["warnings"]] == ["reverted"]
    after = lab.snapshot()
    assert {**after, "files": 0} == {**before, "files": 0}


def test_a_damaged_confirmed_document_is_an_error_that_names_it(lab):
    lab.apply(document())
    lab.save(OTHER)
    CONFIRMED.write_text("{")
    result = start(lab, "detour.service")
    assert (result.exit, result.json["changed"]) == (1, False)
    assert "truncated" in result.json["errors"][0]["message"]
