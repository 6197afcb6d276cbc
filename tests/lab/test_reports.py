# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports, exit codes, privileges, --netns: what scripts and hooks meet."""

import contextlib
import json
import os
import pathlib
import pty
import re
import subprocess

import pytest

import lab as laboratory
from lab import DETOUR, REPO, document, gateway, redirect

BROKEN = document(gateway(mark="0x10", table=253), redirect(services=["70000/tcp"]))
SCHEMAS = sorted((REPO / "schemas").glob("*.schema.json"))


def validator_of(name):
    jsonschema = pytest.importorskip("jsonschema")
    paths = [path for path in SCHEMAS if name in path.name]
    if not paths:
        pytest.skip(f"schemas/*{name}*.schema.json is not there yet")
    schema = json.loads(paths[0].read_text())
    return jsonschema.Draft202012Validator(schema)


def reports(lab):
    """One report of every sort."""
    yield lab.detour("validate", document())
    yield lab.detour("validate", BROKEN)
    yield lab.detour("validate", "{")
    yield lab.detour("drift", document())
    yield lab.detour("plan", document())
    yield lab.detour("apply", document(), "--check")
    yield lab.detour("apply", document())
    yield lab.detour("apply", document())
    yield lab.detour("apply", BROKEN)
    yield lab.detour("apply", document([], []))
    lab.link_down("eth2")
    yield lab.detour("apply", document())
    lab.ip("router", "rule add fwmark 7 lookup 103 priority 9000")
    yield lab.detour("drift", document())
    yield lab.detour("import")
    yield lab.detour("plan", pathlib.Path("/nonexistent.json"))
    yield lab.detour("destroy")
    yield lab.detour("destroy")


def test_every_report_is_one_object_of_the_schema(lab):
    validator = validator_of("report")
    for result in reports(lab):
        errors = [error.message for error in validator.iter_errors(result.json)]
        assert not errors, f"{errors}\n{result!r}"
        assert result.json["format_version"] == 1


def test_every_report_is_one_object(lab):
    for result in reports(lab):
        assert result.json["format_version"] == 1 and result.text.count("\n") >= 1


def test_a_full_report_has_the_contracts_keys(lab):
    result = lab.detour("plan", document())
    keys = {"format_version", "verb", "exit", "in_sync", "changed", "effect", "summary", "steps"}
    assert keys | {"conflicts", "warnings"} <= set(result.json)
    assert result.json["verb"] == "plan"
    assert not result.json["in_sync"] and not result.json["changed"]
    keys = {"action", "drift", "kind", "object", "effect", "before", "after", "why"}
    assert all(keys <= set(step) for step in result.json["steps"])


def test_a_routes_step_reads_like_the_contracts_example(lab):
    lab.apply(document())
    lab.ip("router", "route del default table 103")
    (step,) = lab.detour("drift", document()).json["steps"]
    assert step == {
        "action": "create",
        "drift": "missing",
        "kind": "route",
        "object": "ipv4 table 103 default",
        "effect": "outage",
        "gateway": "scb",
        "redirects": ["rdp"],
        "before": None,
        "after": {
            "dst": "default",
            "gateway": "10.2.0.10",
            "dev": "eth2",
            "table": 103,
            "protocol": 103,
        },
        "why": "next hop of gateway scb",
    }


def test_steps_come_in_the_contracts_order(lab):
    order = ["rt_table", "rp_filter", "route", "rule", "nft_table", "nft_chain", "nft_set",
             "nft_element", "nft_rule"]  # fmt: skip
    created = [kind for (kind,) in lab.detour("plan", document()).steps("kind")]
    coarse = [min(order.index(kind), 4) for kind in created]
    assert coarse == sorted(coarse)
    lab.apply(document())
    plan = lab.detour("plan", document([], []))
    removed = [min(order.index(kind), 4) for (kind,) in plan.steps("kind")]
    assert removed == sorted(removed, reverse=True) and removed


def test_the_plan_opens_with_what_it_means_for_traffic(lab):
    text = lab.detour("plan", document(), wants_json=False).text
    first = next(line for line in text.splitlines() if line.strip())
    assert all(word in first for word in ("rdp", "10.1.0.0/24", "3389/tcp", "eth0", "scb"))


@pytest.mark.parametrize("text", ["{", json.dumps(document())], ids=["bad", "good"])
def test_a_file_of_any_name_is_named_in_clear(lab, tmp_path, text):
    path = tmp_path / "a\udcff\x1b[2J\n\x85.json"
    path.write_text(text)
    result = lab.detour("validate", path, wants_json=False)
    assert r"/a\xff\x1b[2J\x0a\xc2\x85.json: " in result.text + result.errors
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.text + result.errors)


