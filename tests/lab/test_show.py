# SPDX-License-Identifier: GPL-2.0-or-later
"""detour show on a real router: what it counts, and what it says is broken."""

import json
import os
import socket
import stat
import xml.etree.ElementTree

import jsonschema
import pytest

from lab import PATIENCE, REPO, document, gateway, redirect, second_gateway, udp_packet

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((REPO / "schemas/report.schema.json").read_text())
)
RTMGRP_NEIGH = 4  # linux/rtnetlink.h
DNS = redirect(name="dns", services=["53/udp"])
ONLY_IPV4 = redirect(servers={"networks": ["10.1.0.0/24"]})


class Shown:
    """The report of show, its only gateway, and its redirects by name."""

    def __init__(self, lab, wanted):
        result = lab.detour("show", wanted)
        VALIDATOR.validate(result.json)
        self.exit = result.exit
        (self.gateway,) = result.json["gateways"]
        self.redirects = {item["name"]: item for item in result.json["redirects"]}
        self.warnings = {warning["code"] for warning in result.json["warnings"]}
        self.connections = {
            name: item["connections_total"] for name, item in self.redirects.items()
        }


def picture(lab, wanted):
    return lab.detour("show", wanted, wants_json=False).text


# What it counts


def test_packets_and_bytes_are_those_that_were_sent(lab, family):
    wanted = document(None, [redirect(), DNS])
    lab.apply(wanted)
    before = Shown(lab, wanted)
    size = (40 if family.is_ipv6 else 20) + 8 + len("who?")
    for port in (5001, 5002) * 3:
        answer = lab.ask_udp("client", family.server, 53, source_port=port)
        assert answer == "gateway"
    after = Shown(lab, wanted)
    assert (before.exit, after.exit) == (0, 0)
    assert after.connections == {"rdp": 0, "dns": 2}
    assert after.gateway["packets"] - before.gateway["packets"] == 6
    assert after.gateway["bytes"] - before.gateway["bytes"] == 6 * size
    assert after.gateway["connections"] - before.gateway["connections"] == 2


def test_a_connection_counts_once_and_while_it_lasts(lab, family):
    lab.apply(document())
    for number in (1, 2, 3):
        connection = lab.open("client", family.server, 3389)
        assert connection.answer == connection.ask() == "gateway"
        assert lab.connect("client", family.server, 8080) == "server"
        shown = Shown(lab, document())
        assert (shown.connections, shown.gateway["connections"]) == ({"rdp": number}, number)
    assert "3 connections so far" in picture(lab, document())
    assert "3 connections now" in picture(lab, document())
    lab.tool("router", "conntrack -D -m 0x10/0xf0")
    assert Shown(lab, document()).gateway["connections"] == 0
    assert Shown(lab, document()).connections == {"rdp": 3}


def test_counters_survive_an_apply_that_changes_something_else(lab, family):
    lab.apply(document())
    assert lab.connect("client", family.server, 3389) == "gateway"
    wanted = document(gateway(priority=140), [DNS, redirect()])
    lab.apply(wanted)
    assert Shown(lab, wanted).connections == {"rdp": 1, "dns": 0}
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert Shown(lab, wanted).connections == {"rdp": 2, "dns": 0}


# What it says is broken


def test_a_link_that_is_down_is_marked(lab):
    lab.apply(document())
    lab.link_down("eth2")
    shown = Shown(lab, document())
    assert (shown.exit, shown.gateway["link"], shown.gateway["state"]) == (2, "down", "differs")
    assert shown.gateway["flaws"] and shown.redirects["rdp"]["fate"]
    lines = picture(lab, document()).splitlines()
    assert any("eth2" in line and " down " in line for line in lines)
    lab.link_up("eth2")
    lab.apply(document())
    assert Shown(lab, document()).exit == 0


def lose_address(lab, family):
    """The gateway has the address no longer, and the router has asked for it in vain."""
    word = family.name
    lab.sysctl("router", f"net/{word}/neigh/eth2/mcast_solicit", 1)
    lab.sysctl("router", f"net/{word}/neigh/eth2/retrans_time_ms", 10)
    length = 64 if family.is_ipv6 else 24
    lab.ip("gateway", f"addr del {family.gateway}/{length} dev eth0")
    lab.ip("router", f"{family.ip} neigh flush dev eth2")
    with lab.inside("router"):
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    with events:
        events.settimeout(PATIENCE)
        events.bind((0, RTMGRP_NEIGH))
        lab.send("client", udp_packet(family.client, family.server, 5001, 53))
        while family.gateway not in lab.ip("router", f"{family.ip} neigh show nud failed"):
            events.recv(65536)


