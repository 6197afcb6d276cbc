# SPDX-License-Identifier: GPL-2.0-or-later
"""A running `detour watch`, and the lines that it says."""

import json
import pathlib
import select
import signal
import subprocess
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


class Watcher:
    """with Watcher(lab, "--repair") as watcher: ... It must end well when it is asked to."""

    def __init__(self, lab, *args, document=None, program=DETOUR, env=None, wrapper=()):
        if document is not None:
            write_document(document)
        words = [*wrapper, program, "watch", "--json", *args]
        with lab.inside("router"):
            self.process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
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

    def hang_up(self):
        """A request to read the document again."""
        self.process.send_signal(signal.SIGHUP)

    def names(self):
        return [line["event"] for line in self.seen]

    def __repr__(self):
        return "\n".join(json.dumps(line)[:400] for line in self.seen)
