# SPDX-License-Identifier: GPL-2.0-or-later
"""The systemd units: sound, within their walls, and detour works within these."""

import re
import subprocess

import pytest

from lab import DETOUR, DETOUR_PLAIN, REPO, document, gateway
from units import PROGRAM, UNITS, commands, settings, walls

SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
APPLYING = [unit for unit in SERVICES if any(words[0] == "apply" for words in commands(unit))]
EXPOSURE_MAX = 2.0


def analyze(*words):
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path):
    """As make install leaves them, but for the program's place."""
    for path in UNITS.iterdir():
        text = path.read_text().replace(PROGRAM, DETOUR)
        (tmp_path / path.name).write_text(text)
    return sorted(map(str, tmp_path.iterdir()))


def test_systemd_finds_no_fault_in_them(installed):
    assert analyze("verify", "--man=no", *installed) == ""


@pytest.mark.parametrize("unit", SERVICES)
def test_they_are_exposed_no_more_than_allowed(unit):
    verdict = analyze("security", "--offline=true", str(UNITS / unit))
    assert float(re.search(r"level for \S+ ([0-9.]+)", verdict)[1]) <= EXPOSURE_MAX


@pytest.mark.parametrize("unit", SERVICES)
def test_they_run_verbs_with_options_that_belong_to_them(unit):
    assert commands(unit)
    for words in commands(unit):
        done = subprocess.run([DETOUR, *words, "--netns", "none-of-that-name"], timeout=60)
        assert done.returncode == 1  # 64 would be wrong usage


@pytest.mark.parametrize("unit", APPLYING)
@pytest.mark.parametrize("mode", ["loose", "off"])
def test_within_its_walls_a_unit_applies_all_of_a_document(strict_lab, unit, mode):
    lab = strict_lab
    lab.save(document(gateway(rp_filter=mode)))
    for words in commands(unit):
        result = lab.detour(words[0], None, *words[1:], wrapper=walls(unit))
        assert result.exit == 0, repr(result)
    assert lab.detour("drift").exit == 0
    assert lab.tool("router", "nft list table inet detour")


def test_the_walls_hold(lab):
    """The tests above prove nothing unless what is not allowed fails."""
    for path in ("/etc/x", "/usr/x", "/proc/sys/net/ipv4/conf/lo/rp_filter", "/var/x"):
        with pytest.raises(Exception, match="Read-only|ermission"):
            lab.tool("router", [*walls("detour.service"), "sh", "-c", f"echo 0 >{path}"])


def test_no_unit_denies_a_system_call_that_is_needed(strict_lab, tmp_path):
    lab, log = strict_lab, tmp_path / "calls"
    lab.save(document(gateway(rp_filter="off")))
    wrapper = ["strace", "-f", "-qq", "-o", log, "-A"]
    for verb, *words in (["apply", "--last-confirmed"], ["drift"], ["destroy"]):
        assert lab.detour(verb, None, *words, wrapper=wrapper, program=DETOUR_PLAIN).exit == 0
    used = set(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.M)) - {"execve"}
    for unit in SERVICES:
        assert used <= allowed_calls(unit), unit


def allowed_calls(unit):
    allowed = set()
    for line in settings(unit)["SystemCallFilter"]:
        calls = set().union(*(calls_of(word) for word in line.lstrip("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def calls_of(word):
    if not word.startswith("@"):
        return {word}
    lines = analyze("syscall-filter", word).splitlines()
    names = [line.strip() for line in lines[1:] if not line.strip().startswith("#")]
    return set().union(*(calls_of(name) for name in names if name))


def test_boot_comes_before_the_network_and_after_what_flushes():
    unit = settings("detour.service")
    before, after = " ".join(unit["Before"]).split(), " ".join(unit["After"]).split()
    assert "network-pre.target" in before and "network-pre.target" in unit["Wants"]
    assert "nftables.service" in after and unit["DefaultDependencies"] == ["no"]


def test_what_systemd_sets_up_for_them_outlives_them():
    """The record of rp_filter and the journal of a change are in /run/detour."""
    for unit in APPLYING:
        assert settings(unit)["RuntimeDirectoryPreserve"] == ["yes"]


def test_the_drop_ins_say_what_systemd_understands():
    text = (REPO / "examples/systemd/networkd.conf").read_text()
    assert {"ManageForeignRoutes=no", "ManageForeignRoutingPolicyRules=no"} <= set(text.split())