def test_a_next_hop_that_does_not_answer_is_marked(lab, family):
    lab.apply(document(None, DNS))
    lose_address(lab, family)
    shown = Shown(lab, document(None, DNS))
    states = {hop["address"]: hop["neighbour"] for hop in shown.gateway["next_hops"]}
    assert (shown.exit, shown.gateway["state"]) == (2, "live")
    assert [address for address, state in states.items() if state == "failed"] == [family.gateway]
    lines = [line for line in picture(lab, document(None, DNS)).splitlines() if "no answer" in line]
    assert len(lines) == 1 and family.gateway in lines[0]


def test_a_gateway_of_which_no_address_answers_gets_nothing_through(lab):
    wanted = document(gateway(addresses=["10.2.0.10"]), ONLY_IPV4)
    lab.apply(wanted)
    lab.ip("router", "neigh replace 10.2.0.10 dev eth2 nud failed")
    shown = Shown(lab, wanted)
    assert (shown.exit, shown.redirects["rdp"]["state"]) == (2, "live")
    assert shown.redirects["rdp"]["fate"] == "is dropped: the gateway does not answer"


@pytest.mark.parametrize("command", ["flush", "delete"])
def test_a_table_that_somebody_emptied_is_told(lab, family, command):
    lab.apply(document())
    assert lab.connect("client", family.server, 3389) == "gateway"
    lab.nft("router", f"{command} table inet detour")
    shown = Shown(lab, document())
    assert (shown.exit, shown.redirects["rdp"]["state"]) == (2, "missing")
    assert shown.redirects["rdp"]["effect"] == "leak"
    assert shown.redirects["rdp"]["fate"] == "reaches the servers directly"
    assert "✗ not live" in picture(lab, document())
    assert lab.connect("client", family.server, 3389) == "server"


def test_it_warns_of_what_else_is_on_the_router(lab):
    lab.apply(document())
    assert Shown(lab, document()).warnings == set()
    lab.sysctl("router", "net/ipv4/ip_forward", 0)
    lab.foreign_chain("router", "forward", "10", "counter")
    shown = Shown(lab, document())
    assert shown.exit == 0 and "forwarding-off" in shown.warnings
    full = lab.detour("drift", document(), "--full")
    assert {warning["code"] for warning in full.json["warnings"]} == shown.warnings
    assert "[forwarding-off, fatal]" in picture(lab, document())


def test_it_writes_nothing(lab):
    for code in (2, 0):
        before = lab.snapshot()
        assert Shown(lab, document()).exit == code
        assert lab.snapshot() == before
        lab.apply(document())


# One name of it


WEB = redirect(name="web", gateway="second", services=["8080/tcp"])
SEVERAL = document([gateway(), second_gateway()], [redirect(), DNS, WEB])


def names_of(lab, wanted, only, code=0):
    """Of gateways, and of redirects."""
    result = lab.detour("show", wanted, "--only", only)
    VALIDATOR.validate(result.json)
    assert result.exit == code
    return [[item["name"] for item in result.json[kind]] for kind in ("gateways", "redirects")]


def test_only_draws_what_belongs_to_a_name(wide_lab, tmp_path):
    lab = wide_lab
    lab.apply(SEVERAL)
    assert names_of(lab, SEVERAL, "scb") == [["scb"], ["rdp", "dns"]]
    assert names_of(lab, SEVERAL, "dns") == [["scb"], ["dns"]]
    assert names_of(lab, SEVERAL, "web") == [["second"], ["web"]]
    text = lab.detour("show", SEVERAL, "--only", "dns", wants_json=False).text
    _, root = drawn(lab, SEVERAL, tmp_path / "a.svg", "--only", "dns")
    for shown in (text, words(root)):
        assert "dns" in shown and "scb" in shown and "In sync" in shown
        assert not {"rdp", "second", "web"} & set(shown.split())


def test_what_is_said_of_the_whole_stays_that_of_the_whole(wide_lab):
    lab = wide_lab
    lab.apply(SEVERAL)
    lab.link_down("eth3")
    assert names_of(lab, SEVERAL, "dns", 2) == [["scb"], ["dns"]]
    text = lab.detour("show", SEVERAL, "--only", "dns", wants_json=False).text
    drawing, said = text.split("The live state differs")
    assert "eth3" not in drawing and "second" in said
    assert picture(lab, SEVERAL).endswith(said)


