# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes whose system calls fail, or whose process is killed at one: what is left then.

A clean run under strace tells which calls a change makes; then it is made again and again from
the same state, each time with another call tampered with. The call itself is not made then: the
kernel sees nothing of what "failed", and of what a killed process was about to do.
"""

import collections
import contextlib
import difflib
import json
import os
import pathlib
import re
import shutil
import signal
import tempfile

from by_hand import by_hand, undo_by_hand
from conftest import IPV4, IPV6
from lab import DETOUR_PLAIN, Lab, document, gateway, redirect
from test_change_window import NEW, OLD, journal, router

PLAN = pathlib.Path("/run/plan.json")
EVERY_POINT = os.environ.get("DETOUR_FAULTS") == "all"

# What may come from the kernel once. retval: a read that brings less than there is.
SOCKET_ERRORS = ["error=ENOBUFS", "error=EPERM"]
FILE_ERRORS = ["error=ENOSPC", "error=EPERM", "error=EIO"]
ONCE = {
    "sendto": ["error=ENOBUFS", "error=EPERM", "error=EEXIST", "error=EINTR", "error=EIO"],
    "sendmsg": ["error=ENOBUFS", "error=EPERM", "error=EEXIST", "error=EINTR", "error=EIO"],
    "recvmsg": ["error=ENOBUFS", "error=EPERM", "error=EINTR", "error=EIO", "retval=8"],
    "recvfrom": ["error=ENOBUFS", "error=EINTR"],
    "socket": SOCKET_ERRORS,
    "bind": SOCKET_ERRORS,
    "setsockopt": SOCKET_ERRORS,
    "getsockopt": ["error=EPERM"],
    "ioctl": ["error=EPERM"],
    "flock": ["error=EINTR", "error=EIO"],
    "openat": ["error=ENOSPC", "error=EPERM", "error=EIO", "error=EINTR", "error=EEXIST"],
    "read": ["error=EIO", "error=EINTR", "retval=0"],
    "write": ["error=ENOSPC", "error=EIO", "error=EINTR", "error=EPERM"],
    "fsync": FILE_ERRORS,
    "fchmod": ["error=EPERM"],
    "chmod": ["error=EPERM"],
    "close": ["error=EIO"],
    "rename": FILE_ERRORS,
    "unlink": ["error=EPERM", "error=EIO"],
    "mkdir": [*FILE_ERRORS, "error=EEXIST"],
    "getdents64": ["error=EIO"],
}
# What may stay as it is from some call on, so that undoing the change fails as well.
FOR_EVER = {
    "sendto": ["error=EPERM", "error=ENOBUFS"],
    "sendmsg": ["error=EPERM", "error=ENOBUFS"],
    "recvmsg": ["error=EIO"],
    "openat": ["error=EIO"],
    "write": ["error=ENOSPC"],
    "fsync": ["error=EIO"],
    "rename": ["error=ENOSPC"],
    "unlink": ["error=EPERM"],
}
WRITES = re.compile(
    r"sendto\(.*nlmsg_type=(RTM_(NEW|DEL|SET)|[^,}]*NFT_MSG_(NEW|DEL)|[^,}]*CT_DELETE)"
    r"|sendmsg\(|write\([^12]|fsync\(|fchmod\(|chmod\(|rename\(|unlink\(|mkdir\(|openat\(.*O_CREAT"
)
MEMORY_CALLS = "brk", "mmap", "munmap", "mprotect"  # how many there are, chance decides
# 2: the last look could not see all that was done, and says that steps remain.
NEW_STATE, OLD_STATE, UNKNOWN = (0, 2), (1, 3, 4, 5, 75), 6
KILLED = -signal.SIGKILL, 128 + signal.SIGKILL

Point = collections.namedtuple("Point", "call number line")  # the number-th of these calls


class Violation(Exception):
    pass


def require(is_so, *what):
    if not is_so:
        raise Violation(" ".join(str(word) for word in what))


class Change:
    """From a known state to another one, over and over. To be made in a fresh lab."""

    def __init__(self, lab):
        self.lab = lab
        self.start()
        self.before = router(lab)
        self.points = self.record()
        self.after = router(lab)
        self.undone = self.before  # where recover leads
        self.start()

    def run(self, verb, document=None, *args, **options):
        return self.lab.detour(verb, document, *args, program=DETOUR_PLAIN, **options)

    def must(self, *words):
        result = self.run(*words)
        require(result.exit == 0, words[0], repr(result))
        return result

    def record(self):
        """Makes the change; the system calls of the program itself, its loading left out."""
        with tempfile.NamedTemporaryFile("r", dir="/run") as log:
            strace = ["strace", "-qq", "-s", "0", "-v", "-o", log.name]
            result = self.make(strace)
            assert result.exit == 0, repr(result)
            lines = [line for line in log if re.match(r"\w+\(", line)]
        counts, found = collections.Counter(), []
        for line in lines:
            call = line.split("(", 1)[0]
            counts[call] += 1
            found.append(Point(call, counts[call], line.strip()))
        began = next(i for i, point in enumerate(found) if point.call == "prlimit64")
        return found[began + 1 :]

    def tampered(self, point, tampering, last=""):
        """Makes the change with one call tampered with; None when it did not come to that call."""
        with tempfile.NamedTemporaryFile("r", dir="/run") as log:
            inject = f"inject={point.call}:{tampering}:when={point.number}{last}"
            strace = ["strace", "-qq", "-s", "0", "-e", f"trace={point.call}", "-e", inject]
            result = self.make([*strace, "-o", log.name])
            return result if result.exit in KILLED or "(INJECTED)" in log.read() else None

    # What a kind of change is

    def start(self):
        """To the state before it."""
        raise NotImplementedError

    def make(self, wrapper=()):
        raise NotImplementedError

    def finish(self):
        """Makes it without faults, from wherever the router is now."""
        require(self.make().exit == 0, "the next run does not succeed")


class FirstApply(Change):
    def start(self):
        self.must("destroy")
        for directory in ("/run/detour", "/var/lib/detour"):
            shutil.rmtree(directory, ignore_errors=True)

    def make(self, wrapper=()):
        return self.run("apply", OLD, "--again", wants_json=False, wrapper=wrapper)


class Update(Change):
    """Names, rp_filter, routes, rules, elements and nft rules: some go, some come, some change."""

    def start(self):
        self.must("apply", OLD, "--again")

    def make(self, wrapper=()):
        return self.run("apply", NEW, "--again", wants_json=False, wrapper=wrapper)


class SavedPlan(Update):
    def start(self):
        super().start()
        PLAN.unlink(missing_ok=True)
        require(self.run("plan", NEW, "--out", str(PLAN)).exit == 2, "plan")

    def make(self, wrapper=()):
        return self.run("apply", PLAN, "--again", wants_json=False, wrapper=wrapper)

    def finish(self):
        """It fits the old state only."""
        require(super().make().exit == 0, "the next run does not succeed")


class Destroy(Change):
    def start(self):
        self.must("apply", OLD, "--again")

    def make(self, wrapper=()):
        return self.run("destroy", wants_json=False, wrapper=wrapper)


class Recover(Change):
    """Of an update that was killed after its last write, as nothing else has more to undo."""

    def __init__(self, lab):
        self.update = Update(lab)
        ends = [p for p in self.update.points if p.call == "unlink" and '/journal.json"' in p.line]
        self.killed_at = ends[-1]
        super().__init__(lab)
        self.undone = self.after
        assert self.undone == self.update.before

    def start(self):
        self.update.start()
        self.update.tampered(self.killed_at, "signal=KILL")
        require(journal(self.lab), "the update was not interrupted")

    def make(self, wrapper=()):
        return self.run("recover", wants_json=False, wrapper=wrapper)


class TakeOver(Change):
    """What was typed by hand, twice, gives way to a document that says the same."""

    document = document(
        gateway(mark=1, spoofs_clients=True),
        redirect(existing_connections="redirect"),
    )

    def start(self):
        self.must("destroy")
        undo_by_hand(self.lab, IPV4)
        undo_by_hand(self.lab, IPV6)
        for family in (IPV4, IPV6, IPV4):
            by_hand(self.lab, family)

    def make(self, wrapper=()):
        words = ["apply", self.document, "--again", "--take-over"]
        return self.run(*words, wants_json=False, wrapper=wrapper)


CHANGES = {
    "first_apply": FirstApply,
    "update": Update,
    "saved_plan": SavedPlan,
    "destroy": Destroy,
    "recover": Recover,
    "take_over": TakeOver,
}


def tamperings(points, table):
    """Only of standard input is less there than what was written: no file loses its end."""
    is_possible = lambda point, what: what != "retval=0" or point.line.startswith("read(0,")
    found = [(point, what) for point in points for what in table.get(point.call, ())]
    return [pair for pair in found if is_possible(*pair)]


def kills(points):
    """Before each call that writes, and after it, which is before the next call of any kind."""
    at = set()
    for i, point in enumerate(points):
        if WRITES.match(point.line):
            at.add(i)
            at.add(next(j for j in range(i + 1, len(points)) if points[j].call not in MEMORY_CALLS))
    return [(points[i], "signal=KILL") for i in sorted(at)]


def sample(found, size):
    """All of them, or some that are spread evenly, always the same."""
    if EVERY_POINT or len(found) <= size:
        return found
    return [found[i * len(found) // size] for i in range(size)]


# -- What must hold ------------------------------------------------------------------------------


def require_state(change, wanted, *what):
    state = router(change.lab)
    require(state == wanted, *what, difference(state, wanted))


def after_a_failure(change, result):
    """What came of it; Violation when that is not what the exit code says."""
    if result.exit in NEW_STATE:
        require_state(change, change.after, "exit", result.exit, "but not the new state:")
        return "new"
    if result.exit in OLD_STATE:
        if journal(change.lab) and not isinstance(change, Recover):
            # The note of how to undo it cannot be taken away, or more would have to be undone.
            found = router(change.lab) | {"records": change.before["records"]}
            require(found == change.before, "exit", result.exit, difference(found, change.before))
            require(change.run("recover").exit == 0, "recover")
        require_state(change, change.before, "exit", result.exit, "but not the old state:")
        return "old"
    require(result.exit == UNKNOWN, repr(result))
    recovered = change.run("recover")
    require(recovered.exit == 0, "recover:", repr(recovered))
    if router(change.lab) != change.after:
        require_state(change, change.undone, "recovered, but neither old nor new:")
    return "undetermined, then recovered"


def after_a_kill(change, result):
    require(result.exit in KILLED, "not killed:", repr(result))
    is_open = journal(change.lab) is not None
    recovered = change.run("recover")
    require((recovered.exit, journal(change.lab)) == (0, None), "recover:", repr(recovered))
    if not is_open and router(change.lab) == change.after:
        return "new"
    require_state(change, change.undone, "recovered, but not the old state:")
    return "old"


def difference(found, wanted):
    """What is too much and what is missing, as far as a line or two can say."""
    lines = lambda shot: json.dumps(shot, default=repr, indent=1).splitlines()
    changed = []
    for key in wanted:
        if found[key] != wanted[key]:
            delta = difflib.unified_diff(lines(wanted[key]), lines(found[key]), n=0, lineterm="")
            changed += [f"{key}: {line}" for line in delta if line[:3] not in ("---", "+++")]
    return "; ".join(changed)[:1000]


def sweep(kind, choose, judge, size, last=""):
    """Tampers with a change at each of the points chosen in turn: (outcomes, violations)."""
    outcomes, violations, todo = collections.Counter(), [], None
    while todo is None or todo:  # after a violation on in a fresh lab
        with Lab(strict=True, second_gateway=True) as lab:
            change = CHANGES[kind](lab)
            todo = sample(choose(change.points), size) if todo is None else todo
            with contextlib.suppress(Violation):
                while todo:
                    point, what = todo.pop(0)
                    try:
                        outcomes[judge_one(change, point, what, last, judge)] += 1
                    except Violation as violation:
                        where = f"{kind} -e inject={point.call}:{what}:when={point.number}{last}"
                        violations.append(f"{where}: {violation}\n  at {point.line[:200]}")
                        raise
    return outcomes, violations


def judge_one(change, point, what, last, judge):
    result = change.tampered(point, what, last)
    outcome = judge(change, result) if result else "not reached"
    change.finish()
    require_state(change, change.after, "the next run does not converge:")
    change.start()
    return outcome