def test_colours_only_where_asked_for(lab):
    plain = lab.detour("plan", document(), wants_json=False).text
    coloured = lab.detour("plan", document(), "--color", "always", wants_json=False).text
    never = lab.detour("plan", document(), "--color", "never", wants_json=False).text
    assert "\033[" not in plain + never and "\033[" in coloured


def test_all_errors_of_a_document_come_at_once_with_their_places(lab):
    before = lab.snapshot()
    result = lab.detour("apply", BROKEN)
    assert result.exit == 1
    pointers = {error["pointer"] for error in result.json["errors"]}
    assert pointers == {"/gateways/0/mark", "/gateways/0/table", "/redirects/0/services/0"}
    assert lab.snapshot() == before
    text = lab.detour("validate", BROKEN, wants_json=False)
    assert text.exit == 1 and text.errors.count("/redirects/0/services/0") == 1
    assert '"70000/tcp": port must be 1-65535' in text.errors


def test_wrong_usage_is_64(lab):
    for words in (["nonsense"], ["plan", "--nonsense"], []):
        process = subprocess.run([DETOUR, *words], capture_output=True, text=True, timeout=10)
        assert process.returncode == 64 and process.stderr


def test_help_and_version(lab):
    for words in (["--help"], ["--version"], ["plan", "--help"], ["apply", "--help"]):
        process = subprocess.run([DETOUR, *words], capture_output=True, text=True, timeout=10)
        assert process.returncode == 0 and process.stdout and not process.stderr


def test_the_document_is_found_where_it_is_kept(lab, family):
    home = pathlib.Path("/etc/detour")
    home.mkdir()
    (home / "detour.json").write_text(json.dumps(document()))
    lab.apply(None)
    assert lab.connect("client", family.server, 3389) == "gateway"


# Privileges

WITHOUT_NET_ADMIN = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
ONLY_NET_ADMIN = ["setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all,+net_admin"]


@pytest.mark.parametrize("verb", ["plan", "drift", "apply", "destroy"])
def test_without_cap_net_admin_it_says_so_and_changes_nothing(lab, verb):
    lab.apply(document())
    before = lab.snapshot()
    wanted = None if verb == "destroy" else document(gateway(table=150))
    result = lab.detour(verb, wanted, wrapper=WITHOUT_NET_ADMIN)
    assert result.exit == 1
    assert "CAP_NET_ADMIN" in result.json["error"]["message"]
    assert lab.snapshot() == before


def test_validate_needs_no_privileges(lab):
    wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    if laboratory.IS_ROOT:  # elsewhere no other user exists
        wrapper += ["--reuid=65534", "--clear-groups"]
    assert lab.detour("validate", document(), wrapper=wrapper).exit == 0


@pytest.mark.parametrize("mode", ["loose", "off"])
def test_cap_net_admin_is_enough(strict_lab, family, mode):
    lab = strict_lab
    before = lab.snapshot()
    wanted = document(gateway(rp_filter=mode))
    for verb, given, code in (("plan", wanted, 2), ("apply", wanted, 0), ("drift", wanted, 0)):
        result = lab.detour(verb, given, wrapper=ONLY_NET_ADMIN)
        assert result.exit == code, repr(result)
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.detour("destroy", wrapper=ONLY_NET_ADMIN).exit == 0
    assert lab.snapshot() == before


@contextlib.contextmanager
def read_only(path):
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_an_unwritable_names_directory_changes_nothing(lab):
    before = lab.snapshot()
    with read_only("/etc/iproute2"):
        result = lab.detour("apply", document())
    assert result.exit in (1, 5)
    assert "rt_tables.d" in result.json["error"]["message"]
    assert lab.snapshot() == before


def test_an_unwritable_run_changes_nothing(strict_lab):
    lab = strict_lab
    before = lab.snapshot()
    pathlib.Path("/run/detour").mkdir(exist_ok=True)
    with read_only("/run/detour"):
        result = lab.detour("apply", document())
    assert result.exit in (1, 5)
    assert "/run/detour" in result.json["error"]["message"]
    assert lab.snapshot() == before


def test_plan_and_drift_work_on_a_read_only_system(lab):
    lab.apply(document())
    pathlib.Path("/run/detour").mkdir(exist_ok=True)
    with read_only("/etc/iproute2"), read_only("/run/detour"):
        assert lab.detour("drift", document()).exit == 0
        assert lab.detour("plan", document(gateway(table=150))).exit == 2


