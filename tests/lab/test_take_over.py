# SPDX-License-Identifier: GPL-2.0-or-later
"""What was done by hand gives way to a document: all that is understood, nothing else, no gap."""

import json
import pathlib
import subprocess

import pytest

from by_hand import NAMES, STEP_1, STEP_2, STEP_3
from by_hand import by_hand, imported, iptables, mangle, steps_4_to_7, undo_by_hand
from conftest import IPV4, IPV6
from lab import REPO, document, gateway, redirect
from test_change_window import reports_have_their_shape  # noqa: F401
from test_change_window import await_end, error, router, status, warnings
from test_protect import KERNEL
from test_race import Paused
from test_traffic import Drain
from traffic import Traffic
from watcher import Watcher

ENOUGH = 80_000  # connections; each to a target has a source port of its own

# Of others, in the same chain, with matches and targets that iptables-nft keeps as xt.
OTHERS = [
    '-A PREROUTING -i eth1 -p icmp -m comment --comment "of others" -m limit --limit 3/s',
    "-A PREROUTING -i eth0 -p tcp --dport 22 -m length --length 1:9 -j TOS --set-tos 8",
    "-A PREROUTING -i eth0 -p udp -m multiport --dports 53,123 -j ACCEPT",
]

WITH_A_SET = f"""
    table inet mine {{
        set ports {{ type inet_service; elements = {{ 3389 }}; }}
        chain pre {{
            type filter hook prerouting priority mangle;
            iifname "eth0" ip daddr {IPV4.servers} tcp dport @ports ct mark set 1
            iifname != "eth2" ct mark 1 meta mark set ct mark
        }}
    }}
"""


def wanted(**fields):
    """What the procedure does, in both families, and with on_loss block more."""
    return document(
        gateway(mark=1, spoofs_clients=True, **fields),
        redirect(existing_connections="redirect"),
    )


def take_over(lab, wanted_document, *args, exit_code=0):
    result = lab.detour("apply", wanted_document, "--take-over", *args)
    assert result.exit == exit_code, repr(result)
    return result


def chain(lab, family):
    """As iptables shows it."""
    return lab.tool("router", [iptables(family), "-t", "mangle", "-S", "PREROUTING"]).splitlines()


def removed(result):
    return [kind for action, kind in result.steps("action", "kind") if action == "delete"]


def hints(result):
    return " ".join(conflict["hint"] for conflict in result.json["conflicts"])


def refused(lab, wanted_document):
    """The report of a take-over that changes nothing."""
    before = lab.snapshot()
    planned = lab.detour("plan", wanted_document, "--take-over")
    result = take_over(lab, wanted_document, exit_code=3)
    assert planned.exit == 3 and planned.json["conflicts"] == result.json["conflicts"]
    assert lab.snapshot() == before
    return result


# What goes


def test_the_procedure_gives_way_to_its_document(strict_lab, family):
    lab = strict_lab
    by_hand(lab, family)
    found, _ = imported(lab)
    session = lab.open("client", family.server, 3389)
    assert session.answer == "gateway"
    before = lab.snapshot()
    assert lab.detour("plan", found, "--take-over").exit == 2
    assert lab.snapshot() == before
    result = take_over(lab, found)
    assert removed(result) == ["nft_rule"] * 3 + ["rule", "rt_table"]
    assert result.json["effect"] == "exposed"  # nothing leaked: by hand it went there, too
    assert chain(lab, family) == ["-P PREROUTING ACCEPT"]
    assert "scb" not in NAMES.read_text()
    (rule,) = [r for r in lab.ip("router", f"{family.ip} rule").splitlines() if "fwmark" in r]
    assert "proto 103" in rule
    assert "proto 103" in lab.ip("router", f"{family.ip} route show table 103")
    assert session.ask() == "gateway"
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.server, 22) == "server"
    again = take_over(lab, found)
    assert not again.json["changed"] and not again.json["steps"]
    assert lab.detour("drift", found).exit == 0


