# SPDX-License-Identifier: GPL-2.0-or-later
"""What was done by hand becomes a document, or is listed with the reason."""

import json
import subprocess

import pytest

from by_hand import STEP_1, STEP_2, STEP_3
from by_hand import by_hand, imported, iptables, mangle, steps_4_to_7, undo_by_hand
from conftest import IPV4, IPV6
from lab import DETOUR
from test_reports import validator_of

def gateway(family, **fields):
    return {
        "name": "scb",
        "interface": "eth2",
        "addresses": [family.gateway],
        "mark": 1,
        "table": 103,
        "priority": 32764,  # 32765 is the kernel's first, and no document's
        "rp_filter": "off",
        "on_loss": "bypass",
    } | fields


def redirect(family, **fields):
    return {
        "name": "tcp-3389",
        "gateway": "scb",
        "clients": {"interfaces": ["eth0"]},
        "servers": {"networks": [family.servers]},
        "services": ["3389/tcp"],
        "existing_connections": "redirect",
    } | fields


def only_redirect(lab, exit_code=0):
    (found,) = imported(lab, exit_code)[0]["redirects"]
    return found


def reasons(lab):
    return [item["why"] for item in imported(lab, 2)[1]["not_expressed"]]


# The procedure


def test_the_procedure_becomes_its_document(lab, family):
    by_hand(lab, family)
    found, report = imported(lab)
    assert found == {
        "version": 1,
        "gateways": [gateway(family, spoofs_clients=True)],
        "redirects": [redirect(family)],
    }
    assert not report["not_expressed"] and not report["duplicates"]


def test_steps_in_another_order_mean_the_same(lab, family):
    steps_4_to_7(lab, family)
    mangle(lab, family, STEP_3, STEP_2, STEP_1)
    found, _ = imported(lab)
    assert found["gateways"] == [gateway(family, spoofs_clients=True)]
    assert found["redirects"] == [redirect(family)]


def test_without_step_2_the_gateway_spoofs_nobody(lab, family):
    by_hand(lab, family, STEP_1, STEP_3)
    assert imported(lab)[0]["gateways"] == [gateway(family)]


def test_both_families_become_one_redirect(lab):
    by_hand(lab, IPV4)
    by_hand(lab, IPV6)
    found, _ = imported(lab)
    both = [IPV4.gateway, IPV6.gateway]
    assert found["gateways"] == [gateway(IPV4, addresses=both, spoofs_clients=True)]
    servers = {"networks": [IPV4.servers, IPV6.servers]}
    assert found["redirects"] == [redirect(IPV4, servers=servers)]


def test_done_twice_it_is_one_redirect_and_the_duplicates_are_named(lab, family):
    by_hand(lab, family)
    once, _ = imported(lab)
    by_hand(lab, family)
    found, report = imported(lab)
    assert found == once
    assert not list(validator_of("report").iter_errors(report))
    assert sorted(item["kind"] for item in report["duplicates"]) == ["nft_rule"] * 3 + ["rule"]
    handles = [item["object"] for item in report["duplicates"] if item["kind"] == "nft_rule"]
    assert len(set(handles)) == 3 and all(f"{family.ip_word} mangle" in h for h in handles)


def test_several_ports_interfaces_and_gateways(wide_lab, family):
    lab = wide_lab
    by_hand(lab, family)
    second = family.gateway.replace("10.2.", "10.3.").replace("8:2::", "8:3::")
    mangle(
        lab,
        family,
        STEP_1.replace("3389", "22"),
        STEP_1.replace("eth0", "vlan20").replace("3389", "22"),
        STEP_1.replace("eth0", "vlan20"),
        STEP_1.replace("3389", "5900:5910").replace("mark 1", "mark 2"),
        STEP_3.replace("eth2", "eth3").replace("mark 1", "mark 2"),
    )
    steps_4_to_7(lab, family, "104", "vnc", second, "2", "eth3")
    found, _ = imported(lab)
    spoofing = gateway(family, spoofs_clients=True)
    other = gateway(family, name="vnc", interface="eth3", addresses=[second], mark=2, table=104)
    assert sorted(g.pop("priority") for g in found["gateways"]) == [32763, 32764]
    spoofing.pop("priority"), other.pop("priority")
    assert sorted(found["gateways"], key=lambda g: g["name"]) == [spoofing, other]
    assert sorted(found["redirects"], key=lambda r: r["name"]) == [
        redirect(
            family,
            name="tcp-22",
            clients={"interfaces": ["eth0", "vlan20"]},
            services=["22/tcp", "3389/tcp"],
        ),
        redirect(family, name="tcp-5900", gateway="vnc", services=["5900-5910/tcp"]),
    ]


