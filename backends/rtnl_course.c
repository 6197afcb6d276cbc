/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking the kernel where it would forward a packet: RTM_GETROUTE with the
 * input interface, the mark and what the packet says of itself runs its own
 * look-up, policy rules and rp_filter included. It is asked twice: the plain
 * answer has the table and the next hop that was chosen, and RTM_F_FIB_MATCH
 * adds the prefix of the route. What routing does not look at is read beside:
 * whether forwarding is on, whether the links are up.
 */
#include "backends/rtnl.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>

struct course_reading {
	struct netlink *nl;
	const struct flow *flow;
	struct arena *arena;
	struct course *out;
	uint32_t iif, oif; /* 0: none */
	bool matches;      /* the answer is the route, not what came of it */
};

static void gateway_decode(const struct nlattr *const *found, enum family family,
			   struct course *out)
{
	const struct nlattr *via = found[RTA_VIA], *gateway = found[RTA_GATEWAY];
	const struct rtvia *other;

	out->gateway_family = family;
	if (gateway && mnl_attr_get_payload_len(gateway) == family_bytes(family)) {
		out->has_gateway = true;
		memcpy(out->gateway, mnl_attr_get_payload(gateway), family_bytes(family));
	} else if (via && mnl_attr_get_payload_len(via) == sizeof(*other) + 16) {
		other = mnl_attr_get_payload(via);
		out->has_gateway = true;
		out->gateway_family = FAMILY_IPV6;
		memcpy(out->gateway, other->rtvia_addr, 16);
	}
}

static int course_take(const struct nlmsghdr *message, void *context)
{
	struct course_reading *reading = context;
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[RTA_MAX + 1];
	struct course *out = reading->out;

	if (message->nlmsg_type != RTM_NEWROUTE)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	rtnl_attributes(message, sizeof(*header), found, RTA_MAX);
	if (reading->matches) {
		out->prefix = header->rtm_dst_len;
		prefix_to_span(reading->flow->daddr, family_bytes(reading->flow->family),
			       header->rtm_dst_len, &out->route);
		out->multipath = found[RTA_MULTIPATH] != NULL;
		return 0;
	}
	out->fate = header->rtm_type == RTN_UNICAST ? FATE_FORWARDED : FATE_DELIVERED;
	out->table = attribute_u32(found[RTA_TABLE], header->rtm_table);
	reading->oif = attribute_u32(found[RTA_OIF], 0);
	gateway_decode(found, reading->flow->family, out);
	return 0;
}

/* The kernel's GETROUTE knows the ports of these two only. */
static bool has_ports(const struct flow *flow)
{
	return flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP;
}

static void ports_put(struct nlmsghdr *request, const struct flow *flow)
{
	mnl_attr_put_u8(request, RTA_IP_PROTO, flow->protocol);
	if (flow->sport)
		mnl_attr_put_u16(request, RTA_SPORT, htons(flow->sport));
	if (flow->dport)
		mnl_attr_put_u16(request, RTA_DPORT, htons(flow->dport));
}

/* 0 or a negative errno. */
static int ask(struct course_reading *reading, bool matches)
{
	const struct flow *flow = reading->flow;
	struct netlink_reader reader = { .message = course_take, .context = reading };
	struct nlmsghdr *request = netlink_message(reading->nl, RTM_GETROUTE, 0);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	size_t bytes = family_bytes(flow->family);

	reading->matches = matches;
	header->rtm_family = rtnl_family(flow->family);
	header->rtm_dst_len = (uint8_t)(bytes * 8);
	/* IPv6 always names the table, and refuses to be asked for it. */
	header->rtm_flags = (flow->family == FAMILY_IPV4 ? RTM_F_LOOKUP_TABLE : 0) |
			    (matches ? RTM_F_FIB_MATCH : 0);
	mnl_attr_put(request, RTA_DST, bytes, flow->daddr);
	if (flow->iif) {
		header->rtm_src_len = (uint8_t)(bytes * 8);
		mnl_attr_put(request, RTA_SRC, bytes, flow->saddr);
		mnl_attr_put_u32(request, RTA_IIF, reading->iif);
	}
	mnl_attr_put_u32(request, RTA_MARK, flow->mark);
	if (has_ports(flow))
		ports_put(request, flow);
	return netlink_request(reading->nl, request, &reader);
}

static int stop(struct course_reading *reading, const char *format, const char *name)
{
	reading->out->fate = FATE_STOPPED;
	reading->out->words =
		arena_printf(reading->arena, format, arena_printable(reading->arena, name));
	return 1;
}

/* 1: no packet comes in there. 0, or a negative errno. */
static int input_check(struct course_reading *reading)
{
	struct link link = { .name = reading->flow->iif };
	int code;

	if (!link.name)
		return 0;
	code = rtnl_get_link(reading->nl, &link);
	if (code == -ENODEV)
		return stop(reading, "interface %s does not exist", link.name);
	if (code)
		return code;
	reading->iif = link.index;
	return link.up ? 0 : stop(reading, "interface %s is down", link.name);
}

static int output_check(struct course_reading *reading)
{
	char name[IF_NAMESIZE] = "";
	struct link link = { .name = name };
	struct course *out = reading->out;
	int code;

	if (!if_indextoname(reading->oif, name))
		return stop(reading, "the interface that the route names has just gone%s", "");
	out->dev = arena_strdup(reading->arena, name);
	code = rtnl_get_link(reading->nl, &link);
	if (code && code != -ENODEV)
		return code;
	if (code || !link.has_carrier)
		return stop(reading, "interface %s has no carrier", name);
	return 0;
}

