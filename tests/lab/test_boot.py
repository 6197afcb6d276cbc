# SPDX-License-Identifier: GPL-2.0-or-later
"""Applied at boot: the gateway's interface is not there yet, or down, or has no address."""

import pytest

from lab import document, gateway, redirect

NOBODY = ("unreachable", "timeout")


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
    second = gateway(
        name="second",
        interface="eth3",
        addresses=["10.3.0.10", "2001:db8:3::10"],
        mark="0x20/0xf0",
        table=104,
        priority=102,
    )
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