def test_import_writes_nothing(lab, family):
    by_hand(lab, family)
    before = lab.snapshot()
    imported(lab)
    assert lab.snapshot() == before


def test_the_imported_document_redirects_the_same(strict_lab, family):
    lab = strict_lab
    by_hand(lab, family)
    assert lab.connect("client", family.server, 3389) == "gateway"
    found, _ = imported(lab)
    undo_by_hand(lab, family)
    assert lab.connect("client", family.server, 3389) == "server"
    lab.apply(found)
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.server, 22) == "server"


def test_what_detour_made_is_not_imported(lab, family):
    by_hand(lab, family)
    found, _ = imported(lab)
    undo_by_hand(lab, family)
    lab.apply(found)
    found, report = imported(lab)
    assert found == {"version": 1, "gateways": [], "redirects": []}
    assert [warning["code"] for warning in report["warnings"]] == ["nothing-imported"]


# Other words for the same

SAME = {
    "range": ("-p tcp -d {servers} --dport 5900:5910", {"services": ["5900-5910/tcp"]}),
    "up to": ("-p udp -d {servers} --dport :1023", {"services": ["1-1023/udp"]}),
    "sctp": ("-p sctp -d {servers} --dport 22", {"services": ["22/sctp"]}),
    "any port": ("-p tcp -d {servers}", {"services": ["1-65535/tcp"]}),
    "multiport": (
        "-p tcp -d {servers} -m multiport --dports 22,80:90,443",
        {"services": ["22/tcp", "80-90/tcp", "443/tcp"]},
    ),
    "new": (
        "-p tcp -d {servers} --dport 22 -m state --state NEW",
        {"existing_connections": "tracked", "services": ["22/tcp"]},
    ),
    "conntrack": (
        "-p tcp -d {servers} --dport 22 -m conntrack --ctstate NEW",
        {"existing_connections": "tracked", "services": ["22/tcp"]},
    ),
    "comment": (
        '-p tcp -d {servers} --dport 22 -m comment --comment "all of it"',
        {"services": ["22/tcp"]},
    ),
}


@pytest.mark.parametrize("words, fields", SAME.values(), ids=SAME)
def test_matches_of_iptables_are_understood(lab, family, words, fields):
    by_hand(lab, family, f"-A PREROUTING -i eth0 {words} -j CONNMARK --set-mark 1", STEP_3)
    found = only_redirect(lab)
    assert {key: found[key] for key in fields} == fields
    assert found["servers"] == {"networks": [family.servers]}


def test_clients_are_understood(lab, family):
    by_hand(lab, family, STEP_1.replace("-p", "-s {clients} -p"), STEP_3)
    assert only_redirect(lab)["clients"]["networks"] == [family.clients]


def test_ranges_of_addresses_are_understood(lab, family):
    last = family.server.replace("5", "9")
    words = f"-m iprange --dst-range {{server}}-{last}"
    by_hand(lab, family, STEP_1.replace("-d {servers}", words), STEP_3)
    assert only_redirect(lab)["servers"] == {"networks": [f"{family.server}-{last}"]}


def test_everything_but_a_network_is_understood(lab, family):
    """The gateway is not among its own servers: what is sent to it gets there anyway."""
    by_hand(lab, family, STEP_1.replace("-d ", "! -d "), STEP_3)
    servers = only_redirect(lab)["servers"]
    assert len(servers["networks"]) == 2 and family.servers not in servers["networks"]
    assert servers["except"] == [family.gateway]


