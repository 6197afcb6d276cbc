# SPDX-License-Identifier: GPL-2.0-or-later
"""Procedure step 2: a gateway that opens its own connections from the clients' addresses."""

import socket

import pytest

from lab import document, gateway, redirect

EXCEPT = {
    "interfaces": ["eth0"],
    "networks": ["10.0.0.0/24", "2001:db8::/64"],
    "except": ["10.0.0.99", "2001:db8::99"],
}
SPOOFING = document(
    gateway(spoofs_clients=True), redirect(clients=EXCEPT, services=["3389/tcp", "4000/tcp"])
)


@pytest.fixture
def spoofing_lab(strict_lab):
    strict_lab.spoofing = True
    return strict_lab


def test_the_servers_answers_go_to_the_gateway(spoofing_lab, family):
    lab = spoofing_lab
    lab.apply(SPOOFING)
    connection = lab.open("client", family.server, 3389)
    assert connection.answer == "gateway+server"
    assert [connection.ask() for _ in range(10)] == ["gateway+server"] * 10


def test_the_server_sees_the_clients_address(spoofing_lab, family):
    spoofing_lab.apply(SPOOFING)
    with spoofing_lab.watch("server") as seen:
        connection = spoofing_lab.open("client", family.server, 3389)
    assert connection.answer == "gateway+server"
    sources = {packet.source for packet in seen.at("server", 3389)}
    ports = {packet.sport for packet in seen.at("server", 3389)}
    assert sources == {family.client}
    assert connection.port not in ports


@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_spoofing_works_with_every_value_of_existing_connections(spoofing_lab, family, existing):
    one = redirect(existing_connections=existing)
    spoofing_lab.apply(document(gateway(spoofs_clients=True), one))
    connection = spoofing_lab.open("client", family.server, 3389)
    assert connection.answer == "gateway+server"
    assert connection.ask() == "gateway+server"


def test_an_excluded_client_is_direct_beside_a_spoofing_gateway(spoofing_lab, family):
    spoofing_lab.apply(SPOOFING)
    connection = spoofing_lab.open("client", family.server, 3389, source=family.excluded_client)
    assert connection.answer == "server"
    assert [connection.ask() for _ in range(5)] == ["server"] * 5


def test_a_connection_that_the_server_opens_is_not_touched(spoofing_lab, family):
    lab = spoofing_lab
    lab.apply(SPOOFING)
    assert lab.connect("server", family.client, 9000) == "client"
    assert lab.connect("server", family.client, 9000, source_port=4000) == "client"


def test_a_server_that_is_a_client_of_another_port_is_not_touched(spoofing_lab, family):
    lab = spoofing_lab
    lab.apply(SPOOFING)
    assert lab.connect("client", family.server, 22, source_port=3389) == "server"


def test_other_connections_of_the_gateway_itself_are_not_touched(spoofing_lab, family):
    lab = spoofing_lab
    lab.apply(SPOOFING)
    assert lab.connect("gateway", family.server, 22) == "server"
    assert lab.connect("gateway", family.server, 3389) == "server"


def test_a_link_flap_leaks_no_answer_of_a_server(spoofing_lab, family):
    lab = spoofing_lab
    lab.apply(SPOOFING)
    connection = lab.open("client", family.server, 3389)
    assert connection.answer == "gateway+server"
    lab.link_down("eth2")
    with lab.watch("client", "server") as seen:
        connection.say()
        answer = lab.connect("client", family.server, 3389)
    assert answer == "unreachable"
    assert not seen.at("server", 3389)
    assert not [p for p in seen.at("client", 3389) if p.protocol == "tcp"]


def test_udp_answers_to_a_spoofing_gateway_go_to_the_gateway(lab, family):
    udp = redirect(services=["53/udp"], clients=EXCEPT)
    lab.apply(document(gateway(spoofs_clients=True), udp))
    with lab.watch("client") as seen:
        with lab.socket("gateway", family.server, socket.SOCK_DGRAM, family.client) as sock:
            sock.settimeout(5)
            sock.connect((family.server, 53))
            sock.send(b"question")
            assert sock.recv(64) == b"server\n"
    assert not seen.at("client", 53)
