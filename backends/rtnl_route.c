/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routes. The kernel filters dumps by table and protocol, so the cost does not
 * depend on how many routes the router holds elsewhere. A route is created
 * with NLM_F_EXCL, since IPv6 would otherwise merge it with a foreign one into
 * a multipath route, and replaced in place, so that there is always one.
 */
#include "backends/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <linux/rtnetlink.h>

struct route_reading {
	enum family family;
	uint32_t table; /* of a single table */
	const struct tables *read_before;
	bool own_only;
	struct state *out;
	size_t start; /* routes that were there before */
	uint64_t digest;
};

static void routes_begin(void *context)
{
	struct route_reading *reading = context;

	reading->out->route_count = reading->start;
	reading->digest = 0;
}

static bool route_is_asked_for(const struct route_reading *reading, const struct rtmsg *header,
			       uint32_t table)
{
	/* A kernel without IPv6 answers with the routes of every family it has. */
	if (header->rtm_family != rtnl_family(reading->family) || header->rtm_flags & RTM_F_CLONED)
		return false;
	if (!reading->own_only)
		return table == reading->table;
	return header->rtm_protocol == PROTOCOL_DETOUR &&
	       !tables_contain(reading->read_before, table);
}

void prefix_to_span(const uint8_t *address, size_t bytes, unsigned int length, struct span *span)
{
	for (unsigned int bit = 0; bit < bytes * 8; bit++) {
		uint8_t one = (uint8_t)(0x80 >> bit % 8);

		if (bit >= length)
			span->to[bit / 8] |= one;
		else if (address[bit / 8] & one) {
			span->from[bit / 8] |= one;
			span->to[bit / 8] |= one;
		}
	}
}

static const uint8_t *attribute_address(const struct nlattr *attribute, enum family family)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) != family_bytes(family))
		return NULL;
	return mnl_attr_get_payload(attribute);
}

/* What `ip route add default via ADDRESS` has not, and what we could not put back. */
static bool route_has_more(const struct rtmsg *header, const struct nlattr *const *found)
{
	static const uint16_t others[] = { RTA_PREFSRC,       RTA_METRICS, RTA_FLOW, RTA_ENCAP_TYPE,
					   RTA_VIA,           RTA_NH_ID,   RTA_IIF,  RTA_MARK,
					   RTA_TTL_PROPAGATE, RTA_EXPIRES, RTA_SRC };

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (found[others[i]])
			return true;
	return header->rtm_scope != RT_SCOPE_UNIVERSE || header->rtm_flags & RTNH_F_ONLINK;
}

static void route_decode(const struct rtmsg *header, const struct nlattr *const *found,
			 enum family family, struct route *route)
{
	const uint8_t *gateway = attribute_address(found[RTA_GATEWAY], family);
	const uint8_t *dst = attribute_address(found[RTA_DST], family);

	route->family = family;
	route->table = attribute_u32(found[RTA_TABLE], header->rtm_table);
	route->metric = attribute_u32(found[RTA_PRIORITY], 0);
	route->protocol = header->rtm_protocol;
	/* One for some packets only, by source or tos, is not like any that we make. */
	route->type = header->rtm_type == RTN_UNICAST && !header->rtm_tos && !header->rtm_src_len
			      ? ROUTE_UNICAST
			      : ROUTE_OTHER;
	route->multipath = found[RTA_MULTIPATH] != NULL;
	route->is_default = header->rtm_dst_len == 0;
	if (dst && !route->is_default)
		prefix_to_span(dst, family_bytes(family), header->rtm_dst_len, &route->dst);
	route->has_gateway = gateway != NULL;
	route->has_more = route_has_more(header, found);
	if (gateway)
		memcpy(route->gateway, gateway, family_bytes(family));
}

static int route_take(const struct nlmsghdr *message, void *context)
{
	struct route_reading *reading = context;
	struct state *out = reading->out;
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[RTA_MAX + 1];
	char name[IF_NAMESIZE] = "";
	struct route *route;
	uint32_t index;

	if (message->nlmsg_type != RTM_NEWROUTE)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	rtnl_attributes(message, sizeof(*header), found, RTA_MAX);
	if (!route_is_asked_for(reading, header,
				attribute_u32(found[RTA_TABLE], header->rtm_table)))
		return 0;
	route = ARENA_PUSH(&out->arena, out->routes, out->route_count, out->route_room);
	/* The digest is over all bytes, and an earlier attempt may have left some. */
	memset(route, 0, sizeof(*route));
	route_decode(header, found, reading->family, route);
	index = attribute_u32(found[RTA_OIF], 0);
	digest_add(&reading->digest, route, sizeof(*route));
	digest_add(&reading->digest, &index, sizeof(index));
	if (index)
		if_indextoname(index, name);
	route->dev = arena_strdup(&out->arena, name);
	return 0;
}

static int routes_read(struct netlink *nl, struct route_reading *reading, struct error *error)
{
	struct netlink_reader reader = { .begin = routes_begin,
					 .message = route_take,
					 .context = reading };
	struct nlmsghdr *request = netlink_message(nl, RTM_GETROUTE, 0);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	char what[64];
	int code;

	header->rtm_family = rtnl_family(reading->family);
	if (reading->own_only)
		header->rtm_protocol = PROTOCOL_DETOUR;
	else
		mnl_attr_put_u32(request, RTA_TABLE, reading->table);
	reading->start = reading->out->route_count;
	code = rtnl_dump_settled(nl, request, &reader, &reading->digest);
	/* Without such a table, or without the family, there are no routes. */
	if (code == 0 || code == -ENOENT || code == -EAFNOSUPPORT)
		return 0;
	snprintf(what, sizeof(what), "%s routes of table %u", family_name(reading->family),
		 reading->table);
	return rtnl_unreadable(nl, code, reading->own_only ? "routes" : what, error);
}

