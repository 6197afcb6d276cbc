# SPDX-License-Identifier: GPL-2.0-or-later
"""Who answers: before, after apply, after losses, after repair, after destroy."""

import socket

import pytest

from lab import Lab, document, gateway, redirect

BLOCK = document()
BYPASS = document(gateway(on_loss="bypass"))
NOBODY = ("unreachable", "timeout")
FTP_HELPER = """
table inet ftp {
    ct helper ftp { type "ftp" protocol tcp; }
    chain c { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp"; }
}
"""


def reached_server(lab, family, port=3389):
    """Opens a selected connection: (who answered, whether any packet of it got to the server)."""
    with lab.watch("server") as seen:
        answer = lab.connect("client", family.server, port)
    return answer, bool(seen.at("server", port))


def test_before_apply_the_server_answers(lab, family):
    assert lab.connect("client", family.server, 3389) == "server"


def test_after_apply_the_gateway_answers(lab, family):
    lab.apply(BLOCK)
    assert reached_server(lab, family) == ("gateway", False)


def test_after_apply_other_traffic_is_not_touched(lab, family):
    lab.apply(BLOCK)
    assert lab.connect("client", family.server, 22) == "server"
    assert lab.connect("client", family.server, 5900) == "server"
    assert lab.ask_udp("client", family.server, 3389) == "server"
    assert lab.connect("client", family.server, 23) == "refused"
    assert lab.connect("client", family.gateway, 22) == "refused"


def test_a_strict_router_redirects_both_families(strict_lab, family):
    strict_lab.apply(BLOCK)
    assert reached_server(strict_lab, family) == ("gateway", False)


def test_a_redirected_connection_lives_on_through_many_packets(lab, family):
    lab.apply(BLOCK)
    connection = lab.open("client", family.server, 3389)
    assert [connection.ask() for _ in range(20)] == ["gateway"] * 20


def test_gateway_link_down_blocks_with_a_clear_error(lab, family):
    lab.apply(BLOCK)
    lab.link_down("eth2")
    assert reached_server(lab, family) == ("unreachable", False)
    assert lab.connect("client", family.server, 22) == "server"


def test_gateway_link_down_bypasses_where_asked(lab, family):
    lab.apply(BYPASS)
    assert lab.connect("client", family.server, 3389) == "gateway"
    lab.link_down("eth2")
    assert lab.connect("client", family.server, 3389) == "server"


def test_a_link_flap_leaves_nothing_leaking_and_the_next_apply_repairs(lab, family):
    lab.apply(BLOCK)
    lab.link_down("eth2")
    lab.link_up("eth2")
    assert reached_server(lab, family) == ("unreachable", False)
    result = lab.apply(BLOCK)
    assert {kind for (kind,) in result.steps("kind")} == {"route"}
    assert reached_server(lab, family) == ("gateway", False)


def test_the_family_whose_address_is_not_back_after_a_flap_stays_blocked(lab):
    lab.apply(BLOCK)
    lab.link_down("eth2")
    lab.ip("router", "link set eth2 up")
    result = lab.detour("apply", BLOCK)
    assert result.exit == 2
    assert result.remaining("kind", "object") == [("route", "ipv6 table 103 default")]
    lab.links.pop("eth2")  # without an address it carries no markers
    assert lab.connect("client", "10.1.0.5", 3389, patience=10) == "gateway"
    assert lab.connect("client", "2001:db8:1::5", 3389) in NOBODY


def test_carrier_loss_blocks(lab, family):
    lab.apply(BLOCK)
    lab.cut_carrier("eth2")
    answer, reached = reached_server(lab, family)
    assert answer in NOBODY and not reached


def test_a_dead_gateway_behind_a_live_link_drops_even_with_bypass(lab, family):
    lab.apply(BYPASS)
    lab.foreign_chain("gateway", "prerouting", -400, "th dport 3389 drop")
    assert reached_server(lab, family) == ("timeout", False)


def test_a_deleted_gateway_interface_blocks(lab, family):
    lab.apply(BLOCK)
    lab.link_delete("eth2")
    answer, reached = reached_server(lab, family)
    assert answer in NOBODY and not reached


def test_a_deleted_gateway_interface_bypasses_where_asked(lab, family):
    lab.apply(BYPASS)
    lab.link_delete("eth2")
    assert lab.connect("client", family.server, 3389) == "server"


