# SPDX-License-Identifier: GPL-2.0-or-later
"""With on_loss block a selected connection fails or goes through the gateway, whatever others do.

Each disturbance is done to a router with a live redirected session. Afterwards neither a new
connection, nor a packet of the live session, nor an odd packet may reach the server.
"""

import struct

import pytest

from lab import (
    SCTP_DATA,
    document,
    gateway,
    icmp_packet,
    redirect,
    sctp_packet,
    tcp_packet,
)

BLOCK = document(None, redirect(services=["3389/tcp", "3389/udp", "3868/sctp"]))


def wipe_rules(lab, family):
    """systemd-networkd: all foreign rules go."""
    lab.ip("router", f"{family.ip} rule flush")
    for priority, table in ((32766, "main"), (32767, "default")):
        if priority == 32766 or not family.is_ipv6:
            lab.ip("router", f"{family.ip} rule add priority {priority} lookup {table}")


def earlier_rule_to_main(lab, family):
    lab.ip("router", f"{family.ip} rule add priority 50 lookup main")


def mark_zeroed_later(lab, family):
    lab.foreign_chain("router", "prerouting", 10, "meta mark set 0")


def mark_zeroed_before_routing(lab, family):
    lab.foreign_chain("router", "prerouting", 2147483646, "meta mark set meta mark & 0xffffff0f")


def foreign_route_in_the_table(lab, family):
    lab.ip("router", f"{family.ip} route add {family.servers} dev eth1 table 103")


def default_replaced_in_the_table(lab, family):
    lab.ip("router", f"{family.ip} route replace default via {family.server} table 103")


def route_deleted(lab, family):
    lab.ip("router", f"{family.ip} route del default table 103")


def table_flushed(lab, family):
    lab.ip("router", f"{family.ip} route flush table 103")


def refusing_rule_deleted_and_route_too(lab, family):
    lab.ip("router", f"{family.ip} rule del priority 101")
    lab.ip("router", f"{family.ip} route del default table 103")


def interface_down(lab, family):
    lab.link_down("eth2")


def interface_flapped(lab, family):
    lab.link_down("eth2")
    lab.link_up("eth2")


def interface_deleted(lab, family):
    lab.link_delete("eth2")


def interface_recreated(lab, family):
    lab.link_delete("eth2")
    lab.add_link("eth2")


def interface_renamed(lab, family):
    lab.link_down("eth2")
    lab.ip("router", "link set eth2 name old2")
    lab.links["old2"] = lab.links.pop("eth2")
    lab.link_up("old2")


def carrier_lost(lab, family):
    lab.cut_carrier("eth2")


def addresses_gone(lab, family):
    lab.ip("router", f"{family.ip} addr flush dev eth2 scope global")


def wipe_rules_while_down(lab, family):
    wipe_rules(lab, family)
    interface_deleted(lab, family)


DISTURBANCES = [
    wipe_rules,
    earlier_rule_to_main,
    mark_zeroed_later,
    mark_zeroed_before_routing,
    foreign_route_in_the_table,
    default_replaced_in_the_table,
    route_deleted,
    table_flushed,
    refusing_rule_deleted_and_route_too,
    interface_down,
    interface_flapped,
    interface_deleted,
    interface_recreated,
    interface_renamed,
    carrier_lost,
    addresses_gone,
    wipe_rules_while_down,
]


def disturb(lab, family, disturbance):
    disturbance(lab, family)
    if disturbance is addresses_gone:  # markers need an address: only the server's net counts
        lab.links = {name: link for name, link in lab.links.items() if name != "eth2"}


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda d: d.__name__)
def test_a_new_connection_never_reaches_the_server_after(lab, family, disturbance):
    lab.apply(BLOCK)
    disturb(lab, family, disturbance)
    with lab.watch("server") as seen:
        answer = lab.connect("client", family.server, 3389)
        udp_answer = lab.ask_udp("client", family.server, 3389)
    assert "server" not in (answer, udp_answer)
    assert not seen.at("server", 3389)
    assert lab.connect("client", family.server, 22) == "server"


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda d: d.__name__)
def test_a_live_connection_never_reaches_the_server_after(lab, family, disturbance):
    lab.apply(BLOCK)
    session = lab.open("client", family.server, 3389)
    assert session.answer == "gateway"
    disturb(lab, family, disturbance)
    with lab.watch("server") as seen:
        session.say()
    assert not seen.at("server", 3389)