int rtnl_read_table(struct netlink *nl, enum family family, uint32_t table, struct state *out,
		    struct error *error)
{
	struct route_reading reading = { .family = family, .table = table, .out = out };

	return routes_read(nl, &reading, error);
}

int rtnl_read_own_routes(struct netlink *nl, enum family family, const struct tables *read_before,
			 struct state *out, struct error *error)
{
	struct route_reading reading = {
		.family = family, .own_only = true, .read_before = read_before, .out = out
	};

	return routes_read(nl, &reading, error);
}

static void route_describe(const struct route *route, char *text, size_t size)
{
	char gateway[INET6_ADDRSTRLEN] = "", dst[SPAN_TEXT] = "default";

	if (!route->is_default)
		span_format(&route->dst, route->family, dst);
	if (route->has_gateway)
		inet_ntop(rtnl_family(route->family), route->gateway, gateway, sizeof(gateway));
	snprintf(text, size, "%s route %s%s%s dev %s table %u", family_name(route->family), dst,
		 route->has_gateway ? " via " : "", gateway, route->dev, route->table);
}

static void route_put(struct nlmsghdr *request, const struct route *route, uint32_t index)
{
	size_t bytes = family_bytes(route->family);

	mnl_attr_put_u32(request, RTA_TABLE, route->table);
	mnl_attr_put_u32(request, RTA_PRIORITY, route->metric);
	if (!route->is_default)
		mnl_attr_put(request, RTA_DST, bytes, route->dst.from);
	if (route->has_gateway)
		mnl_attr_put(request, RTA_GATEWAY, bytes, route->gateway);
	if (index)
		mnl_attr_put_u32(request, RTA_OIF, index);
}

static int route_send(struct netlink *nl, uint16_t type, uint16_t flags, const struct route *route)
{
	struct nlmsghdr *request = netlink_message(nl, type, flags);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	uint32_t index = route->dev[0] ? if_nametoindex(route->dev) : 0;
	bool deletes = type == RTM_DELROUTE;

	if (route->dev[0] && !index)
		return -errno;
	header->rtm_family = rtnl_family(route->family);
	header->rtm_protocol = route->protocol;
	header->rtm_type = route->type == ROUTE_UNICAST ? RTN_UNICAST : RTN_UNSPEC;
	header->rtm_scope = deletes              ? RT_SCOPE_NOWHERE
			    : route->has_gateway ? RT_SCOPE_UNIVERSE
						 : RT_SCOPE_LINK;
	if (!route->is_default)
		header->rtm_dst_len = (uint8_t)span_prefix(&route->dst, route->family);
	route_put(request, route, index);
	return netlink_request(nl, request, NULL);
}

/* Whether a route of somebody else is as it was read: the kernel would take another one, too. */
static bool route_stands(struct netlink *nl, const struct route *route)
{
	struct state live = { 0 };
	struct error ignored;
	bool stands = rtnl_read_table(nl, route->family, route->table, &live, &ignored) != 0;

	for (size_t i = 0; i < live.route_count; i++)
		stands =
			stands || (!live.routes[i].has_more && route_equal(&live.routes[i], route));
	state_free(&live);
	return stands;
}

static int route_delete(struct netlink *nl, const struct route *route, struct error *error)
{
	char what[256];
	int code;

	if (route->taken && !route_stands(nl, route))
		return OUTCOME_STALE;
	code = route_send(nl, RTM_DELROUTE, 0, route);
	/* The kernel itself removes routes when a link goes down or away. */
	if (code == 0 || code == -ESRCH || code == -ENODEV)
		return OUTCOME_DONE;
	route_describe(route, what, sizeof(what));
	return rtnl_refused(nl, code, what, "deleted", error);
}

/*
 * What the kernel says when the interface or the next hop is not there, tried
 * on 6.18: EINVAL for an address that is no unicast next hop (IPv4) or is our
 * own, even while duplicate address detection runs (IPv6), EACCES for an
 * interface with disable_ipv6.
 */
static bool route_waits(const struct route *route, int code)
{
	static const int codes[] = { -ENODEV,       -ENETDOWN, -ENETUNREACH,
				     -EHOSTUNREACH, -EINVAL,   -EACCES };

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (code == codes[i])
			return route->has_gateway;
	return false;
}

int rtnl_write_route(struct netlink *nl, const struct step *step, struct error *error)
{
	const struct route *before = step->before, *route = step->after;
	char what[256];
	uint16_t flags;
	int code, outcome;

	if (!route)
		return route_delete(nl, before, error);
	if (before && before->taken && !route_stands(nl, before))
		return OUTCOME_STALE;
	flags = before ? NLM_F_REPLACE : NLM_F_CREATE | NLM_F_EXCL;
	route_describe(route, what, sizeof(what));
	if (route->type != ROUTE_UNICAST || route->multipath)
		return error_set(error, "cannot-restore",
				 "%s: was of a kind that detour does not write; restore it by hand",
				 what);
	code = route_send(nl, RTM_NEWROUTE, flags, route);
	if (code == 0)
		return OUTCOME_DONE;
	outcome = rtnl_refused(nl, code, what, step->before ? "replaced" : "created", error);
	return route_waits(route, code) ? OUTCOME_WAITS : outcome;
}
