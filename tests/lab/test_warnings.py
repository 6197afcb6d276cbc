# SPDX-License-Identifier: GPL-2.0-or-later
"""Each warning: what provokes it on a real router, what comes close and does not, who carries it."""

import pathlib
import re
import shutil
import subprocess

import pytest

import lab as laboratory
from lab import REPO, document, gateway, redirect

PROVOKED, CLOSE = [], []


def warns(code, *words, fatal=False, wanted=None):
    """What the function does to a router is warned of, in these words among others."""

    def note(provoke):
        PROVOKED.append((provoke, code, words, fatal, wanted or document()))
        return provoke

    return note


def silent(code, wanted=None):
    """What the function does to a router only looks like what the code stands for."""

    def note(provoke):
        CLOSE.append((provoke, code, wanted or document()))
        return provoke

    return note


def of_code(result, code):
    return [warning for warning in result.json["warnings"] if warning["code"] == code]


def codes(result):
    return {warning["code"] for warning in result.json["warnings"]}


def name(value):
    return value.__name__ if callable(value) else ""


ONLY_IPV4 = document(
    gateway(addresses=["10.2.0.10"]), redirect(servers={"networks": ["10.1.0.0/24"]})
)
FROM_NETWORKS = document(
    redirects=redirect(
        clients={"interfaces": ["eth0"], "networks": ["10.0.0.0/24", "2001:db8::/64"]}
    )
)
FROM_ALL = document(redirects=redirect(clients={"interfaces": ["eth0", "vlan*"]}))


# Interfaces and their sysctls


@warns("forwarding-off", "IPv4", "eth0, eth2", "net.ipv4.conf.eth0.forwarding", fatal=True)
def ipv4_is_not_forwarded(lab):
    lab.sysctl("router", "net/ipv4/ip_forward", 0)


@warns("forwarding-off", "IPv6", "net.ipv6.conf.all.forwarding", fatal=True)
def ipv6_is_not_forwarded(lab):
    lab.sysctl("router", "net/ipv6/conf/all/forwarding", 0)


@warns("forwarding-off", "IPv4", "eth2", "net.ipv4.conf.eth2.forwarding", fatal=True)
def the_gateways_answers_are_not_forwarded(lab):
    lab.sysctl("router", "net/ipv4/conf/eth2/forwarding", 0)


@warns("forwarding-off", "IPv4", "eth0", wanted=FROM_ALL)
def one_of_two_client_interfaces_does_not_forward(lab):
    lab.plug_in_client2("vlan20")
    lab.sysctl("router", "net/ipv4/conf/eth0/forwarding", 0)


@silent("forwarding-off")
def an_interface_that_has_no_part_does_not_forward(lab):
    lab.plug_in_client2("vlan20")
    lab.sysctl("router", "net/ipv4/conf/vlan20/forwarding", 0)


@silent("forwarding-off", wanted=ONLY_IPV4)
def the_family_that_is_not_forwarded_is_not_redirected(lab):
    lab.sysctl("router", "net/ipv6/conf/all/forwarding", 0)


@warns("interface-down", "scb", "eth2 is down", fatal=True)
def the_gateways_interface_is_down(lab):
    lab.link_down("eth2")


@warns("interface-down", "rdp", "eth0 is down")
def a_client_interface_is_down(lab):
    lab.link_down("eth0")


@silent("interface-down")
def another_interface_is_down(lab):
    lab.link_down("eth1")


@warns("interface-missing", "scb", "eth2 does not exist", fatal=True)
def the_gateways_interface_is_missing(lab):
    lab.link_delete("eth2")


@warns("interface-missing", "rdp", "eth0 does not exist")
def a_client_interface_is_missing(lab):
    lab.link_delete("eth0")


@silent("interface-missing", wanted=FROM_ALL)
def nothing_matches_a_pattern(lab):
    pass


@warns("interface-enslaved", "rdp", "eth0", "bridge br0", fatal=True)
def a_client_interface_is_in_a_bridge(lab):
    lab.ip("router", "link add br0 type bridge", "link set eth0 master br0")


@warns("interface-enslaved", "eth2", "bridge br0", fatal=True)
def the_gateways_interface_is_in_a_bridge(lab):
    lab.ip("router", "link add br0 type bridge", "link set eth2 master br0")


@warns("interface-enslaved", "eth0", "bridge br0", wanted=FROM_ALL)
def one_of_two_client_interfaces_is_in_a_bridge(lab):
    lab.plug_in_client2("vlan20")
    lab.ip("router", "link add br0 type bridge", "link set eth0 master br0")


@silent("interface-enslaved")
def another_interface_is_in_a_bridge(lab):
    lab.plug_in_client2("vlan20")
    lab.ip("router", "link add br0 type bridge", "link set vlan20 master br0")


