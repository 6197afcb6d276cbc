# SPDX-License-Identifier: GPL-2.0-or-later
"""A saved plan is applied as it was read, against the state that it was made for, or not at all."""

import hashlib
import json
import pathlib

import pytest

from lab import REPO, Lab, document, gateway, redirect
from trace import traced

OLD = document(redirects=redirect(services=["3389/tcp"]))
NEW = document(
    gateway(addresses=["10.2.0.11", "2001:db8:2::11"]),
    [redirect(services=["3389/tcp", "22/tcp"]), redirect(name="web", services=["8080/tcp"])],
)


@pytest.fixture
def plan_path():
    path = pathlib.Path("/run/change.plan")
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def save(lab, wanted, path, code=2):
    result = lab.detour("plan", wanted, "--out", str(path))
    assert result.exit == code, repr(result)
    return result


def rewrite(path, **changes):
    """Edits the plan and gives it the digest of what it now says."""
    plan = json.loads(path.read_text()) | changes
    del plan["digest"]
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    plan["digest"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(plan))


def refused(lab, path, code, *options, exit_code=1):
    before = lab.snapshot()
    result = lab.detour("apply", path, *options)
    assert result.exit == exit_code, repr(result)
    assert result.json["error"]["code"] == code, repr(result)
    assert not result.json["changed"]
    assert lab.snapshot() == before
    return result


def test_a_saved_plan_is_applied_and_leads_where_the_document_does(lab, family, plan_path):
    lab.ip(
        "gateway",
        "address add 10.2.0.11/24 dev eth0",
        "address add 2001:db8:2::11/64 dev eth0 nodad",
    )
    lab.apply(OLD)
    planned = save(lab, NEW, plan_path)
    applied = lab.detour("apply", plan_path)
    assert applied.exit == 0, repr(applied)
    assert applied.json["steps"] == planned.json["steps"]
    assert lab.detour("drift", NEW).exit == 0
    assert lab.connect("client", family.server, 8080) == "gateway"


def test_a_first_apply_can_be_saved(lab, plan_path):
    save(lab, OLD, plan_path)
    assert lab.detour("apply", plan_path).exit == 0
    assert lab.detour("drift", OLD).exit == 0


def test_a_plan_may_be_named_without_a_directory(lab, tmp_path):
    assert lab.detour("plan", OLD, "--out", "change.plan", cwd=tmp_path).exit == 2
    assert lab.detour("apply", tmp_path / "change.plan").exit == 0


def test_a_saved_plan_has_the_shape_of_its_schema(lab, plan_path):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((REPO / "schemas/plan.schema.json").read_text())
    many = [f"10.{1 + i // 250}.{i % 250}.0/24" for i in range(60)]
    wide = document(gateway(addresses=["10.2.0.10"]), redirect(servers={"networks": many}))
    for wanted in (OLD, NEW, wide):
        save(lab, wanted, plan_path)
        jsonschema.Draft202012Validator(schema).validate(json.loads(plan_path.read_text()))
    steps = json.loads(plan_path.read_text())["steps"]
    (elements,) = [step for step in steps if step["object"].startswith("servers4 ")]
    assert elements["count"] == len(elements["after"]["elem"]) == 60


def test_planning_writes_nothing_but_the_plan(lab, plan_path):
    result, trace = traced(lab, "plan", OLD, "--out", str(plan_path))
    assert result.exit == 2
    assert not trace.changing()
    opened = [line for line in trace.files_written() if not line.startswith("fchmod(")]
    assert opened and all(str(plan_path) in line for line in opened), opened


def test_a_conflict_is_not_saved(lab, plan_path):
    lab.ip("router", "rule add priority 100 lookup main")
    save(lab, OLD, plan_path, code=3)
    assert not plan_path.exists()


def test_a_plan_that_cannot_be_written_is_an_error(lab):
    result = lab.detour("plan", OLD, "--out", "/proc/nowhere/plan")
    assert result.exit == 1
    assert result.json["error"]["code"] == "not-writable"


DISTURBANCES = {
    "a route replaced": lambda lab: lab.ip(
        "router", "route replace default via 10.2.0.12 dev eth2 table 103 protocol 103"
    ),
    "a route gone": lambda lab: lab.ip("router", "route del default table 103"),
    "a policy rule gone": lambda lab: lab.ip("router", "rule del priority 101"),
    "an element gone": lambda lab: lab.nft(
        "router", "delete element inet detour services_3389/tcp { 3389 . tcp }"
    ),
    "a rule added to our table": lambda lab: lab.nft(
        "router", "insert rule inet detour prerouting accept"
    ),
    "our table gone": lambda lab: lab.nft("router", "delete table inet detour"),
    "rp_filter": lambda lab: lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1),
    "the gateway's link": lambda lab: lab.link_down("eth2"),
    "another apply": lambda lab: lab.apply(document(redirects=redirect(services=["25/tcp"]))),
    "the plan itself": lambda lab: lab.apply(NEW),
}


@pytest.mark.parametrize("disturbance", DISTURBANCES.values(), ids=DISTURBANCES.keys())
def test_a_plan_is_stale_once_what_it_read_has_changed(lab, plan_path, disturbance):
    lab.apply(OLD)
    save(lab, NEW, plan_path)
    disturbance(lab)
    result = refused(lab, plan_path, "stale", exit_code=4)
    assert result.json["steps"] or disturbance is DISTURBANCES["the gateway's link"], repr(result)