OUR_OWN = [
    wipe_rules,
    foreign_route_in_the_table,
    default_replaced_in_the_table,
    route_deleted,
    table_flushed,
    refusing_rule_deleted_and_route_too,
    interface_down,
    interface_flapped,
    interface_deleted,
    interface_recreated,
    interface_renamed,
    addresses_gone,
    wipe_rules_while_down,
]


@pytest.mark.parametrize("disturbance", OUR_OWN, ids=lambda d: d.__name__)
def test_apply_says_0_exactly_when_the_gateway_answers_again_after(lab, family, disturbance):
    lab.apply(BLOCK)
    disturb(lab, family, disturbance)
    result = lab.detour("apply", BLOCK)
    answer = lab.connect("client", family.server, 3389)
    if result.exit == 0:
        assert answer == "gateway"
    else:
        assert result.exit in (2, 3) and answer in ("unreachable", "timeout")


# Packets that conntrack does not know


ODD = {
    "syn_fin": {"flags": "SF"},
    "syn_rst": {"flags": "SR"},
    "null": {"flags": ""},
    "fin_psh_urg": {"flags": "FPU"},
    "bad_checksum": {"flags": "S", "damage": 1},
    "lone_rst": {"flags": "R"},
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_an_invalid_packet_is_refused(lab, family, name, existing):
    lab.apply(document(None, redirect(existing_connections=existing)))
    with lab.watch("server") as seen:
        lab.send("client", tcp_packet(family.client, family.server, 40000, 3389, **ODD[name]))
    assert not seen.at("server", 3389)


@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_an_ack_ahead_of_the_syn_does_not_make_a_connection_look_old(lab, family, existing):
    lab.apply(document(None, redirect(existing_connections=existing)))
    # The server's resets would end the trick: it must not need their help to fail.
    lab.foreign_chain("server", "output", 0, "tcp flags & rst == rst drop")
    ends = family.client, family.server, 40000, 3389
    with lab.watch("server", "gateway") as seen:
        lab.send("client", tcp_packet(*ends, "A", seq=2000, ack=1))
        lab.settle()
        lab.send("client", tcp_packet(*ends, "S", seq=1000))
        lab.settle()
        lab.send("client", tcp_packet(*ends, "PA", seq=1001, ack=1, data=b"hello"))
    opened = [packet for packet in seen.at("server", 3389) if "A" != packet.flags.replace("R", "")]
    assert not [packet for packet in opened if packet.dport == 3389], opened
    assert any("S" in packet.flags for packet in seen.at("gateway", 3389))


def test_invalid_packets_of_other_services_pass(lab, family):
    lab.apply(BLOCK)
    with lab.watch("server") as seen:
        lab.send("client", tcp_packet(family.client, family.server, 40000, 22, "SF"))
    assert seen.at("server", 22)


def test_invalid_packets_of_excluded_clients_pass(lab, family):
    clients = {"interfaces": ["eth0"], "except": ["10.0.0.99", "2001:db8::99"]}
    lab.apply(document(None, redirect(clients=clients)))
    with lab.watch("server") as seen:
        lab.send("client", tcp_packet(family.excluded_client, family.server, 40000, 3389, "SF"))
    assert seen.at("server", 3389)


def test_an_out_of_window_packet_of_a_live_session_is_refused(lab, family):
    lab.apply(BLOCK)
    with lab.watch("gateway") as seen:
        session = lab.open("client", family.server, 3389)
    syn = next(p for p in seen.at("gateway", 3389) if p.flags == "S")
    far = syn.seq + 0x40000000
    with lab.watch("server") as seen:
        lab.send(
            "client",
            tcp_packet(
                family.client, family.server, session.port, 3389, "PA", far, 12345, b"data"
            ),
        )
    assert not seen.at("server", 3389)
    assert session.ask() == "gateway"


def test_untracked_packets_are_refused(lab, family):
    lab.foreign_chain("router", "prerouting", "raw", "th dport { 22, 3389, 3868 } notrack")
    lab.apply(BLOCK)
    with lab.watch("server") as seen:
        lab.connect("client", family.server, 3389)
        lab.ask_udp("client", family.server, 3389)
        lab.send("client", sctp_packet(family.client, family.server, 4000, 3868))
    assert not seen.at("server", 3389) and not seen.at("server", 3868)
    assert lab.connect("client", family.server, 22) == "server"


def test_a_live_session_that_becomes_untracked_is_refused(lab, family):
    lab.apply(BLOCK)
    session = lab.open("client", family.server, 3389)
    lab.foreign_chain("router", "prerouting", "raw", "notrack")
    with lab.watch("server") as seen:
        session.say()
    assert not seen.at("server", 3389)


def test_sctp_data_without_association_is_refused_or_redirected(lab, family):
    lab.apply(document(None, redirect(services=["3868/sctp"], existing_connections="tracked")))
    packet = sctp_packet(family.client, family.server, 4000, 3868, SCTP_DATA, tag=5)
    with lab.watch("server") as seen:
        lab.send("client", packet)
    assert not seen.at("server", 3868)


# ICMP


def icmp_error(family, inner):
    """From the client: "your packet was too big", about a packet of the server's."""
    if family.is_ipv6:
        body = struct.pack("!I", 1280) + inner[:500]
        return icmp_packet(family.client, family.server, (2, 0), body)
    body = struct.pack("!HH", 0, 576) + inner[:28]
    return icmp_packet(family.client, family.server, (3, 4), body)


def test_icmp_errors_about_a_redirected_session_go_with_it(lab, family):
    lab.apply(BLOCK)
    session = lab.open("client", family.server, 3389)
    reply = tcp_packet(family.server, family.client, 3389, session.port, "A", 1, 1)
    with lab.watch("server", "gateway") as seen:
        lab.send("client", icmp_error(family, reply))
    protocol = "icmp6" if family.is_ipv6 else "icmp"
    sent = lambda host: [p for p in seen.at(host, None, protocol) if p.source == family.client]
    errors = lambda host: [p for p in sent(host) if p.payload[0] in (2, 3)]
    assert not errors("server")


def test_ping_is_not_selected(lab, family):
    lab.apply(BLOCK)
    kind = (128, 0) if family.is_ipv6 else (8, 0)
    echo = icmp_packet(family.client, family.server, kind, struct.pack("!HH", 7, 7))
    protocol = "icmp6" if family.is_ipv6 else "icmp"
    with lab.watch("server") as seen:
        lab.send("client", echo)
    assert [p for p in seen.at("server", None, protocol) if p.payload[0] == kind[0]]


def test_a_fragmented_datagram_is_redirected(lab, family):
    lab.apply(BLOCK)
    with lab.watch("server", "gateway") as seen:
        with lab.socket("client", family.server, 2) as sock:
            sock.sendto(b"x" * 4000, (family.server, 3389))
    reached = [p for p in seen.packets["server"] if p.source == family.client]
    assert all(p.dport == 9 or p.protocol == "icmp6" for p in reached), reached
    assert [p for p in seen.packets["gateway"] if p.target == family.server]


@pytest.mark.parametrize("foreign_bits", ["0x10", "0xf0", "0x20", "0xffffffff"])
def test_foreign_code_that_sets_our_bits_on_a_packet_does_not_open_a_way(
    lab, family, foreign_bits
):
    lab.foreign_chain("router", "prerouting", -300, f"tcp dport 3389 meta mark set {foreign_bits}")
    lab.apply(BLOCK)
    with lab.watch("server") as seen:
        assert lab.connect("client", family.server, 3389) == "gateway"
    assert not seen.at("server", 3389)


def test_wg_quick_that_restores_connection_marks_does_not_loop_the_gateway(lab, family):
    """It copies the connection mark to packets from the gateway too, at -150, unmasked."""
    lab.foreign_chain("router", "prerouting", -150, "meta mark set ct mark")
    lab.apply(document(gateway(spoofs_clients=True), redirect(services=["3389/tcp", "3389/udp"])))
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.ask_udp("client", family.server, 3389) == "gateway"
    assert lab.connect("gateway", family.server, 3389) == "server"
