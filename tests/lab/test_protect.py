# SPDX-License-Identifier: GPL-2.0-or-later
"""A table that only the watcher can change: nft flush ruleset passes it by, detour's other verbs go
on as if nothing were different, and it outlives the watcher."""

import collections
import contextlib
import json
import os
import pathlib
import re
import select
import selectors
import signal
import socket
import struct
import subprocess
import time
from concurrent import futures

import pytest

from conftest import IPV4, IPV6
from flusher import Flusher
from lab import DETOUR, PATIENCE, LabError, document, outcome, redirect
from watcher import DOCUMENT, Watcher, await_kept, await_word, service_manager, write_document

OTHER = document(redirects=redirect(services=["22/tcp"]))
NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST = 2, 4
NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE, NFT_MSG_GETTABLE = 10, 0, 1
NFTA_TABLE_NAME, NFTA_TABLE_FLAGS = 1, 2
NFPROTO_INET = 1


def flags(lab):
    """Of the table inet detour, as the kernel tells them; None when it is not there."""
    name = struct.pack("=HH8s", 11, NFTA_TABLE_NAME, b"detour")
    request = struct.pack("=BBH", NFPROTO_INET, 0, 0) + name
    kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE
    header = struct.pack("=IHHII", 16 + len(request), kind, 1, 1, 0)
    with lab.inside("router"):
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    with sock:
        sock.send(header + request)
        data = sock.recv(65536)
    if struct.unpack_from("=H", data, 4)[0] != NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE:
        return None
    at = 20
    while True:
        size, kind = struct.unpack_from("=HH", data, at)
        if kind == NFTA_TABLE_FLAGS:
            return struct.unpack_from("!I", data, at + 4)[0]
        at += (size + 3) & ~3


def handle(lab):
    """The kernel's number of the table inet detour: another one when it was made anew."""
    tables = json.loads(lab.tool("router", "nft -j list tables"))["nftables"][1:]
    return next(item["table"]["handle"] for item in tables if item["table"]["name"] == "detour")


OWNED = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST
QUEUE = 17  # may wait for the watcher


KERNEL = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
pytestmark = pytest.mark.skipif(KERNEL < (6, 9), reason="protection takes Linux 6.9")


@contextlib.contextmanager
def protected(lab, *args, wanted=None, first="repaired"):
    with Watcher(lab, "--protect", *args, document=wanted or document()) as watcher:
        watcher.wait(first, "in-sync", exit=0)
        if flags(lab) != OWNED:
            watcher.wait("protected")
        assert flags(lab) == OWNED
        yield watcher


def expressions(lab):
    """Of all rules, as nft(8) lists them; and what each of their counters counted."""
    listed = json.loads(lab.tool("router", "nft -j list table inet detour"))["nftables"]
    rules = [item["rule"]["expr"] for item in listed if "rule" in item]
    counters = [expr.pop("counter") for rule in rules for expr in rule if "counter" in expr]
    return rules, [counter["packets"] for counter in counters]


def test_nft_flush_ruleset_passes_it_by(lab, family):
    with protected(lab, "--repair"):
        lab.tool("router", "nft flush ruleset")
        assert flags(lab) == OWNED
        assert lab.connect("client", family.server, 3389) == "gateway"
        for stray in ("delete table inet detour", "flush chain inet detour forward"):
            with pytest.raises(LabError):
                lab.nft("router", stray)
        assert lab.detour("drift", document()).exit == 0


def test_a_table_that_stands_is_taken_over_with_its_counters(lab, family):
    lab.apply(document())
    assert lab.connect("client", family.server, 3389) == "gateway"
    (rules, counted), elements = expressions(lab), lab.tool("router", "nft -s list sets inet")
    assert 1 in counted
    with protected(lab, first="in-sync"):
        taken, counts = expressions(lab)
        assert taken == rules
        # The last acknowledgement of the connection may have come in between.
        assert all(count >= before for before, count in zip(counted, counts, strict=True))
        assert lab.tool("router", "nft -s list sets inet") == elements
        assert lab.detour("drift", document()).exit == 0
    assert flags(lab) == NFT_TABLE_F_PERSIST


def test_without_repair_it_protects_whatever_is_applied(lab):
    lab.apply(document())
    with protected(lab, first="in-sync") as watcher:
        lab.detour("destroy")
        assert flags(lab) is None
        lab.apply(document())
        assert flags(lab) == OWNED
        lab.ip("router", "rule del priority 100")
        watcher.wait("drift")