def test_the_differences_are_those_since_the_plan(lab, plan_path):
    lab.apply(OLD)
    save(lab, NEW, plan_path)
    lab.ip("router", "rule del priority 101")
    result = refused(lab, plan_path, "stale", exit_code=4)
    (step,) = result.json["steps"]
    assert (step["kind"], step["action"]) == ("rule", "create")
    assert "unreachable" in step["object"]


def test_an_unrelated_change_does_not_make_a_plan_stale(lab, plan_path):
    lab.apply(OLD)
    save(lab, NEW, plan_path)
    lab.nft("router", "table inet other { chain c { type filter hook forward priority 0; }; }")
    lab.ip("router", "rule add priority 5000 lookup main", "route add 192.0.2.0/24 dev eth1")
    lab.connect("client", "10.1.0.5", 3389)
    assert lab.detour("apply", plan_path).exit == 0
    assert lab.detour("drift", NEW).exit == 0


def test_a_plan_edited_by_hand_is_refused(lab, plan_path):
    lab.apply(OLD)
    save(lab, NEW, plan_path)
    text = plan_path.read_text()
    plan_path.write_text(text.replace("10.2.0.11", "10.2.0.66"))
    refused(lab, plan_path, "edited")
    plan_path.write_text(text.replace('"count": 1', '"count": 2', 1))
    refused(lab, plan_path, "edited")


@pytest.mark.parametrize(
    "key, value, code",
    [
        ("detour", "0.0.9", "other-version"),
        ("format_version", 2, "not-a-plan"),
        ("kind", "report", "not-a-plan"),
        ("host", {"boot_id": "x", "machine_id": None, "netns": None}, "other-boot"),
        ("host", {"boot_id": None, "machine_id": "x", "netns": None}, "other-machine"),
        ("host", {"boot_id": None, "machine_id": None, "netns": "x"}, "other-namespace"),
    ],
)
def test_a_plan_of_another_version_boot_or_host_is_refused(lab, plan_path, key, value, code):
    save(lab, OLD, plan_path)
    if key == "host":
        host = json.loads(plan_path.read_text())["host"]
        value = {name: given or host[name] for name, given in value.items()}
    rewrite(plan_path, **{key: value})
    refused(lab, plan_path, code)


def test_a_plan_for_another_namespace_is_refused(lab, plan_path):
    save(lab, OLD, plan_path)
    with Lab() as other:
        refused(other, plan_path, "other-namespace")


def test_steps_that_do_not_follow_from_the_document_are_refused(lab, plan_path):
    """Even with a digest that fits: only what was planned here is applied."""
    lab.apply(OLD)
    save(lab, NEW, plan_path)
    rewrite(plan_path, steps=json.loads(plan_path.read_text())["steps"][1:])
    refused(lab, plan_path, "stale", exit_code=4)


DAMAGES = {
    "NULs behind it": lambda text: text + "\0" * 3,
    "a key twice": lambda text: text.replace('"kind"', '"kind": "plan", "kind"', 1),
    "a key twice, in another order": lambda text: json.dumps(
        json.loads(text), sort_keys=True
    ).replace('"kind"', '"kind": "plan", "kind"', 1),
    "cut off": lambda text: text[:-2],
    "more behind it": lambda text: text + "{}",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_plan_is_refused_as_a_plan(lab, plan_path, damage):
    save(lab, OLD, plan_path)
    plan_path.write_text(damage(plan_path.read_text()))
    error = refused(lab, plan_path, "edited").json["error"]
    assert "the plan is not as detour plan --out wrote it" in error["message"]


def test_a_plan_may_be_larger_than_a_document(lab, plan_path):
    save(lab, OLD, plan_path)
    plan_path.write_text(plan_path.read_text() + " " * (33 << 20))
    assert lab.detour("apply", plan_path).exit == 0
    assert lab.detour("drift", OLD).exit == 0


@pytest.mark.parametrize("cut", [1, 100, 1000, -2])
def test_a_truncated_plan_is_refused(lab, plan_path, cut):
    save(lab, OLD, plan_path)
    plan_path.write_text(plan_path.read_text()[:cut])
    assert lab.detour("apply", plan_path).exit == 1
    assert lab.ruleset(wants_ours=True) == []


def test_check_only_tells_whether_a_plan_still_holds(lab, plan_path):
    save(lab, OLD, plan_path)
    assert lab.detour("apply", plan_path, "--check").exit == 2
    lab.apply(OLD)
    refused(lab, plan_path, "stale", "--check", exit_code=4)
    told = lab.detour("apply", plan_path, "--check", wants_json=False)
    assert "plan again" in told.errors and "would lead back" in told.text


def test_a_saved_plan_can_await_confirmation(lab, plan_path):
    lab.apply(OLD)
    save(lab, NEW, plan_path)
    assert lab.detour("apply", plan_path, "--confirm", "600").exit == 0
    assert lab.detour("revert").exit == 0
    assert lab.detour("drift", OLD).exit == 0
