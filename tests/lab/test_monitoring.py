# SPDX-License-Identifier: GPL-2.0-or-later
"""What monitors read: the metrics of drift --prometheus, and silence in a cron job."""

import os
import re
import shutil
import subprocess
import time

import pytest

from lab import DETOUR, REPO, document, gateway

PROMTOOL = shutil.which("promtool") or str(REPO / "build" / "promtool")
SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\d+)$")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "detour.prom"


def metrics(file):
    """{"name{labels}": value}, and what promtool says is nothing."""
    with file.open() as text:
        done = subprocess.run(
            [PROMTOOL, "check", "metrics"], stdin=text, capture_output=True, text=True, timeout=60
        )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    samples = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return {m[1] + (m[2] or ""): int(m[3]) for m in map(SAMPLE.match, samples)}


def test_in_sync_what_has_gone_through_is_counted(lab, family, file):
    lab.apply(document())
    for _ in range(3):
        assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.detour("drift", document(), "--prometheus", str(file)).exit == 0
    found = metrics(file)
    assert found["detour_in_sync"] == 1
    assert found['detour_redirect_connections_total{redirect="rdp"}'] == 3
    assert found['detour_gateway_packets_total{gateway="scb"}'] >= 9
    assert found['detour_gateway_connections{gateway="scb"}'] == 3
    assert abs(found["detour_last_success_timestamp_seconds"] - time.time()) < 60
    assert not any(name.startswith("detour_drift_steps{") for name in found)


def test_drift_is_counted_by_kind_class_and_effect(lab, file):
    lab.apply(document())
    lab.ip("router", "route del default table 103")
    assert lab.detour("drift", document(), "--prometheus", str(file)).exit == 2
    found = metrics(file)
    assert found["detour_in_sync"] == 0
    assert found['detour_drift_steps{kind="route",class="missing",effect="outage"}'] == 1


def test_conflicts_and_warnings_are_counted(lab, file):
    lab.link_delete("eth2")
    lab.ip("router", "rule add fwmark 7 lookup 103 priority 9000")
    wanted = document(gateway(mark=1))
    assert lab.detour("drift", wanted, "--prometheus", str(file)).exit == 3
    found = metrics(file)
    assert found["detour_conflicts"] == 1
    assert found['detour_warnings{code="interface-missing"}'] == 1


def test_names_from_live_rules_are_escaped(lab, file):
    lab.apply(document())
    comment = "mark a\\b"
    lab.tool("router", ["nft", "add", "rule", "inet", "detour", "select", "counter",
                        "comment", f'"{comment}"'])  # fmt: skip
    lab.detour("drift", document(), "--prometheus", str(file))
    assert 'detour_redirect_connections_total{redirect="a\\\\b"}' in metrics(file)


def test_an_error_leaves_the_file_as_it_was(lab, file):
    lab.detour("drift", document(), "--prometheus", str(file))
    before = file.read_bytes(), os.stat(file).st_ino
    assert lab.detour("drift", "{", "--prometheus", str(file)).exit == 1
    assert (file.read_bytes(), os.stat(file).st_ino) == before


def test_what_cannot_be_written_is_an_error(lab, tmp_path):
    (tmp_path / "no").write_text("")
    result = lab.detour("drift", document(), "--prometheus", str(tmp_path / "no" / "x.prom"))
    assert (result.exit, result.json["error"]["code"]) == (1, "not-writable")


@pytest.mark.parametrize("name", ["relative.prom", "/run/x.txt", ""])
def test_a_file_that_the_collector_would_not_read_is_wrong_usage(lab, name):
    assert lab.detour("drift", document(), "--prometheus", name).exit == 64


def test_the_cron_line_is_silent_while_all_is_well(lab):
    """Cron mails what is printed."""
    line = "detour --quiet drift 2>&1"
    assert line in (REPO / "README.md").read_text()
    lab.save(document())
    lab.apply(document())
    command = ["sh", "-c", line.replace("detour", DETOUR, 1) + " || true"]
    assert lab.tool("router", command) == ""
    lab.ip("router", "route del default table 103")
    assert "effect outage" in lab.tool("router", command)
