# SPDX-License-Identifier: GPL-2.0-or-later
"""Which connections are redirected: clients, servers, services, exceptions, interfaces."""

import pytest

from lab import (
    SCTP_COOKIE_ECHO,
    SCTP_DATA,
    SCTP_INIT,
    document,
    gateway,
    redirect,
    second_gateway,
    sctp_packet,
    udp_packet,
)

BOTH_CLIENTS = ["10.0.0.0/24", "2001:db8::/64"]
BOTH_SERVERS = ["10.1.0.0/24", "2001:db8:1::/64"]
EXCEPT_CLIENTS = ["10.0.0.99", "2001:db8::99"]
EXCEPT_SERVERS = ["10.1.0.250-10.1.0.254", "2001:db8:1::250-2001:db8:1::254"]
SECOND = second_gateway()


def with_exceptions(**fields):
    clients = {"interfaces": ["eth0"], "networks": BOTH_CLIENTS, "except": EXCEPT_CLIENTS}
    servers = {"networks": BOTH_SERVERS, "except": EXCEPT_SERVERS}
    return redirect(clients=clients, servers=servers, **fields)


# Exceptions


def test_an_excluded_client_is_direct(lab, family):
    lab.apply(document(None, with_exceptions()))
    ask = lambda source: lab.connect("client", family.server, 3389, source=source)
    assert ask(family.excluded_client) == "server"
    assert ask(family.client) == ask(family.other_client) == "gateway"


def test_an_excluded_server_is_direct(lab, family):
    lab.apply(document(None, with_exceptions()))
    assert lab.connect("client", family.excluded_server, 3389) == "server"
    assert lab.connect("client", family.other_server, 3389) == "gateway"


@pytest.mark.parametrize(
    "spoofs, existing", [(False, "keep"), (True, "keep"), (True, "tracked"), (True, "redirect")]
)
@pytest.mark.parametrize("host", ["client", "server"])
def test_an_excluded_client_is_direct_on_retransmission(lab, family, spoofs, existing, host):
    """The first answers are lost (at the server, or on arrival): both sides send again."""
    lab.apply(
        document(gateway(spoofs_clients=spoofs), with_exceptions(existing_connections=existing))
    )
    lossy = "tcp flags & (syn | ack) == syn | ack numgen inc mod 1000 < 1 drop"
    lab.foreign_chain(host, "output" if host == "server" else "input", 0, lossy)
    with lab.watch("gateway") as seen:
        options = {"source": family.excluded_client, "patience": 5}
        assert lab.connect("client", family.server, 3389, **options) == "server"
    assert not seen.at("gateway", 3389)


def test_an_excluded_client_stays_direct_in_every_later_packet(lab, family):
    lab.apply(document(gateway(spoofs_clients=True), with_exceptions()))
    connection = lab.open("client", family.server, 3389, source=family.excluded_client)
    with lab.watch("gateway") as seen:
        assert [connection.ask() for _ in range(20)] == ["server"] * 20
    assert not seen.at("gateway", 3389)


def test_clients_networks_limit_the_redirect(lab, family):
    clients = {"interfaces": ["eth0"], "networks": ["10.0.0.3", "2001:db8::3/128"]}
    lab.apply(document(None, redirect(clients=clients)))
    assert lab.connect("client", family.server, 3389) == "server"
    assert lab.connect("client", family.server, 3389, source=family.other_client) == "gateway"


def test_an_exception_of_one_redirect_does_not_bind_another(lab, family):
    all_but = with_exceptions()
    ssh = redirect(name="ssh", services=["22/tcp"])
    lab.apply(document(None, [all_but, ssh]))
    options = {"source": family.excluded_client}
    assert lab.connect("client", family.server, 22, **options) == "gateway"
    assert lab.connect("client", family.server, 3389, **options) == "server"


def test_an_exception_yields_to_an_overlapping_redirect_that_has_none(lab, family):
    lab.apply(document(None, [with_exceptions(), redirect(name="everybody")]))
    options = {"source": family.excluded_client}
    assert lab.connect("client", family.server, 3389, **options) == "gateway"
    assert lab.connect("client", family.excluded_server, 3389) == "gateway"


# Ranges, services, interfaces


