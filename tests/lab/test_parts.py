# SPDX-License-Identifier: GPL-2.0-or-later
"""A list too long for one map stands in parts; nothing else is different about it."""

from lab import document, redirect

SERVERS = ["10.1.0.0/24", "2001:db8:1::/64"]
MANY = [f"11.{i >> 7}.{(i & 127) * 2}.0/24" for i in range(16500)]
MANY_IPV6 = [f"2001:dba:{i:x}::/64" for i in range(16500)]


def with_servers(networks):
    return document(None, redirect(servers={"networks": networks}))


def test_connections_find_the_gateway_through_the_parts(lab, family):
    """The server's network is in the first part, in the last one, and nowhere."""
    lab.apply(with_servers(SERVERS + MANY + MANY_IPV6))
    assert lab.nft("router", "list map inet detour servers4").count("goto servers4_") == 2
    assert lab.nft("router", "list map inet detour servers6").count("goto servers6_") == 2
    assert lab.connect("client", family.server, 3389) == "gateway"
    assert lab.connect("client", family.server, 22) == "server"
    lab.apply(with_servers(["172.16.0.0/16", "2001:dbb::/64"] + MANY + MANY_IPV6))
    assert lab.connect("client", family.server, 3389) == "server"


def test_what_nft_lists_it_can_load_again(lab):
    wanted = with_servers(SERVERS + MANY + MANY_IPV6)
    lab.apply(wanted)
    listed = lab.nft("router", "list table inet detour")
    lab.nft("router", "delete table inet detour\n" + listed)
    assert lab.detour("drift", wanted).exit == 0


def test_one_network_more_or_less_is_one_element_of_one_part(lab):
    lab.apply(with_servers(SERVERS + MANY))
    for wanted, action in ((SERVERS + MANY[:-1], "delete"), (SERVERS + MANY, "create")):
        plan = lab.detour("apply", with_servers(wanted))
        assert plan.steps("action", "kind", "count") == [(action, "nft_element", 1)]
        assert lab.detour("drift", with_servers(wanted)).exit == 0


def test_a_list_that_outgrows_one_map_is_moved_in_one_transaction(lab, family):
    few = with_servers(SERVERS + MANY[:16000])
    lab.apply(few)
    session = lab.open("client", family.server, 3389)
    assert session.ask() == "gateway"
    lab.apply(with_servers(SERVERS + MANY))
    assert session.ask() == "gateway"
    assert lab.connect("client", family.server, 3389) == "gateway"
    lab.apply(few)
    assert lab.detour("drift", few).exit == 0
    assert lab.connect("client", family.server, 3389) == "gateway"