def test_an_interface_pattern_is_understood(lab, family):
    by_hand(lab, family, STEP_1.replace("eth0", "vlan+"), STEP_3)
    assert only_redirect(lab)["clients"]["interfaces"] == ["vlan*"]


MASKS = {
    "set-mark": ("--set-mark 0x10/0xf0", "--mark 0x10/0xf0", "--set-mark 0x10/0xf0", "0x10/0xf0"),
    "set-xmark": ("--set-xmark 0x10/0xf0", "--mark 16/240", "--set-xmark 16/240", "0x10/0xf0"),
    "one test": ("--set-mark 0x10", "--mark 0x10/0xf0", "--set-mark 0x10", "0x10/0xf0"),
    "full": ("--set-mark 0x10", "--mark 0x10", "--set-mark 0x10", 16),
}


@pytest.mark.parametrize("connection, test, packet, mark", MASKS.values(), ids=MASKS)
def test_masks_are_kept(lab, family, connection, test, packet, mark):
    mangle(
        lab,
        family,
        STEP_1.replace("--set-mark 1", connection),
        STEP_3.replace("--set-mark 1", packet).replace("--mark 1", test),
    )
    steps_4_to_7(lab, family, mark="0x10/0xf0" if mark == "0x10/0xf0" else "0x10")
    assert imported(lab)[0]["gateways"][0]["mark"] == mark


STEPS_3 = {
    "restore": "-A PREROUTING ! -i eth2 -j CONNMARK --restore-mark",
    "restore bits": "-A PREROUTING ! -i eth2 -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xf",
    "marked": "-A PREROUTING ! -i eth2 -m connmark ! --mark 0 -j CONNMARK --restore-mark",
    "from the clients": STEP_3.replace("! -i eth2", "-i eth0"),
}


@pytest.mark.parametrize("step", STEPS_3.values(), ids=STEPS_3)
def test_other_forms_of_step_3_are_understood(lab, family, step):
    mangle(lab, family, STEP_1, step)
    steps_4_to_7(lab, family, mark="1/0xf" if "nfmask" in step else "1")
    found, _ = imported(lab)
    mark = "0x1/0xf" if "nfmask" in step else 1
    assert found["gateways"] == [gateway(family, mark=mark)]
    assert found["redirects"] == [redirect(family)]


NATIVE = {
    "plain": ('iifname "eth0" {word} daddr {servers} tcp dport 3389 ct mark set 1', {}),
    "counter and comment": (
        'iifname "eth0" {word} daddr {servers} tcp dport 3389 counter ct mark set 1 comment "x"',
        {},
    ),
    "by index": ("iif eth0 {word} daddr {servers} tcp dport 3389 ct mark set 1", {}),
    "sets": (
        'iifname {{ "eth0", "eth5" }} {word} daddr {servers} tcp dport {{ 22, 5900-5910 }}'
        " ct mark set 1",
        {
            "clients": {"interfaces": ["eth0", "eth5"]},
            "services": ["22/tcp", "5900-5910/tcp"],
            "name": "tcp-22",
        },
    ),
    "range": (
        'iifname "eth*" {word} daddr {servers} tcp dport 5900-5910 ct mark set 1',
        {"services": ["5900-5910/tcp"], "name": "tcp-5900"},
    ),
    "new": (
        'iifname "eth0" {word} daddr {servers} tcp dport 3389 ct state new ct mark set 1',
        {"existing_connections": "tracked"},
    ),
    "two protocols": (
        'iifname "eth0" {word} daddr {servers} meta l4proto {{ tcp, udp }} th dport 3389'
        " ct mark set 1",
        {"services": ["3389/tcp", "3389/udp"]},
    ),
    "some bits": (
        'iifname "eth0" {word} daddr {servers} tcp dport 3389'
        " ct mark set ct mark & 0xffffff0f | 0x10",
        {},
    ),
}


