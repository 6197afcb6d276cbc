# SPDX-License-Identifier: GPL-2.0-or-later
"""A change over the network that is being changed: one at a time, undone when it is interrupted,
not confirmed or cut off, and afterwards exactly what stood there before."""

import contextlib
import fcntl
import glob
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import termios
import time

import pytest

from lab import DETOUR, PATIENCE, REPO, Lab, document, gateway, redirect, second_gateway
from trace import traced

MEMORY = pathlib.Path("/var/lib/detour")
SECOND = second_gateway()
OLD = document(
    [gateway(), SECOND],
    [
        redirect(services=["3389/tcp", "5900-5910/tcp"]),
        redirect(name="ssh", gateway="second", services=["22/tcp"]),
        redirect(name="web", services=["8080/tcp"], existing_connections="redirect"),
    ],
)
# Another next hop, other elements, another order, another rp_filter, a gateway and a redirect gone.
NEW = document(
    [gateway(addresses=["10.2.0.11", "2001:db8:2::11"], rp_filter="off", on_loss="bypass")],
    [
        redirect(name="web", services=["8080/tcp"], existing_connections="tracked"),
        redirect(
            servers={"networks": ["10.1.0.0/25", "2001:db8:1::/64"], "except": ["10.1.0.7"]},
            services=["3389/tcp"],
        ),
    ],
)
OTHER = document(redirects=redirect(services=["22/tcp"]))


@pytest.fixture(autouse=True)
def reports_have_their_shape(monkeypatch):
    """Every report of these tests is what the schema says."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((REPO / "schemas/report.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    run = Lab.detour

    def checked(*args, **options):
        result = run(*args, **options)
        if result.json:
            faults = [fault.message for fault in validator.iter_errors(result.json)]
            assert not faults, f"{faults}\n{result!r}"
        return result

    monkeypatch.setattr(Lab, "detour", checked)


def without_handles(item):
    if isinstance(item, list):
        return [without_handles(entry) for entry in item]
    if isinstance(item, dict):
        return {key: without_handles(value) for key, value in item.items() if key != "handle"}
    return item


def ordered(ruleset):
    """Rules in their order; sets, maps and chains have none."""
    rules = [item for item in ruleset if "rule" in item]
    others = [json.dumps(item, sort_keys=True) for item in ruleset if "rule" not in item]
    chains = sorted({(item["rule"]["table"], item["rule"]["chain"]) for item in rules})
    of_chain = lambda item: (item["rule"]["table"], item["rule"]["chain"])
    return sorted(others), [[item for item in rules if of_chain(item) == key] for key in chains]


def router(lab):
    """All that a change touches: kernel and names, and the record that destroy goes by."""
    shot = lab.snapshot()
    # A file that was being written when its writer was killed is read by nobody.
    wanted = lambda path: "/var/lib" not in path and not path.endswith(".new")
    files = {path: entry[2] for path, entry in shot["files"].items() if wanted(path)}
    records = [pathlib.Path(path).read_text() for path in glob.glob("/run/detour/*/rp_filter.json")]
    return shot | {"nft": ordered(without_handles(shot["nft"])), "files": files, "records": records}


def run_directory():
    """/run/detour/COOKIE of the router: only one namespace has run detour so far."""
    (path,) = glob.glob("/run/detour/*")
    return pathlib.Path(path)


def journal(lab):
    paths = glob.glob("/run/detour/*/journal.json")
    return json.loads(pathlib.Path(paths[0]).read_text()) if paths else None


def status(lab):
    result = lab.detour("status")
    assert result.exit == (2 if result.json["pending"] else 0), repr(result)
    return result.json


def warnings(result):
    return [warning["code"] for warning in result.json["warnings"]]


def error(result):
    return result.json["error"]["code"]


def await_end(pid):
    """Returns when the process has ended."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        ended = select.select([process], [], [], PATIENCE)[0]
        os.close(process)
        assert ended, f"process {pid} still runs"


def confirm_within(lab, seconds, wanted, *args):
    """Applies with --confirm; the guard's pid."""
    result = lab.apply(wanted, "--confirm", str(seconds), *args)
    assert result.json["pending"]["seconds_left"] <= seconds
    return status(lab)["pending"]["guard"]


