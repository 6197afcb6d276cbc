# SPDX-License-Identifier: GPL-2.0-or-later
"""detour trace: each prediction is compared with what a real connection then does.

A case is a document, what happens to the router after it was applied, the connection, and the
end that must be predicted and must then happen: the word of the report, and who answers.
"""

import pytest

from lab import document, gateway, redirect, second_gateway
from test_reports import validator_of

BYPASS = gateway(on_loss="bypass")
NOBODY = ("unreachable", "timeout", "refused", "silence", "closed", "reset")
EXCEPT = redirect(
    clients={"interfaces": ["eth0"], "except": ["10.0.0.99", "2001:db8::99"]},
    servers={
        "networks": ["10.1.0.0/24", "2001:db8:1::/64"],
        "except": ["10.1.0.250", "2001:db8:1::250"],
    },
)
WHO = {
    "through": ("gateway",),
    "through-other": ("gateway2",),
    "direct": ("server",),
    "leaks": ("server",),
    "dropped": NOBODY,
}


def both(command):
    """The same policy rule in both families."""
    return lambda lab: lab.ip("router", command) + lab.ip("router", f"-6 {command}")


def links(down):
    return lambda lab: lab.link_down(down)


def nft(text):
    return lambda lab: lab.nft("router", text)


def flush_rules(lab):
    """As a network manager does that removes what is not its own."""
    for family in ("-4", "-6"):
        for priority in ("100", "101"):
            lab.ip("router", f"{family} rule del priority {priority}")


def remove_unreachable(lab):
    for family in ("-4", "-6"):
        lab.ip("router", f"{family} rule del priority 101")


def unguarded(lab):
    """Neither the refusing rule nor the guard is there."""
    remove_unreachable(lab)
    nft("flush chain inet detour forward")(lab)


def forwarding_off(lab):
    lab.sysctl("router", "net/ipv4/ip_forward", 0)
    lab.sysctl("router", "net/ipv6/conf/all/forwarding", 0)
    for interface in ("eth1", "eth2"):
        lab.links.pop(interface)  # markers are not forwarded either


def flap(lab):
    lab.link_down("eth2")
    lab.link_up("eth2")


def flap_unguarded(lab):
    unguarded(lab)
    flap(lab)


def other_next_hop(lab):
    lab.ip("router", "route replace default via 10.1.0.5 dev eth1 table 103 proto 103")
    lab.ip("router", "-6 route del default table 103")
    lab.ip("router", "-6 route add default via 2001:db8:1::5 dev eth1 table 103 proto 103")


def shadowed_unguarded(lab):
    nft("flush chain inet detour forward")(lab)
    both("rule add priority 50 fwmark 0x10/0xf0 lookup main")(lab)


# name: (gateways, redirects, what happens, connection, end by family or for both)
CASES = {
    "selected": (None, None, None, {}, "through"),
    "selected-range-end": (None, redirect(services=["5900-5910/tcp"]), None,
                           {"port": 5910}, "through"),
    "beside-a-range": (None, redirect(services=["5900-5910/tcp"]), None,
                       {"port": 5911}, "direct"),
    "other-service": (None, None, None, {"port": 22}, "direct"),
    "udp-is-not-tcp": (None, None, None, {"protocol": "udp"}, "direct"),
    "udp": (None, redirect(services=["3389/udp"]), None, {"protocol": "udp"}, "through"),
    "excepted-client": (None, EXCEPT, None, {"client": "excluded_client"}, "direct"),
    "excepted-server": (None, EXCEPT, None, {"server": "excluded_server"}, "direct"),
    "other-client": (None, EXCEPT, None, {"client": "other_client"}, "through"),
    "wrong-interface": (None, redirect(clients={"interfaces": ["vlan*"]}), None, {}, "direct"),
    "disabled": (None, redirect(enabled=False), None, {}, "direct"),
    "link-down-block": (None, None, links("eth2"), {}, "dropped"),
    "link-down-bypass": (BYPASS, None, links("eth2"), {}, "direct"),
    "flap-block": (None, None, flap, {}, "dropped"),
    "flap-bypass": (BYPASS, None, flap, {}, "direct"),
    "flap-unguarded": (None, None, flap_unguarded, {}, "leaks"),
    "shadowed-by-mark-block": (None, None,
                               both("rule add priority 50 fwmark 0x10/0xf0 lookup main"),
                               {}, "dropped"),
    "shadowed-by-mark-bypass": (BYPASS, None,
                                both("rule add priority 50 fwmark 0x10/0xf0 lookup main"),
                                {}, "leaks"),
    "shadowed-unguarded": (None, None, shadowed_unguarded, {}, "leaks"),
    "shadowed-by-interface": (None, None, both("rule add priority 50 iif eth0 lookup main"),
                              {}, "dropped"),
    "shadowed-by-service": (BYPASS, None,
                            both("rule add priority 50 iif eth0 ipproto tcp dport 3389 lookup main"),
                            {}, "leaks"),
    "a-rule-for-another-service": (
        None, None, both("rule add priority 50 iif eth0 ipproto tcp dport 3390 lookup main"),
        {}, "through"),
    "a-rule-that-finds-nothing": (None, None, both("rule add priority 50 lookup 77"),
                                  {}, "through"),
    "a-rule-that-suppresses": (
        None, None,
        both("rule add priority 50 fwmark 0x10/0xf0 lookup main suppress_prefixlength 64"),
        {}, "through"),
    "a-rule-that-prohibits": (None, None, both("rule add priority 50 iif eth0 ipproto tcp dport 3389 prohibit"),
                              {}, "dropped"),
    "an-inverted-rule": (None, None, both("rule add priority 50 not iif eth1 lookup main"),
                         {}, "dropped"),
    "a-goto": (None, None, both("rule add priority 50 iif eth0 goto 32766"), {}, "dropped"),
    "rules-wiped-block": (None, None, flush_rules, {}, "dropped"),
    "rules-wiped-bypass": (BYPASS, None,
                           both("rule del priority 100"), {}, "leaks"),
    "table-flushed": (None, None, nft("delete table inet detour"), {}, "leaks"),
    "table-dormant": (None, None, nft("add table inet detour { flags dormant; }"), {}, "leaks"),
    "selection-gone": (None, None, nft("flush chain inet detour select"), {}, "leaks"),
    "forwarding-off": (None, None, forwarding_off, {}, "dropped"),
    "foreign-drop-in-our-table": (
        None, None, nft("insert rule inet detour forward ct mark 0x10 drop"), {}, "dropped"),
    "other-next-hop": (None, None, other_next_hop, {}, "dropped"),
}  # fmt: skip
AS_DOCUMENTED = {"selected", "selected-range-end", "beside-a-range", "other-service",
                 "udp-is-not-tcp", "udp", "excepted-client", "excepted-server", "other-client",
                 "wrong-interface", "disabled", "a-rule-for-another-service",
                 "a-rule-that-finds-nothing", "a-rule-that-suppresses"}  # fmt: skip


