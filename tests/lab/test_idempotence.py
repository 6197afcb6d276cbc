# SPDX-License-Identifier: GPL-2.0-or-later
"""Applying twice, and everything that only looks, sends nothing that changes state."""

import pytest

from lab import document, gateway, redirect, second_gateway
from trace import traced

SECOND = second_gateway(on_loss="bypass", rp_filter="off")
RICH = document(
    [gateway(spoofs_clients=True, description="the first"), SECOND],
    [
        redirect(
            clients={"interfaces": ["eth0", "vlan*"], "except": ["10.0.0.99"]},
            servers={
                "networks": ["10.1.0.0/24", "2001:db8:1::/64"],
                "except": ["10.1.0.7-10.1.0.9"],
            },
            services=["3389/tcp", "5900-5910/tcp", "53/udp", "3868/sctp"],
        ),
        redirect(name="ssh", gateway="second", services=["22/tcp"], existing_connections="tracked"),
        redirect(name="web", services=["80/tcp"], existing_connections="redirect"),
        redirect(name="off", services=["81/tcp"], enabled=False),
    ],
)


def test_the_trace_sees_what_a_first_apply_writes(lab):
    """The instrument works: without this the claims below would be empty."""
    result, trace = traced(lab, "apply", document())
    assert result.exit == 0
    assert {"RTM_NEWROUTE", "RTM_NEWRULE"} <= set(trace.changing())
    assert any("NFT_MSG_NEW" in kind for kind in trace.changing())
    assert any("rt_tables.d" in line for line in trace.files_written())


@pytest.mark.parametrize("wanted", [document(), RICH], ids=["simple", "rich"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_second_apply_sends_and_writes_nothing(wide_lab, wanted, strict):
    lab = wide_lab
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", int(strict))
    lab.apply(wanted)
    before = lab.snapshot()
    result, trace = traced(lab, "apply", wanted)
    assert (result.exit, result.json["changed"], result.json["steps"]) == (0, False, [])
    assert trace.changing() == []
    assert trace.files_written() == []
    assert lab.snapshot() == before


@pytest.mark.parametrize("verb", [["plan"], ["drift"], ["apply", "--check"]], ids=" ".join)
@pytest.mark.parametrize("first", [None, document(), RICH], ids=["never", "drifted", "in_sync"])
def test_looking_writes_nothing(wide_lab, verb, first):
    lab = wide_lab
    if first:
        lab.apply(first)
    before = lab.snapshot()
    result, trace = traced(lab, verb[0], RICH, *verb[1:])
    assert result.exit == (0 if first is RICH else 2)
    assert trace.changing() == []
    assert trace.files_written() == []
    assert lab.snapshot() == before


def test_a_second_destroy_sends_and_writes_nothing(lab):
    lab.apply(document())
    assert lab.detour("destroy").exit == 0
    result, trace = traced(lab, "destroy", None)
    assert (result.exit, result.json["changed"]) == (0, False)
    assert trace.changing() == []
    assert trace.files_written() == []


def test_no_other_program_is_run(lab):
    for verb, wanted in (("plan", RICH), ("apply", document()), ("drift", RICH), ("destroy", None)):
        _, trace = traced(lab, verb, wanted)
        assert len(trace.executed) == 1, trace.executed  # itself


def test_validate_needs_no_kernel(lab):
    result, trace = traced(lab, "validate", RICH)
    assert result.exit == 0
    assert trace.sent == []
    assert trace.files_written() == []


def test_a_second_apply_after_a_third_document_is_still_in_sync(wide_lab):
    for wanted in (document(), RICH, document()):
        wide_lab.apply(wanted)
        assert wide_lab.detour("drift", wanted).exit == 0


def test_reports_are_deterministic(wide_lab):
    first = wide_lab.detour("plan", RICH)
    assert first.text == wide_lab.detour("plan", RICH).text
    shown = [wide_lab.detour("plan", RICH, wants_json=False).text for _ in range(2)]
    assert shown[0] == shown[1]