def test_what_was_done_twice_goes_twice(lab):
    for family in (IPV4, IPV6, IPV4, IPV6):
        by_hand(lab, family)
    with NAMES.open("a") as names:
        names.write("103 scb\n")
    kinds = removed(take_over(lab, wanted()))
    assert [kinds.count(kind) for kind in ("nft_rule", "rule", "rt_table")] == [12, 4, 2]
    for family in (IPV4, IPV6):
        assert chain(lab, family) == ["-P PREROUTING ACCEPT"]
        assert lab.connect("client", family.server, 3389) == "gateway"
    assert not take_over(lab, wanted()).json["changed"]


def test_rules_of_nft_go_like_those_of_iptables(lab, family):
    word = family.ip_word
    lab.nft("router", f"""
        table inet mine {{
            set ports {{ type inet_service; elements = {{ 22, 3389 }}; }}
            chain pre {{
                type filter hook prerouting priority mangle;
                iifname "eth0" {word} daddr {family.servers} tcp dport @ports ct mark set 1
                tcp dport 8080 counter comment "of others"
                iifname != "eth2" ct mark 1 counter meta mark set ct mark
            }}
        }}
    """)  # fmt: skip
    steps_4_to_7(lab, family)
    found, _ = imported(lab)
    show = lambda: lab.tool("router", "nft -s list table inet mine")  # without counters
    before = show()
    take_over(lab, found, "--confirm", "60")
    after = show()
    assert "ct mark" not in after and "of others" in after and "set ports" in after
    assert lab.connect("client", family.server, 22) == "gateway"
    assert lab.detour("revert").exit == 0
    assert show() == before


def test_without_the_option_nothing_made_by_hand_is_touched(lab, family):
    by_hand(lab, family)
    before = lab.snapshot()
    assert lab.detour("apply", wanted()).exit == 3
    assert lab.snapshot() == before


def test_rules_of_others_stay_what_they_are(lab, family):
    mangle(lab, family, OTHERS[0])
    by_hand(lab, family, STEP_1, OTHERS[1], STEP_2, STEP_3, OTHERS[2])
    show = lambda: lab.tool("router", f"nft -a list table {family.ip_word} mangle")
    lines = lambda: [line for line in show().splitlines() if "mark" not in line]
    theirs, both = lines(), chain(lab, family)
    take_over(lab, wanted(), "--confirm", "60")
    assert lines() == theirs
    kept = [line for line in both if "mark" not in line.lower()]
    assert len(kept) == 4 and chain(lab, family) == kept
    saved = lab.tool("router", [f"{iptables(family)}-save", "-t", "mangle"])
    assert [line for line in saved.splitlines() if line in kept] == kept[1:]
    assert lab.detour("revert").exit == 0
    assert chain(lab, family) == both


def test_another_name_of_the_table_goes_and_other_lines_stay(lab):
    by_hand(lab, IPV4)
    lines = NAMES.read_text().replace("103 scb\n", "0x67\tpsm # old\n104 other\n# 103 scb\n")
    NAMES.write_text(lines)
    take_over(lab, wanted())
    assert NAMES.read_text() == lines.replace("0x67\tpsm # old\n", "")


def test_a_file_that_cannot_be_written_anew_keeps_its_name(lab):
    by_hand(lab, IPV4)
    NAMES.rename("/etc/iproute2/elsewhere")
    NAMES.symlink_to("/etc/iproute2/elsewhere")
    result = take_over(lab, wanted())
    assert warnings(result).count("not-taken-over") == 1
    assert NAMES.is_symlink() and "103 scb" in NAMES.read_text()
    assert lab.detour("drift", wanted()).exit == 0


# What is refused


def test_a_rule_that_is_half_understood_and_marks_connections_is_refused(lab, family):
    limited = STEP_1.replace("-I", "-A").replace("-j", "-m limit --limit 9/s -j")
    by_hand(lab, family, limited, STEP_1, STEP_3)
    result = refused(lab, wanted())
    (conflict,) = result.json["conflicts"]
    assert conflict["kind"] == "nft_rule" and "limit" in conflict["hint"]
    assert lab.connect("client", family.server, 3389) == "gateway"


