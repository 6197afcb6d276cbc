# SPDX-License-Identifier: GPL-2.0-or-later
"""A router that is watched: what is undone is told and repaired at once, by the one code path that
apply has, and whatever happens to the document, the disk or the links, the watch goes on."""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from lab import DETOUR, DETOUR_PLAIN, PATIENCE, Flood, document, gateway, redirect, tcp_packet
from watcher import DOCUMENT, Watcher, await_word, service_manager, write_document

OTHER = document(redirects=redirect(services=["22/tcp"]))
EMPTY = document(redirects=[])
TABLE = "delete table inet detour"
RTMGRP_IPV4_ROUTE = 0x40
RTM_NEWROUTE = 24


def objects(line, of="steps"):
    return [(step["action"], step["kind"], step["object"]) for step in line["report"][of]]


def when(line):
    return datetime.datetime.fromisoformat(line["time"])


def last_change():
    (path,) = pathlib.Path("/run/detour").glob("*/last.json")
    return json.loads(path.read_text())


# -- What is told, and what is repaired ----------------------------------------------------------


def test_drift_is_told_as_it_happens_and_by_whom(lab):
    lab.apply(document())
    before = lab.snapshot()
    with Watcher(lab, document=document()) as watcher:
        watcher.wait("in-sync")
        lab.ip("router", "rule del priority 100")
        line = watcher.wait("drift", effect="outage")
        assert [kind for _, kind, _ in objects(line)] == ["rule"]
        assert (line["suspect"]["name"] in ("ip", "")) and not line["suspect"]["certain"]
        lab.nft("router", TABLE)
        line = watcher.wait("drift", effect="leak")
        assert line["suspect"]["name"] == "nft" and line["suspect"]["certain"]
        lab.apply(document())
        watcher.wait("in-sync")
    after = lab.snapshot()
    assert before["rules"] == after["rules"] and before["rp_filter"] == after["rp_filter"]


def test_without_repair_nothing_is_written(lab):
    with Watcher(lab, document=document()) as watcher:
        before = lab.snapshot(), sorted(pathlib.Path("/run").glob("detour/**/*"))
        watcher.wait("drift")
        lab.ip("router", "route add 10.9.0.0/16 dev eth2 table 103")
        watcher.wait("conflict")
        lab.ip("router", "route del 10.9.0.0/16 dev eth2 table 103")
        watcher.wait("drift")
        assert (lab.snapshot(), sorted(pathlib.Path("/run").glob("detour/**/*"))) == before


UNDONE = [
    ("nft_table", lambda lab: lab.nft("router", TABLE)),
    ("nft_rule", lambda lab: lab.nft("router", "flush chain inet detour forward")),
    ("rule", lambda lab: lab.ip("router", "rule del priority 100")),
    ("rule", lambda lab: lab.ip("router", "-6 rule del priority 101")),
    ("route", lambda lab: lab.ip("router", "route flush table 103")),
    ("rp_filter", lambda lab: lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)),
]


def test_whatever_is_undone_is_put_back(strict_lab):
    lab = strict_lab
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        for kind, undo in UNDONE:
            undo(lab)
            line = watcher.wait("repaired", "backing-off", exit=0)
            assert kind in [kind for _, kind, _ in objects(line)]
            watcher.await_order(lab, document())
            watcher.hang_up()  # a new beginning: this is no fight
            watcher.wait("document")
            watcher.wait("in-sync")
        last = last_change()
        assert (last["verb"], last["exit"]) == ("watch", 0)
        assert json.loads(pathlib.Path("/var/lib/detour/confirmed.json").read_text()) == document()
        assert not list(pathlib.Path("/run/detour").glob("*/journal.json"))


def test_a_link_that_is_renamed_is_waited_for(lab):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        lab.ip("router", "link set eth2 down", "link set eth2 name other", "link set other up")
        while "does not exist" not in watcher.wait("drift")["report"]["remaining"][0]["waits"]:
            pass
        lab.ip("router", "link set other down", "link set other name eth2")
        lab.link_up("eth2")
        watcher.wait("repaired", exit=0)


def await_route(sock):
    """Returns once the kernel announces a route in the gateway's table."""
    while True:
        data = sock.recv(65536)
        while data:
            size, kind = struct.unpack_from("=IH", data)
            if kind == RTM_NEWROUTE and data[20] == 103:
                return
            data = data[(size + 3) & ~3 :]


def test_the_route_is_back_at_once_after_each_loss_of_the_link(lab):
    """And nothing leaks meanwhile. How long it takes is a row of the bench."""
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        with lab.inside("router"):
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        make = lambda number: tcp_packet("10.0.0.2", "10.1.0.5", 1024 + number % 60000, 3389)
        with sock, lab.watch("server") as watch, Flood(watch, make):
            sock.bind((0, RTMGRP_IPV4_ROUTE))
            sock.settimeout(PATIENCE)
            for _ in range(10):
                lab.ip("router", "link set eth2 down")
                watcher.wait("drift")
                lab.ip("router", "link set eth2 up")
                await_route(sock)
                watcher.wait("repaired")
            lab.link_up("eth2")
            watcher.wait("repaired", exit=0)
        assert not watch.at("server", 3389)
        assert "backing-off" not in watcher.names()