def reports_of_a_session(lab):
    """What a change window says, without what differs from run to run."""
    runs = [
        lab.detour("apply", document()),
        lab.detour("apply", document()),
        lab.detour("plan", OTHER),
        lab.detour("apply", OTHER, "--confirm", "100"),
        lab.detour("revert"),
        lab.detour("drift", document()),
        lab.detour("apply", OTHER, "--confirm", "100"),
        lab.detour("confirm"),
        lab.detour("recover"),
        lab.detour("destroy"),
        lab.detour("apply", document()),
    ]
    for run in runs:
        run.json.pop("pending", None)
    return [(run.exit, run.json, run.errors) for run in runs]


def test_all_verbs_say_and_do_the_same_while_it_runs(lab):
    plain = reports_of_a_session(lab)
    bare = lab.snapshot()
    lab.detour("destroy")
    for file in pathlib.Path("/var/lib/detour").glob("*"):
        file.unlink()
    with Watcher(lab, "--protect", document=document()):
        guarded = reports_of_a_session(lab)
        assert flags(lab) == OWNED
    assert guarded == plain
    assert lab.snapshot()["rules"] == bare["rules"]


def test_a_change_is_reverted_in_time_while_it_runs(lab):
    with protected(lab, "--repair") as watcher:
        lab.apply(OTHER, "--confirm", "1")
        watcher.wait("refused")
        watcher.wait("in-sync")
        assert lab.detour("drift", document()).exit == 0
        assert flags(lab) == OWNED


def test_it_outlives_a_watcher_that_is_killed_and_the_next_takes_it_over(lab):
    with protected(lab, "--repair") as watcher:
        watcher.process.send_signal(signal.SIGKILL)
        watcher.process.wait()
    assert flags(lab) == NFT_TABLE_F_PERSIST
    lab.apply(OTHER)
    assert lab.detour("drift", OTHER).exit == 0
    with protected(lab, "--repair", wanted=OTHER, first="in-sync"):
        lab.tool("router", "nft flush ruleset")
        assert lab.detour("drift", OTHER).exit == 0
        lab.apply(OTHER)
    lab.detour("destroy")
    assert flags(lab) is None


def test_of_two_the_second_says_who_the_first_is(lab):
    with protected(lab, "--repair") as first, lab.inside("router"):
        words = [DETOUR, "watch", "--protect", str(DOCUMENT)]
        second = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert second.returncode == 75
        assert f"process {first.pid} protects the table already" in second.stderr
    assert flags(lab) == NFT_TABLE_F_PERSIST


# -- A watcher that does not answer, or is started again -----------------------------------------


@contextlib.contextmanager
def asked_by(count):
    """So many have asked for the watcher's socket and wait."""
    (path,) = pathlib.Path("/run/detour").glob("*/owner.sock")
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        yield


def test_whoever_asks_a_watcher_that_stands_still_is_told_so_in_time(lab):
    """Also when the queue of those who have asked is full."""
    with protected(lab, "--repair") as watcher:
        lab.apply(OTHER, "--confirm", "100")
        watcher.process.send_signal(signal.SIGSTOP)
        os.waitpid(watcher.pid, os.WUNTRACED)
        try:
            assert lab.detour("confirm").exit == 0  # needs no table
            lab.tool("router", "nft flush ruleset")
            assert lab.connect("client", IPV4.server, 22) == "gateway"
            start = time.monotonic()
            with asked_by(QUEUE - 1), futures.ThreadPoolExecutor() as pool:
                runs = list(pool.map(lab.detour, ("drift", "apply"), (OTHER, document())))
            assert 9 < time.monotonic() - start < 20
        finally:
            watcher.process.send_signal(signal.SIGCONT)
        for run in runs:
            assert (run.exit, run.json["error"]["code"]) == (1, "owner-silent"), repr(run)
        # The other one could not even ask.
        assert sum(f"number {watcher.pid}, does not" in run.text for run in runs) == 1
        assert lab.detour("drift", OTHER).exit == 0
        lab.apply(document())


KEPT = "detour-table", "detour-borrowers"
AS_SERVICE = os.environ | {"NOTIFY_SOCKET": "/run/notify"}


@contextlib.contextmanager
def killed(lab, sock):
    """What the service manager kept of a watcher that has protected the table."""
    with Watcher(lab, "--repair", "--protect", document=document(), env=AS_SERVICE) as watcher:
        watcher.wait("repaired", exit=0)
        kept = await_kept(sock, *KEPT)
        watcher.process.send_signal(signal.SIGKILL)
        watcher.process.wait()
    yield kept
    for fd in kept.values():
        os.close(fd)


