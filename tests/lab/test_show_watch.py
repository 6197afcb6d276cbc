# SPDX-License-Identifier: GPL-2.0-or-later
"""A picture that is drawn again and again. Whatever ends it, the terminal is as it was."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import jsonschema
import pytest

from lab import DETOUR, PATIENCE, REPO, document, gateway, redirect
from watcher import DOCUMENT, write_document

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((REPO / "schemas/report.schema.json").read_text())
)
OTHER_SCREEN, USUAL_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """`detour show --watch` on a terminal of that many rows."""

    def __init__(self, lab, *args, rows=50):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 100, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.seen, self.taken = b"", 0
        with lab.inside("router"):
            self.process = subprocess.Popen(
                [DETOUR, "show", "--watch", *args, str(DOCUMENT)],
                stdin=self.slave,
                stdout=self.slave,
                stderr=subprocess.PIPE,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.close()

    def close(self):
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)

    def read(self, seconds):
        ready = select.select([self.master], [], [], seconds)[0]
        data = os.read(self.master, 65536) if ready else b""
        self.seen += data
        return data

    def wait(self, pattern):
        """What was drawn up to the pattern's next appearance."""
        while not (found := re.compile(pattern).search(self.seen, self.taken)):
            assert self.read(PATIENCE), f"{pattern} did not come: {self.seen[self.taken :]}"
        drawn, self.taken = self.seen[self.taken : found.end()], found.end()
        return drawn

    def press(self, keys):
        os.write(self.master, keys)

    def end(self):
        """The exit code of the program, which has been asked to end."""
        errors = self.process.communicate(timeout=PATIENCE)[1]
        while self.read(0):
            pass
        assert not errors, errors.decode()
        return self.process.returncode

    def assert_restored(self):
        assert termios.tcgetattr(self.slave) == self.before
        for change, restore in ((OTHER_SCREEN, USUAL_SCREEN), (HIDE_CURSOR, SHOW_CURSOR)):
            assert self.seen.count(change) == self.seen.count(restore) == 1
            assert self.seen.index(change) < self.seen.index(restore)
        assert self.seen.endswith(USUAL_SCREEN)


def test_a_link_that_goes_down_is_drawn_until_q(lab):
    lab.apply(document())
    write_document(document())
    with Terminal(lab) as terminal:
        assert OTHER_SCREEN in terminal.wait(rb"eth2 +up")
        terminal.wait(b"q ends it")
        assert not termios.tcgetattr(terminal.slave)[3] & (termios.ECHO | termios.ICANON)
        lab.link_down("eth2")
        terminal.wait(rb"eth2 +down")
        terminal.wait(b"q ends it")
        terminal.press(b"q")
        assert terminal.end() == 2
        terminal.assert_restored()


def test_the_exit_code_is_that_of_the_last_look(lab):
    write_document(document())
    with Terminal(lab) as terminal:
        terminal.wait(b"not live")
        lab.apply(document())
        terminal.wait(b"In sync")
        terminal.press(b"xyq")
        assert terminal.end() == 0
        terminal.assert_restored()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_q_does(lab, number):
    lab.apply(document())
    write_document(document())
    with Terminal(lab) as terminal:
        terminal.wait(b"q ends it")
        terminal.process.send_signal(number)
        assert terminal.end() == 0
        terminal.assert_restored()


def test_keys_that_would_leave_the_screen_as_it_is_do_nothing_else(lab):
    lab.apply(document())
    write_document(document())
    with Terminal(lab) as terminal:
        terminal.wait(b"q ends it")
        terminal.press(b"\x1a\x1c")  # Ctrl-Z and Ctrl-\
        terminal.wait(b"q ends it")
        terminal.press(b"q")
        assert terminal.end() == 0
        terminal.assert_restored()


def test_what_does_not_fit_is_cut_off(lab):
    write_document(document())
    with Terminal(lab, rows=6) as terminal:
        drawn = terminal.wait(b"q ends it")
        assert drawn.count(b"\n") == 5 and b"more lines do not fit" in drawn
        terminal.press(b"q")
        assert terminal.end() == 2


def test_it_ends_with_its_terminal(lab):
    write_document(document())
    with Terminal(lab) as terminal:
        terminal.wait(b"q ends it")
        terminal.close()
        terminal.process.communicate(timeout=PATIENCE)


def test_a_document_with_faults_leaves_the_screen_alone(lab):
    write_document(document(gateways=gateway(mark="0")))
    with Terminal(lab) as terminal:
        errors = terminal.process.communicate(timeout=PATIENCE)[1]
        assert b"/gateways/0/mark" in errors and terminal.process.returncode == 1
        terminal.read(0)
        assert OTHER_SCREEN not in terminal.seen


def test_one_name_of_it_is_drawn_again_and_again(lab):
    lab.apply(document(None, [redirect(), redirect(name="ssh", services=["22/tcp"])]))
    write_document(document())
    with Terminal(lab, "--only", "rdp") as terminal:
        assert b" ssh " not in terminal.wait(b"q ends it")
        terminal.press(b"q")
        assert terminal.end() == 2


def test_a_name_that_nothing_has_leaves_the_screen_alone(lab):
    write_document(document())
    with Terminal(lab, "--only", "rpd") as terminal:
        errors = terminal.process.communicate(timeout=PATIENCE)[1]
        assert b"--only rpd" in errors and terminal.process.returncode == 64
        terminal.read(0)
        assert OTHER_SCREEN not in terminal.seen


def test_without_a_terminal_it_is_refused(lab):
    run = lab.detour("show", document(), "--watch", wants_json=False)
    assert run.exit == 64 and OTHER_SCREEN.decode() not in run.text
    assert "show --watch draws on a terminal" in run.errors


def test_json_is_one_object_a_line(lab):
    lab.apply(document())
    write_document(document())
    with lab.inside("router"):
        process = subprocess.Popen(
            [DETOUR, "show", "--watch", "--json", str(DOCUMENT)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    with process:
        line = json.loads(process.stdout.readline())
        VALIDATOR.validate(line)
        assert (line["exit"], line["gateways"][0]["link"]) == (0, "up")
        lab.link_down("eth2")
        for text in process.stdout:
            line = json.loads(text)
            if line["gateways"][0]["link"] == "down":
                break
        process.terminate()
        rest, errors = process.communicate(timeout=PATIENCE)
        last = [line, *map(json.loads, rest.splitlines())][-1]
        assert process.returncode == last["exit"] == 2 and not errors


def test_json_of_what_cannot_begin_is_one_line(lab):
    run = lab.detour("show", document(gateways=gateway(mark="0")), "--watch")
    assert run.exit == 1 and run.text.count("\n") == 1
    assert run.json["errors"][0]["pointer"] == "/gateways/0/mark"