def test_an_address_range_has_inclusive_ends(lab, family):
    ranges = ["10.1.0.5-10.1.0.6", "2001:db8:1::5-2001:db8:1::6"]
    lab.apply(document(None, redirect(servers={"networks": ranges})))
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.other_server, 3389) == "gateway"
    assert lab.connect("client", family.excluded_server, 3389) == "server"


def test_a_single_address_is_a_network(lab, family):
    lab.apply(document(None, redirect(servers={"networks": ["10.1.0.6", "2001:db8:1::6"]})))
    assert lab.connect("client", family.other_server, 3389) == "gateway"
    assert lab.connect("client", family.server, 3389) == "server"


def test_a_port_range_has_inclusive_ends(lab, family):
    lab.apply(document(None, redirect(services=["3389/tcp", "5900-5910/tcp"])))
    ports = (3389, 5900, 5905, 5910)
    assert {lab.connect("client", family.server, port) for port in ports} == {"gateway"}
    assert lab.connect("client", family.server, 5899) == "server"
    assert lab.connect("client", family.server, 5911) == "server"


def test_a_source_port_that_is_a_service_selects_nothing(lab, family):
    lab.apply(document(gateway(spoofs_clients=True)))
    assert lab.connect("client", family.server, 22, source_port=3389) == "server"


def test_overlapping_lists_are_accepted(lab, family):
    overlapping = redirect(
        servers={"networks": BOTH_SERVERS + ["10.1.0.5", "10.1.0.0/25", "2001:db8:1::5"]},
        services=["3389/tcp", "3000-4000/tcp", "3389-3389/tcp"],
    )
    lab.apply(document(None, overlapping))
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_wildcard_matches_interfaces_by_prefix(wide_lab, family):
    lab = wide_lab
    ask = lambda host: lab.connect(host, family.server, 3389)
    lab.apply(document(None, redirect(clients={"interfaces": ["vlan*"]})))
    assert (ask("client2"), ask("client")) == ("gateway", "server")
    lab.apply(document(None, redirect(clients={"interfaces": ["vlan2*", "eth0"]})))
    assert (ask("client2"), ask("client")) == ("gateway", "gateway")
    lab.apply(document(None, redirect(clients={"interfaces": ["vlan30", "eth0"]})))
    assert (ask("client2"), ask("client")) == ("server", "gateway")


def test_an_interface_that_appears_later_is_covered_by_its_wildcard(lab, family):
    lab.apply(document(None, redirect(clients={"interfaces": ["eth0", "vlan*"]})))
    lab.plug_in_client2("vlan7")
    with lab.watch("server") as seen:
        assert lab.connect("client2", family.server, 3389) == "gateway"
    assert not seen.at("server", 3389)


def test_a_disabled_redirect_is_as_if_it_were_not_there(lab, family):
    redirects = [redirect(enabled=False), redirect(name="ssh", services=["22/tcp"], enabled=True)]
    lab.apply(document(None, redirects))
    assert lab.connect("client", family.server, 3389) == "server"
    assert lab.connect("client", family.server, 22) == "gateway"


def test_disabling_and_enabling_again_moves_new_connections(lab, family):
    redirects = lambda on: [redirect(enabled=on), redirect(name="ssh", services=["22/tcp"])]
    for enabled, who in ((True, "gateway"), (False, "server"), (True, "gateway")):
        lab.apply(document(None, redirects(enabled)))
        assert lab.connect("client", family.server, 3389) == who


# Several gateways and redirects


def test_two_gateways_each_get_their_own(wide_lab, family):
    ssh = redirect(name="ssh", gateway="second", services=["22/tcp"])
    wide_lab.apply(document([gateway(), SECOND], [redirect(), ssh]))
    assert wide_lab.connect("client", family.server, 3389) == "gateway"
    assert wide_lab.connect("client", family.server, 22) == "gateway2"
    assert wide_lab.connect("client", family.server, 5900) == "server"


def test_the_loss_of_one_gateway_does_not_touch_the_other(wide_lab, family):
    ssh = redirect(name="ssh", gateway="second", services=["22/tcp"])
    wide_lab.apply(document([gateway(), SECOND], [redirect(), ssh]))
    wide_lab.link_down("eth3")
    assert wide_lab.connect("client", family.server, 22) == "unreachable"
    assert wide_lab.connect("client", family.server, 3389) == "gateway"