MISMATCHES = {
    "mark": (dict(mark=2), 'say "mark": 1'),
    "table": (dict(table=140), 'say "table": 103'),
    "spoofs_clients": (dict(spoofs_clients=False), "spoofs_clients"),
}


@pytest.mark.parametrize("fields, hint", MISMATCHES.values(), ids=MISMATCHES)
def test_a_document_of_another_gateway_is_refused_with_the_remedy(lab, family, fields, hint):
    by_hand(lab, family)
    asked = document(
        gateway(**{"mark": 1, "spoofs_clients": True} | fields),
        redirect(existing_connections="redirect"),
    )
    assert hint in hints(refused(lab, asked))


def test_a_document_that_redirects_less_is_refused(lab, family):
    by_hand(lab, family)
    less = document(
        gateway(mark=1, spoofs_clients=True),
        redirect(servers={"networks": ["10.1.0.5", "2001:db8:1::5"]}),
    )
    assert "does not redirect all" in hints(refused(lab, less))


def test_a_document_may_redirect_more_and_then_says_what_leaks(lab, family):
    by_hand(lab, family)
    more = document(
        gateway(mark=1, spoofs_clients=True),
        redirect(services=["3389/tcp", "22/tcp"], existing_connections="redirect"),
    )
    assert take_over(lab, more).json["effect"] == "leak"
    assert lab.connect("client", family.server, 22) == "gateway"


def test_a_mask_that_leaves_other_bits_alone_is_enough(lab, family):
    by_hand(lab, family)
    session = lab.open("client", family.server, 3389)
    masked = wanted() | {"gateways": [gateway(mark="0x1/0xf", spoofs_clients=True)]}
    take_over(lab, masked)
    assert session.ask() == "gateway"
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_set_without_a_name_could_not_come_back_and_is_refused(lab, family):
    lab.nft("router", f"""
        table inet mine {{
            chain pre {{
                type filter hook prerouting priority mangle;
                iifname {{ "eth0", "eth5" }} tcp dport 3389 {family.ip_word} daddr {family.servers} ct mark set 1
                iifname != "eth2" ct mark 1 meta mark set 1
            }}
        }}
    """)  # fmt: skip
    steps_4_to_7(lab, family)
    found, _ = imported(lab)
    assert "set without a name" in hints(refused(lab, found))


def test_a_policy_rule_that_would_come_back_behind_another_is_refused(lab, family):
    ip = lambda words: lab.ip("router", f"{family.ip} rule {words}")
    by_hand(lab, family)
    ip("del fwmark 1")
    ip("add fwmark 1 table 103 priority 3000")
    ip("add fwmark 2 table 200 priority 3000")  # looks at other packets
    ip(f"add from {family.clients} table 200 priority 3000")
    asked = wanted(priority=2900)
    assert "priority of another" in hints(refused(lab, asked))
    ip(f"del from {family.clients}")
    take_over(lab, asked)


def test_a_gateway_of_the_same_bits_that_the_document_does_not_name_is_refused(wide_lab, family):
    lab = wide_lab
    by_hand(lab, family)
    second = family.gateway.replace("10.2.", "10.3.").replace("8:2::", "8:3::")
    mangle(
        lab,
        family,
        STEP_1.replace("3389", "5900").replace("mark 1", "mark 2"),
        STEP_3.replace("eth2", "eth3").replace("mark 1", "mark 2"),
    )
    steps_4_to_7(lab, family, "104", "vnc", second, "2", "eth3")
    assert "does not name" in hints(refused(lab, wanted()))
    found, _ = imported(lab)
    take_over(lab, found)
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.server, 5900) == "gateway2"
    assert chain(lab, family) == ["-P PREROUTING ACCEPT"]


# What stays, and is named


def test_a_rule_that_marks_packets_stays_and_is_named(lab, family):
    marker = f"-A PREROUTING -i eth0 -p tcp -d {family.other_server} --dport 22 -j MARK --set-mark 1"
    by_hand(lab, family)
    mangle(lab, family, marker)
    result = take_over(lab, wanted())
    (left,) = [w for w in result.json["warnings"] if w["code"] == "not-taken-over"]
    assert "nft_rule" in left["message"] and "marks packets" in left["message"]
    assert len(chain(lab, family)) == 2
    again = take_over(lab, wanted())
    assert "not-taken-over" in warnings(again) and not again.json["changed"]


