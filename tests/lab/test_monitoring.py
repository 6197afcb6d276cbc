# SPDX-License-Identifier: GPL-2.0-or-later
"""What monitors read: metrics, a plugin's line, and silence in a cron job."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from lab import DETOUR, REPO, document, gateway, redirect

PROMTOOL = shutil.which("promtool") or str(REPO / "build" / "promtool")
SAMPLE = re.compile(r"^(\w+)(\{.*\})? (\d+)$")
LINE = re.compile(r"DETOUR (OK|WARNING|CRITICAL|UNKNOWN) - ([ -{}~]+?)(?: \| ([ -~]+))?\n")
STATES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]
WITHOUT_NET_ADMIN = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]


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
    comment = "take a\\b\udcff\x1b"
    lab.tool("router", ["nft", "add", "rule", "inet", "detour", "select", "counter",
                        "comment", f'"{comment}"'])  # fmt: skip
    lab.detour("drift", document(), "--prometheus", str(file))
    assert r'detour_redirect_connections_total{redirect="a\\b\\xff\\x1b"}' in metrics(file)


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
    assert line in (REPO / "docs/drift.md").read_text()
    lab.save(document())
    lab.apply(document())
    command = ["sh", "-c", line.replace("detour", DETOUR, 1) + " || true"]
    assert lab.tool("router", command) == ""
    lab.ip("router", "route del default table 103")
    assert "effect outage" in lab.tool("router", command)


# --nagios


def plugin(lab, wanted, *args, **how):
    """Exit code, text and numbers; the line is well-formed and all that is printed."""
    result = lab.detour("drift", wanted, "--nagios", *args, wants_json=False, **how)
    assert result.errors == ""
    state, text, numbers = LINE.fullmatch(result.text).groups()
    assert state == STATES[result.exit]
    items = [item.split("=") for item in (numbers or "").split()]
    return result.exit, text, {label: int(value) for label, value in items}


def test_in_sync_is_ok(lab):
    lab.apply(document())
    numbers = dict.fromkeys(
        ["steps", "conflicts", "warnings", "fatal", "leak", "outage", "exposed"], 0
    )
    assert plugin(lab, document()) == (0, "in sync", numbers)


def test_a_leak_is_critical(lab):
    lab.apply(document())
    lab.nft("router", "delete element inet detour services_3389/tcp { 3389 . tcp }")
    code, text, numbers = plugin(lab, document())
    assert (code, numbers["steps"], numbers["leak"]) == (2, 1, 1)
    assert text.startswith("drift, effect leak: nft_element services_3389/tcp")
    assert text.endswith(" is missing")


def test_the_worst_of_several_is_told(lab):
    lab.apply(document())
    lab.ip("router", "rule del priority 101", "route del default table 103")
    code, text, numbers = plugin(lab, document())
    assert (code, numbers["outage"] > 0, numbers["exposed"] > 0) == (2, True, True)
    assert text.startswith("drift, effect outage: route ipv4 table 103 default is missing (1 of ")


def test_a_protection_that_is_missing_is_a_warning(lab):
    lab.apply(document())
    lab.ip("router", "rule del priority 101")
    code, text, numbers = plugin(lab, document())
    assert (code, numbers["exposed"], numbers["steps"]) == (1, 1, 1)
    assert text.startswith("drift, effect exposed: rule ipv4 priority 101 ")


def test_drift_without_effect_is_a_warning(lab):
    lab.apply(document())
    lab.nft("router", "add chain inet detour foreign")
    assert plugin(lab, document())[:2] == (1, "drift, effect none: nft_chain foreign is extra")


def test_a_conflict_is_critical_whatever_else_there_is(lab):
    lab.apply(document())
    lab.ip("router", "rule add fwmark 7 lookup 103 priority 9000")
    code, text, numbers = plugin(lab, document())
    assert (code, numbers["conflicts"], numbers["steps"]) == (2, 1, 0)
    assert text.startswith("conflict: rule ipv4 priority 9000, found a rule of protocol ")


def test_warnings_alone_are_counted_and_ok(lab):
    lab.apply(document())
    lab.sysctl("router", "net/ipv4/ip_forward", 0)
    code, text, numbers = plugin(lab, document(), "--full")
    assert (code, text) == (0, "in sync")
    assert numbers["warnings"] >= numbers["fatal"] >= 1


def test_what_cannot_be_compared_is_unknown(lab):
    lab.apply(document())
    code, text, numbers = plugin(lab, document(), wrapper=WITHOUT_NET_ADMIN)
    assert (code, "CAP_NET_ADMIN" in text, numbers) == (3, True, {})


def test_metrics_that_cannot_be_written_hide_nothing_worse(lab, tmp_path):
    lab.apply(document())
    (tmp_path / "no").write_text("")
    args = "--prometheus", str(tmp_path / "no" / "x.prom")
    assert plugin(lab, document(), *args)[0] == 3
    lab.ip("router", "route del default table 103")
    code, text, _ = plugin(lab, document(), *args)
    assert (code, "effect outage" in text, "x.prom" in text) == (2, True, True)


@pytest.mark.parametrize("args", [["-q"], ["--no-such"], ["--out", "x"], ["--prometheus", "x"]])
def test_wrong_usage_is_unknown(lab, args):
    assert plugin(lab, document(), *args)[0] == 3


def test_beside_json_the_answer_is_an_object(lab):
    result = lab.detour("drift", document(), "--nagios")
    assert (result.exit, result.json["error"]["code"]) == (64, "usage")


def test_a_line_that_is_lost_is_not_ok(lab):
    lab.apply(document())
    lab.save(document())
    command = f"{DETOUR} drift --nagios >/dev/full 2>&1; echo $?"
    assert lab.tool("router", ["sh", "-c", command]) == "3\n"


HOSTILE = "a|steps=0\nDETOUR OK - b\x85\u2028\x1b[2J'\"=%s"


def test_faults_of_a_hostile_document_stay_in_the_line(lab, tmp_path):
    path = tmp_path / HOSTILE
    path.write_text(json.dumps(document(gateway(name=HOSTILE), redirect(name=HOSTILE))))
    code, text, numbers = plugin(lab, path)
    assert (code, numbers) == (3, {})
    assert r"a\x7csteps=0\x0aDETOUR OK - b\xc2\x85" in text
    assert re.search(r"\(1 of \d faults\)$", text)


def test_a_hostile_description_is_not_told(lab):
    wanted = document(gateway(description="a|b"), redirect(description="a|b"))
    lab.apply(wanted)
    assert plugin(lab, wanted)[:2] == (0, "in sync")


def test_hostile_names_of_live_objects_stay_in_the_line(lab):
    lab.apply(document())
    chain = {"family": "inet", "table": "detour", "name": HOSTILE}
    lab.tool("router", "nft -j -f -", json.dumps({"nftables": [{"add": {"chain": chain}}]}))
    code, text, numbers = plugin(lab, document())
    assert (code, numbers["steps"]) == (1, 1)
    assert r"a\x7csteps=0" in text


def test_a_long_text_leaves_room_for_the_numbers(lab, tmp_path):
    lab.apply(document())
    (tmp_path / "no").write_text("")
    name = str(tmp_path / "no" / "/".join(["|" * 200] * 3)) + ".prom"
    code, text, numbers = plugin(lab, document(), "--prometheus", name)
    assert (code, len(text) < 772, numbers["steps"]) == (3, True, 0)
    assert text.endswith("...")
