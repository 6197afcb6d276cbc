# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Ansible module answers on a router, call by call; test_fleet.py has all of Ansible."""

import importlib.util
import json
import os
import pathlib
import subprocess
from types import SimpleNamespace

import pytest
import yaml

from lab import DETOUR, REPO, document, gateway, redirect

COLLECTION = REPO / "integrations/ansible"
PLACE = pathlib.Path("/run/collections/ansible_collections/detour/detour")
KEPT = pathlib.Path("/etc/detour/detour.json")
OTHER = document(redirects=redirect(services=["22/tcp"]))


@pytest.fixture
def call(lab):
    """Calls the module as Ansible does, and returns its result."""
    if not PLACE.exists():
        PLACE.parent.mkdir(parents=True)
        PLACE.symlink_to(COLLECTION)
    environment = lab.environment() | {"PYTHONPATH": str(PLACE.parents[2])}

    def make_call(wanted=None, check=False, **options):
        arguments = options | {"_ansible_check_mode": check, "_ansible_diff": True}
        arguments |= {"_ansible_remote_tmp": "/run"}
        arguments |= {"document": wanted} if wanted else {}
        with lab.inside("router"):
            process = subprocess.run(
                ["/usr/bin/python3", PLACE / "plugins/modules/detour.py"],
                input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
                capture_output=True,
                text=True,
                env=environment,
                timeout=60,
            )
        assert process.stdout, process.stderr
        return json.loads(process.stdout)

    return make_call


def confirmed(call, wanted=None, **options):
    """Both calls of a change, as the action plugin makes them."""
    first = call(wanted, **options)
    return call(wanted, pending=first["pending"], **options)


def refusal(result):
    assert result["failed"] and not result.get("changed"), result
    return result["msg"]


def test_the_file_changes_only_once_the_change_is_confirmed(lab, call):
    lab.save(OTHER)
    first = call(document())
    assert first["changed"] and json.loads(KEPT.read_text()) == OTHER
    second = call(document(), pending=first["pending"])
    assert second["changed"] and second["confirmed"]
    assert json.loads(KEPT.read_text()) == document()
    assert lab.detour("status").json["pending"] is None
    assert not call(document())["changed"]


def test_to_confirm_twice_is_no_failure(call):
    """The answer to the first may have been lost with its connection."""
    pending = call(document())["pending"]
    assert call(document(), pending=pending)["confirmed"]
    assert call(document(), pending=pending)["confirmed"]


def test_what_was_undone_is_not_confirmed(lab, call):
    lab.save(OTHER)
    pending = call(document())["pending"]
    assert lab.detour("revert").exit == 0
    assert "undone by root" in refusal(call(document(), pending=pending))
    assert json.loads(KEPT.read_text()) == OTHER


def test_somebody_elses_change_is_not_confirmed(lab, call):
    pending = call(document())["pending"]
    lab.detour("revert")
    lab.apply(OTHER, "--confirm", "100")
    call(document(), pending=pending)
    assert lab.detour("status").json["pending"]


def test_a_reason_is_kept_to_the_letter(lab, call):
    reason = "~root: 'it' costs $HOME, \"${PATH}\"; `id` $(id) -- é"
    call(document(), confirm=0, reason=reason)
    assert lab.detour("status").json["last"]["reason"] == reason


def test_a_file_that_says_the_same_stays_as_it_is(lab, call):
    KEPT.parent.mkdir()
    KEPT.write_text(json.dumps(document(), sort_keys=True, indent=1))
    before = KEPT.read_text()
    confirmed(call, document())
    assert KEPT.read_text() == before


def test_a_description_changes_the_file_alone(lab, call):
    confirmed(call, document())
    described = document(gateway(description="the pair"))
    predicted = call(described, check=True)
    result = call(described)
    assert predicted["changed"] and result["changed"] and "pending" not in result
    assert [part["before_header"] for part in result["diff"]] == ["live state", str(KEPT)]
    assert json.loads(KEPT.read_text()) == described
    assert json.loads(pathlib.Path("/var/lib/detour/confirmed.json").read_text()) == described


def test_without_a_document_it_takes_the_file(lab, call):
    lab.save(document())
    assert confirmed(call)["confirmed"]
    assert lab.detour("drift").exit == 0


def test_without_confirm_a_change_stays_at_once(lab, call):
    result = call(document(), confirm=0)
    assert result["changed"] and "pending" not in result
    assert json.loads(KEPT.read_text()) == document()
    assert lab.detour("status").json["pending"] is None