def test_a_policy_rule_that_looks_at_the_mark_stays_and_is_named(lab, family):
    lab.ip("router", f"{family.ip} rule add fwmark 1 iif eth5 table 99 priority 32765")
    by_hand(lab, family)
    result = take_over(lab, wanted())
    (left,) = [w for w in result.json["warnings"] if w["code"] == "not-taken-over"]
    assert "priority 32765 " in left["message"]
    assert "lookup 99" in lab.ip("router", f"{family.ip} rule")


def test_a_rule_that_restores_the_marks_of_others_stays(lab, family):
    """Theirs are set at another hook; the policy rule tells of them."""
    by_hand(lab, family, STEP_1, STEP_2, "-A PREROUTING ! -i eth2 -j CONNMARK --restore-mark")
    mangle(lab, family, "-A POSTROUTING -o eth1 -p tcp --dport 22 -j CONNMARK --set-mark 5")
    (restore,) = [line for line in chain(lab, family) if "restore" in line]
    lab.ip("router", f"{family.ip} rule add fwmark 5 table 105")
    result = take_over(lab, wanted())
    assert chain(lab, family)[1:] == [restore]
    left = [w["message"] for w in result.json["warnings"] if w["code"] == "not-taken-over"]
    assert any("rules that stay need it" in message for message in left)
    lab.ip("router", f"{family.ip} rule del fwmark 5")
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_a_rule_that_restores_marks_goes_when_nobody_else_asks_for_them(lab, family):
    lab.ip("router", f"{family.ip} rule add fwmark 1 iif eth5 table 99 priority 32765")
    by_hand(lab, family, STEP_1, STEP_2, "-A PREROUTING ! -i eth2 -j CONNMARK --restore-mark")
    take_over(lab, wanted())
    assert chain(lab, family) == ["-P PREROUTING ACCEPT"]


def test_a_plan_does_not_warn_of_what_it_removes(lab, family):
    by_hand(lab, family)
    found = lab.detour("plan", wanted(), "--take-over")
    assert warnings(found) == ["mark-full-mask"], repr(found)


def test_iptables_legacy_is_named_and_stays(lab, family):
    command = "ip6tables-legacy" if family.is_ipv6 else "iptables-legacy"
    with lab.inside("router"):
        process = subprocess.run([command, "-t", "mangle", "-S"], capture_output=True, text=True)
    if process.returncode:
        pytest.skip(f"the kernel has no {command}: {process.stderr.strip()}")
    by_hand(lab, family)
    lab.tool("router", f"{command} -t mangle {STEP_1.format(**vars(family))}")
    before = lab.tool("router", f"{command} -t mangle -S")
    result = take_over(lab, wanted())
    (left,) = [w for w in result.json["warnings"] if w["code"] == "iptables-legacy"]
    assert f"{command} -t mangle -D PREROUTING 1" in left["hint"]
    assert lab.tool("router", f"{command} -t mangle -S") == before


# Without a gap, and back


def test_no_connection_gets_past_while_it_comes_and_goes(lab, record_property):
    for family in (IPV4, IPV6):
        by_hand(lab, family)
    targets = [(family.server, port) for port in (3389, 8080) for family in (IPV4, IPV6)]
    rounds = 0
    with lab.watch("server") as seen, Drain(seen), Traffic(lab, targets) as traffic:
        traffic.flow(20)
        while rounds < 10 and len(traffic.attempts) < ENOUGH:
            rounds += 1
            take_over(lab, wanted(), "--confirm", "60")
            traffic.flow(5)
            assert lab.detour("revert").exit == 0
            traffic.flow(5)
        take_over(lab, wanted(), "--again")
        traffic.flow(20)
    selected = [attempt for attempt in traffic.attempts if attempt.port == 3389]
    others = [attempt for attempt in traffic.attempts if attempt.port == 8080]
    past = [packet for packet in seen.at("server", 3389) if packet.flags == "S"]
    record_property(
        "figure",
        f"taken over and put back {rounds} times: {len(selected)} selected connections, {len(past)} "
        f"past the gateway, {len(others)} others",
    )
    assert not past and {attempt.answer for attempt in selected} == {"gateway"}
    assert {attempt.answer for attempt in others} == {"server"}