def make_overdue(lab):
    """Kills the guard and puts the deadline into the past."""
    pid = status(lab)["pending"]["guard"]
    os.kill(pid, signal.SIGKILL)
    await_end(pid)
    path = run_directory() / "journal.json"
    noted = json.loads(path.read_text())
    path.write_text(json.dumps(noted | {"deadline": 1}))


# -- One at a time -------------------------------------------------------------------------------


@contextlib.contextmanager
def flocked(path):
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield
    os.close(lock)


@contextlib.contextmanager
def lock_held(lab):
    lab.detour("recover")  # makes the directory
    with flocked(run_directory() / "lock"):
        yield


@pytest.mark.parametrize("verb", ["apply", "destroy", "confirm", "revert", "recover"])
def test_who_finds_the_lock_held_exits_75_and_says_by_whom(lab, verb):
    before = lab.snapshot()
    with lock_held(lab):
        wanted = document() if verb == "apply" else None
        result = lab.detour(verb, wanted, "--lock-timeout", "0")
    assert (result.exit, error(result)) == (75, "busy")
    message = result.json["error"]["message"]
    assert str(os.getpid()) in message and "python3" in message
    assert lab.snapshot() == before


@pytest.mark.parametrize("verb", ["plan", "drift", "validate", "status"])
def test_who_only_looks_needs_no_lock(lab, verb):
    with lock_held(lab):
        wanted = None if verb == "status" else document()
        assert lab.detour(verb, wanted).exit in (0, 2)


def test_the_lock_is_waited_for_as_long_as_asked(lab):
    with lock_held(lab):
        began = time.monotonic()
        assert lab.detour("apply", document(), "--lock-timeout", "1").exit == 75
        assert time.monotonic() - began >= 1


