# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: every test gets a lab of its own (it takes 50 ms), most run once per family."""

import collections
import pathlib
import sys
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab as laboratory  # noqa: E402

laboratory.enter_private_files()

IPV4 = SimpleNamespace(
    name="ipv4",
    is_ipv6=False,
    ip="-4",
    ip_word="ip",
    client="10.0.0.2",
    other_client="10.0.0.3",
    excluded_client="10.0.0.99",
    clients="10.0.0.0/24",
    server="10.1.0.5",
    other_server="10.1.0.6",
    excluded_server="10.1.0.250",
    servers="10.1.0.0/24",
    gateway="10.2.0.10",
    gateway_net="10.2.0.0/24",
    router="10.0.0.1",
    any="0.0.0.0/0",
)
IPV6 = SimpleNamespace(
    name="ipv6",
    is_ipv6=True,
    ip="-6",
    ip_word="ip6",
    client="2001:db8::2",
    other_client="2001:db8::3",
    excluded_client="2001:db8::99",
    clients="2001:db8::/64",
    server="2001:db8:1::5",
    other_server="2001:db8:1::6",
    excluded_server="2001:db8:1::250",
    servers="2001:db8:1::/64",
    gateway="2001:db8:2::10",
    gateway_net="2001:db8:2::/64",
    router="2001:db8::1",
    any="::/0",
)


@pytest.fixture(params=[IPV4, IPV6], ids=lambda family: family.name)
def family(request):
    return request.param


@pytest.fixture
def lab():
    with laboratory.Lab() as made:
        yield made


@pytest.fixture
def strict_lab():
    """Its router has rp_filter all=1, as distributions ship it."""
    with laboratory.Lab(strict=True) as made:
        yield made


@pytest.fixture
def wide_lab():
    """With gateway2 on eth3, and client2 on vlan20."""
    with laboratory.Lab(second_gateway=True, second_client="vlan20") as made:
        yield made


def pytest_sessionstart(session):
    if not pathlib.Path(laboratory.DETOUR).exists():
        pytest.exit(f"{laboratory.DETOUR} is not there: run make", returncode=3)


def pytest_terminal_summary(terminalreporter):
    """What tests counted: record_property("figure", text), or "points" as test_faults.py does."""
    total = collections.Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "figure":
                terminalreporter.write_line(value)
            elif name == "points":
                terminalreporter.write_line(f"{value[0]}: {points_text(value[1])}")
                total.update(value[1])
    if total:
        terminalreporter.write_line(f"all points: {points_text(total)}")


def points_text(outcomes):
    parts = [f"{count} {name}" for name, count in sorted(outcomes.items())]
    return ", ".join([f"{sum(outcomes.values())} points", *parts])