def test_a_revert_puts_back_what_was_made_by_hand(lab):
    for family in (IPV4, IPV6, IPV4):
        by_hand(lab, family)
    session = lab.open("client", IPV4.server, 3389)
    before = router(lab)
    take_over(lab, wanted(), "--confirm", "60")
    guard = status(lab)["pending"]["guard"]
    assert lab.detour("revert").exit == 0
    await_end(guard)
    assert router(lab) == before
    assert session.ask() == "gateway"
    found, report = imported(lab)
    assert len(report["duplicates"]) == 4


def test_names_come_back_where_they_were(wide_lab):
    """The greater number first, and lines of others between them and behind."""
    lab, text = wide_lab, NAMES.read_text() + "104 vnc\n200 other\n103 scb\n201 more\n"
    NAMES.write_text(text)
    by_hand(lab, IPV4)
    mangle(
        lab,
        IPV4,
        STEP_1.replace("3389", "5900").replace("mark 1", "mark 2"),
        STEP_3.replace("eth2", "eth3").replace("mark 1", "mark 2"),
    )
    steps_4_to_7(lab, IPV4, "104", "vnc", IPV4.gateway.replace("10.2.", "10.3."), "2", "eth3")
    found, _ = imported(lab)
    take_over(lab, found, "--confirm", "60")
    assert NAMES.read_text() == text.replace("104 vnc\n", "").replace("103 scb\n", "")
    assert lab.detour("revert").exit == 0
    assert NAMES.read_text() == text


def test_unconfirmed_it_comes_back_by_itself(lab, family):
    by_hand(lab, family)
    before = router(lab)
    take_over(lab, wanted(), "--confirm", "1")
    await_end(status(lab)["pending"]["guard"])
    assert router(lab) == before
    assert lab.connect("client", family.server, 3389) == "gateway"


def test_it_goes_back_where_it_was_when_the_neighbours_have_changed(lab, family):
    mangle(lab, family, OTHERS[0])
    by_hand(lab, family, STEP_1.replace("-I", "-A"), STEP_3, OTHERS[1])
    before = chain(lab, family)
    take_over(lab, wanted(), "--confirm", "60")
    mangle(lab, family, OTHERS[1].replace("-A", "-D"))
    assert lab.detour("revert").exit == 0
    assert chain(lab, family) == before[:-1]


def test_when_its_chain_is_gone_a_revert_says_so_and_succeeds_once_it_is_there_again(lab, family):
    by_hand(lab, family)
    before = chain(lab, family)
    take_over(lab, wanted(), "--confirm", "60")
    lab.nft("router", f"delete table {family.ip_word} mangle")
    failed = lab.detour("revert")
    assert (failed.exit, error(failed)) == (6, "chain-gone"), repr(failed)
    assert lab.connect("client", family.server, 3389) == "gateway"
    mangle(lab, family, "-F PREROUTING")
    assert lab.detour("revert").exit == 0
    assert chain(lab, family) == before


def test_when_a_set_is_gone_a_revert_says_so_and_succeeds_once_it_is_there_again(lab):
    lab.nft("router", WITH_A_SET)
    steps_4_to_7(lab, IPV4)
    show = lambda: lab.tool("router", "nft list table inet mine")
    before = show()
    found, _ = imported(lab)
    take_over(lab, found, "--confirm", "60")
    lab.nft("router", "delete set inet mine ports")
    failed = lab.detour("revert")
    assert (failed.exit, error(failed)) == (6, "chain-gone"), repr(failed)
    assert "or a set" in failed.json["error"]["message"]
    lab.nft("router", "add set inet mine ports { type inet_service; }")
    lab.nft("router", "add element inet mine ports { 3389 }")
    assert lab.detour("revert").exit == 0
    assert show() == before