@pytest.mark.parametrize("table", ["own", "inet"])
@pytest.mark.parametrize("rule, fields", NATIVE.values(), ids=NATIVE)
def test_native_rules_are_understood(lab, family, table, rule, fields):
    mark, bits = ("0x10/0xf0", "0xf0") if "0x10" in rule else ("1", "0xffffffff")
    value = mark.split("/")[0]
    head = f"table {'inet' if table == 'inet' else family.ip_word} mine"
    interfaces = 'iifname "eth0"' if "eth*" in rule else 'iifname != "eth2"'
    lab.nft("router", f"""
        {head} {{
            chain pre {{
                type filter hook prerouting priority mangle;
                {rule.format(word=family.ip_word, servers=family.servers)}
                {interfaces} ct mark & {bits} == {value} meta mark set {value}
            }}
        }}
    """)  # fmt: skip
    steps_4_to_7(lab, family, mark=mark)
    if "eth*" in rule:  # takes the gateway's interface, too, which no document can say
        assert any("gateway" in why or "interfaces" in why for why in reasons(lab))
        return
    found, _ = imported(lab)
    assert found["gateways"] == [gateway(family, mark=mark if "/" in mark else 1)]
    assert found["redirects"] == [redirect(family, **fields)]


def test_a_rule_that_refuses_behind_the_lookup_is_on_loss_block(lab, family):
    mangle(lab, family, STEP_1, STEP_3)
    steps_4_to_7(lab, family)
    lab.ip("router", f"{family.ip} rule del fwmark 1 table 103")
    lab.ip("router", f"{family.ip} rule add fwmark 1 table 103 priority 100")
    lab.ip("router", f"{family.ip} rule add fwmark 1 unreachable priority 200")
    (found,) = imported(lab)[0]["gateways"]
    assert "on_loss" not in found and found["priority"] == 100


def test_a_strict_router_is_not_weakened(strict_lab, family):
    mangle(strict_lab, family, STEP_1, STEP_3)
    steps_4_to_7(strict_lab, family)
    strict_lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 1)
    assert "rp_filter" not in imported(strict_lab)[0]["gateways"][0]


def test_a_table_whose_name_no_gateway_can_have(lab, family):
    mangle(lab, family, STEP_1, STEP_3)
    steps_4_to_7(lab, family, name="PSM")
    assert imported(lab)[0]["gateways"][0]["name"] == "gateway-103"


# What is not, or half, understood

WORSE = {  # rules for steps 1 to 3, and a word of the reason
    "time": ([STEP_1.replace("-j", "-m time --timestart 08:00 -j"), STEP_3], "match time"),
    "syn": ([STEP_1.replace("-j", "--syn -j"), STEP_3], "header field"),
    "length": ([STEP_1.replace("-j", "-m length --length 1:99 -j"), STEP_3], "match length"),
    "limit": ([STEP_1.replace("-j", "-m limit --limit 5/s -j"), STEP_3], "limit"),
    "established": ([STEP_1.replace("-j", "-m state --state NEW,RELATED -j"), STEP_3], "conntrack"),
    "no interface": ([STEP_1.replace("-i eth0 ", ""), STEP_3], "interfaces"),
    "any interface but one": ([STEP_1.replace("-i eth0", "! -i eth2"), STEP_3], "interfaces"),
    "every protocol": (
        ["-A PREROUTING -i eth0 -d {servers} -j CONNMARK --set-mark 1", STEP_3],
        "protocols",
    ),
    "both ports": ([STEP_1.replace("--dport", "--sport 1024: --dport"), STEP_3], "both ports"),
    "only unmarked": ([STEP_1.replace("-j", "-m connmark --mark 0 -j"), STEP_3], "marks"),
    "no step 3": ([STEP_1], "no rule makes a packet mark"),
    "step 3 first": ([STEP_3, STEP_1.replace("-I", "-A")], "stands before it"),
    "step 3 everywhere": ([STEP_1, STEP_3.replace("! -i eth2 ", "")], "sends them back"),
    "step 3 of the servers only": ([STEP_1, STEP_3.replace("! -i eth2", "-i eth1")], "interfaces"),
    "step 3 of some packets": ([STEP_1, STEP_3.replace("-m ", "-p tcp -m ")], "some packets only"),
    "step 3 at times": ([STEP_1, STEP_3.replace("-j", "-m time --timestart 08:00 -j")], "time"),
    "other packet mark": ([STEP_1, STEP_3.replace("-mark 1 -j", "-mark 1 -m mark ! --mark 7 -j")],
                          "some packets only"),
    "packets only": ([STEP_1.replace("CONNMARK", "MARK")], "packets, not connections"),
    "saved": ([STEP_1, STEP_3, "-A PREROUTING -i eth0 -j CONNMARK --save-mark"], "CONNMARK"),
    "other answers": (
        [STEP_1, STEP_2.replace("3389", "22"), STEP_3],
        "answers to connections that no rule",
    ),
    "answers to some": (
        [STEP_1, STEP_2.replace("-j", "-d {client} -j"), STEP_3],
        "answers to some clients",
    ),
    "new answers": ([STEP_1, STEP_2.replace("-j", "-m state --state NEW -j"), STEP_3], "never"),
    "accepted before": (["-A PREROUTING -s {client} -j ACCEPT", STEP_1.replace("-I", "-A"), STEP_3],
                        "may keep packets"),
}  # fmt: skip