# -- Floods, fights, floods of events ------------------------------------------------------------


def cpu_of(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def foreign_routes(lab, count):
    lines = [f"route add 10.8.{i // 256}.{i % 256}/32 dev eth1" for i in range(count)]
    lab.ip("router", *lines)
    lab.ip("router", *(line.replace("add", "del") for line in lines))


def test_a_storm_of_foreign_changes_costs_little(lab, record_property):
    lab.apply(document())
    with Watcher(lab, document=document(), program=DETOUR_PLAIN) as watcher:
        watcher.wait("in-sync")
        before = cpu_of(watcher.pid)
        foreign_routes(lab, 5000)
        lab.nft("router", "add table inet foreign\n" + "add chain inet foreign c\n" * 2)
        lab.ip("router", "rule del priority 100")
        watcher.wait("drift")
        spent = cpu_of(watcher.pid) - before
        assert "events-lost" not in watcher.names()
    record_property("figure", f"a storm of 10000 foreign changes: {spent * 1000:.0f} ms of CPU")
    assert spent < 0.5


def test_lost_events_lead_to_a_look_at_everything(lab):
    lab.apply(document())
    with Watcher(lab, document=document()) as watcher:
        watcher.wait("in-sync")
        watcher.process.send_signal(signal.SIGSTOP)
        os.waitpid(watcher.pid, os.WUNTRACED)
        foreign_routes(lab, 15000)
        lab.ip("router", "rule del priority 100")
        watcher.process.send_signal(signal.SIGCONT)
        watcher.wait("events-lost")
        watcher.wait("drift", effect="outage")


def test_it_does_not_fight_and_names_who_undoes_its_repairs(lab):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        for _ in range(3):
            lab.nft("router", TABLE)
            watcher.wait("repaired", exit=0)
        line = watcher.wait("backing-off")
        assert line["hold_seconds"] == 1
        assert (line["suspect"]["name"], line["suspect"]["certain"]) == ("nft", True)
        lab.nft("router", TABLE)
        held = when(watcher.wait("repaired", exit=0)) - when(line)
        assert held.total_seconds() > 0.5  # more than half of it, whatever the telling took
        assert watcher.wait("backing-off")["hold_seconds"] == 2


def test_memory_does_not_grow_with_events(lab, record_property):
    """100,000 of them, all about an object of ours."""
    rule = "priority 100 fwmark 0x10/0xf0 table 103 protocol 103"
    lab.apply(document())
    with Watcher(lab, document=document(), program=DETOUR_PLAIN) as watcher:
        sizes = []
        for _ in range(5):
            lab.ip("router", *[f"rule del {rule}", f"rule add {rule}"] * 10000)
            watcher.hang_up()
            watcher.wait("document")
            watcher.wait("in-sync")
            sizes.append(resident(watcher.pid) // 1024)
        assert "events-lost" not in watcher.names()
    record_property("figure", f"memory after 20000, 40000, ... events: {sizes} KiB")
    assert sizes[-1] - sizes[0] < 256, sizes


# -- The document --------------------------------------------------------------------------------


def test_a_new_document_holds_at_once(lab):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        write_document(OTHER)
        watcher.wait("document")
        watcher.wait("repaired", exit=0)
        assert lab.detour("drift", OTHER).exit == 0
        DOCUMENT.write_text(json.dumps(document()))  # in place
        watcher.wait("document")
        watcher.wait("repaired", exit=0)
        DOCUMENT.write_text(json.dumps(document(), indent=4))  # says the same
        watcher.hang_up()
        watcher.wait("document")
        assert watcher.names().count("document") == 3


def replace_by_directory():
    DOCUMENT.unlink()
    DOCUMENT.mkdir()


def replace_by_fifo():
    DOCUMENT.unlink()
    os.mkfifo(DOCUMENT)


def clear_the_way():
    shutil.rmtree(DOCUMENT.parent)


BAD = {
    "truncated": lambda: write_document('{"version": 1'),
    "at fault": lambda: write_document(document(gateway(mark="0x10"))),
    "empty": lambda: write_document(EMPTY),
    "deleted": DOCUMENT.unlink,
    "renamed": lambda: DOCUMENT.rename(DOCUMENT.with_suffix(".old")),
    "a directory": replace_by_directory,
    "a fifo": replace_by_fifo,
    "without its directory": clear_the_way,
}


@pytest.mark.parametrize("name", BAD)
def test_the_last_good_document_holds_while_the_new_one_is_bad(lab, name):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        BAD[name]()
        line = watcher.wait("document-refused")
        assert line["report"].get("errors") or line["report"]["error"]["message"]
        lab.nft("router", TABLE)
        watcher.wait("repaired", exit=0)
        assert lab.detour("drift", document()).exit == 0
        if DOCUMENT.parent.exists():
            clear_the_way()
        write_document(OTHER)
        watcher.hang_up()
        watcher.wait("document")
        watcher.wait("repaired", exit=0)
        assert lab.detour("drift", OTHER).exit == 0


@pytest.mark.parametrize("args", [["-"], ["/etc/detour/none.json"], ["/etc/detour"]])
def test_it_does_not_start_without_a_document(lab, args):
    DOCUMENT.parent.mkdir(exist_ok=True)
    with lab.inside("router"):
        run = subprocess.run([DETOUR, "watch", *args], capture_output=True, text=True, timeout=60)
    assert run.returncode == (64 if args == ["-"] else 1)
    assert run.stderr.startswith("detour: ") and not run.stdout


# -- Others who run detour -----------------------------------------------------------------------


def test_it_idles_while_a_change_is_pending_and_goes_on_when_it_is_confirmed(lab):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        lab.apply(OTHER, "--confirm", "100")
        assert watcher.wait("refused")["report"]["error"]["code"] == "pending"
        lab.nft("router", "add chain inet detour foreign")
        write_document(OTHER)
        watcher.wait("document")
        assert watcher.wait("refused")["report"]["error"]["code"] == "pending"
        assert lab.detour("confirm").exit == 0
        line = watcher.wait("repaired", exit=0)
        assert objects(line) == [("delete", "nft_chain", "foreign")]


def test_what_was_reverted_is_not_put_back(lab):
    lab.apply(document())
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("in-sync")
        lab.apply(OTHER, "--confirm", "100")
        watcher.wait("refused")
        write_document(OTHER)
        watcher.wait("refused")
        assert lab.detour("revert").exit == 0
        assert watcher.wait("refused")["report"]["error"]["code"] == "reverted"
        assert lab.detour("drift", document()).exit == 0
        write_document(document())
        watcher.wait("in-sync")


@pytest.mark.parametrize("verb", ["destroy", "apply"])
def test_what_detour_was_asked_for_by_hand_is_not_undone(lab, verb):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        wanted = OTHER if verb == "apply" else None
        assert lab.detour(verb, wanted).exit == 0
        line = watcher.wait("refused")
        assert line["report"]["error"]["code"] == "superseded"
        assert lab.detour("drift", wanted or document(gateways=[], redirects=[])).exit == 0
        watcher.hang_up()
        watcher.wait("repaired", exit=0)
        assert lab.detour("drift", document()).exit == 0


def test_it_waits_for_whoever_holds_the_lock(lab):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        (path,) = pathlib.Path("/run/detour").glob("*/lock")
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        lab.nft("router", TABLE)
        seen = len(watcher.seen)
        assert not watcher.read(0.3) and len(watcher.seen) == seen
        os.close(fd)
        watcher.wait("repaired", exit=0)


# -- A full disk ---------------------------------------------------------------------------------


@contextlib.contextmanager
def full(directory):
    """Room for nothing: what yields makes some."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", directory], check=True)
    try:
        (directory / "ballast").write_bytes(b"x" * 8192)
        yield lambda: subprocess.run(["mount", "-o", "remount,size=8m", directory], check=True)
    finally:
        # The watcher may still be writing there that it repaired.
        subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk_is_told_and_tried_again(lab):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        (run,) = pathlib.Path("/run/detour").glob("*")
        with full(run) as make_room:
            lab.nft("router", TABLE)
            assert "No space" in watcher.wait("failed", exit=1)["report"]["error"]["message"]
            make_room()
            watcher.wait("repaired", exit=0)


def test_a_document_that_cannot_be_remembered_is_applied_and_that_is_told(lab):
    with Watcher(lab, "--repair", document=document()) as watcher:
        watcher.wait("repaired", exit=0)
        with full(pathlib.Path("/var/lib/detour")):
            write_document(OTHER)
            line = watcher.wait("repaired", exit=0)
            assert [notice["code"] for notice in line["report"]["warnings"]] == ["not-remembered"]
            lab.nft("router", TABLE)
            watcher.wait("repaired", exit=0)
        assert lab.detour("drift", OTHER).exit == 0


# -- systemd -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/run/notify", "@detour-test"])
def test_systemd_is_told_its_state(lab, name):
    with lab.inside("router"), service_manager(name) as sock:
        env = os.environ | {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}
        with Watcher(lab, "--repair", document=document(), env=env) as watcher:
            await_word(sock, "STATUS=repaired")
            await_word(sock, "READY=1")
            await_word(sock, "WATCHDOG=1")
            watcher.hang_up()
            text = await_word(sock, "RELOADING=1")
            assert int(text.split("MONOTONIC_USEC=")[1]) > 0
            await_word(sock, "READY=1")
            watcher.process.send_signal(signal.SIGTERM)
            await_word(sock, "STOPPING=1")


def test_it_goes_on_when_nobody_can_hear_it(lab):
    write_document(document())
    env = os.environ | {"NOTIFY_SOCKET": "/run/notify"}
    with service_manager("/run/notify") as sock, open("/dev/full", "w") as full:
        with lab.inside("router"):
            process = subprocess.Popen([DETOUR, "watch", "--repair"], stdout=full, env=env)
        try:
            await_word(sock, "READY=1")
            lab.nft("router", TABLE)
            await_word(sock, "STATUS=repaired")
            assert lab.detour("drift", document()).exit == 0
        finally:
            process.terminate()
            process.wait(PATIENCE)
