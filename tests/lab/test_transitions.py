# SPDX-License-Identifier: GPL-2.0-or-later
"""Between two documents there is no moment in which a selected packet gets past the gateway.

Packets are sent all the time while documents are applied; sniffers tell where they went.
"""

import pytest

from lab import Flood, document, first_packets, gateway, redirect

FIRST = document()
CHANGES = {
    "a_new_table": document(gateway(table=140)),
    "a_new_priority": document(gateway(priority=140)),
    "an_earlier_priority": document(gateway(priority=40)),
    "a_new_mark": document(gateway(mark="0x20/0xf0")),
    "a_wider_mark": document(gateway(mark="0x110/0xff0")),
    "all_of_a_gateway": document(gateway(table=140, priority=140, mark="0x7/0xf", name="other"),
                                 redirect(gateway="other")),  # fmt: skip
    "a_renamed_redirect": document(None, redirect(name="renamed")),
    "spoofing": document(gateway(spoofs_clients=True)),
    "another_rp_filter": document(gateway(rp_filter="off")),
    "more_services": document(None, redirect(services=["3389/tcp", "5900-5910/tcp"])),
    "smaller_networks": document(
        None, redirect(servers={"networks": ["10.1.0.0/28", "10.1.0.16-10.1.0.255",
                                             "2001:db8:1::/120", "2001:db8:1::1:0/112"]}),
    ),  # fmt: skip
    "existing_connections": document(None, redirect(existing_connections="redirect")),
    "an_overlapping_redirect": document(
        None, [redirect(name="every", services=["1-4000/tcp"], clients={"interfaces": ["eth9"]}),
               redirect()]),  # fmt: skip
}


@pytest.mark.parametrize("name", CHANGES)
def test_no_selected_packet_slips_past_while_the_document_changes(strict_lab, family, name):
    lab = strict_lab
    lab.apply(FIRST)
    with lab.watch("server", "gateway") as seen:
        with Flood(seen, first_packets(family, 3389)) as flood:
            lab.apply(CHANGES[name])
            lab.apply(FIRST)
    assert flood.sent > 100
    assert seen.at("gateway", 3389)
    assert len(seen.at("server", 3389)) == 0


# What FIRST is without sets and chains that redirects share.
UNSHARED = """
table inet detour {
  map servers4 { type ipv4_addr : verdict; flags interval; }
  map servers6 { type ipv6_addr : verdict; flags interval; }
  set interfaces_rdp { type ifname; flags interval; elements = { "eth0" } }
  set services_rdp {
    type inet_service . inet_proto; flags interval; elements = { 3389 . tcp }
  }
  chain mark_rdp {
    ct state invalid,untracked counter drop comment "refuse rdp"
    tcp flags & (fin|syn|rst|ack) != syn return comment "keep rdp tcp"
    counter ct mark set ct mark & 0xffffff0f | 0x10 comment "mark rdp"
  }
  chain redirect_rdp {
    iifname @interfaces_rdp th dport . meta l4proto @services_rdp meta nfproto ipv4 \
      goto mark_rdp comment "select rdp ipv4"
    iifname @interfaces_rdp th dport . meta l4proto @services_rdp meta nfproto ipv6 \
      goto mark_rdp comment "select rdp ipv6"
  }
}
add element inet detour servers4 { 10.1.0.0/24 : goto redirect_rdp }
add element inet detour servers6 { 2001:db8:1::/64 : goto redirect_rdp }
"""


def test_no_selected_packet_slips_past_while_another_layout_becomes_ours(strict_lab, family):
    lab = strict_lab
    lab.apply(FIRST)
    lab.nft("router", "flush map inet detour servers4\nflush map inet detour servers6\n"
            "delete chain inet detour redirect_rdp\n" + UNSHARED)  # fmt: skip
    with lab.watch("server", "gateway") as seen:
        with Flood(seen, first_packets(family, 3389)) as flood:
            result = lab.apply(FIRST)
    assert flood.sent > 0
    assert seen.at("gateway", 3389)
    assert len(seen.at("server", 3389)) == 0
    assert "nft_table" not in [kind for (kind,) in result.steps("kind")]
    assert lab.detour("drift", FIRST).exit == 0


@pytest.mark.parametrize("name", ["first", "a_new_table", "a_new_mark", "all_of_a_gateway"])
def test_every_unselected_packet_arrives_while_the_document_changes(strict_lab, family, name):
    lab = strict_lab
    with lab.watch("server") as seen:
        with Flood(seen, first_packets(family, 23)) as flood:
            lab.apply(FIRST)
            lab.apply(CHANGES.get(name, FIRST))
            lab.detour("destroy")
    assert flood.sent > 100
    assert len(seen.at("server", 23)) == flood.sent


def test_from_its_first_moment_on_a_redirect_has_a_path(strict_lab, family):
    """While it is created, a packet goes to the server or to the gateway, but never gets lost."""
    lab = strict_lab
    with lab.watch("server", "gateway") as seen:
        with Flood(seen, first_packets(family, 3389)) as flood:
            lab.apply(FIRST)
            lab.detour("destroy")
    arrived = seen.at("server", 3389) + seen.at("gateway", 3389)
    assert len([packet for packet in arrived if packet.flags == "S"]) == flood.sent
