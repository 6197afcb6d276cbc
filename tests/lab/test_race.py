# SPDX-License-Identifier: GPL-2.0-or-later
"""Others write to the router during an apply: no wrong state is ever reported as the right one."""

import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from faults import sample
from lab import DETOUR_PLAIN, document, gateway, redirect

CODES = {0, 1, 2, 3, 4, 5, 6, 75}
OLD = document()
NEW = document(
    gateway(rp_filter="off", table=140, mark="0x20/0xf0"),
    redirect(services=["3389/tcp", "5900-5910/tcp"]),
)
FLUSH = ["nft flush ruleset"]
FOREIGN = ["nft add table inet other", "nft delete table inet other"]
RULES = [f"ip {family} rule del priority {n}" for family in ("-4", "-6") for n in (100, 101)]
ROUTES = [f"ip {family} route flush table {n}" for family in ("-4", "-6") for n in (103, 140)]
WRITERS = {"flush": FLUSH, "rules": RULES, "routes": ROUTES, "another_table": FOREIGN}
PLENTY = 10  # seconds that an apply may take with all its attempts, on a busy machine


def write(lab, commands):
    """What is not there cannot be deleted."""
    for command in commands:
        with lab.inside("router"):
            subprocess.run(command.split(), stderr=subprocess.DEVNULL, check=False)


# -- One write at a chosen moment ----------------------------------------------------------------


class Paused:
    """An apply under strace that stops at its number-th netlink message; go_on() ends it."""

    def __init__(self, lab, wanted, number, *args):
        self.lab, self.messages, self.at = lab, [], None
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        os.mkfifo("/run/strace")
        wrapper = ["strace", "-f", "-s", "0", "-v", "-o", "/run/strace", "-e", "trace=sendto"]
        wrapper += ["-e", f"inject=sendto:signal=STOP:when={number}"]
        words = ["apply", wanted, "--again", *args]
        self.apply = self.pool.submit(
            lab.detour, *words, wrapper=wrapper, program=DETOUR_PLAIN
        )
        self.log = open("/run/strace")
        os.unlink("/run/strace")
        self.read_until("stopped by SIGSTOP")
        self.at = len(self.messages)

    def read_until(self, text):
        for line in self.log:
            self.pid = int(line.split()[0])
            if "sendto(" in line:
                self.messages += re.findall(r"nlmsg_type=([^,}]+)", line)[:1]
            if text in line:
                return

    def go_on(self):
        if not self.apply.done():
            os.kill(self.pid, signal.SIGCONT)
        self.read_until("exited with")
        result = self.apply.result(60)
        self.log.close()
        self.pool.shutdown()
        return result

    def was_before_the_last_look(self):
        """Each look begins with the rules; what was there before it, it has seen."""
        looks = [i for i, kind in enumerate(self.messages) if kind == "RTM_GETRULE"]
        starts = [i for i in looks if i == 0 or self.messages[i - 1] != "RTM_GETRULE"]
        return self.at <= starts[-1]


def netlink_messages(lab):
    """How many an undisturbed apply sends."""
    paused = Paused(lab, NEW, 1)
    assert paused.go_on().exit == 0
    return len(paused.messages)


@pytest.mark.parametrize("writer", WRITERS)
def test_what_another_program_does_at_any_moment_of_an_apply_is_seen_or_mended(lab, writer):
    lab.apply(OLD)
    count = netlink_messages(lab)
    judged = 0
    for number in sample(list(range(1, count + 1)), 20):
        lab.apply(OLD, "--again")
        paused = Paused(lab, NEW, number)
        write(lab, WRITERS[writer])
        result = paused.go_on()
        assert result.exit in CODES, (number, repr(result))
        if result.exit == 0 and paused.was_before_the_last_look():
            assert lab.detour("drift", NEW).exit == 0, (number, repr(result))
            judged += 1
        assert lab.detour("apply", NEW, "--again").exit == 0, number
        assert lab.detour("drift", NEW).exit == 0, number
    assert judged > 5


# -- Writes all the time -------------------------------------------------------------------------


@contextlib.contextmanager
def competing(lab, *writers):
    """They write over and over while the block runs, and not once after it."""
    ended = threading.Event()

    def compete(commands, begun):
        while not ended.is_set():
            write(lab, commands)
            begun.set()

    begun = [threading.Event() for _ in writers]
    threads = [threading.Thread(target=compete, args=pair) for pair in zip(writers, begun)]
    try:
        for thread in threads:
            thread.start()
        for event in begun:
            assert event.wait(PLENTY)
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def apply_in_time(lab, wanted):
    began = time.monotonic()
    result = lab.detour("apply", wanted, "--again")
    assert result.exit in CODES, repr(result)
    assert time.monotonic() - began < PLENTY
    return result


@pytest.mark.parametrize("writer", [*WRITERS, "all"])
def test_under_permanent_writers_an_apply_ends_soon_and_the_next_one_converges(lab, writer):
    writers = WRITERS.values() if writer == "all" else [WRITERS[writer]]
    for _ in range(3):
        with competing(lab, *writers):
            for wanted in (NEW, OLD, NEW):
                apply_in_time(lab, wanted)
        assert lab.detour("apply", NEW, "--again").exit == 0
        assert lab.detour("drift", NEW).exit == 0


def test_a_permanent_writer_of_another_table_makes_no_apply_fail(lab):
    """It costs attempts, of which there are enough."""
    with competing(lab, FOREIGN):
        for wanted in (NEW, OLD, NEW):
            assert apply_in_time(lab, wanted).exit == 0
            assert lab.detour("drift", wanted).exit == 0
