# SPDX-License-Identifier: GPL-2.0-or-later
"""Ansible and a fleet of ten: the page is carried out once, and this is what happened."""

import json
import pathlib

import pytest

import pages
from fleet import PAGE, ROUTERS, Fleet
from lab import REPO

pytestmark = pytest.mark.xdist_group("fleet")  # one worker does all of them

MODULE = "detour.detour.detour"
KEPT = pathlib.Path("/etc/detour/detour.json")
DRIFTED = {"router03", "router05", "router07"}
LOOK, FIRST, SECOND, LAST = range(4)  # runs of ansible-playbook


@pytest.fixture(scope="module")
def fleet():
    with Fleet() as made:
        (steps,) = pages.labs(PAGE.relative_to(REPO), PAGE.read_text())
        made.faults = pages.carry_out(made, steps, seconds=600)
        yield made


def results(fleet, run):
    """Of the module, by router."""
    return {host: tasks[MODULE] for host, tasks in fleet.runs()[run].items() if MODULE in tasks}


def changed(fleet, run):
    return {host for host, result in results(fleet, run).items() if result.get("changed")}


def test_what_the_page_shows_happens(fleet):
    assert not fleet.faults, "\n\n".join(["", *fleet.faults])


def test_check_mode_predicts_what_the_first_run_does(fleet):
    """And changes nothing, for the first run still had all of it to do."""
    predicted, done = results(fleet, LOOK)["router01"], results(fleet, FIRST)["router01"]
    for name in ("changed", "effect", "steps", "remaining", "detour_warnings"):
        assert predicted[name] == done[name], name


def test_diff_mode_shows_each_object_and_the_file(fleet):
    live, kept = results(fleet, LOOK)["router01"]["diff"]
    steps = results(fleet, FIRST)["router01"]["steps"]
    assert [line.split(": {")[0] for line in live["after"].splitlines()] == [
        f"{step['kind']} {step['object']}" for step in steps
    ]
    assert (live["before"], kept["before"], kept["after_header"]) == ("", "", str(KEPT))
    assert json.loads(kept["after"]) == json.loads(fleet.file("router02", KEPT).read_text())


def test_the_first_run_changes_all_and_confirms_it(fleet):
    assert changed(fleet, FIRST) == set(ROUTERS)
    assert all(result["confirmed"] for result in results(fleet, FIRST).values())
    assert {result["effect"] for result in results(fleet, FIRST).values()} == {"leak"}


def test_the_second_run_changes_none(fleet):
    assert set(results(fleet, SECOND)) == set(ROUTERS)
    for tasks in fleet.runs()[SECOND].values():
        assert not any(result.get("changed") for result in tasks.values())


def test_drift_on_three_is_repaired_on_three(fleet):
    """That check mode tells just these is on the page."""
    assert changed(fleet, LAST) == DRIFTED
    for host in DRIFTED:
        assert results(fleet, LAST)[host]["confirmed"]
        assert fleet.detour(host, "drift")["in_sync"]


def test_a_router_that_cannot_be_reached_fails_alone(fleet):
    last = fleet.runs()[LAST]
    with_outcome = lambda word: {
        host for host, tasks in last.items() if any(result.get(word) for result in tasks.values())
    }
    assert (with_outcome("unreachable"), with_outcome("failed")) == ({"router09"}, {"router10"})


def test_a_document_that_cuts_a_router_off_is_undone(fleet):
    result = results(fleet, LAST)["router10"]
    assert result["failed"] and not result["changed"] and not result["confirmed"]
    assert "undone by the guard" in result["msg"]
    status = fleet.detour("router10", "status")
    assert status["pending"] is None and status["last"]["verb"] == "revert"
    # What stood before, in the kernel and in the file
    report = fleet.detour("router10", "drift", str(KEPT))
    assert report["in_sync"]
    assert json.loads(fleet.file("router10", KEPT).read_text())["redirects"][0]["services"] == [
        "3389/tcp"
    ]


def test_absent_leaves_nothing(fleet):
    assert fleet.detour("router01", "destroy", "--check")["in_sync"]
    assert not fleet.file("router01", KEPT).exists()