def test_a_recreated_gateway_interface_is_repaired_by_the_next_apply(strict_lab, family):
    strict_lab.apply(BLOCK)
    strict_lab.link_delete("eth2")
    strict_lab.add_link("eth2")
    answer, reached = reached_server(strict_lab, family)
    assert answer in NOBODY and not reached
    result = strict_lab.apply(BLOCK)
    assert {kind for (kind,) in result.steps("kind")} == {"route", "rp_filter"}
    assert reached_server(strict_lab, family) == ("gateway", False)


def test_repaired_drift_redirects_again(lab, family):
    lab.apply(BLOCK)
    lab.nft("router", "delete table inet detour")
    assert lab.connect("client", family.server, 3389) == "server"
    result = lab.detour("drift", BLOCK)
    assert (result.exit, result.json["effect"]) == (2, "leak")
    lab.apply(BLOCK)
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_after_destroy_the_server_answers(lab, family):
    lab.apply(BLOCK)
    assert lab.connect("client", family.server, 3389) == "gateway"
    result = lab.detour("destroy")
    assert result.exit == 0
    assert lab.connect("client", family.server, 3389) == "server"


def test_a_redirect_of_one_family_leaves_the_other_alone(lab):
    servers = {"networks": ["10.1.0.0/24"]}
    only4 = document(gateway(addresses=["10.2.0.10"]), redirect(servers=servers))
    lab.apply(only4)
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"
    assert lab.connect("client", "2001:db8:1::5", 3389) == "server"
    assert "fwmark" not in lab.tool("router", "ip -6 rule")


@pytest.mark.parametrize("mark", ["0x10/0xf0", "16/240", 7, "0x80000000/0x80000000", "0x1/0xffff"])
def test_every_form_of_a_mark_redirects(lab, family, mark):
    lab.apply(document(gateway(mark=mark)))
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_foreign_mark_bits_survive(lab, family):
    both = "meta mark set 0x5000000b ct mark set 0x6000000c"
    seen = "ct direction original tcp dport 3389 meta mark 0x5000001b ct mark 0x6000001c counter"
    lab.foreign_chain("router", "prerouting", -200, f"tcp dport 3389 ct mark 0 {both}")
    lab.foreign_chain("router", "forward", 10, seen)
    lab.apply(BLOCK)
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert "counter packets 0 " not in lab.tool("router", "nft list table inet foreign")


def test_a_client_that_asks_a_dnat_address_is_redirected(lab):
    dnat = "ip daddr 10.1.0.77 dnat ip to 10.1.0.5"
    lab.foreign_chain("router", "prerouting", "dstnat", dnat, kind="nat")
    lab.apply(BLOCK)
    with lab.watch("server") as seen:
        assert lab.connect("client", "10.1.0.77", 3389) == "gateway"
    assert not seen.at("server", 3389)


@pytest.mark.parametrize("on_loss", ["block", "bypass"])
def test_the_routers_own_connections_are_not_covered(lab, family, on_loss):
    lab.apply(document(gateway(on_loss=on_loss)))
    with lab.inside("router"):
        sock = socket.create_connection((family.server, 3389), timeout=5)
    with sock:
        assert sock.recv(64) == b"server\n"


def test_ftp_data_goes_with_its_control_connection(lab, family):
    """A connection related to a redirected one bears its mark, whatever its port."""
    ftp = document(None, redirect(services=["21/tcp"]))
    lab.apply(ftp)
    lab.nft("router", FTP_HELPER)
    control = lab.open("client", family.server, 21)
    assert (control.answer, control.ask()) == ("gateway", "gateway")
    wanted = "EPRT |1|%s|5900|" if not family.is_ipv6 else "EPRT |2|%s|5900|"
    control.sock.send((wanted % family.client).encode() + b"\r\n")
    assert control.read_name() == "gateway"
    with lab.watch("client") as seen:
        # The server's data connection to the client: related, so it is sent to the gateway.
        data = lab.connect("server", family.client, 5900)
    assert data != "refused" and not seen.at("client", 5900)


def test_two_labs_do_not_see_each_other():
    with Lab() as first, Lab() as second:
        assert first.connect("client", "10.1.0.5", 3389) == "server"
        assert second.connect("client", "10.1.0.5", 3389) == "server"