@silent("interface-enslaved", wanted=document(redirects=redirect(clients={"interfaces": ["br0"]})))
def the_bridge_itself_is_named(lab):
    lab.ip("router", "link add br0 type bridge", "link set eth0 master br0", "link set br0 up")


@warns("src-valid-mark", "rdp", "eth0", "all=1", "eth0=1", fatal=True)
def a_strict_client_interface_looks_at_marks(lab):
    lab.sysctl("router", "net/ipv4/conf/all/src_valid_mark", 1)
    lab.sysctl("router", "net/ipv4/conf/eth0/rp_filter", 1)


@warns("src-valid-mark", "rdp", "eth0")
def an_earlier_rule_may_show_the_way_back(lab):
    a_strict_client_interface_looks_at_marks(lab)
    lab.ip("router", "rule add to 10.0.0.0/24 lookup main priority 50")


@silent("src-valid-mark")
def a_loose_client_interface_looks_at_marks(lab):
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 1)
    lab.sysctl("router", "net/ipv4/conf/eth0/src_valid_mark", 1)
    lab.sysctl("router", "net/ipv4/conf/eth0/rp_filter", 2)


@silent("src-valid-mark")
def a_strict_client_interface_ignores_marks(lab):
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 1)


KEEP = document(gateway(rp_filter="keep"))


@warns("rp-filter-strict", "eth2", "all=1", "eth2=0", fatal=True, wanted=KEEP)
def all_makes_the_gateways_interface_strict(lab):
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 1)


@warns("rp-filter-strict", "eth2", "all=0", "eth2=1", fatal=True, wanted=KEEP)
def the_gateways_interface_is_strict_itself(lab):
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)


@warns("rp-filter-strict", "eth2", wanted=KEEP)
def a_strict_interface_leads_to_the_servers_too(lab):
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)
    lab.ip("router", "route add 10.1.0.128/25 via 10.2.0.10")


@silent("rp-filter-strict", wanted=KEEP)
def all_makes_a_strict_interface_loose(lab):
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 2)
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)


@warns("client-mtu", "scb", "eth2 is 1500", "eth0 is 1400")
def a_client_mtu_is_smaller(lab):
    lab.ip("router", "link set eth0 mtu 1400")


@silent("client-mtu")
def the_gateways_mtu_is_as_small(lab):
    lab.ip("router", "link set eth0 mtu 1400", "link set eth2 mtu 1400")


@silent("client-mtu")
def the_servers_mtu_is_smaller(lab):
    lab.ip("router", "link set eth1 mtu 1400")


@warns("ipv6-not-redirected", "rdp", "eth0", wanted=ONLY_IPV4)
def clients_have_ipv6_that_is_not_redirected(lab):
    pass


@silent("ipv6-not-redirected", wanted=ONLY_IPV4)
def ipv6_is_not_forwarded_at_all(lab):
    lab.sysctl("router", "net/ipv6/conf/all/forwarding", 0)


@silent("ipv6-not-redirected", wanted=ONLY_IPV4)
def clients_have_no_ipv6(lab):
    lab.sysctl("router", "net/ipv6/conf/eth0/disable_ipv6", 1)


# Next hops


@warns("next-hop-own-address", "scb", "10.2.0.1 is this router's own", fatal=True,
       wanted=document(gateway(addresses=["10.2.0.1", "2001:db8:2::10"])))  # fmt: skip
def the_next_hop_is_the_router(lab):
    pass


@warns("next-hop-not-on-link", "scb", "10.1.0.77 is not on the link of eth2", fatal=True,
       wanted=document(gateway(addresses=["10.1.0.77", "2001:db8:2::10"]),
                       redirect(servers={"networks": ["10.1.0.0/26", "2001:db8:1::/64"]})))  # fmt: skip
def the_next_hop_is_on_another_link(lab):
    pass


@warns("next-hop-elsewhere", "scb", "10.2.0.10 is reached by eth1 otherwise, not by eth2")
def another_interface_has_the_gateways_address(lab):
    lab.ip("router", "route add 10.2.0.10 dev eth1")


@silent("next-hop-elsewhere")
def another_interface_has_the_neighbours_address(lab):
    lab.ip("router", "route add 10.2.0.11 dev eth1")


@warns("next-hop-unreachable", "scb", "10.2.0.10 does not answer on eth2")
def the_gateway_does_not_answer(lab):
    lab.ip("router", "neigh replace 10.2.0.10 dev eth2 nud failed")


@silent("next-hop-unreachable")
def the_gateways_neighbour_does_not_answer(lab):
    lab.ip("router", "neigh replace 10.2.0.11 dev eth2 nud failed")


# Our own objects


@warns("mark-full-mask", "scb", wanted=document(gateway(mark=16)))
def the_mark_takes_all_bits(lab):
    pass