# --netns


def run_outside(lab, *words, stdin=None):
    process = subprocess.run(
        [DETOUR, "--netns", lab.netns("router"), *words, "--json"],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return laboratory.Result(process, True)


def test_netns_runs_it_in_a_named_namespace(lab, family):
    result = run_outside(lab, "apply", "-", stdin=json.dumps(document()))
    assert result.exit == 0
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.detour("drift", document()).exit == 0
    assert run_outside(lab, "destroy").exit == 0
    assert lab.connect("client", family.server, 3389) == "server"


def test_netns_uses_the_namespaces_own_files(lab, family):
    own = pathlib.Path("/etc/netns", lab.netns("router"))
    (own / "iproute2/rt_tables.d").mkdir(parents=True)
    (own / "detour").mkdir()
    (own / "detour/detour.json").write_text(json.dumps(document()))
    assert run_outside(lab, "apply").exit == 0
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert "scb" in (own / "iproute2/rt_tables.d/detour.conf").read_text()
    assert not pathlib.Path("/etc/iproute2/rt_tables.d/detour.conf").exists()
    assert run_outside(lab, "destroy").exit == 0
    assert not (own / "iproute2/rt_tables.d/detour.conf").exists()


def test_an_unknown_netns_is_an_error(lab):
    process = subprocess.run(
        [DETOUR, "--netns", "nowhere", "drift", "-", "--json"],
        input=json.dumps(document()),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert process.returncode == 1 and "nowhere" in process.stdout


def test_two_namespaces_keep_their_records_apart():
    with laboratory.Lab(strict=True) as first:
        before = first.rp_filters()
        first.apply(document())
        with first.inside("server"):  # any other namespace
            process = subprocess.run(
                [DETOUR, "destroy", "--json"], capture_output=True, text=True, timeout=30
            )
        assert process.returncode == 0
        assert first.rp_filters() == before | {"eth2": 2}
        assert first.detour("destroy").exit == 0
        assert first.rp_filters() == before


# Hostile input


HOSTILE = {
    "empty": "",
    "truncated": json.dumps(document())[:-5],
    "not_json": "gateways: []",
    "array": "[]",
    "deep": '{"version":1,"gateways":' + "[" * 10000 + "]" * 10000 + ',"redirects":[]}',
    "duplicate_keys": '{"version":1,"version":1,"gateways":[],"redirects":[]}',
    "other_version": '{"version":2,"gateways":[],"redirects":[]}',
    "nul": '{"version":1,"gateways":[],"redirects":[],"x\\u0000y":1}',
    "huge": " " * (100 << 20),
    "trailing": json.dumps(document()) + "x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_an_error_and_changes_nothing(lab, name):
    before = lab.snapshot()
    result = lab.detour("apply", HOSTILE[name])
    assert result.exit == 1
    assert result.json["errors"] or result.json["error"]
    assert lab.snapshot() == before


def test_a_report_that_is_lost_does_not_turn_a_change_into_nothing_was_changed(lab):
    to_full = lambda verb: lab.detour(
        verb, document(), wants_json=False, wrapper=["sh", "-c", 'exec "$@" >/dev/full', "sh"]
    )
    assert to_full("apply").exit == 0
    result = to_full("drift")
    assert result.exit == 1 and "could not be written" in result.errors


def shown_at_terminal(lab, *options):
    """What a terminal shows on standard error while an apply takes longer than half a second."""
    wanted = pathlib.Path("/run/wanted.json")
    wanted.write_text(json.dumps(document()))
    delay = "inject=sendto:delay_exit=600ms:when=1"
    slow = ["strace", "-o", "/dev/null", "-e", "trace=sendto", "-e", delay]
    terminal, theirs = pty.openpty()
    with lab.inside("router"):
        process = subprocess.Popen(
            ["env", "ASAN_OPTIONS=detect_leaks=0", *slow, DETOUR, "apply", *options, str(wanted)],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", 0) as screen:
        while more := screen.read(4096):
            shown += more
    assert process.wait(laboratory.PATIENCE) == 0
    return shown.decode()


def test_long_work_tells_a_terminal_how_far_it_is_and_leaves_nothing_there(lab):
    shown = shown_at_terminal(lab)
    assert re.search(r"\rsent (\d+) of \1 elements", shown), repr(shown)
    assert re.search(r"\r +\r$", shown), repr(shown)


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_scripts_are_not_told_how_far_long_work_is(lab, option):
    assert shown_at_terminal(lab, option) == ""