# Saved plans, and others who write


@pytest.mark.skipif(KERNEL < (6, 9), reason="protection takes Linux 6.9")
def test_it_comes_and_goes_under_a_watcher_that_protects_the_table(lab):
    for family in (IPV4, IPV6):
        by_hand(lab, family)
    before = router(lab)
    with Watcher(lab, "--protect", document=wanted()) as watcher:
        watcher.wait("conflict")
        take_over(lab, wanted(), "--confirm", "60")
        assert lab.detour("revert").exit == 0
        take_over(lab, wanted(), "--again")
        watcher.wait("in-sync")
        assert chain(lab, IPV4) == ["-P PREROUTING ACCEPT"]
        assert lab.connect("client", IPV4.server, 3389) == "gateway"


def test_a_saved_plan_takes_over(lab, family):
    by_hand(lab, family)
    path = pathlib.Path("/run/plan.json")
    assert lab.detour("plan", wanted(), "--take-over", "--out", str(path)).exit == 2
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((REPO / "schemas/plan.schema.json").read_text())
    jsonschema.validate(json.loads(path.read_text()), schema)
    assert lab.detour("apply", path, "--take-over").exit == 64
    assert lab.detour("apply", path, "--check").exit == 2
    assert lab.detour("apply", path).exit == 0
    assert chain(lab, family) == ["-P PREROUTING ACCEPT"]
    assert lab.detour("apply", path).exit == 4


def test_a_saved_plan_is_stale_when_a_rule_made_by_hand_has_changed(lab, family):
    by_hand(lab, family)
    path = pathlib.Path("/run/plan.json")
    assert lab.detour("plan", wanted(), "--take-over", "--out", str(path)).exit == 2
    mangle(lab, family, STEP_1.replace("-I", "-D"), STEP_1)
    before = lab.snapshot()
    assert lab.detour("apply", path).exit in (3, 4)
    assert lab.snapshot() == before


def test_what_was_changed_since_it_was_read_is_not_removed(lab):
    """At any message of the take-over somebody narrows the rule, if it is still there."""
    words = STEP_1.replace("-I PREROUTING", "-R PREROUTING 2").replace("3389", "3390")
    narrowed = words.format(**vars(IPV4)).split()
    by_hand(lab, IPV4)
    paused = Paused(lab, wanted(), 1, "--take-over")
    assert paused.go_on().exit == 0
    count, changed = len(paused.messages), 0
    for number in range(2, count, 5):
        lab.detour("destroy")
        undo_by_hand(lab, IPV4)
        by_hand(lab, IPV4)
        paused = Paused(lab, wanted(), number, "--take-over")
        with lab.inside("router"):
            command = ["iptables-nft", "-t", "mangle", *narrowed]
            was_there = not subprocess.run(command, capture_output=True).returncode
        result = paused.go_on()
        stands = any("--dport 3390" in line for line in chain(lab, IPV4))
        assert stands == was_there, (number, repr(result))
        if was_there and paused.was_before_the_last_look():
            assert result.exit in (2, 3, 5), (number, repr(result))
            changed += 1
    assert changed > 3


def test_a_rule_whose_set_has_grown_since_it_was_read_is_not_removed(lab):
    show = lambda: lab.tool("router", "nft list chain inet mine pre")
    lab.nft("router", WITH_A_SET)
    steps_4_to_7(lab, IPV4)
    found, _ = imported(lab)
    paused = Paused(lab, found, 1, "--take-over")
    assert paused.go_on().exit == 0
    kept = 0
    for number in range(2, len(paused.messages), 9):
        lab.detour("destroy")
        lab.nft("router", "delete table inet mine" + WITH_A_SET)
        undo_by_hand(lab, IPV4)
        steps_4_to_7(lab, IPV4)
        paused = Paused(lab, found, number, "--take-over")
        lab.nft("router", "add element inet mine ports { 22 }")
        was_there = "@ports" in show()
        result = paused.go_on()
        assert ("@ports" in show()) == was_there, (number, repr(result))
        kept += was_there and paused.was_before_the_last_look()
    assert kept > 1