@warns("mark-in-use", "scb", "1 connections", "0x10/0xf0")
def connections_bear_the_mark_already(lab):
    lab.foreign_chain("router", "prerouting", "mangle", "tcp dport 22 ct mark set 0x10")
    assert lab.open("client", "10.1.0.5", 22).answer == "server"
    lab.nft("router", "delete table inet foreign")


@silent("mark-in-use")
def connections_bear_other_bits(lab):
    lab.foreign_chain("router", "prerouting", "mangle", "tcp dport 22 ct mark set 0x20")
    assert lab.open("client", "10.1.0.5", 22).answer == "server"
    lab.nft("router", "delete table inet foreign")


@warns("sessions-cut", "1 connections", "0x10/0xf0", wanted=document(gateway(mark="0x20/0xf0")))
def a_mark_changes_under_a_connection(lab):
    lab.apply(document())
    assert lab.open("client", "10.1.0.5", 3389).answer == "gateway"


@silent("sessions-cut", wanted=document(gateway(mark="0x20/0xf0")))
def a_mark_changes_and_no_connection_bears_it(lab):
    lab.apply(document())
    assert lab.open("client", "10.1.0.5", 22).answer == "server"


@warns("rp-filter-overridden", "eth2", "rp_filter is 1")
def somebody_changed_our_rp_filter(lab):
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 1)
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 0)
    lab.apply(document())
    lab.sysctl("router", "net/ipv4/conf/eth2/rp_filter", 1)


@silent("rp-filter-overridden")
def nobody_changed_our_rp_filter(lab):
    lab.sysctl("router", "net/ipv4/conf/all/rp_filter", 1)
    lab.apply(document())


@warns("would-be-empty", "1 are live", wanted=document(redirects=redirect(enabled=False)))
def the_last_redirect_would_go(lab):
    lab.apply(document())


@silent("would-be-empty", wanted=document(redirects=redirect(enabled=False)))
def there_is_no_redirect_that_could_go(lab):
    pass


# Policy rules


@warns("rule-earlier", "ipv4 rule 50: lookup 254", "before gateway scb at 100", "redirect rdp",
       "has a route for 10.1.0.0/24")  # fmt: skip
def main_is_looked_up_before_us(lab):
    lab.ip("router", "rule add lookup main priority 50")


@warns("rule-earlier", "ipv6 rule 50: from 2001:db8::/64 lookup 200", "2001:db8:1::/64")
def a_rule_for_the_clients_comes_before_us(lab):
    lab.ip("router", "-6 rule add from 2001:db8::/64 lookup 200 priority 50")
    lab.ip("router", "-6 route add default dev eth1 table 200")


@warns("rule-earlier", "ipv4 rule 50: lookup 200", fatal=True)
def everything_goes_elsewhere_before_us(lab):
    lab.ip("router", "rule add lookup 200 priority 50", "route add default dev eth1 table 200")


@warns("rule-earlier", "ipv4 rule 50: fwmark 0x10/0x10 unreachable", "refuses", fatal=True)
def our_mark_is_refused_before_us(lab):
    lab.ip("router", "rule add fwmark 0x10/0x10 unreachable priority 50")


@warns("rule-earlier", "ipv4 rule 50: not fwmark 0xca6c/0xffffffff lookup 51820")
def wg_quick_takes_what_is_not_its_own(lab):
    lab.ip("router", "rule add not fwmark 51820 lookup 51820 priority 50",
           "route add default dev eth1 table 51820")  # fmt: skip


@warns("rule-earlier", "ipv4 rule 50: not uidrange lookup 200")
def a_rule_excepts_what_is_never_forwarded(lab):
    lab.ip("router", "rule add not uidrange 1000-2000 lookup 200 priority 50",
           "route add default dev eth1 table 200")  # fmt: skip


@warns("rule-earlier", "goto 200", "skips the gateway's rule")
def a_jump_skips_our_rule(lab):
    lab.ip("router", "rule add priority 200 lookup main", "rule add priority 50 goto 200")


@silent("rule-earlier", wanted=FROM_NETWORKS)
def earlier_rules_let_our_packets_pass(lab):
    lab.ip("router", *(f"rule add {rule}" for rule in (
        "fwmark 0x20/0xf0 lookup main priority 50",
        "from 10.9.0.0/24 lookup main priority 51",
        "to 10.9.0.0/24 unreachable priority 52",
        "iif eth1 lookup main priority 53",
        "oif eth1 lookup main priority 54",
        "ipproto udp lookup main priority 55",
        "ipproto tcp dport 22 lookup main priority 56",
        "uidrange 1000-2000 lookup main priority 57",
        "lookup 200 priority 58",
        "lookup main suppress_prefixlength 24 priority 59",
        "l3mdev priority 60",
        "nop priority 61")))  # fmt: skip