STEP_1_STANDS = {"CONNMARK", "answers to connections that no rule", "answers to some clients", "never"}


@pytest.mark.parametrize("rules, word", WORSE.values(), ids=WORSE)
def test_what_is_half_understood_is_listed_and_not_used(lab, family, rules, word):
    by_hand(lab, family, *rules)
    found, report = imported(lab, 2)
    listed = report["not_expressed"]
    assert any(word in item["why"] for item in listed), listed
    assert all(item["object"] and item["found"] for item in listed), listed
    if word in STEP_1_STANDS:
        assert found["redirects"] == [redirect(family)]
        assert "spoofs_clients" not in found["gateways"][0]
    else:
        assert found["redirects"] == found["gateways"] == []


def test_a_later_gateway_for_the_same_connections_leaves_neither(wide_lab, family):
    lab = wide_lab
    second = family.gateway.replace("10.2.", "10.3.").replace("8:2::", "8:3::")
    by_hand(lab, family, STEP_1, STEP_3)
    mangle(
        lab,
        family,
        STEP_1.replace("--set-mark 1", "--set-mark 2"),
        STEP_3.replace("eth2", "eth3").replace("mark 1", "mark 2"),
    )
    steps_4_to_7(lab, family, "104", "vnc", second, "2", "eth3")
    assert sum("elsewhere" in why for why in reasons(lab)) == 2
    assert imported(lab, 2)[0]["redirects"] == []


def test_a_wider_table_is_not_a_gateways(lab, family):
    by_hand(lab, family)
    lab.ip("router", f"{family.ip} route add {family.clients} via {family.gateway} table 103")
    assert any("more than one default route" in why for why in reasons(lab))
    assert imported(lab, 2)[0]["gateways"] == []


def test_a_policy_rule_with_more_conditions_is_not_used(lab, family):
    mangle(lab, family, STEP_1, STEP_3)
    steps_4_to_7(lab, family)
    lab.ip("router", f"{family.ip} rule del fwmark 1 table 103")
    lab.ip("router", f"{family.ip} rule add fwmark 1 from {family.clients} table 103")
    assert any("more than the packet mark" in why for why in reasons(lab))


def test_rules_in_a_chain_that_is_jumped_to_are_listed(lab, family):
    mangle(
        lab,
        family,
        "-N OURS",
        STEP_1.replace("-I PREROUTING", "-A OURS"),
        "-A PREROUTING -j OURS",
        STEP_3,
    )
    steps_4_to_7(lab, family)
    assert any("jump" in why for why in reasons(lab))


