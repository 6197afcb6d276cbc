# SPDX-License-Identifier: GPL-2.0-or-later
"""A changed document is a small plan, and connections in progress do not notice it."""

import pytest

from lab import document, gateway, redirect, second_gateway
from trace import traced

SERVERS = ["10.1.0.0/24", "2001:db8:1::/64"]


def networks(count):
    """Networks with gaps between them, so that none can be merged."""
    return [f"172.{16 + i // 100}.{i % 100 * 2}.0/24" for i in range(count)]


def change(lab, old, new):
    """Applies old, plans and applies new: the plan's steps, and what the apply sent."""
    lab.apply(old)
    plan = lab.detour("plan", new)
    result, trace = traced(lab, "apply", new)
    assert result.exit == 0
    assert lab.detour("drift", new).exit == 0
    return plan, [kind for kind in trace.changing() ]


def with_servers(extra):
    return document(None, redirect(servers={"networks": SERVERS + extra}))


@pytest.mark.parametrize("count", [1, 1000])
def test_one_network_more_is_one_element(lab, family, count):
    new = "10.8.0.0/24" if not family.is_ipv6 else "2001:db8:8::/64"
    plan, sent = change(lab, with_servers(networks(count)), with_servers(networks(count) + [new]))
    assert plan.steps("action", "kind", "count") == [("create", "nft_element", 1)]
    assert len(sent) == 1 and "NEWSETELEM" in sent[0]


def test_one_network_less_is_one_element(lab):
    plan, sent = change(lab, with_servers(networks(1000)), with_servers(networks(999)))
    assert plan.steps("action", "kind", "count") == [("delete", "nft_element", 1)]
    assert len(sent) == 1 and "DELSETELEM" in sent[0]


def test_many_networks_are_one_step_that_lists_twenty(lab):
    plan, _ = change(lab, document(), with_servers(networks(1000)))
    step = plan.json["steps"][0]
    assert (len(plan.json["steps"]), step["count"]) == (1, 1000)
    assert len(step["after"]["elem"] if isinstance(step["after"], dict) else step["after"]) <= 20


def test_one_port_more_is_another_set_for_this_redirect_alone(lab):
    other = redirect(name="other", servers={"networks": ["10.9.0.0/24"]})
    new = document(None, [redirect(services=["3389/tcp", "22/tcp"]), other])
    plan, sent = change(lab, document(None, [redirect(), other]), new)
    assert plan.steps("action", "kind", "count", "redirects") == [
        ("create", "nft_set", None, ["rdp"]),
        ("create", "nft_element", 2, ["rdp"]),
        ("update", "nft_rule", None, ["rdp"]),
        ("update", "nft_rule", None, ["rdp"]),
    ]
    assert len(sent) == 4


def test_a_changed_gateway_address_is_one_route_updated(lab):
    new = document(gateway(addresses=["10.2.0.11", "2001:db8:2::10"]))
    plan, sent = change(lab, document(), new)
    assert plan.steps("action", "drift", "kind") == [("update", "changed", "route")]
    step = plan.json["steps"][0]
    assert (step["before"]["gateway"], step["after"]["gateway"]) == ("10.2.0.10", "10.2.0.11")
    assert sent == ["RTM_NEWROUTE"]


def test_a_changed_ipv6_gateway_address_is_one_route_updated(lab):
    new = document(gateway(addresses=["10.2.0.10", "2001:db8:2::11"]))
    plan, _ = change(lab, document(), new)
    assert plan.steps("action", "drift", "kind") == [("update", "changed", "route")]


def test_a_changed_description_is_nothing(lab):
    new = document(gateway(description="new"), redirect(description="CHG0012345"))
    plan, sent = change(lab, document(), new)
    assert (plan.exit, plan.json["steps"], sent) == (0, [], [])


def test_the_same_document_in_other_words_is_nothing(lab):
    new = document(
        gateway(mark="16/240", addresses=["2001:db8:2:0::10", "10.2.0.10"], rp_filter="loose"),
        redirect(
            servers={"networks": ["2001:db8:1::/64", "10.1.0.0-10.1.0.255"], "except": []},
            services=["3389-3389/tcp"],
            enabled=True,
        ),
    )
    plan, sent = change(lab, document(), new)
    assert (plan.exit, plan.json["steps"], sent) == (0, [], [])


def test_one_redirect_more_touches_no_other(lab):
    new = document(None, [redirect(), redirect(name="ssh", services=["22/tcp"])])
    plan, _ = change(lab, document(), new)
    touched = {name for (names,) in plan.steps("redirects") for name in names}
    assert "ssh" in touched
    assert all(step["action"] != "move" for step in plan.json["steps"])


