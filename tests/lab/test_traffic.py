# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections while everything that can happen to a router happens: changes, failures, deaths."""

import socket
import threading
import time

from lab import document, gateway, redirect
from test_change_window import kill_at, points, strace
from traffic import Traffic, source_port

SELECTED, UNSELECTED = 3389, 8080
ADDRESSES = "10.1.0.5", "2001:db8:1::5"
WANTED = 8000
SO_RCVBUFFORCE = 33

FIRST = document()
MOVED = gateway(addresses=["10.2.0.11", "2001:db8:2::11"])
ELSEWHERE = document(gateway(table=140, priority=140, mark="0x20/0xf0"))
UPDATES = {
    "an element more": document(None, redirect(services=["3389/tcp", "5900-5910/tcp"])),
    "a redirect more": document(None, [redirect(), redirect(name="ssh", services=["22/tcp"])]),
    "a redirect less": FIRST,
    "another address of the gateway": document(MOVED),
    "another mark": document(gateway(mark="0x20/0xf0")),
    "another table": document(gateway(table=140)),
    "another rp_filter": document(gateway(rp_filter="off")),
    "all of a gateway": ELSEWHERE,
}


class Drain(threading.Thread):
    """Empties the sniffers while the block runs, so that they lose nothing."""

    def __init__(self, watch):
        super().__init__(daemon=True)
        self.watch, self.ended = watch, threading.Event()

    def __enter__(self):
        for sock in self.watch.sockets.values():
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.start()

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.wait(0.01):
            self.watch.drain()


def fail(lab, wanted, point):
    """An apply that fails at a netlink message and is rolled back."""
    inject = f"inject=sendto:error=EPERM:when={point[1]}"
    wrapper = strace("-e", "trace=sendto", "-e", inject, "-o", "/dev/null")
    result = lab.detour("apply", wanted, "--again", wrapper=wrapper)
    assert result.exit in (1, 5), repr(result)  # 1: it was the first write


def amid_the_writes(lab):
    """Some of the netlink messages by which FIRST becomes ELSEWHERE."""
    lab.apply(FIRST)
    sent = [point for point in points(lab, ELSEWHERE) if point[0] == "sendto"]
    assert lab.detour("destroy").exit == 0
    return sent[1::4]


def everything(lab, traffic, writes):
    """(when the first apply had returned, when destroy began): all that happens in between."""
    traffic.flow(50)
    lab.apply(FIRST)
    began = time.monotonic()
    while len(traffic.attempts) < WANTED:
        for wanted in UPDATES.values():
            lab.apply(wanted, "--again")
            traffic.flow(20)
        lab.apply(FIRST)
        for point in writes:
            fail(lab, ELSEWHERE, point)
            traffic.flow(10)
            kill_at(lab, ELSEWHERE, point, "--again")
            traffic.flow(10)
            assert lab.detour("recover").exit == 0
            traffic.flow(10)
        lab.apply(ELSEWHERE, "--confirm", "100")
        traffic.flow(20)
        assert lab.detour("revert").exit == 0
        traffic.flow(20)
    ended = time.monotonic()
    assert lab.detour("destroy").exit == 0
    traffic.flow(50)
    return began, ended


def test_no_selected_connection_gets_past_the_gateway_and_no_other_is_disturbed(strict_lab, record_property):
    lab = strict_lab
    for address in ("10.2.0.11/24", "2001:db8:2::11/64"):
        lab.ip("gateway", f"addr add {address} dev eth0 nodad")
    writes = amid_the_writes(lab)
    lasting = [lab.open("client", address, UNSELECTED) for address in ADDRESSES]
    targets = [(address, port) for port in (SELECTED, UNSELECTED) for address in ADDRESSES]
    with lab.watch("server") as seen, Drain(seen):
        with Traffic(lab, targets) as traffic:
            began, ended = everything(lab, traffic, writes)
    selected = [attempt for attempt in traffic.attempts if attempt.port == SELECTED]
    others = [attempt for attempt in traffic.attempts if attempt.port == UNSELECTED]
    audited = [a for a in selected if began <= a.began and a.sent <= ended]
    arrived = {(p.target, p.sport) for p in seen.at("server", SELECTED) if p.flags == "S"}
    past = [a for a in audited if (a.address, source_port(a.number)) in arrived]
    disturbed = sum(attempt.answer != "server" for attempt in others)
    record_property(
        "figure",
        f"{len(traffic.attempts)} connections: {len(audited)} selected ones between first apply "
        f"and destroy, {len(past)} past the gateway; {len(others)} unselected ones, {disturbed} "
        "disturbed",
    )
    assert len(traffic.attempts) >= WANTED
    assert not past and not [a for a in audited if a.answer == "server"]
    assert not [attempt for attempt in others if attempt.answer != "server"]
    assert [connection.ask() for connection in lasting] == ["server", "server"]
    assert {a.answer for a in selected if a.sent < began or a.began > ended} >= {"server"}
    assert {a.answer for a in audited} >= {"gateway"}