def test_only_knows_what_is_live_without_the_document(lab):
    lab.apply(document(None, [redirect(), DNS]))
    lab.tool("router", ["nft", "add", "rule", "inet", "detour", "select", "counter",
                        "comment", '"take a<b&c"'])  # fmt: skip
    assert names_of(lab, document(), "dns", 2) == [[], ["dns"]]
    assert names_of(lab, document(), "a<b&c", 2) == [[], ["a<b&c"]]
    assert names_of(lab, document([], []), "scb", 2) == [["scb"], []]


@pytest.mark.parametrize("name", ["rpd", "", "off", "$(id)\n\x1b[31m", "x" * 5000])
def test_a_name_that_nothing_has_is_refused(lab, tmp_path, name):
    wanted = document(None, [redirect(), redirect(name="off", enabled=False)])
    path = tmp_path / "a.svg"
    result = lab.detour("show", wanted, "--only", name, "--svg", str(path))
    VALIDATOR.validate(result.json)
    assert (result.exit, result.json["error"]["code"]) == (64, "usage")
    assert "gateways" not in result.json and not path.exists()
    plain = lab.detour("show", wanted, "--only", name, wants_json=False)
    assert (plain.exit, plain.text) == (64, "") and "\x1b" not in plain.errors
    assert len(name) > 100 or "gateways: scb; redirects: rdp\n" in plain.errors


# The same as SVG


HOSTILE = """]]><script>alert("1")</script> & 'x' --> \ufffe\uffff \u202e&#0; <!DOCTYPE"""
SVG = "{http://www.w3.org/2000/svg}"


def drawn(lab, wanted, path, *args):
    """The parsed SVG document, after the exit code."""
    result = lab.detour("show", wanted, "--svg", str(path), *args)
    return result.exit, xml.etree.ElementTree.fromstring(path.read_bytes())


def words(root):
    return " ".join(text for text in root.itertext())


def test_the_svg_says_what_the_text_says(lab, tmp_path):
    lab.apply(document())
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"
    code, root = drawn(lab, document(), tmp_path / "a.svg")
    assert (code, root.tag) == (0, SVG + "svg")
    assert root.find(SVG + "title").text and root.find(SVG + "desc").text
    for word in ("eth0", "rdp", "scb", "10.2.0.10", "3389/tcp", "1 connections so far", "In sync"):
        assert word in words(root), word
    assert "not live" not in words(root)
    lab.nft("router", "flush table inet detour")
    code, root = drawn(lab, document(), tmp_path / "a.svg")
    assert code == 2 and "not live: reaches the servers" in words(root)
    bad = [text.text for text in root.iter(SVG + "text") if text.get("class") == "bad"]
    assert any("not live" in text for text in bad)


def test_the_svg_is_well_formed_whatever_people_write(lab, tmp_path):
    many = [
        redirect(name=f"r{i}", services=[f"{4000 + i}/tcp"], description=HOSTILE)
        for i in range(50)
    ]
    wanted = document(gateway(description=HOSTILE), many)
    lab.apply(wanted)
    lab.tool("router", ["nft", "add", "rule", "inet", "detour", "select", "counter",
                        "comment", '"take a<b&c"'])  # fmt: skip
    code, root = drawn(lab, wanted, tmp_path / "a.svg")
    assert code in (2, 3) and {element.tag for element in root.iter()} == {
        SVG + name for name in ("svg", "title", "desc", "style", "rect", "text", "path", "g")
    }
    assert "redirect a<b&c is live" in words(root)
    titles = [title.text for title in root.iter(SVG + "title")]
    assert sum("<script>" in title for title in titles) == 51
    heads = {text.text for text in root.iter(SVG + "text") if text.get("class") == "head"}
    assert {f"r{i}" for i in range(50)} <= heads


def test_the_file_is_replaced_as_a_whole(lab, tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("old")
    before = os.stat(path).st_ino
    assert lab.detour("show", "{", "--svg", str(path)).exit == 1
    assert path.read_text() == "old"
    drawn(lab, document(), path)
    assert os.stat(path).st_ino != before and stat.S_IMODE(os.stat(path).st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a.svg"]
    (tmp_path / "no").write_text("")
    result = lab.detour("show", document(), "--svg", str(tmp_path / "no" / "a.svg"))
    assert (result.exit, result.json["error"]["code"]) == (1, "not-writable")
    assert lab.detour("plan", document(), "--svg", str(path)).exit == 64