def trace(lab, wanted, client, server, port=3389, protocol="tcp", **options):
    more = [word for name, value in options.items() for word in (f"--{name}", value)]
    service = f"{port}/{protocol}"
    words = ["--client", client, "--server", server, "--service", service, *more]
    result = lab.detour("trace", wanted, *words)
    errors = [error.message for error in validator_of("report").iter_errors(result.json)]
    assert not errors, f"{errors}\n{result!r}"
    return result


def really(lab, client, server, port=3389, protocol="tcp", host="client"):
    ask = lab.ask_udp if protocol == "udp" else lab.connect
    return ask(host, server, port, source=client)


def compare(lab, wanted, end, client, server, **connection):
    """The prediction, and then the connection itself."""
    result = trace(lab, wanted, client, server, **connection)
    assert result.json["trace"]["end"] == end.removesuffix("-other"), repr(result)
    with lab.watch("server") as seen:
        answer = really(lab, client, server, **connection)
    # What has reached the server is a leak, whether or not the answer finds the way back.
    if end == "leaks" and seen.at("server", connection.get("port", 3389)):
        answer = "server"
    assert answer in WHO[end], f"{answer}\n{result!r}"
    return result


@pytest.mark.parametrize("name", CASES)
def test_a_prediction_holds(lab, family, name):
    gateways, redirects, happening, asked, end = CASES[name]
    wanted = document(gateways, redirects)
    empty = not any(one.get("enabled", True) for one in wanted["redirects"])
    lab.apply(wanted, *(["--allow-empty"] if empty else []))
    if happening:
        happening(lab)
    options = dict(asked)
    client = getattr(family, options.pop("client", "client"))
    server = getattr(family, options.pop("server", "server"))
    result = compare(lab, wanted, end, client, server, **options)
    assert result.exit == (0 if name in AS_DOCUMENTED else 2), repr(result)


def test_a_strict_gateway_interface_drops_the_answers(strict_lab, family):
    wanted = document(gateway(rp_filter="keep"))
    strict_lab.detour("apply", wanted)
    end = "through" if family.is_ipv6 else "dropped"
    result = compare(strict_lab, wanted, end, family.client, family.server)
    if end == "dropped":
        assert "rp_filter is strict (1)" in result.json["trace"]["sentence"]


def test_a_second_gateway_is_told_apart(wide_lab, family):
    second = second_gateway(name="two")
    vnc = redirect(name="vnc", gateway="two", services=["5900-5910/tcp"])
    wanted = document([gateway(), second], [redirect(), vnc])
    wide_lab.apply(wanted)
    compare(wide_lab, wanted, "through", family.client, family.server)
    result = compare(wide_lab, wanted, "through-other", family.client, family.server, port=5905)
    assert result.json["trace"]["gateway"] == "two"
    swapped = document([gateway(), second], [redirect(gateway="two"), vnc])
    result = compare(wide_lab, swapped, "through", family.client, family.server)
    assert (result.exit, result.json["trace"]["wanted_gateway"]) == (2, "two")