@silent("rule-earlier")
def later_rules_would_take_our_packets(lab):
    lab.ip("router", "rule add lookup main priority 102", "rule add unreachable priority 103")


@warns("mark-tested", "ipv4 rule 200: fwmark 0x1/0xff lookup 254", "bits 0xf0", "gateway scb")
def a_later_rule_tests_our_bits(lab):
    lab.ip("router", "rule add fwmark 0x1/0xff lookup main priority 200")


@silent("mark-tested")
def a_later_rule_tests_other_bits(lab):
    lab.ip("router", "rule add fwmark 0x100/0xff00 lookup main priority 200")


# The chains of others


def chain(lab, table, name, *lines):
    body = "\n".join(lines)
    lab.nft("router", f"table {table} {{\nchain {name} {{\n{body}\n}}\n}}\n")


def iptables(lab, *rules, program="iptables-nft"):
    for rule in rules:
        lab.tool("router", f"{program} -t {rule}")


@warns("mark-overwritten", "rule 2 of chain late in table ip theirs", "all bits of the packet mark",
       fatal=True)  # fmt: skip
def the_packet_mark_is_reset_after_us(lab):
    chain(lab, "ip theirs", "late", "type filter hook prerouting priority -50;", "counter",
          "meta mark set 0")  # fmt: skip


@warns("mark-overwritten", "rule 2 of chain", "bits 0xff of the packet mark")
def some_packet_marks_are_changed_after_us(lab):
    lab.foreign_chain("router", "prerouting", "-50", "tcp dport 1 accept",
                      "meta mark set mark and 0xffffff00 or 0x1")  # fmt: skip


@warns("mark-overwritten", "rule 1 of chain c in table ip theirs", "all bits of the packet mark")
def a_chain_that_is_jumped_to_after_us_writes_marks(lab):
    chain(lab, "ip theirs", "c", "meta mark set ct mark")
    chain(lab, "ip theirs", "late", "type filter hook prerouting priority 0;",
          "tcp dport 3389 jump c")  # fmt: skip


@warns("mark-overwritten", "rule 1 of chain POSTROUTING in table ip mangle",
       "all bits of the connection mark")  # fmt: skip
def the_whole_mark_is_saved(lab):
    iptables(lab, "mangle -A POSTROUTING -j CONNMARK --save-mark")


@warns("mark-overwritten", "chain FORWARD in table ip6 mangle", "bits 0xff of the connection mark")
def a_masked_connection_mark_is_written_in_ip6tables(lab):
    iptables(lab, "mangle -A FORWARD -p udp -j CONNMARK --set-xmark 0x1/0xff",
             program="ip6tables-nft")  # fmt: skip


@silent("mark-overwritten")
def other_bits_are_written_after_us(lab):
    lab.foreign_chain("router", "prerouting", "-50",
                      "meta mark set mark and 0xffff00ff or 0x100")  # fmt: skip
    iptables(lab, "mangle -A POSTROUTING -j CONNMARK --save-mark --mask 0xff00")


@silent("mark-overwritten")
def the_chain_that_writes_is_never_reached(lab):
    chain(lab, "ip theirs", "c", "meta mark set 0")


@silent("mark-overwritten")
def the_table_that_writes_is_dormant(lab):
    chain(lab, "ip theirs", "late", "type filter hook prerouting priority -50;", "meta mark set 0")
    lab.nft("router", "add table ip theirs { flags dormant; }\n")


@silent("mark-overwritten", wanted=ONLY_IPV4)
def only_the_other_family_is_overwritten(lab):
    lab.foreign_chain("router", "prerouting", "-50", "meta nfproto ipv6 meta mark set 0")


@warns("mark-written", "rule 1 of chain PREROUTING in table ip mangle", "bits 0xff of the packet")
def marks_are_written_before_us(lab):
    iptables(lab, "mangle -A PREROUTING -i eth9 -j MARK --set-xmark 0x1/0xff")


@warns("mark-written", "rules 1, 2", "chain out", "bits 0x10 of the packet mark")
def local_packets_get_our_bits(lab):
    chain(lab, "inet theirs", "out", "type route hook output priority mangle;",
          *[f"tcp dport {port} meta mark set mark or 0x10" for port in (1, 2)])  # fmt: skip


@silent("mark-written")
def other_bits_are_written_before_us(lab):
    iptables(lab, "mangle -A PREROUTING -j MARK --set-xmark 0x100/0xff00",
             "mangle -A PREROUTING -j CONNMARK --set-xmark 0x100/0xff00")  # fmt: skip


