# SPDX-License-Identifier: GPL-2.0-or-later
"""Procedure step 7: rp_filter, its three modes, and what destroy gives back."""

import re

import pytest

from lab import document, gateway

LOOSE, OFF, KEEP = (document(gateway(rp_filter=mode)) for mode in ("loose", "off", "keep"))
STRICT_VALUES = {"all": 1, "default": 0, "lo": 0, "eth0": 0, "eth1": 0, "eth2": 0}


def effective(values):
    return {name: max(value, values["all"]) for name, value in values.items() if name != "all"}


def others(values, *left_out):
    return {name: value for name, value in values.items() if name not in left_out}


def test_loose_writes_2_on_the_gateway_interface_and_nothing_else(strict_lab):
    assert strict_lab.rp_filters() == STRICT_VALUES
    strict_lab.apply(LOOSE)
    assert strict_lab.rp_filters() == STRICT_VALUES | {"eth2": 2}


def test_loose_changes_nothing_where_the_interface_is_not_strict(lab):
    before = lab.rp_filters()
    result = lab.apply(LOOSE)
    assert lab.rp_filters() == before
    assert ("rp_filter",) not in result.steps("kind")


def test_loose_changes_an_interface_that_is_strict_by_itself(lab):
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)
    lab.apply(LOOSE)
    assert lab.rp_filters()["eth2"] == 2
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"
    assert lab.detour("destroy").exit == 0
    assert lab.rp_filters()["eth2"] == 1


def test_loose_leaves_an_interface_alone_that_all_makes_loose(lab):
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 2)
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)
    before = lab.rp_filters()
    lab.apply(LOOSE)
    assert lab.rp_filters() == before


def test_off_writes_0_on_all_and_the_interface_and_keeps_all_others_effective(strict_lab):
    before = strict_lab.rp_filters()
    strict_lab.apply(OFF)
    after = strict_lab.rp_filters()
    assert (after["all"], after["eth2"]) == (0, 0)
    assert others(effective(after), "eth2") == others(effective(before), "eth2")
    assert strict_lab.connect("client", "10.1.0.5", 3389) == "gateway"


def test_off_keeps_the_effective_value_of_a_new_interface(strict_lab):
    strict_lab.apply(OFF)
    strict_lab.ip("router", "link add new0 type veth peer name new1")
    assert effective(strict_lab.rp_filters())["new0"] == 1


@pytest.mark.parametrize("value", [1, 2])
def test_off_keeps_effective_values_that_were_mixed(strict_lab, value):
    strict_lab.sysctl("router", "net/ipv4/conf/eth0/rp_filter", 2)
    strict_lab.sysctl("router", "net/ipv4/conf/all/rp_filter", value)
    before = strict_lab.rp_filters()
    strict_lab.apply(OFF)
    after = strict_lab.rp_filters()
    assert others(effective(after), "eth2") == others(effective(before), "eth2")
    assert strict_lab.detour("destroy").exit == 0
    assert strict_lab.rp_filters() == before


def test_keep_reports_and_never_changes(strict_lab):
    before = strict_lab.rp_filters()
    result = strict_lab.detour("apply", KEEP)
    assert strict_lab.rp_filters() == before
    assert ("rp_filter",) not in result.steps("kind")
    assert any("rp" in warning["code"] for warning in result.json["warnings"])
    assert strict_lab.connect("client", "10.1.0.5", 3389) == "timeout"
    assert strict_lab.connect("client", "2001:db8:1::5", 3389) == "gateway"


@pytest.mark.parametrize("wanted", [LOOSE, OFF, KEEP], ids=["loose", "off", "keep"])
def test_destroy_restores_every_value(strict_lab, wanted):
    before = strict_lab.rp_filters()
    strict_lab.detour("apply", wanted)
    assert strict_lab.detour("destroy").exit == 0
    assert strict_lab.rp_filters() == before


def test_destroy_leaves_a_value_that_somebody_changed_since_and_warns(strict_lab):
    strict_lab.apply(LOOSE)
    strict_lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)
    result = strict_lab.detour("destroy")
    assert result.exit == 0
    assert strict_lab.rp_filters()["eth2"] == 1
    assert any("rp" in warning["code"] for warning in result.json["warnings"])


def test_a_second_apply_does_not_forget_the_recorded_value(strict_lab):
    before = strict_lab.rp_filters()
    strict_lab.apply(LOOSE)
    strict_lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)
    strict_lab.apply(LOOSE)
    strict_lab.apply(LOOSE)
    assert strict_lab.detour("destroy").exit == 0
    assert strict_lab.rp_filters() == before


@pytest.mark.parametrize("second", [LOOSE, KEEP], ids=["loose", "keep"])
def test_going_from_off_to_another_mode_and_back_ends_where_it_began(strict_lab, second):
    before = strict_lab.rp_filters()
    strict_lab.apply(OFF)
    strict_lab.detour("apply", second)
    if second is LOOSE:
        assert strict_lab.rp_filters() == before | {"eth2": 2}
        assert strict_lab.connect("client", "10.1.0.5", 3389) == "gateway"
    assert strict_lab.detour("destroy").exit == 0
    assert strict_lab.rp_filters() == before


def test_drift_reports_a_strict_interface_as_outage(strict_lab):
    strict_lab.apply(LOOSE)
    strict_lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)
    result = strict_lab.detour("drift", LOOSE)
    assert result.exit == 2
    assert result.steps("action", "drift", "kind", "effect") == [
        ("update", "changed", "rp_filter", "outage")
    ]


def test_a_bare_strict_router_breaks_the_redirect_without_us(strict_lab):
    """The defect that rp_filter exists for: the gateway's answers bear the server's address."""
    strict_lab.apply(LOOSE)
    strict_lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 0)
    assert strict_lab.connect("client", "10.1.0.5", 3389) == "timeout"


HOSTILE = ["\udcff\x1b[31m", "\x9b2J", "a\x7f|b"]


def test_interfaces_of_any_name_are_given_back_their_value_and_printed_in_clear(strict_lab):
    for name in HOSTILE:
        strict_lab.tool("router", ["ip", "link", "add", name, "type", "veth"])
    values = lambda: ascii(strict_lab.rp_filters())  # pytest-xdist carries no surrogates
    before = values()
    text = strict_lab.detour("apply", OFF, wants_json=False).text
    assert r"\xff\x1b[31m.rp_filter" in text and r"\xc2\x9b2J.rp_filter" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert strict_lab.rp_filters()[HOSTILE[0]] == 1
    assert strict_lab.detour("destroy").exit == 0
    assert values() == before
