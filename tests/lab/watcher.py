# SPDX-License-Identifier: GPL-2.0-or-later
"""A running `detour watch`, and the lines that it says."""

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

import jsonschema

from lab import DETOUR, PATIENCE, REPO

DOCUMENT = pathlib.Path("/etc/detour/detour.json")


def make_validator():
    """The schema of events, with that of reports inside."""
    event, report = (
        json.loads((REPO / f"schemas/{name}.schema.json").read_text())
        for name in ("event", "report")
    )
    assert event["properties"]["report"].pop("$ref") == report.pop("$id")
    event["$defs"] = report.pop("$defs")
    event["properties"]["report"] |= report
    return jsonschema.Draft202012Validator(event)


VALIDATOR = make_validator()


def write_document(document, path=DOCUMENT):
    """As a careful editor does: a new file in the place of the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


# As systemd does: files from number 3 on, and who they are for.
GIVE_KEPT = """
import os, sys
at = sys.argv.index("--")
for place, fd in enumerate(sys.argv[1:at], 3):
    os.dup2(int(fd), place)
os.closerange(at + 2, 1024)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(at - 1)}
os.execvp(sys.argv[at + 1], sys.argv[at + 1 :])
"""


class Watcher:
    """with Watcher(lab, "--repair") as watcher: ... It must end well when it is asked to."""

    def __init__(self, lab, *args, document=None, program=DETOUR, env=None, wrapper=(), kept=None):
        """kept: files that a service manager has kept for it, by name."""
        if document is not None:
            write_document(document)
        words = [*wrapper, program, "watch", "--json", *args]
        if kept:
            env = (env or os.environ) | {"LISTEN_FDNAMES": ":".join(kept)}
            words = [sys.executable, "-c", GIVE_KEPT, *map(str, kept.values()), "--", *words]
        with lab.inside("router"):
            self.process = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                pass_fds=(kept or {}).values(),
            )
        self.pid, self.seen, self.rest, self.taken = self.process.pid, [], b"", 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        output, errors = self.process.communicate(timeout=PATIENCE)
        self.rest += output
        self.split()
        if kind is None:
            assert self.process.returncode in (0, -signal.SIGKILL), errors.decode()
            assert not errors, errors.decode()

    def split(self):
        *lines, self.rest = self.rest.split(b"\n")
        for line in map(json.loads, lines):
            faults = [fault.message for fault in VALIDATOR.iter_errors(line)]
            assert not faults, f"{faults}\n{line}"
            self.seen.append(line)

    def read(self, seconds):
        """More of what it says. False when nothing came in time."""
        ready = select.select([self.process.stdout], [], [], max(seconds, 0))[0]
        data = self.process.stdout.read1(65536) if ready else b""
        self.rest += data
        self.split()
        return bool(data)

    def wait(self, *names, seconds=PATIENCE, **wanted):
        """The next event of these names, and with these members in its report."""
        end = time.monotonic() + seconds
        while True:
            for line in self.seen[self.taken :]:
                self.taken += 1
                if line["event"] in names and wanted.items() <= line["report"].items():
                    return line
            assert self.read(end - time.monotonic()), f"{names} did not come: {self!r}"

    def await_order(self, lab, wanted):
        """Returns when repairs have led there: at most a minute after a fight."""
        while lab.detour("drift", wanted).exit:
            self.wait("repaired", exit=0, seconds=60)

    def hang_up(self):
        """A request to read the document again."""
        self.process.send_signal(signal.SIGHUP)

    def names(self):
        return [line["event"] for line in self.seen]

    def __repr__(self):
        return "\n".join(json.dumps(line)[:400] for line in self.seen)


# -- Who started it ------------------------------------------------------------------------------


@contextlib.contextmanager
def service_manager(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        sock.settimeout(PATIENCE)
        try:
            yield sock
        finally:
            if name.startswith("/"):
                os.unlink(name)


def await_word(sock, word):
    while True:
        text = sock.recv(4096).decode()
        if text.startswith(word):
            return text


def await_kept(sock, *names):
    """What it has the service manager keep: files by these names. The caller closes them."""
    kept = {}
    while set(kept) != set(names):
        data, fds, *_ = socket.recv_fds(sock, 4096, 1)
        if fds:
            words = dict(line.split("=") for line in data.decode().splitlines())
            assert words["FDSTORE"] == "1" and words["FDPOLL"] == "0"
            (kept[words["FDNAME"]],) = fds
    return kept