def test_while_its_service_is_started_again_the_table_stays_protected_and_verbs_wait(lab):
    with service_manager("/run/notify") as sock, killed(lab, sock) as kept:
        before = handle(lab)
        lab.tool("router", "nft flush ruleset")
        assert handle(lab) == before and flags(lab) == OWNED
        with futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(lab.detour, "apply", OTHER)
            assert select.select([kept["detour-borrowers"]], [], [], PATIENCE)[0]
            with Watcher(lab, "--protect", env=AS_SERVICE, kept=kept) as watcher:
                assert asked.result().exit == 0
                assert lab.detour("drift", OTHER).exit == 0
                assert handle(lab) == before and flags(lab) == OWNED
                second = [DETOUR, "watch", "--protect", str(DOCUMENT)]
                with lab.inside("router"):
                    run = subprocess.run(second, capture_output=True, text=True, timeout=60)
                assert f"process {watcher.pid} protects the table already" in run.stderr
    assert flags(lab) == NFT_TABLE_F_PERSIST


def let_go(sock, kept):
    """As systemd does when it is told to."""
    while kept:
        words = await_word(sock, "FDSTOREREMOVE=1").split("FDNAME=")
        os.close(kept.pop(words[1]))


def test_what_was_kept_for_one_that_protects_nothing_is_let_go(lab):
    with service_manager("/run/notify") as sock, killed(lab, sock) as kept:
        with Watcher(lab, env=AS_SERVICE, kept=kept) as watcher:
            let_go(sock, kept)
            watcher.wait("in-sync")
            assert flags(lab) == NFT_TABLE_F_PERSIST
            lab.apply(OTHER)


def test_what_was_kept_for_one_that_cannot_begin_is_let_go(lab):
    with service_manager("/run/notify") as sock, killed(lab, sock) as kept:
        write_document("{")
        watcher = Watcher(lab, "--protect", env=AS_SERVICE, kept=kept)
        let_go(sock, kept)
        watcher.process.communicate(timeout=PATIENCE)
        assert watcher.process.returncode == 1
        lab.apply(OTHER)


def test_what_was_kept_in_another_network_namespace_is_let_go(lab):
    with service_manager("/run/notify") as sock, killed(lab, sock) as kept:
        elsewhere = ["ip", "netns", "exec", lab.netns("server")]
        with Watcher(lab, "--protect", env=AS_SERVICE, kept=kept, wrapper=elsewhere):
            let_go(sock, kept)
            assert flags(lab) == NFT_TABLE_F_PERSIST


# -- Somebody who flushes everything, a hundred times a second -----------------------------------

GIVEN_UP_AFTER = 1.2  # seconds; the second SYN goes after one


def answer_of(sock):
    try:
        return sock.recv(100).decode().strip() or "closed"
    except OSError as error:
        return outcome(error.errno)


def connect_all(lab, addresses, flusher):
    """Who answers real connections to these, of which each begins between two flushes of its own."""
    answers, waiting = collections.Counter(), {}
    begun, addresses = len(flusher.rounds), collections.deque(addresses)
    with selectors.DefaultSelector() as selector:
        while addresses or waiting:
            now = time.monotonic()
            if addresses and begun < len(flusher.rounds):
                sock = lab.socket("client", addresses[0], socket.SOCK_STREAM)
                sock.setblocking(False)
                sock.connect_ex((addresses.popleft(), 3389))
                selector.register(sock, selectors.EVENT_READ)
                waiting[sock], begun = now + GIVEN_UP_AFTER, begun + 1
            ready = {key.fileobj for key, _ in selector.select(0.001)}
            for sock in [sock for sock, end in waiting.items() if sock in ready or end <= now]:
                answers[answer_of(sock) if sock in ready else "timeout"] += 1
                selector.unregister(sock)
                del waiting[sock]
                sock.close()
    return answers


def test_nothing_leaks_while_others_flush_everything_all_the_time(lab, record_property):
    """Of 1,000 selected connections, among 100 flushes a second, none reaches the server."""
    with protected(lab, "--repair") as watcher:
        before = handle(lab)
        with lab.watch("server") as watch, Flusher(lab) as flusher:
            answers = connect_all(lab, [IPV4.server, IPV6.server] * 500, flusher)
        watcher.await_order(lab, document())
        assert handle(lab) == before and flags(lab) == OWNED
        for family in (IPV4, IPV6):
            assert lab.connect("client", family.server, 3389) == "gateway"
    assert not watch.at("server", 3389) and sum(answers.values()) == 1000
    assert len(flusher.rounds) >= 1000 and flusher.interval() <= 0.01
    text = ", ".join(f"{count} {answer}" for answer, count in answers.most_common())
    flushes = f"{len(flusher.rounds)} flushes, {1 / flusher.interval():.0f} a second"
    record_property("figure", f"{flushes}: of 1000 connections 0 at the server, {text}")


def test_without_protection_the_same_flushes_let_connections_through(lab):
    """So the test above could fail; and the watch survives them."""
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        with Flusher(lab) as flusher:
            assert connect_all(lab, [IPV4.server, IPV6.server] * 20, flusher)["server"]
            watcher.wait("backing-off")
        watcher.await_order(lab, document())
        assert lab.connect("client", IPV4.server, 3389) == "gateway"