def test_a_dynamic_set_is_not_written_down(lab, family):
    address = "ipv6_addr" if family.is_ipv6 else "ipv4_addr"
    lab.nft("router", f"""
        table {family.ip_word} mine {{
            set seen {{ type {address}; flags timeout; timeout 1h; elements = {{ {family.server} }} }}
            chain pre {{
                type filter hook prerouting priority mangle;
                iifname "eth0" {family.ip_word} daddr @seen tcp dport 3389 ct mark set 1
                iifname != "eth2" ct mark 1 meta mark set 1
            }}
        }}
    """)  # fmt: skip
    steps_4_to_7(lab, family)
    assert any("the set seen" in why for why in reasons(lab))


def test_a_sleeping_table_does_nothing(lab, family):
    by_hand(lab, family)
    lab.nft("router", f"""
        table {family.ip_word} mine {{
            flags dormant
            chain pre {{ type filter hook prerouting priority -1; meta mark set 7; }}
        }}
    """)  # fmt: skip
    imported(lab)


HOSTILE = "\x1b[2J\"'\\ \n\u0085 --json"


def test_hostile_comments_do_no_harm(lab, family):
    with_comment = ["-m", "comment", "--comment", HOSTILE]
    mangle(lab, family, STEP_3)
    for rule in (STEP_1, STEP_1.replace("-j", "-m length --length 1:9 -j")):
        words = rule.format(**vars(family)).split()
        lab.tool("router", [iptables(family), "-t", "mangle", *words[:2], *with_comment, *words[2:]])
    steps_4_to_7(lab, family)
    assert only_redirect(lab, 2) == redirect(family)
    text = lab.detour("import", wants_json=False)
    assert "\x1b" not in text.text + text.errors and json.loads(text.text)["version"] == 1


def test_iptables_legacy_is_named_with_its_remedy_and_left_alone(lab, family):
    command = "ip6tables-legacy" if family.is_ipv6 else "iptables-legacy"
    with lab.inside("router"):
        process = subprocess.run([command, "-t", "mangle", "-S"], capture_output=True, text=True)
    if process.returncode:
        pytest.skip(f"the kernel has no {command}: {process.stderr.strip()}")
    by_hand(lab, family)
    rule = STEP_1.replace("-I", "-A").format(**vars(family))
    lab.tool("router", f"{command} -t mangle -A PREROUTING -p tcp --dport 1 -j ACCEPT")
    lab.tool("router", f"{command} -t mangle {rule}")
    before = lab.tool("router", f"{command} -t mangle -S")
    _, report = imported(lab, 2)
    (item,) = report["not_expressed"]
    assert item["kind"] == "iptables-legacy" and "CONNMARK" in item["found"]
    assert f"{command} -t mangle -D PREROUTING 2" in item["why"]
    assert lab.tool("router", f"{command} -t mangle -S") == before
    lab.tool("router", f"{command} -t mangle -D PREROUTING 2")
    imported(lab)


# What is printed


def test_the_document_alone_is_on_standard_output(lab, family):
    by_hand(lab, family, STEP_1, STEP_3, "-A PREROUTING -j CONNMARK --save-mark")
    result = lab.detour("import", wants_json=False)
    assert result.exit == 2 and json.loads(result.text)["redirects"] == [redirect(family)]
    assert f"{family.ip_word} mangle PREROUTING handle" in result.errors
    assert "imported-bypass" in result.errors


def test_quiet_prints_nothing_when_all_was_expressed(lab, family):
    by_hand(lab, family)
    result = lab.detour("import", None, "--quiet", wants_json=False)
    assert (result.exit, result.text, result.errors) == (0, "", "")


def test_without_privileges_nothing_is_claimed(lab):
    drop = ("capsh", "--drop=cap_net_admin", "--", "-c", f"{DETOUR} import --json")
    with lab.inside("router"):
        process = subprocess.run(drop, capture_output=True, text=True)
    assert process.returncode == 1 and "CAP_NET_ADMIN" in process.stdout
