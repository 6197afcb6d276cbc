# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections that began before the redirect: keep, tracked, redirect."""

import pytest

from lab import document, gateway, redirect, tcp_packet, udp_packet


def track(lab):
    """Somebody else's firewall: from now on the router tracks connections."""
    lab.foreign_chain("router", "prerouting", 0, "ct state established accept")


def wanted(existing, **fields):
    return document(None, redirect(existing_connections=existing, **fields))


def arrivals(lab, action, port=3389):
    """Where the packets of the client went: hosts."""
    with lab.watch("server", "gateway") as seen:
        action()
    return [host for host in ("server", "gateway") if seen.at(host, port)]


@pytest.fixture(params=["untracked", "tracked"])
def lab_with_session(request, lab, family):
    """A lab with an open session, on a router that tracks connections, or never did."""
    if request.param == "tracked":
        track(lab)
    session = lab.open("client", family.server, 3389)
    assert session.answer == "server"
    assert bool(lab.tracked()) == (request.param == "tracked")
    return lab, session


def test_keep_leaves_a_session_alone(lab_with_session, family):
    lab, session = lab_with_session
    lab.apply(wanted("keep"))
    assert [session.ask() for _ in range(5)] == ["server"] * 5
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert session.ask() == "server"


def test_keep_is_the_default(lab_with_session, family):
    lab, session = lab_with_session
    lab.apply(document())
    assert session.ask() == "server"


def test_keep_leaves_a_session_alone_after_conntrack_lost_it(lab_with_session, family):
    lab, session = lab_with_session
    lab.apply(wanted("keep"))
    assert session.ask() == "server"
    lab.tool("router", "conntrack -F")
    assert session.ask() == "server"


def test_keep_leaves_a_session_alone_when_the_server_speaks_first(lab_with_session, family):
    lab, session = lab_with_session
    lab.apply(wanted("keep"))
    lab.tool("router", "conntrack -F")
    server_speaks(lab, family, session)
    assert session.ask() == "server"


def server_speaks(lab, family, session):
    """A packet of the session from the server's side, before any other: a stale acknowledgement.

    The client's kernel answers it, so that this too passes the router.
    """
    lab.send("server", tcp_packet(family.server, family.client, 3389, session.port, "A", 1, 1))
    lab.settle()


def test_keep_is_reported_as_exposed(lab_with_session, family):
    """It goes on unaudited when conntrack loses it: the document's plan says so."""
    lab, _ = lab_with_session
    lab.apply(wanted("redirect"))
    plan = lab.detour("plan", wanted("keep"))
    assert ("update", "nft_rule", "exposed") in plan.steps("action", "kind", "effect")


def test_tracked_leaves_a_session_alone_that_conntrack_knows(lab, family):
    track(lab)
    session = lab.open("client", family.server, 3389)
    lab.apply(wanted("tracked"))
    assert [session.ask() for _ in range(5)] == ["server"] * 5
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_tracked_selects_a_session_that_conntrack_never_knew(lab, family):
    session = lab.open("client", family.server, 3389)
    assert not lab.tracked()
    lab.apply(wanted("tracked"))
    assert arrivals(lab, session.say) == ["gateway"]


def test_tracked_selects_a_session_after_conntrack_lost_it(lab, family):
    track(lab)
    session = lab.open("client", family.server, 3389)
    lab.apply(wanted("tracked"))
    assert session.ask() == "server"
    lab.tool("router", "conntrack -F")
    assert arrivals(lab, session.say) == ["gateway"]


def test_tracked_selects_a_lost_session_whichever_side_speaks_first(lab, family):
    track(lab)
    session = lab.open("client", family.server, 3389)
    lab.apply(wanted("tracked"))
    lab.tool("router", "conntrack -F")
    with lab.watch("server", "gateway") as seen:
        server_speaks(lab, family, session)
        session.say()
    assert not seen.at("server", 3389)
    assert seen.at("gateway", 3389)