def test_a_spoofing_gateways_answers_come_back_to_it(strict_lab, family):
    strict_lab.spoofing = True
    wanted = document(gateway(spoofs_clients=True))
    strict_lab.apply(wanted)
    result = trace(strict_lab, wanted, family.client, family.server)
    assert (result.exit, result.json["trace"]["end"]) == (0, "through")
    assert really(strict_lab, family.client, family.server) == "gateway+server"


def test_a_spoofing_gateway_whose_connections_are_not_marked_is_cut_off(lab, family):
    wanted = document(gateway(spoofs_clients=True))
    lab.apply(wanted)
    lab.nft("router", 'delete element inet detour interfaces_eth0/eth2 { "eth2" }')
    result = trace(lab, wanted, family.client, family.server)
    assert (result.exit, result.json["trace"]["end"]) == (2, "dropped")


def test_a_document_newer_than_the_live_state(lab, family):
    lab.apply(document())
    newer = document(None, redirect(services=["22/tcp"]))
    result = compare(lab, newer, "through", family.client, family.server)
    assert (result.exit, result.json["trace"]["wanted_redirect"]) == (2, None)
    compare(lab, newer, "leaks", family.client, family.server, port=22)


@pytest.mark.parametrize("on_loss, wanted", [("block", "blocked"), ("bypass", "bypassed")])
def test_what_a_lost_link_would_mean_is_told_before(lab, family, on_loss, wanted):
    wanted_document = document(gateway(on_loss=on_loss))
    lab.apply(wanted_document)
    result = trace(lab, wanted_document, family.client, family.server)
    assert (result.exit, result.json["trace"]["link_down"]) == (0, wanted)
    lab.link_down("eth2")
    answer = really(lab, family.client, family.server)
    assert answer == ("unreachable" if on_loss == "block" else "server")


def test_a_protection_that_is_missing_is_told_before_the_loss(lab, family):
    lab.apply(document())
    unguarded(lab)
    result = trace(lab, document(), family.client, family.server)
    assert (result.exit, result.json["trace"]["link_down"]) == (2, "bypassed")
    assert "would LEAK" in result.json["trace"]["sentence"]
    lab.link_down("eth2")
    assert really(lab, family.client, family.server) == "server"


def test_the_guard_alone_still_blocks_after_a_loss(lab, family):
    lab.apply(document())
    remove_unreachable(lab)
    result = trace(lab, document(), family.client, family.server)
    assert (result.exit, result.json["trace"]["link_down"]) == (0, "blocked")
    lab.link_down("eth2")
    assert really(lab, family.client, family.server) in NOBODY


def test_a_foreign_statement_in_our_table_is_not_guessed_at(lab, family):
    lab.apply(document())
    lab.nft("router", "insert rule inet detour forward meta length > 40 drop")
    result = trace(lab, document(), family.client, family.server)
    assert (result.exit, result.json["trace"]["end"]) == (2, "unknown")


def test_base_chains_of_others_on_the_way_are_named(lab, family):
    lab.apply(document())
    lab.foreign_chain("router", "forward", 5, "tcp dport 1 drop")
    lab.foreign_chain("router", "input", 6, "tcp dport 1 drop")
    result = trace(lab, document(), family.client, family.server)
    chains = [(one["table"], one["hook"], one["priority"])
              for one in result.json["trace"]["not_evaluated"]]  # fmt: skip
    assert chains == [("inet foreign", "forward", 5)]


def test_the_input_interface_may_be_named(lab, family):
    lab.apply(document())
    result = trace(lab, document(), family.client, family.server, **{"in": "eth1"})
    assert (result.exit, result.json["trace"]["end"]) == (0, "direct")
    result = trace(lab, document(), family.client, family.server, **{"in": "eth9"})
    assert "does not exist" in result.json["trace"]["sentence"]


@pytest.mark.parametrize(
    "words",
    [
        ["--client", "10.0.0.2", "--server", "10.1.0.5"],
        ["--client", "10.0.0.0/24", "--server", "10.1.0.5", "--service", "3389/tcp"],
        ["--client", "10.0.0.2", "--server", "2001:db8:1::5", "--service", "3389/tcp"],
        ["--client", "10.0.0.2", "--server", "10.1.0.5", "--service", "1-2/tcp"],
        ["--client", "10.0.0.2", "--server", "10.1.0.5", "--service", "3389"],
    ],
)
def test_what_is_no_connection_is_wrong_usage(lab, words):
    assert lab.detour("trace", document(), *words).exit == 64


def test_trace_writes_nothing(lab, family):
    lab.apply(document())
    before = lab.snapshot()
    with lab.watch("client", "server", "gateway") as seen:
        trace(lab, document(), family.client, family.server)
    assert lab.snapshot() == before
    assert not any(seen.at(host, 3389) for host in ("client", "server", "gateway"))


def test_the_text_ends_in_one_sentence(lab, family):
    """Behind the warnings, if there are any."""
    lab.apply(document())
    lab.foreign_chain("router", "forward", 0, "policy drop;")
    words = ["--client", family.client, "--server", family.server, "--service", "3389/tcp"]
    text = lab.detour("trace", document(), *words, wants_json=False).text
    assert text.splitlines()[-1] == "goes through scb"