def test_an_apply_that_waits_goes_on_when_the_lock_is_free(lab):
    with lock_held(lab):
        with lab.inside("router"):
            waiting = subprocess.Popen(
                [DETOUR, "apply", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        waiting.stdin.write(json.dumps(document()))
        waiting.stdin.close()
        assert waiting.poll() is None
    assert waiting.wait(PATIENCE) == 0
    waiting.stdout.close()
    assert lab.detour("drift", document()).exit == 0


def test_the_lock_of_one_namespace_does_not_hold_up_another(lab):
    with lock_held(lab), lab.inside("server"):
        process = subprocess.run(
            [DETOUR, "destroy", "--lock-timeout", "0"], capture_output=True, timeout=PATIENCE
        )
    assert process.returncode == 0


def test_no_other_user_can_hold_the_lock(lab):
    lab.detour("recover")
    assert (run_directory() / "lock").stat().st_mode & 0o777 == 0o700


# -- Interrupted ---------------------------------------------------------------------------------

SYSCALLS = "sendto,sendmsg,rename,unlink,fsync"
CHANGING = re.compile(r"nlmsg_type=(RTM_(NEW|DEL|SET)|[^,}]*NFT_MSG_(NEW|DEL)|[^,}]*CT_DELETE)")


def strace(*options):
    return ["env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-qq", "-s", "0", *options]


def points(lab, wanted):
    """(system call, how manieth) of an apply's calls that write; undoes the apply."""
    with tempfile.NamedTemporaryFile("r", dir="/run") as log:
        wrapper = strace("-v", "-e", f"trace={SYSCALLS}", "-o", log.name)
        assert lab.detour("apply", wanted, wrapper=wrapper).exit == 0
        lines = list(log)
    counts, found = {}, []
    for line in lines:
        name = line.split("(", 1)[0]
        counts[name] = counts.get(name, 0) + 1
        if not name.startswith("send") or CHANGING.search(line):
            found.append((name, counts[name]))
    return found


def kill_at(lab, wanted, point, *args):
    """Applies, and kills the process as it enters that system call."""
    name, number = point
    inject = f"inject={name}:signal=KILL:when={number}"
    wrapper = strace("-e", f"trace={SYSCALLS}", "-e", inject, "-o", "/dev/null")
    result = lab.detour("apply", wanted, *args, wants_json=False, wrapper=wrapper)
    assert result.exit in (-signal.SIGKILL, 128 + signal.SIGKILL), repr(result)


def first_netlink(found):
    """A point amid the writes: the second netlink message that changes something."""
    return [point for point in found if point[0].startswith("send")][1]


def interrupted(lab, *args):
    """A router on the way from OLD to NEW, whose apply was killed amid its writes."""
    lab.apply(OLD)
    before = router(lab)
    found = points(lab, NEW)
    lab.apply(OLD)
    kill_at(lab, NEW, first_netlink(found), *args)
    assert router(lab) != before
    return before


def test_killed_before_any_call_that_writes_it_leaves_the_old_or_the_new_state(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    before = router(lab)
    found = points(lab, NEW)
    after = router(lab)
    lab.apply(OLD)
    assert len(found) > 15
    for point in found:
        kill_at(lab, NEW, point)
        noted = journal(lab)
        result = lab.detour("recover")
        assert (result.exit, journal(lab)) == (0, None), (point, repr(result))
        assert router(lab) in ((before,) if noted else (before, after)), point
        assert lab.apply(NEW, "--again").json["in_sync"], point
        lab.apply(OLD)
        assert router(lab) == before, point


def test_the_journal_is_synced_before_the_first_write(wide_lab):
    wide_lab.apply(OLD)
    found = [name for name, _ in points(wide_lab, NEW)]
    journaled = found.index("rename")
    assert "fsync" in found[:journaled] and found[journaled + 1] == "fsync"
    assert not [name for name in found[:journaled] if name.startswith("send")]


def test_an_apply_without_a_journal_changes_nothing(lab):
    before = lab.snapshot()
    lab.detour("recover")
    (run_directory() / "journal.json.new").mkdir()
    result = lab.detour("apply", document())
    assert (result.exit, error(result)) == (1, "not-writable")
    assert lab.snapshot() == before


@pytest.mark.parametrize(
    "name, inject, words",
    [
        ("journal.json", "unlink:error=EPERM", []),
        ("journal.json.new", "rename:error=ENOSPC:when=2", ["--confirm", "100"]),
    ],
    ids=["removal", "confirm"],
)
def test_a_change_whose_journal_cannot_be_settled_is_taken_back(wide_lab, name, inject, words):
    lab = wide_lab
    lab.apply(OLD)
    before = router(lab)
    wrapper = strace("-P", str(run_directory() / name), "-e", f"inject={inject}", "-o", "/dev/null")
    result = lab.detour("apply", NEW, *words, wrapper=wrapper)
    assert (result.exit, error(result)) == (5, "not-writable")
    assert not result.json["in_sync"] and not result.json["changed"]
    assert router(lab) == before
    assert status(lab)["pending"] is None
    lab.apply(NEW)
    assert lab.detour("drift", NEW).exit == 0


def test_after_success_no_journal_is_left(lab):
    lab.apply(document())
    assert journal(lab) is None
    assert lab.detour("destroy").exit == 0
    assert journal(lab) is None


def test_recover_restores_what_stood_before_an_interrupted_apply(wide_lab):
    before = interrupted(wide_lab)
    result = wide_lab.detour("recover")
    assert (result.exit, result.json["changed"]) == (0, True)
    assert router(wide_lab) == before
    again = wide_lab.detour("recover")
    assert (again.exit, again.json["changed"]) == (0, False)


def test_a_recovery_that_lacks_what_others_deleted_meanwhile_says_so(wide_lab):
    interrupted(wide_lab)
    wide_lab.nft("router", "delete table inet detour")
    result = wide_lab.detour("recover")
    assert (result.exit, result.json["error"]["code"]) == (6, "set-gone")
    assert warnings(wide_lab.apply(NEW)).count("interrupted-apply") == 1
    assert wide_lab.detour("drift", NEW).exit == 0


def test_the_next_apply_says_what_it_found_and_goes_on(wide_lab):
    interrupted(wide_lab)
    result = wide_lab.apply(NEW)
    assert warnings(result).count("interrupted-apply") == 1
    assert wide_lab.detour("drift", NEW).exit == 0
    assert "interrupted-apply" not in warnings(wide_lab.apply(NEW))


def test_the_next_destroy_leaves_nothing_behind(wide_lab):
    clean = router(wide_lab)
    interrupted(wide_lab)
    assert wide_lab.detour("destroy").exit == 0
    assert router(wide_lab) == clean


@pytest.mark.parametrize("verb", ["drift", "plan"])
def test_looking_warns_of_an_interrupted_apply_and_writes_nothing(wide_lab, verb):
    interrupted(wide_lab)
    before = wide_lab.snapshot()
    result, trace = traced(wide_lab, verb, OLD)
    assert "interrupted-apply" in warnings(result)
    assert "interrupted" in wide_lab.detour(verb, OLD, wants_json=False).text
    assert (trace.changing(), trace.files_written()) == ([], [])
    assert wide_lab.snapshot() == before


def test_looking_does_not_warn_of_an_apply_that_is_at_work(wide_lab):
    interrupted(wide_lab)
    with flocked(run_directory() / "lock"):
        assert "interrupted-apply" not in warnings(wide_lab.detour("drift", OLD))


def test_a_journal_of_another_boot_is_void(wide_lab):
    interrupted(wide_lab)
    path = run_directory() / "journal.json"
    noted = json.loads(path.read_text())
    path.write_text(json.dumps(noted | {"boot_id": "another"}))
    between = router(wide_lab)
    assert wide_lab.detour("recover").exit == 0
    assert router(wide_lab) == between
    assert warnings(wide_lab.apply(NEW)) == []


DAMAGED = {
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "nothing": lambda text: "{}",
    "phase": lambda text: text.replace('"applying"', '"sleeping"'),
    "version": lambda text: re.sub(r'"detour":"[^"]*"', '"detour":"9.9"', text),
    "document": lambda text: re.sub(r'"document":\{', '"document":{"x":1,', text),
    "before": lambda text: json.dumps(json.loads(text) | {"before": {"rules": 7}}),
    "types": lambda text: re.sub(r'"pid":\d+', '"pid":"x"', text),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_journal_is_no_crash_and_apply_gets_over_it(wide_lab, damage):
    interrupted(wide_lab)
    path = run_directory() / "journal.json"
    path.write_text(DAMAGED[damage](path.read_text()))
    assert wide_lab.detour("drift", NEW).exit in (0, 2)
    assert wide_lab.detour("status").exit == 0
    result = wide_lab.detour("recover")
    assert result.exit == 6 and result.json["error"]["message"]
    assert path.exists()
    result = wide_lab.detour("apply", NEW)
    assert result.exit == 0 and "interrupted-apply" in warnings(result)
    assert not path.exists()
    assert wide_lab.detour("drift", NEW).exit == 0


# -- Confirm, or back ----------------------------------------------------------------------------


def test_confirm_keeps_the_change(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    guard = confirm_within(lab, 100, NEW)
    after = router(lab)
    assert lab.detour("confirm").exit == 0
    await_end(guard)
    assert router(lab) == after
    assert json.loads((MEMORY / "confirmed.json").read_text()) == NEW
    assert status(lab)["pending"] is None
    assert error(lab.detour("confirm")) == "nothing-pending"


def test_without_confirmation_all_is_exactly_as_before(wide_lab):
    """rp_filter, the replaced route, the removed elements, the order of the rules."""
    lab = wide_lab
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 1)
    lab.apply(OLD)
    before = router(lab)
    guard = confirm_within(lab, 1, NEW)
    await_end(guard)
    assert router(lab) == before
    assert lab.detour("drift", OLD).exit == 0
    assert status(lab)["last"]["who"] == "the guard"


def test_a_first_apply_that_is_not_confirmed_leaves_nothing(strict_lab):
    before = router(strict_lab)
    await_end(confirm_within(strict_lab, 1, document()))
    assert router(strict_lab) == before


def test_revert_undoes_it_at_once(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    before = router(lab)
    guard = confirm_within(lab, 100, NEW)
    assert lab.detour("revert").exit == 0
    assert router(lab) == before
    await_end(guard)
    assert (lab.detour("revert").exit, journal(lab)) == (1, None)


def test_a_table_that_somebody_deleted_meanwhile_is_reverted_whole(lab, family):
    """Its sets, too, of which the change touched none but one."""
    lab.apply(document())
    before = router(lab)
    guard = confirm_within(lab, 100, document(redirects=[redirect(services=["22/tcp"])]))
    lab.nft("router", "delete table inet detour")
    assert lab.detour("revert").exit == 0
    await_end(guard)
    assert router(lab) == before
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_comment_that_is_no_utf8_is_reverted_to_the_byte(lab):
    lab.apply(document())
    lab.nft("router", 'add rule inet detour select counter comment "b\udcfcro"\n')
    listing = lambda: ascii(lab.tool("router", "nft --stateless list table inet detour"))
    before = listing()
    confirm_within(lab, 100, document())
    assert r"b\udcfcro" in before and r"b\udcfcro" not in listing()
    assert lab.detour("revert").exit == 0
    assert listing() == before


@pytest.mark.parametrize("verb", ["confirm", "revert"])
def test_nothing_pending_is_an_error(lab, verb):
    result = lab.detour(verb)
    assert (result.exit, error(result)) == (1, "nothing-pending")


def test_an_apply_that_changes_nothing_awaits_nothing(lab):
    lab.apply(document())
    result = lab.apply(document(), "--confirm", "100")
    assert "pending" not in result.json and journal(lab) is None


def test_what_awaits_nothing_is_confirmed_at_once(lab):
    """Another document for the same state: the next boot takes the one that was applied last."""
    lab.apply(document())
    same = document(gateway(description="the pair"))
    lab.apply(same, "--confirm", "100")
    assert json.loads((MEMORY / "confirmed.json").read_text()) == same


@pytest.mark.parametrize("verb", ["confirm", "revert"])
def test_a_destroy_can_await_confirmation(wide_lab, verb):
    lab, kept = wide_lab, MEMORY / "confirmed.json"
    bare = router(lab)
    lab.apply(OLD)
    before = router(lab)
    result = lab.detour("destroy", None, "--confirm", "100")
    assert (result.exit, result.json["pending"]["verb"]) == (0, "destroy")
    assert router(lab) == bare and json.loads(kept.read_text()) == OLD
    assert "document" not in lab.detour("status", wants_json=False).text
    assert lab.detour(verb).exit == 0
    assert router(lab) == (before if verb == "revert" else bare)
    assert kept.exists() == (verb == "revert")


def test_a_destroy_that_is_not_confirmed_is_undone(lab):
    lab.apply(document())
    before = router(lab)
    lab.detour("destroy", None, "--confirm", "1")
    await_end(status(lab)["pending"]["guard"])
    assert router(lab) == before
    lab.apply(document())


def test_while_a_change_is_pending_others_wait(lab):
    confirm_within(lab, 100, document())
    for verb, wanted in (("apply", OTHER), ("destroy", None)):
        result = lab.detour(verb, wanted)
        assert (result.exit, error(result)) == (75, "pending")
        assert result.json["pending"]["seconds_left"] > 0
        for word in ("root", "seconds", "detour confirm", "detour revert"):
            assert word in result.json["error"]["message"]
    assert lab.detour("drift", document()).exit == 0
    assert lab.detour("revert").exit == 0


def test_a_hang_up_of_the_terminal_does_not_disarm_it(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    before = router(lab)
    wanted = pathlib.Path("/run/new.json")
    wanted.write_text(json.dumps(NEW))
    master, slave = pty.openpty()
    script = f"{DETOUR} apply --confirm 2 {wanted}; echo finished; exec cat"
    with lab.inside("router"):
        shell = subprocess.Popen(
            ["sh", "-c", script],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    os.close(slave)
    shown = b""
    while b"finished" not in shown:
        assert select.select([master], [], [], PATIENCE)[0], shown
        shown += os.read(master, 4096)
    guard = status(lab)["pending"]["guard"]
    os.close(master)
    assert shell.wait(PATIENCE) != 0
    assert status(lab)["pending"]["guard"] == guard
    await_end(guard)
    assert router(lab) == before


def test_killing_the_apply_in_the_middle_does_not_disarm_it(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    before = router(lab)
    found = points(lab, NEW)
    lab.apply(OLD)
    kill_at(lab, NEW, first_netlink(found), "--confirm", "1")
    await_journal_end()
    assert router(lab) == before


def await_journal_end():
    """The guard of a killed apply has no pid that is noted; what it does can be waited for."""
    deadline = time.monotonic() + PATIENCE
    while glob.glob("/run/detour/*/journal.json"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP])
def test_signals_of_a_terminal_do_not_end_the_guard(lab, number):
    guard = confirm_within(lab, 100, document())
    os.kill(guard, number)
    assert lab.detour("status").json["pending"]["guard"] == guard
    assert lab.detour("revert").exit == 0
    await_end(guard)


def test_a_guard_that_is_asked_to_end_reverts_first(lab):
    before = router(lab)
    guard = confirm_within(lab, 100, document())
    os.kill(guard, signal.SIGTERM)
    await_end(guard)
    assert router(lab) == before


def test_an_apply_that_fails_leaves_no_guard(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    before = router(lab)
    inject = "inject=sendto:error=EPERM:when={}"
    found = points(lab, NEW)
    lab.apply(OLD)
    options = strace("-e", "trace=sendto", "-e", inject.format(first_netlink(found)[1]))
    result = lab.detour("apply", NEW, "--confirm", "100", wrapper=[*options, "-o", "/dev/null"])
    assert result.exit == 5, repr(result)
    assert (router(lab), journal(lab), status(lab)["pending"]) == (before, None, None)


def test_status_warns_when_the_guard_was_killed(lab):
    guard = confirm_within(lab, 100, document())
    os.kill(guard, signal.SIGKILL)
    await_end(guard)
    result = lab.detour("status")
    assert (result.exit, warnings(result)) == (2, ["guard-gone"])
    assert lab.detour("confirm").exit == 0


def test_an_overdue_change_is_noticed_and_can_be_reverted(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    before = router(lab)
    confirm_within(lab, 100, NEW)
    make_overdue(lab)
    result = lab.detour("status")
    assert (result.exit, result.json["pending"]["overdue"]) == (2, True)
    assert warnings(result) == ["overdue"]
    result = lab.detour("confirm")
    assert (result.exit, error(result)) == (1, "overdue")
    assert lab.detour("revert").exit == 0
    assert router(lab) == before


@pytest.mark.parametrize("verb", ["apply", "destroy"])
def test_an_overdue_change_is_reverted_before_the_next_one(lab, verb):
    confirm_within(lab, 100, document())
    make_overdue(lab)
    result = lab.detour(verb, OTHER if verb == "apply" else None)
    assert result.exit == 0 and "overdue" in warnings(result)
    assert journal(lab) is None
    assert error(lab.detour("apply", document())) == "reverted"


def test_the_deadline_counts_from_the_end_of_the_apply(lab):
    """However long the writing took, there is all the time that was asked for."""
    guard = confirm_within(lab, 100, document())
    noted = journal(lab)
    boottime = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
    assert noted["phase"] == "pending" and noted["deadline"] > boottime + 90000
    lab.detour("revert")
    await_end(guard)


# -- A revert stays reverted ---------------------------------------------------------------------


def test_a_reverted_document_is_refused_until_it_is_asked_for(lab):
    lab.apply(OTHER)
    confirm_within(lab, 100, document())
    lab.detour("revert")
    before = lab.snapshot()
    result = lab.detour("apply", document())
    assert (result.exit, error(result)) == (75, "reverted")
    for word in ("root", "--again", "--confirm"):
        assert word in result.json["error"]["message"]
    assert lab.snapshot() == before
    assert lab.detour("apply", OTHER).exit == 0
    checked = lab.detour("apply", document(), "--check")
    assert checked.exit == 2 and "reverted" in warnings(checked)
    for asked in (["--again"], ["--confirm", "9"]):
        assert "reverted" not in warnings(lab.detour("apply", document(), "--check", *asked))
    lab.apply(document(), "--again")
    lab.apply(OTHER)
    lab.apply(document())  # it is a confirmed document like any other now


def test_a_user_of_any_name_is_remembered(lab):
    """What is noted is JSON, whatever sudo is told."""
    wrapper = ["env", "SUDO_USER=a\udcff\n" + "ü" * 100]
    assert lab.detour("apply", document(), "--confirm", "100", wrapper=wrapper).exit == 0
    assert lab.detour("revert", wrapper=wrapper).exit == 0
    result = lab.detour("apply", document())
    assert (result.exit, error(result)) == (75, "reverted")
    assert r"by a\xff\x0aüüü" in result.json["error"]["message"]


def test_directories_can_be_entered_whatever_the_umask(lab):
    lab.detour("apply", document(), wrapper=["sh", "-c", 'umask 077; exec "$0" "$@"'])
    made = [MEMORY, pathlib.Path("/run/detour"), *pathlib.Path("/run/detour").iterdir()]
    assert [oct(path.stat().st_mode) for path in made] == ["0o40755"] * 3


def test_a_reverted_document_may_be_tried_once_more(lab):
    for _ in range(2):
        confirm_within(lab, 100, document())
        assert lab.detour("revert").exit == 0
    confirm_within(lab, 100, document())
    assert lab.detour("confirm").exit == 0
    lab.apply(OTHER)
    lab.apply(document())


def test_white_space_and_order_do_not_make_another_document(lab):
    confirm_within(lab, 100, document())
    lab.detour("revert")
    text = json.dumps(dict(reversed(document().items())), indent=8)
    assert error(lab.detour("apply", text)) == "reverted"


def test_a_revert_by_the_guard_is_remembered_too(lab):
    await_end(confirm_within(lab, 1, document()))
    assert error(lab.detour("apply", document())) == "reverted"


def test_the_confirmed_document_is_never_refused(lab):
    """A repair that nobody confirmed is undone, but cron and the next boot still apply it."""
    lab.apply(document())
    lab.ip("router", "route flush table 103")
    lab.apply(document(), "--confirm", "60")
    assert lab.detour("revert").exit == 0
    lab.apply(document())
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"


def test_an_interrupted_destroy_that_was_undone_may_be_repeated(lab):
    lab.apply(document())
    kill = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e"]
    lab.detour("destroy", wrapper=[*kill, "inject=fsync:signal=KILL:when=2"], wants_json=False)
    assert lab.detour("recover").exit == 0
    assert lab.detour("destroy").exit == 0


def test_the_last_confirmed_document_is_kept(lab):
    kept = MEMORY / "confirmed.json"
    lab.apply(document())
    assert json.loads(kept.read_text()) == document()
    lab.link_down("eth2")
    assert lab.detour("apply", OTHER).exit == 2
    assert json.loads(kept.read_text()) == OTHER
    lab.link_up("eth2")
    confirm_within(lab, 100, document(gateway(priority=200)))
    assert json.loads(kept.read_text()) == OTHER
    lab.detour("revert")
    assert json.loads(kept.read_text()) == OTHER
    assert lab.detour("destroy").exit == 0
    assert not kept.exists()


def test_an_apply_that_cannot_be_remembered_succeeds_with_a_warning(lab):
    MEMORY.write_text("a file where the directory should be")
    result = lab.apply(document())
    assert warnings(result) == ["not-remembered"]
    MEMORY.unlink()


# -- Writing nothing -----------------------------------------------------------------------------


def test_a_second_apply_writes_nothing_with_all_of_this(wide_lab):
    confirm_within(wide_lab, 100, NEW, "--reason", "CHG1")
    wide_lab.detour("confirm")
    for words in ([], ["--reason", "CHG2", "--again"], ["--confirm", "100"]):
        result, trace = traced(wide_lab, "apply", NEW, *words)
        assert (result.exit, result.json["changed"]) == (0, False)
        assert (trace.changing(), trace.files_written()) == ([], [])


def test_status_writes_nothing_and_needs_no_privileges(lab):
    guard = confirm_within(lab, 100, document())
    result, trace = traced(lab, "status", None)
    assert (result.exit, trace.sent, trace.files_written()) == (2, [], [])
    wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    assert lab.detour("status", wrapper=wrapper).exit == 2
    lab.detour("revert")
    await_end(guard)


# -- Who did it ----------------------------------------------------------------------------------


def test_status_shows_what_is_pending_and_what_was_done_last(lab):
    assert (status(lab)["pending"], status(lab)["last"]) == (None, None)
    guard = confirm_within(lab, 100, document(), "--reason", "CHG0012345 für RDP")
    shown = status(lab)
    pending, last = shown["pending"], shown["last"]
    assert (pending["verb"], pending["who"], pending["overdue"]) == ("apply", "root", False)
    assert 0 < pending["seconds_left"] <= 100 and pending["guard"] == guard
    assert pending["reason"] == last["reason"] == "CHG0012345 für RDP"
    assert pending["digest"] == last["digest"] and re.fullmatch("[0-9a-f]{64}", last["digest"])
    text = lab.detour("status", wants_json=False).text
    for word in ("root", "CHG0012345 für RDP", "seconds left", "detour confirm", "detour revert"):
        assert word in text
    lab.detour("confirm", None, "--reason", "looks good")
    last = status(lab)["last"]
    assert (last["verb"], last["result"], last["reason"]) == ("confirm", "confirmed", "looks good")
    assert last["digest"] == pending["digest"]


def test_a_failed_apply_is_the_last_change_too(wide_lab):
    lab = wide_lab
    lab.apply(OLD)
    found = points(lab, NEW)
    lab.apply(OLD)
    options = strace("-e", "trace=sendto", "-o", "/dev/null")
    inject = f"inject=sendto:error=EPERM:when={first_netlink(found)[1]}"
    assert lab.detour("apply", NEW, wrapper=[*options, "-e", inject]).exit == 5
    last = status(lab)["last"]
    assert (last["exit"], last["result"]) == (5, "failed and rolled back")


# Its own /dev, in which /dev/log is ours.
PRIVATE_DEV = """
touch /run/null && mount --bind /dev/null /run/null && mount -t tmpfs none /dev &&
touch /dev/null && mount --bind /run/null /dev/null && ln -s /run/syslog /dev/log && exec "$@"
"""


def test_every_change_is_a_line_in_syslog(lab):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind("/run/syslog")
        log.settimeout(PATIENCE)
        wrapper = ["unshare", "--mount", "sh", "-c", PRIVATE_DEV, "sh"]

        def line_of(verb, wanted, *args):
            lab.detour(verb, wanted, *args, wrapper=wrapper)
            return log.recv(4096).decode()

        try:
            line = line_of("apply", document(), "--reason", "CHG1")
            for word in ("apply by root", "done", "exit 0", "CHG1", status(lab)["last"]["digest"][:12]):
                assert word in line
            assert "exit 1" in line_of("apply", document(gateway(mark="0x10")))
            assert "awaits confirmation" in line_of("apply", OTHER, "--confirm", "100")
            assert "revert by root: reverted" in line_of("revert", None)
            assert "exit 75" in line_of("apply", OTHER)
            assert "awaits" in line_of("apply", OTHER, "--confirm", "1")
            assert "revert by the guard: reverted" in log.recv(4096).decode()
            assert "awaits" in line_of("apply", OTHER, "--confirm", "100")
            assert "confirm by root" in line_of("confirm", None)
            assert "destroy by root" in line_of("destroy", None, "--reason", "CHG2")
            log.setblocking(False)
            lab.detour("destroy", wrapper=wrapper)  # changes nothing
            with pytest.raises(BlockingIOError):
                log.recv(4096)
        finally:
            os.unlink("/run/syslog")


# -- Options -------------------------------------------------------------------------------------

WRONG = [
    ["apply", "--confirm", "0"],
    ["apply", "--confirm", "86401"],
    ["apply", "--confirm", "12s"],
    ["apply", "--confirm", " 12"],
    ["apply", "--confirm", ""],
    ["apply", "--lock-timeout", "-1"],
    ["apply", "--reason", "x" * 201],
    ["apply", "--reason", "two\nlines"],
    ["apply", "--reason", "an escape \x1b[31m"],
    ["apply", "--reason", "a C1 control \u009b"],
    ["apply", "--reason", b"no UTF-8 \xff"],
    ["apply", "--out", "/run/plan"],
    ["plan", "--confirm", "10"],
    ["drift", "--reason", "x"],
    ["drift", "--lock-timeout", "1"],
    ["destroy", "--again"],
    ["status", "--check"],
    ["confirm", "FILE"],
    ["revert", "FILE"],
    ["recover", "FILE"],
    ["status", "FILE"],
]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: str(words[0]) + " " + repr(words[1:])[:30])
def test_what_does_not_belong_to_a_verb_is_wrong_usage(lab, words):
    process = subprocess.run([DETOUR, *words], capture_output=True, timeout=PATIENCE)
    assert process.returncode == 64 and process.stderr and not process.stdout


def test_a_reason_of_200_characters_is_accepted(lab):
    lab.apply(document(), "--reason", "ü" * 200)
    assert status(lab)["last"]["reason"] == "ü" * 200