def test_a_disjoint_redirect_more_is_only_creation(lab):
    other = {"networks": ["10.1.7.0/24", "2001:db8:7::/64"]}
    new = document(None, [redirect(), redirect(name="other", servers=other)])
    plan, _ = change(lab, document(), new)
    assert {action for (action,) in plan.steps("action")} == {"create"}
    assert [names for (names,) in plan.steps("redirects")] == [["other"]] * len(plan.json["steps"])


# Connections in progress


CHANGES = {
    "a_redirect_more": document(None, [redirect(), redirect(name="ssh", services=["22/tcp"])]),
    "a_network_more": with_servers(["10.8.0.0/24"]),
    "a_port_more": document(None, redirect(services=["3389/tcp", "22/tcp"])),
    "an_exception_more": document(
        None, redirect(clients={"interfaces": ["eth0"], "except": ["10.0.0.99"]})
    ),
    "its_own_redirect_disabled": document(
        None, [redirect(enabled=False), redirect(name="ssh", services=["22/tcp"])]
    ),
    "its_own_redirect_renamed": document(None, redirect(name="renamed")),
    "other_existing_connections": document(None, redirect(existing_connections="redirect")),
    "another_table": document(gateway(table=140)),
    "another_priority": document(gateway(priority=140)),
    "bypass": document(gateway(on_loss="bypass")),
    "rp_filter_off": document(gateway(rp_filter="off")),
    "a_renamed_gateway": document(gateway(name="renamed"), redirect(gateway="renamed")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_redirected_connection_lives_through(strict_lab, family, name):
    lab = strict_lab
    lab.apply(document())
    session = lab.open("client", family.server, 3389)
    assert session.ask() == "gateway"
    lab.apply(CHANGES[name])
    assert [session.ask() for _ in range(3)] == ["gateway"] * 3
    lab.apply(document())
    assert session.ask() == "gateway"


@pytest.mark.parametrize("name", CHANGES)
def test_a_direct_connection_lives_through(strict_lab, family, name):
    lab = strict_lab
    lab.apply(document())
    session = lab.open("client", family.server, 8080)
    assert session.ask() == "server"
    lab.apply(CHANGES[name])
    assert [session.ask() for _ in range(3)] == ["server"] * 3


def test_a_direct_connection_of_a_service_that_is_added_goes_on(lab, family):
    lab.apply(document())
    session = lab.open("client", family.server, 22)
    lab.apply(document(None, redirect(services=["3389/tcp", "22/tcp"])))
    assert session.ask() == "server"
    assert lab.connect("client", family.server, 22) == "gateway"


# Marks


def test_a_changed_mark_cuts_what_bears_the_old_one(lab, family):
    lab.apply(document())
    session = lab.open("client", family.server, 3389)
    assert session.answer == "gateway" and lab.tracked("0x10/0xf0")
    changed = document(gateway(mark="0x20/0xf0"))
    plan = lab.detour("plan", changed)
    assert any("1 connection" in w["message"] for w in plan.json["warnings"]), repr(plan)
    lab.apply(changed)
    assert not lab.tracked("0x10/0xf0")
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.detour("drift", changed).exit == 0


def test_another_gateways_connections_survive_a_changed_mark(wide_lab, family):
    lab = wide_lab
    second = second_gateway(mark="0x40/0xf0")
    redirects = [redirect(), redirect(name="ssh", gateway="second", services=["22/tcp"])]
    lab.apply(document([gateway(), second], redirects))
    session = lab.open("client", family.server, 22)
    assert session.ask() == "gateway2"
    lab.apply(document([gateway(mark="0x20/0xf0"), second], redirects))
    assert session.ask() == "gateway2"


def test_destroy_cuts_what_bears_the_mark_and_nothing_else(lab, family):
    lab.apply(document())
    redirected = lab.open("client", family.server, 3389)
    direct = lab.open("client", family.server, 22)
    assert (redirected.answer, direct.answer) == ("gateway", "server")
    assert lab.detour("destroy").exit == 0
    assert not lab.tracked("0x10/0xf0")
    assert direct.ask() == "server"


# Emptiness


def test_the_last_redirect_goes_only_with_allow_empty(lab, family):
    lab.apply(document())
    before = lab.snapshot()
    disabled = document(None, redirect(enabled=False))
    for empty in (document([gateway()], []), document([], []), disabled):
        result = lab.detour("apply", empty)
        assert result.exit == 1, repr(result)
        assert "allow-empty" in result.text + result.errors
        assert lab.snapshot() == before
    assert lab.connect("client", family.server, 3389) == "gateway"
    lab.apply(document([], []), "--allow-empty")
    assert lab.connect("client", family.server, 3389) == "server"


def test_an_empty_document_on_an_empty_router_needs_no_permission(lab):
    lab.apply(document([], []))
    lab.apply(document([gateway()], []))