def test_redirect_selects_a_session_from_its_next_packet_on(lab_with_session, family):
    lab, session = lab_with_session
    lab.apply(wanted("redirect"))
    assert arrivals(lab, session.say) == ["gateway"]


def test_redirect_selects_a_session_when_the_server_speaks_first(lab_with_session, family):
    lab, session = lab_with_session
    lab.apply(wanted("redirect"))
    lab.tool("router", "conntrack -F")
    with lab.watch("server", "gateway") as seen:
        server_speaks(lab, family, session)
        session.say()
    assert not seen.at("server", 3389)


@pytest.mark.parametrize("existing", ["tracked", "redirect"])
def test_a_redirected_session_that_conntrack_lost_stays_with_the_gateway(lab, family, existing):
    lab.apply(wanted(existing))
    session = lab.open("client", family.server, 3389)
    assert session.answer == "gateway"
    lab.tool("router", "conntrack -F")
    assert session.ask() == "gateway"


@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_a_session_of_another_service_is_never_touched(lab, family, existing):
    session = lab.open("client", family.server, 22)
    lab.apply(wanted(existing))
    assert session.ask() == "server"
    lab.tool("router", "conntrack -F")
    assert session.ask() == "server"


@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_a_session_of_an_excluded_client_is_never_touched(lab, family, existing):
    clients = {"interfaces": ["eth0"], "except": ["10.0.0.99", "2001:db8::99"]}
    session = lab.open("client", family.server, 3389, source=family.excluded_client)
    lab.apply(wanted(existing, clients=clients))
    assert session.ask() == "server"
    lab.tool("router", "conntrack -F")
    assert session.ask() == "server"


@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_a_tracked_one_way_udp_flow(lab, family, existing):
    """keep and tracked leave a flow that conntrack knew; redirect takes its next packet."""
    track(lab)
    send = lambda: lab.send("client", udp_packet(family.client, family.server, 4000, 514))
    assert arrivals(lab, send, 514) == ["server"]
    lab.apply(wanted(existing, services=["514/udp"]))
    for _ in range(3):
        assert arrivals(lab, send, 514) == (["gateway"] if existing == "redirect" else ["server"])


@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_an_untracked_udp_flow_begins_with_the_first_packet_that_conntrack_sees(
    lab, family, existing
):
    send = lambda: lab.send("client", udp_packet(family.client, family.server, 4000, 514))
    assert arrivals(lab, send, 514) == ["server"]
    lab.apply(wanted(existing, services=["514/udp"]))
    assert arrivals(lab, send, 514) == ["gateway"]


def test_each_redirect_has_its_own_value(lab, family):
    rdp = lab.open("client", family.server, 3389)
    ssh = lab.open("client", family.server, 22)
    redirects = [
        redirect(existing_connections="keep"),
        redirect(name="ssh", services=["22/tcp"], existing_connections="redirect"),
    ]
    lab.apply(document(None, redirects))
    assert rdp.ask() == "server"
    assert arrivals(lab, ssh.say, 22) == ["gateway"]


@pytest.mark.parametrize("existing", ["keep", "tracked", "redirect"])
def test_invalid_packets_of_a_kept_session_are_refused(lab, family, existing):
    session = lab.open("client", family.server, 3389)
    lab.apply(wanted(existing))
    session.say()
    packet = tcp_packet(family.client, family.server, session.port, 3389, "SF")
    with lab.watch("server") as seen:
        lab.send("client", packet)
    assert not [p for p in seen.at("server", 3389) if p.flags == "FS"]


def test_a_marked_connection_from_before_the_first_apply_is_reported(lab, family):
    """Old entries that bear our bits would be hijacked: the plan counts them."""
    lab.foreign_chain("router", "prerouting", 0, "tcp dport 22 ct mark set 0x10")
    session = lab.open("client", family.server, 22)
    assert session.answer == "server"
    lab.nft("router", "delete table inet foreign")
    plan = lab.detour("plan", document(gateway()))
    assert plan.exit == 2
    assert any("1 connection" in warning["message"] for warning in plan.json["warnings"])