@warns("mark-tested", "rule 1 of chain FORWARD in table ip filter", "bits 0xff of the packet mark")
def a_filter_tests_our_bits(lab):
    iptables(lab, "filter -A FORWARD -m mark --mark 0x1/0xff -j DROP")


@warns("mark-tested", "rule 2 of chain", "all bits of the connection mark")
def a_filter_tests_the_whole_connection_mark(lab):
    lab.foreign_chain("router", "forward", "0", "counter", "ct mark 7 drop")


@silent("mark-tested")
def a_filter_tests_other_bits(lab):
    iptables(lab, "filter -A FORWARD -m mark --mark 0x100/0xff00 -j DROP")
    lab.foreign_chain("router", "forward", "0", "ct mark and 0xff00 == 0x100 drop")


@warns("notrack", "rule 1 of chain c", "in table inet foreign", fatal=True)
def nothing_is_tracked(lab):
    lab.foreign_chain("router", "prerouting", "raw", "notrack")


@warns("notrack", "rule 1 of chain PREROUTING in table ip raw")
def some_packets_are_not_tracked(lab):
    iptables(lab, "raw -A PREROUTING -p tcp --dport 3389 -j CT --notrack")


@silent("notrack")
def what_the_router_sends_is_not_tracked(lab):
    iptables(lab, "raw -A OUTPUT -p tcp --dport 3389 -j CT --notrack")
    lab.foreign_chain("router", "prerouting", "raw", 'iifname "eth9" notrack')


@warns("reverse-path-rule", "chain c", "in table inet foreign")
def a_fib_rule_drops_the_gateways_answers(lab):
    lab.foreign_chain("router", "prerouting", "raw",
                      "meta nfproto ipv6 fib saddr . iif oif missing drop")  # fmt: skip


@warns("reverse-path-rule", "rule 1 of chain PREROUTING in table ip6 raw")
def an_rpfilter_rule_drops_the_gateways_answers(lab):
    iptables(lab, "raw -A PREROUTING -m rpfilter --invert -j DROP", program="ip6tables-nft")


@silent("reverse-path-rule")
def a_fib_rule_is_about_clients_alone(lab):
    lab.foreign_chain("router", "prerouting", "raw",
                      'iifname "eth0" fib saddr . iif oif missing drop',
                      "fib saddr . iif oif exists accept",
                      "fib daddr type local drop")  # fmt: skip


@silent("reverse-path-rule", wanted=ONLY_IPV4)
def a_fib_rule_is_about_the_other_family(lab):
    lab.foreign_chain("router", "prerouting", "raw",
                      "meta nfproto ipv6 fib saddr . iif oif missing drop")  # fmt: skip


@warns("forward-drop", "chain FORWARD in table ip filter", "1 rules")
def the_filter_drops_what_it_does_not_know(lab):
    iptables(lab, "filter -P FORWARD DROP", "filter -A FORWARD -i eth0 -j ACCEPT")


@warns("forward-drop", "chain f in table inet theirs", "0 rules", fatal=True)
def the_filter_drops_all(lab):
    chain(lab, "inet theirs", "f", "type filter hook forward priority 0; policy drop;")


@silent("forward-drop")
def what_is_for_the_router_itself_is_dropped(lab):
    iptables(lab, "filter -P INPUT DROP", "filter -P FORWARD ACCEPT")


# Programs that use marks


def mark(value):
    return document(gateway(mark=value))


@warns("mark-user", "kube-proxy", "chain KUBE-MARK-MASQ in table ip nat", "0xc000",
       wanted=mark("0x4000/0xf000"))  # fmt: skip
def kube_proxy_is_here(lab):
    iptables(lab, "nat -N KUBE-MARK-MASQ")


@warns("mark-user", "Calico", "interface cali12", wanted=mark("0x100000/0xf00000"))
def calico_is_here(lab):
    lab.ip("router", "link add cali12 type veth peer name peer12")


@warns("mark-user", "Cilium", "chain CILIUM_FORWARD", wanted=mark("0x200/0xf00"))
def cilium_is_here(lab):
    iptables(lab, "filter -N CILIUM_FORWARD")


@warns("mark-user", "Tailscale", "ipv4 rule 5210", wanted=mark("0x10000/0xf0000"))
def tailscale_is_here(lab):
    lab.ip("router", "rule add fwmark 0x80000/0xff0000 lookup main priority 5210")


@warns("mark-user", "mwan3", "chain mwan3_hook", wanted=mark("0x100/0xf00"))
def mwan3_is_here(lab):
    iptables(lab, "mangle -N mwan3_hook")


@warns("mark-user", "pbr", "chain pbr_prerouting", wanted=mark("0x10000/0xff0000"))
def pbr_is_here(lab):
    chain(lab, "inet fw4", "pbr_prerouting", "return")


