# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever call fails, and wherever it is killed: the old state or the new one, and it says which.

A sample of the points; all of them with DETOUR_FAULTS=all (make check-faults).
"""

import shutil

import pytest

from faults import CHANGES, FOR_EVER, KILLED, ONCE, Update
from faults import after_a_failure, after_a_kill, kills, sweep, tamperings
from lab import Lab

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


def check(record_property, what, found):
    """found is what sweep() gives; each violation is a point for which no outcome counts."""
    outcomes, violations = found
    record_property("points", (what, {**outcomes, "violations": len(violations)}))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("kind", CHANGES)
def test_when_a_call_fails_the_state_is_the_one_that_the_exit_code_says(record_property, kind):
    found = sweep(kind, lambda points: tamperings(points, ONCE), after_a_failure, 32)
    check(record_property, f"{kind}, one call fails", found)


@pytest.mark.parametrize("kind", CHANGES)
def test_when_calls_fail_from_then_on_the_state_is_told_or_can_be_recovered(record_property, kind):
    found = sweep(kind, lambda points: tamperings(points, FOR_EVER), after_a_failure, 12, "+")
    check(record_property, f"{kind}, calls fail from then on", found)


@pytest.mark.parametrize("kind", CHANGES)
def test_killed_before_or_after_a_call_that_writes_it_can_be_recovered(record_property, kind):
    found = sweep(kind, kills, after_a_kill, 16)
    check(record_property, f"{kind}, killed", found)


def test_an_interrupted_change_of_rp_filter_leaves_nothing_that_destroy_would_stumble_over():
    """Killed when the new value is noted but not yet written: see backends/record.h."""
    with Lab(strict=True, second_gateway=True) as lab:
        clean = lab.rp_filters()
        change = Update(lab)
        points = [p for p in change.points if "RTM_SETLINK" in p.line and '"eth3"' in p.line]
        assert change.tampered(points[0], "signal=KILL").exit in KILLED
        assert lab.detour("recover").exit == 0
        destroyed = lab.detour("destroy")
        assert (destroyed.exit, destroyed.json["warnings"]) == (0, [])
        assert lab.rp_filters() == clean