def test_block_and_bypass_live_side_by_side(wide_lab, family):
    ssh = redirect(name="ssh", gateway="second", services=["22/tcp"])
    lab, bypassing = wide_lab, SECOND | {"on_loss": "bypass"}
    lab.apply(document([gateway(), bypassing], [redirect(), ssh]))
    lab.link_down("eth2")
    lab.link_down("eth3")
    assert lab.connect("client", family.server, 3389) == "unreachable"
    assert lab.connect("client", family.server, 22) == "server"


def test_gateways_may_share_an_interface_and_differ_in_servers(lab, family):
    lab.ip("gateway", "addr add 10.2.0.11/24 dev eth0", "addr add 2001:db8:2::11/64 dev eth0 nodad")
    twin = SECOND | {"interface": "eth2", "addresses": ["10.2.0.11", "2001:db8:2::11"]}
    here = redirect(servers={"networks": ["10.1.0.5", "2001:db8:1::5"]})
    there = redirect(
        name="there", gateway="second", servers={"networks": ["10.1.0.6", "2001:db8:1::6"]}
    )
    lab.apply(document([gateway(), twin], [here, there]))
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.other_server, 3389) == "gateway"
    marks = ["0x10", "0x20"]
    assert all(lab.tool("router", ["ip", family.ip, "rule"]).count(mark) for mark in marks)


def test_many_redirects_with_overlapping_servers_are_tried_in_order(lab, family):
    redirects = [
        redirect(name=f"r{i}", services=[f"{5900 + i}/tcp"], servers={"networks": networks})
        for i, networks in enumerate([["10.1.0.5", "2001:db8:1::5"], BOTH_SERVERS] * 5)
    ]
    lab.apply(document(None, redirects))
    assert lab.connect("client", family.server, 5900) == "gateway"
    assert lab.connect("client", family.other_server, 5900) == "server"
    assert lab.connect("client", family.server, 5905) == "gateway"
    assert lab.connect("client", family.other_server, 5905) == "gateway"
    assert lab.connect("client", family.server, 5910) == "server"


def test_a_gateway_without_redirects_redirects_nothing(lab, family):
    lab.apply(document([gateway()], []))
    assert lab.connect("client", family.server, 3389) == "server"


# UDP and SCTP


def test_udp_is_redirected(lab, family):
    lab.apply(document(None, redirect(services=["53/udp"])))
    assert lab.ask_udp("client", family.server, 53) == "gateway"
    assert lab.ask_udp("client", family.server, 3389) == "server"


def test_udp_and_tcp_of_one_port_are_apart(lab, family):
    lab.apply(document(None, redirect(services=["3389/udp"])))
    assert lab.ask_udp("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.server, 3389) == "server"


def test_every_datagram_of_a_one_way_flow_goes_to_the_gateway(lab, family):
    lab.apply(document(None, redirect(services=["514/udp"])))
    with lab.watch("server", "gateway") as seen:
        for _ in range(5):
            lab.send("client", udp_packet(family.client, family.server, 4000, 514))
    assert len(seen.at("gateway", 514)) == 5 and not seen.at("server", 514)


def test_udp_is_blocked_when_the_link_is_down(lab, family):
    lab.apply(document(None, redirect(services=["53/udp"])))
    lab.link_down("eth2")
    with lab.watch("server") as seen:
        assert lab.ask_udp("client", family.server, 53) == "unreachable"
    assert not seen.at("server", 53)


def sctp_goes(lab, family, chunk, **options):
    with lab.watch("server", "gateway") as seen:
        lab.send("client", sctp_packet(family.client, family.server, 4000, 3868, chunk, **options))
    return [host for host in ("server", "gateway") if seen.at(host, 3868, "sctp")]


def test_sctp_is_redirected(lab, family):
    assert sctp_goes(lab, family, SCTP_INIT) == ["server"]
    lab.apply(document(None, redirect(services=["3868/sctp"])))
    assert sctp_goes(lab, family, SCTP_INIT) == ["gateway"]
    lab.link_down("eth2")
    assert sctp_goes(lab, family, SCTP_INIT) == []


@pytest.mark.parametrize("chunk", [SCTP_DATA, SCTP_COOKIE_ECHO])
def test_sctp_that_does_not_begin_with_init_never_slips_past_redirect(lab, family, chunk):
    only = redirect(services=["3868/sctp"], existing_connections="redirect")
    lab.apply(document(None, only))
    assert "server" not in sctp_goes(lab, family, chunk, tag=7)