/* Who answers on the link for what the packet is handed to. */
static int neighbour_read(struct course_reading *reading, struct error *error)
{
	const struct flow *flow = reading->flow;
	struct course *out = reading->out;

	if (out->fate != FATE_FORWARDED)
		return 0;
	return rtnl_read_neighbour(reading->nl, reading->oif,
				   out->has_gateway ? out->gateway_family : flow->family,
				   out->has_gateway ? out->gateway : flow->daddr, reading->arena,
				   &out->neighbour, error);
}

struct conf {
	uint32_t forwarding, rp_filter;
};

static int conf_take(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *found[NETCONFA_RP_FILTER + 1];
	struct conf *conf = context;

	if (message->nlmsg_type != RTM_NEWNETCONF)
		return 0;
	rtnl_attributes(message, sizeof(struct netconfmsg), found, NETCONFA_RP_FILTER);
	conf->forwarding = attribute_u32(found[NETCONFA_FORWARDING], 1);
	conf->rp_filter = attribute_u32(found[NETCONFA_RP_FILTER], 0);
	return 0;
}

/* A link without the family's settings has none that stop anything. 0 or a negative errno. */
static int conf_get(struct course_reading *reading, uint32_t index, struct conf *conf)
{
	struct netlink_reader reader = { .message = conf_take, .context = conf };
	struct nlmsghdr *request = netlink_message(reading->nl, RTM_GETNETCONF, 0);
	struct netconfmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	int code;

	*conf = (struct conf){ .forwarding = 1 };
	header->ncm_family = rtnl_family(reading->flow->family);
	mnl_attr_put_u32(request, NETCONFA_IFINDEX, index);
	code = netlink_request(reading->nl, request, &reader);
	return netlink_is_lost(code) ? code : 0;
}

/* IPv4 forwards from interfaces where it is on; IPv6 asks `all` (net/ipv6/ip6_output.c). */
static int forwarding_check(struct course_reading *reading)
{
	bool is_ipv4 = reading->flow->family == FAMILY_IPV4;
	struct conf conf;
	int code =
		conf_get(reading, is_ipv4 ? reading->iif : (uint32_t)NETCONFA_IFINDEX_ALL, &conf);

	if (code || conf.forwarding)
		return code;
	return stop(reading,
		    is_ipv4 ? "net.ipv4.conf.%s.forwarding is 0"
			    : "net.ipv6.conf.%s.forwarding is 0",
		    is_ipv4 ? reading->flow->iif : "all");
}

static const char *source_text(struct course_reading *reading)
{
	const struct flow *flow = reading->flow;
	char text[SPAN_TEXT];
	struct span span;

	memcpy(span.from, flow->saddr, SPAN_BYTES);
	memcpy(span.to, flow->saddr, SPAN_BYTES);
	return arena_printf(reading->arena, "source %s on %s",
			    span_format(&span, flow->family, text),
			    arena_printable(reading->arena, flow->iif));
}

/* What EINVAL means. The greater value of `all` and the interface counts. */
static int refused_source(struct course_reading *reading)
{
	struct conf all, own;
	int code = 0;

	if (reading->flow->family != FAMILY_IPV4 || !reading->flow->iif) {
		reading->out->words = "a blackhole route or rule";
		return 0;
	}
	code = conf_get(reading, (uint32_t)NETCONFA_IFINDEX_ALL, &all);
	if (!code)
		code = conf_get(reading, reading->iif, &own);
	if (code)
		return code;
	if (all.rp_filter > own.rp_filter)
		own.rp_filter = all.rp_filter;
	reading->out->words = arena_printf(reading->arena,
					   "the kernel refuses the %s: rp_filter is %s there, or "
					   "it is a martian, or a blackhole takes it",
					   source_text(reading),
					   own.rp_filter == 1   ? "strict (1)"
					   : own.rp_filter == 2 ? "loose (2)"
								: "off");
	return 0;
}

static int refusal_decode(struct course_reading *reading, int code)
{
	static const struct {
		int code;
		enum fate fate;
		const char *words;
	} refusals[] = {
		{ -ENETUNREACH, FATE_NO_ROUTE, "there is no route, or a rule says so" },
		{ -EHOSTUNREACH, FATE_UNREACHABLE, "a route of type unreachable" },
		{ -EACCES, FATE_PROHIBITED, "a route or rule prohibits it" },
		{ -EINVAL, FATE_INVALID, NULL },
		{ -EXDEV, FATE_INVALID, NULL }, /* rp_filter, in some kernels */
	};
	struct course *out = reading->out;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		if (refusals[i].code != code)
			continue;
		out->fate = refusals[i].fate;
		out->words = refusals[i].words;
		return out->words ? 0 : refused_source(reading);
	}
	return code;
}

/* The steps up to the first that ends it. 0, 1 or a negative errno. */
static int course_find(struct course_reading *reading)
{
	int code = input_check(reading);

	if (code)
		return code;
	code = ask(reading, false);
	if (!code)
		code = ask(reading, true);
	if (code)
		code = refusal_decode(reading, code);
	if (code || reading->out->fate == FATE_DELIVERED)
		return code;
	/* With forwarding off IPv4 answers as for an unreachable route, IPv6 as if it were on. */
	code = reading->flow->iif ? forwarding_check(reading) : 0;
	if (code || reading->out->fate != FATE_FORWARDED)
		return code;
	return output_check(reading);
}

int rtnl_read_course(struct netlink *nl, const struct flow *flow, struct arena *arena,
		     struct course *out, struct error *error)
{
	struct course_reading reading = { .nl = nl, .flow = flow, .arena = arena, .out = out };
	int code;

	*out = (struct course){ .words = "", .dev = "" };
	code = course_find(&reading);
	if (code >= 0)
		return neighbour_read(&reading, error);
	return rtnl_unreadable(nl, code, "the route of the connection", error);
}