@warns("mark-user", "wg-quick", "ipv4 rule 32765")
def wg_quick_is_here(lab):
    lab.ip("router", "rule add not fwmark 51820 lookup 51820 priority 32765")


@silent("mark-user")
def those_who_are_here_use_other_bits(lab):
    iptables(lab, "nat -N KUBE-MARK-MASQ", "mangle -N mwan3_hook", "filter -N ts-forward")


@silent("mark-user", wanted=mark("0x4000/0xf000"))
def nobody_who_uses_marks_is_here(lab):
    iptables(lab, "nat -N MY-KUBE-CHAIN")


@warns("iptables-legacy", "iptables-legacy mangle PREROUTING rule 1", "MARK")
def legacy_rules_write_marks(lab):
    iptables(lab, "mangle -A PREROUTING -j MARK --set-mark 1", program="iptables-legacy")


@silent("iptables-legacy")
def legacy_rules_write_no_marks(lab):
    iptables(lab, "filter -A FORWARD -p tcp --dport 25 -j DROP", program="iptables-legacy")


# Ways beside the gateway


SPOOFING = document(gateway(spoofs_clients=True))


@warns("servers-by-gateway-interface", "rdp", "10.1.0.254", "eth2", "scb", wanted=SPOOFING)
def servers_are_behind_the_gateways_interface(lab):
    lab.ip("router", "route add 10.1.0.128/25 via 10.2.0.10")


@silent("servers-by-gateway-interface")
def a_gateway_with_its_own_address_has_the_servers_behind_it(lab):
    servers_are_behind_the_gateways_interface(lab)


@silent("servers-by-gateway-interface", wanted=SPOOFING)
def only_others_are_behind_the_gateways_interface(lab):
    lab.ip("router", "route add 10.9.0.0/24 via 10.2.0.10")


@warns("icmp-redirects", "rdp", "eth2", "all=1", "eth2=0", wanted=SPOOFING)
def clients_are_told_of_a_shorter_way(lab):
    servers_are_behind_the_gateways_interface(lab)
    lab.sysctl("router", "net/ipv4/conf/all/send_redirects", 1)


@silent("icmp-redirects", wanted=SPOOFING)
def nobody_is_told_of_a_shorter_way(lab):
    servers_are_behind_the_gateways_interface(lab)


@silent("icmp-redirects", wanted=SPOOFING)
def there_is_no_shorter_way(lab):
    lab.sysctl("router", "net/ipv4/conf/all/send_redirects", 1)


def xfrm(lab, selector, *more):
    words = f"ip xfrm policy add {selector} dir out".split()
    lab.tool("router", [*words, *more])


TUNNEL = "tmpl src 10.1.0.1 dst 10.1.0.9 proto esp mode tunnel".split()


@warns("xfrm-policy", "rdp", "src 10.0.0.0/24 dst 10.1.0.0/24 dir out takes")
def ipsec_takes_clients_to_servers(lab):
    xfrm(lab, "src 10.0.0.0/24 dst 10.1.0.0/24", *TUNNEL)


@warns("xfrm-policy", "rdp", "dst 2001:db8:1::/64 dir out refuses")
def ipsec_refuses_clients_to_servers(lab):
    xfrm(lab, "src ::/0 dst 2001:db8:1::/64 proto tcp dport 3389", "action", "block")


@silent("xfrm-policy")
def ipsec_is_for_others(lab):
    xfrm(lab, "src 10.0.0.0/24 dst 10.9.0.0/24", *TUNNEL)
    xfrm(lab, "src 10.0.0.0/24 dst 10.1.0.0/24 proto udp", *TUNNEL)
    xfrm(lab, "src 10.0.0.0/24 dst 10.1.0.0/24 proto tcp dport 22", *TUNNEL)
    xfrm(lab, "src 10.0.0.0/24 dst 10.1.0.0/25")
    xfrm(lab, "src 10.0.0.0/24 dst 10.1.0.0/26", "mark", "0x20", "mask", "0xf0", *TUNNEL)


# Connections that began before


def connect_before(lab):
    lab.nft("router", "table inet tracker {\nchain c {\n"
            "type filter hook forward priority 10;\nct state new accept\n}\n}\n")  # fmt: skip
    assert lab.open("client", "10.1.0.5", 3389).answer == "server"
    assert lab.open("client", "2001:db8:1::5", 3389).answer == "server"


@warns("sessions-unaudited", "rdp", "2 connections")
def connections_began_before(lab):
    connect_before(lab)


@warns("sessions-unaudited", "rdp", "2 connections",
       wanted=document(redirects=redirect(existing_connections="tracked")))  # fmt: skip
def tracked_connections_began_before(lab):
    connect_before(lab)