@pytest.mark.parametrize("check", [True, False])
def test_check_mode_refuses_what_the_change_would_be_refused(lab, call, check):
    """Each time nothing is changed, and the reason is told."""
    faulty = call(document(gateway(table=0), redirect(services=["70000/tcp"])), check=check)
    for word in ("nothing was changed", "/gateways/0/table", "/redirects/0/services/0"):
        assert word in refusal(faulty)
    lab.ip("router", "rule add priority 100 fwmark 9 lookup main")
    conflict = refusal(call(document(), check=check))
    assert "rule" in conflict and "nothing was changed" in conflict
    lab.ip("router", "rule del priority 100")
    lab.link_down("eth2")
    assert "down" in refusal(call(document(), check=check, strict=True))
    lab.link_up("eth2")
    lab.apply(document())
    empty = document([], [])
    assert "allow_empty" in refusal(call(empty, check=check))
    lab.apply(OTHER, "--confirm", "100")
    lab.detour("revert")
    assert "reverted by root" in refusal(call(OTHER, check=check, confirm=0))
    assert call(OTHER, check=True)["changed"]
    lab.apply(OTHER, "--confirm", "100")
    assert "awaits confirmation" in refusal(call(document(), check=True))
    assert "waits for confirmation" in refusal(call(document()))


def test_steps_that_wait_are_no_failure_and_no_change(lab, call):
    lab.link_down("eth2")
    first = call(document())
    assert first["changed"] and first["exit"] == 2 and first["remaining"]
    assert any("down" in text for text in first["warnings"])
    call(document(), pending=first["pending"])
    for check in (True, False):
        again = call(document(), check=check)
        assert not again["changed"] and again["remaining"]


def test_absent_asks_for_no_document(lab, call):
    confirmed(call, document())
    assert call(state="absent", check=True)["changed"] and KEPT.exists()
    assert confirmed(call, state="absent")["confirmed"]
    assert not KEPT.exists() and lab.detour("destroy", None, "--check").exit == 0
    assert not call(state="absent")["changed"]


def test_a_router_without_detour_is_told_in_check_mode(lab, call):
    (pathlib.Path("/run/lab", lab.prefix) / "detour").unlink()
    if os.path.exists("/usr/sbin/detour") or os.path.exists("/usr/local/sbin/detour"):
        pytest.skip("detour is installed here")
    result = call(document(), check=True)
    assert result["changed"] and "not installed" in result["warnings"][0]
    assert "detour" in refusal(call(document()))


def test_who_dies_without_a_report_leaves_it_unknown(lab, call):
    program = pathlib.Path("/run/lab", lab.prefix) / "detour"
    program.unlink()
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o755)
    result = call(document())
    assert result["failed"] and "not known" in result["msg"]


def test_the_collection_has_the_version_of_the_program():
    version = subprocess.check_output([DETOUR, "--version"], text=True).split()[1]
    assert yaml.safe_load((COLLECTION / "galaxy.yml").read_text())["version"] == version


# -- The action plugin, with calls and a clock that are made up -----------------------------------

LOST = "no route to host"
PENDING = {"digest": None, "pid": 1, "started": 2, "seconds_left": 60}
FIRST = {"changed": True, "steps": ["many"], "warnings": ["one"], "pending": PENDING}


@pytest.fixture
def act(monkeypatch):
    """Runs the plugin. Its calls of the module get these answers, the last one again and again.

    Returns the result, what it did, and how many seconds that took."""
    monkeypatch.setenv("ANSIBLE_HOME", "/run/ansible")  # written to when it is imported
    spec = importlib.util.spec_from_file_location("action", COLLECTION / "plugins/action/detour.py")
    action = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(action)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(action.ActionBase, "run", lambda *_: {})
    monkeypatch.setattr(action.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(action.time, "sleep", lambda s: setattr(clock, "now", clock.now + s))

    def run_action(*answers):
        answers, done = list(answers), []

        def execute(module_args=None, task_vars=None):
            done.append((module_args or {}).get("pending"))
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer == LOST:
                raise action.AnsibleConnectionFailure(LOST)
            return answer

        plugin = action.ActionModule.__new__(action.ActionModule)
        plugin._execute_module = execute
        plugin._task = SimpleNamespace(args={"confirm": 60})
        plugin._connection = SimpleNamespace(reset=lambda: done.append("reset"))
        return plugin.run(), done, clock.now

    return run_action


def test_a_change_is_confirmed_after_the_connection_was_reset(act):
    result, done, _ = act(FIRST, {"changed": True, "confirmed": True, "warnings": ["two"]})
    assert done == [None, "reset", PENDING]
    assert result["confirmed"] and result["steps"] and result["warnings"] == ["one", "two"]
    assert "pending" not in result


def test_what_changes_nothing_needs_no_second_connection(act):
    assert act({"changed": False})[1] == [None]


def test_a_router_that_is_not_there_at_once_is_tried_again(act):
    result, done, _ = act(FIRST, LOST, LOST, {"changed": True, "confirmed": True})
    assert result["confirmed"] and done.count("reset") == 3


def test_of_a_router_that_is_lost_nothing_is_claimed(act):
    """It is tried for longer than it takes to undo the change."""
    result, _, seconds = act(FIRST, LOST)
    assert 60 < seconds < 120
    assert result["unreachable"] and result["confirmed"] is False and "steps" not in result
    assert "has not been observed" in result["msg"]


def test_what_fails_before_it_is_confirmed_says_what_becomes_of_the_change(act):
    result = act(FIRST, {"failed": True, "msg": "no space left"})[0]
    assert result["confirmed"] is False
    assert "no space left" in result["msg"] and "undoes it by itself" in result["msg"]