@silent("sessions-unaudited")
def only_others_have_begun(lab):
    lab.plug_in_client2("vlan20")
    connect_before(lab)
    for connection in lab.connections:
        connection.close()
    lab.settle()
    assert lab.open("client", "10.1.0.5", 22).answer == "server"
    assert lab.open("client2", "10.1.0.5", 3389).answer == "server"


@warns("sessions-cut", "rdp", "2 connections",
       wanted=document(redirects=redirect(existing_connections="redirect")))  # fmt: skip
def connections_will_be_redirected(lab):
    connect_before(lab)


@silent("sessions-cut")
def connections_are_kept(lab):
    connect_before(lab)


# Programs that remove what is ours


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@warns("ruleset-flushed", "/etc/nftables.conf:3")
def nftables_flushes_at_start(lab):
    write("/etc/nftables.conf", "#!/usr/sbin/nft -f\n\nflush  ruleset\n")


@silent("ruleset-flushed")
def nftables_flushes_a_table_of_its_own(lab):
    write("/etc/nftables.conf", "# flush ruleset\nflush table inet filter\n")


# The tests


@pytest.mark.parametrize("provoke, code, words, fatal, wanted", PROVOKED, ids=name)
def test_it_is_warned_of(lab, provoke, code, words, fatal, wanted):
    provoke(lab)
    result = lab.detour("plan", wanted)
    found = of_code(result, code)
    assert found, repr(result)
    assert any(all(word in warning["message"] for word in words) for warning in found), found
    assert {warning["fatal"] for warning in found} == {fatal}, found
    assert all(warning["hint"] for warning in found)


@pytest.mark.parametrize("provoke, code, wanted", CLOSE, ids=name)
def test_it_is_not_warned_of(lab, provoke, code, wanted):
    provoke(lab)
    result = lab.detour("plan", wanted)
    assert code not in codes(result), repr(result)


def test_an_ordinary_router_is_warned_of_nothing(lab):
    assert lab.detour("plan", document()).json["warnings"] == []
    assert lab.apply(document(), "--strict").json["warnings"] == []
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"
    assert lab.detour("plan", document()).json["warnings"] == []
    result = lab.detour("drift", document(), "--full")
    assert (result.exit, result.json["warnings"]) == (0, [])


# Who carries them


def test_drift_looks_around_only_when_asked_to(lab):
    lab.apply(document())
    lab.sysctl("router", "net/ipv4/ip_forward", 0)
    lab.link_down("eth0")
    assert codes(lab.detour("drift", document())) == {"interface-down"}
    full = lab.detour("drift", document(), "--full")
    assert (full.exit, codes(full)) == (0, {"interface-down", "forwarding-off"})


def test_drift_asks_for_no_more_than_its_own(lab):
    """Its system calls are the same on a router that holds much else."""
    requests = lambda: trace_of(lab, "drift", document()).count("sendto(")
    lab.apply(document())
    before = requests()
    lab.ip("router", *(f"link add veth{i} type veth peer name peer{i}" for i in range(20)))
    lab.foreign_chain("router", "prerouting", "-300", *["meta mark set 1"] * 20)
    assert requests() == before


def trace_of(lab, verb, wanted, *args):
    wrapper = ["strace", "-f", "-e", "trace=sendto,openat", "-o", "/run/trace"]
    lab.detour(verb, wanted, *args, wrapper=wrapper, program=laboratory.DETOUR_PLAIN)
    with open("/run/trace") as lines:
        return lines.read()


def test_apply_looks_around_only_when_it_is_asked_to(lab):
    """What others do on the router must not delay a change."""
    lab.sysctl("router", "net/ipv4/ip_forward", 0)
    assert codes(lab.detour("apply", document(), "--check")) == {"forwarding-off"}
    result = lab.detour("apply", document())
    assert (result.exit, codes(result)) == (0, set())


def test_they_do_not_make_a_saved_plan_stale(lab):
    assert lab.detour("plan", document(), "--out", "/run/saved.plan").exit == 2
    lab.sysctl("router", "net/ipv6/conf/all/forwarding", 0)
    with lab.inside("router"):
        words = [laboratory.DETOUR, "apply", "/run/saved.plan", "--json"]
        process = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize("is_applied", [False, True], ids=["at_first", "when_in_sync"])
def test_strict_refuses_a_fatal_one_and_writes_nothing(lab, is_applied):
    if is_applied:
        lab.apply(document())
    lab.sysctl("router", "net/ipv4/ip_forward", 0)
    before = lab.snapshot()
    for extra in ([], ["--check"]):
        result = lab.detour("apply", document(), "--strict", *extra)
        assert (result.exit, result.json["changed"]) == (3, False)
        assert lab.snapshot() == before
    error = lab.detour("apply", document(), "--strict").json["error"]
    assert error["code"] == "strict" and "[forwarding-off]" in error["message"]
    text = lab.detour("apply", document(), "--strict", wants_json=False)
    assert "[forwarding-off, fatal]" in text.text and "--strict" in text.errors


def test_strict_takes_what_may_work(lab):
    lab.ip("router", "link set eth0 mtu 1400")
    result = lab.apply(document(), "--strict")
    assert codes(result) == {"client-mtu"}
    assert lab.connect("client", "10.1.0.5", 3389) == "gateway"


def test_a_hostile_name_obeys_the_reports_rules(lab):
    """A bridge may be called anything that has no slash, blank or colon."""
    evil = "b\x1b[31m\u00e9"
    lab.tool("router", ["ip", "link", "add", evil, "type", "bridge"])
    lab.tool("router", ["ip", "link", "set", "eth0", "master", evil])
    (warning,) = of_code(lab.detour("plan", document()), "interface-enslaved")
    assert "\x1b" not in warning["message"] + warning["hint"]
    assert "\\x1b[31m\u00e9" in warning["message"]


# Network managers, which work where process 1 is


AS_FIRST = ["unshare", "--pid", "--fork", "--mount-proc"]


@pytest.fixture
def managers():
    """Their files live in the lab's own /run and /etc."""
    made = ["/run/systemd", "/run/NetworkManager", "/etc/systemd/networkd.conf.d"]
    yield lambda path, text: write(path, text)
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


def removers(lab, wrapper=AS_FIRST):
    return of_code(lab.detour("plan", document(), wrapper=wrapper), "manager-removes")


def test_networkd_that_removes_foreign_rules_is_warned_of(lab, managers):
    managers("/run/systemd/netif/links/3", "# comment\nADMIN_STATE=configured\n")
    (warning,) = removers(lab)
    assert "systemd-networkd" in warning["message"] and not warning["fatal"]
    assert "policy rules and routes" in warning["message"]
    managers("/etc/systemd/networkd.conf.d/a.conf", "[Network]\nManageForeignRoutes = no\n")
    assert "routes" not in removers(lab)[0]["message"]
    managers("/etc/systemd/networkd.conf.d/b.conf", "ManageForeignRoutingPolicyRules=false\n")
    assert removers(lab) == []


def test_networkd_that_manages_nothing_or_elsewhere_is_not(lab, managers):
    managers("/run/systemd/netif/links/3", "ADMIN_STATE=unmanaged\n")
    assert removers(lab) == []
    managers("/run/systemd/netif/links/4", "ADMIN_STATE=configured\n")
    assert removers(lab)
    elsewhere = [*AS_FIRST, "sh", "-c", 'unshare --net "$@"; exit $?', "sh"]
    assert removers(lab, wrapper=elsewhere) == []


def test_networkmanager_that_manages_the_gateways_interface_is_warned_of(lab, managers):
    index = lambda name: lab.tool("router", f"ip -o link show {name}").split(":")[0]
    managers(f"/run/NetworkManager/devices/{index('eth1')}", "[device]\nmanaged=true\n")
    managers(f"/run/NetworkManager/devices/{index('eth2')}", "[device]\nmanaged=false\n")
    assert removers(lab) == []
    managers(f"/run/NetworkManager/devices/{index('eth2')}", "[device]\nmanaged=true\n")
    (warning,) = removers(lab)
    assert "NetworkManager manages eth2" in warning["message"]


# The manual


def codes_of(paths):
    calls = re.compile(r'\b(?:warn|context_note|note)\((?:[^";]*?),\s*"([a-z0-9-]+)"', re.S)
    return {code for path in paths for code in calls.findall(path.read_text())}


def manual():
    page = (REPO / "docs/man/detour.8").read_text()
    return page.split(".Ss Warnings\n")[1].split(".Sh ")[0]


def test_the_manual_lists_exactly_the_codes_of_the_source():
    in_source = codes_of(path for top in ("cmd", "reconcile") for path in (REPO / top).glob("*.c"))
    in_manual = re.findall(r"^\.It Sy ([a-z0-9-]+)", manual(), re.M)
    assert in_manual == sorted(in_manual) and set(in_manual) == in_source


def test_the_manual_says_which_are_fatal():
    in_manual = set(re.findall(r"^\.It Sy ([a-z0-9-]+) Pq .*fatal", manual(), re.M))
    assert in_manual == {code for _, code, _, fatal, _ in PROVOKED if fatal}


def test_every_code_of_a_plan_is_provoked():
    in_source = codes_of((REPO / "reconcile").glob("warning*.c"))
    # Provoked above, in tests/unit/test_warning.c (not every kernel has it), in test_take_over.py.
    in_source -= {"manager-removes", "flowtable", "not-taken-over"}
    assert {code for _, code, *_ in PROVOKED} == in_source
    assert {code for _, code, _ in CLOSE} <= in_source
