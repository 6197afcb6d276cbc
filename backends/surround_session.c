/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that a redirect would select and that bear no gateway's mark:
 * they began without it. The kernel leaves out the marked ones; which redirect
 * the others belong to is told by their addresses and ports, and by whether
 * their clients are routed by its interfaces, which conntrack does not know
 * (linux/netfilter/nfnetlink_conntrack.h).
 */
#include "backends/surround.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "backends/conntrack.h"
#include "backends/rtnl.h"

enum { ATTRIBUTES = CTA_MAX + 1 };

struct end {
	uint8_t address[SPAN_BYTES];
	uint16_t port;
};

struct session {
	enum family family;
	uint8_t protocol;
	struct end client, server; /* the server as the router's destination NAT left it */
};

struct session_reading {
	struct surroundings *out;
	const struct selection *selections;
	size_t count;
	struct spans servers[FAMILY_COUNT]; /* of all selections */
	struct session *found;
	size_t found_count, found_room;
};

static void nest_read(const struct nlattr *nest, const struct nlattr **at, size_t count)
{
	const struct nlattr *attribute;

	memset(at, 0, count * sizeof(*at));
	if (nest)
		mnl_attr_for_each_nested(attribute, nest)
		{
			if (mnl_attr_get_type(attribute) < count)
				at[mnl_attr_get_type(attribute)] = attribute;
		}
}

/* The source of a direction: the client of the original one, the server of the reply. */
static bool end_read(const struct nlattr *tuple, enum family family, struct end *end,
		     uint8_t *protocol)
{
	const struct nlattr *at[ATTRIBUTES], *ip[ATTRIBUTES], *ports[ATTRIBUTES];
	const struct nlattr *address;

	nest_read(tuple, at, ATTRIBUTES);
	nest_read(at[CTA_TUPLE_IP], ip, ATTRIBUTES);
	nest_read(at[CTA_TUPLE_PROTO], ports, ATTRIBUTES);
	address = ip[family == FAMILY_IPV4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC];
	if (!address || mnl_attr_get_payload_len(address) != family_bytes(family) ||
	    !ports[CTA_PROTO_NUM] || !ports[CTA_PROTO_SRC_PORT])
		return false;
	memcpy(end->address, mnl_attr_get_payload(address), family_bytes(family));
	end->port = ntohs(mnl_attr_get_u16(ports[CTA_PROTO_SRC_PORT]));
	*protocol = mnl_attr_get_u8(ports[CTA_PROTO_NUM]);
	return true;
}

/* What is just being opened or closed is none. */
static bool is_established(const struct nlattr *const *at, uint8_t protocol)
{
	const struct nlattr *info[ATTRIBUTES], *tcp[ATTRIBUTES];

	if (!at[CTA_STATUS] || !(ntohl(mnl_attr_get_u32(at[CTA_STATUS])) & IPS_SEEN_REPLY))
		return false;
	if (protocol != IPPROTO_TCP)
		return true;
	nest_read(at[CTA_PROTOINFO], info, ATTRIBUTES);
	nest_read(info[CTA_PROTOINFO_TCP], tcp, ATTRIBUTES);
	return tcp[CTA_PROTOINFO_TCP_STATE] &&
	       mnl_attr_get_u8(tcp[CTA_PROTOINFO_TCP_STATE]) == TCP_CONNTRACK_ESTABLISHED;
}

static bool has_service(const struct redirect *redirect, const struct session *session)
{
	for (size_t i = 0; i < redirect->service_count; i++) {
		const struct service *service = &redirect->services[i];

		if (service->protocol == session->protocol &&
		    service->from <= session->server.port && session->server.port <= service->to)
			return true;
	}
	return false;
}

static bool is_selected(const struct selection *selection, const struct session *session)
{
	return has_service(selection->redirect, session) &&
	       spans_contain(&selection->servers[session->family], session->server.address) &&
	       spans_contain(&selection->clients[session->family], session->client.address);
}

static bool is_any_selected(const struct session_reading *reading, const struct session *session)
{
	if (!spans_contain(&reading->servers[session->family], session->server.address))
		return false;
	for (size_t i = 0; i < reading->count; i++)
		if (is_selected(&reading->selections[i], session))
			return true;
	return false;
}

static int session_take(const struct nlmsghdr *message, void *context)
{
	struct session_reading *reading = context;
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *at[ATTRIBUTES] = { 0 }, *attribute;
	struct session session = { 0 };

	mnl_attr_for_each(attribute, message, sizeof(*header))
	{
		if (mnl_attr_get_type(attribute) < ATTRIBUTES)
			at[mnl_attr_get_type(attribute)] = attribute;
	}
	session.family = header->nfgen_family == AF_INET6 ? FAMILY_IPV6 : FAMILY_IPV4;
	if (end_read(at[CTA_TUPLE_ORIG], session.family, &session.client, &session.protocol) &&
	    end_read(at[CTA_TUPLE_REPLY], session.family, &session.server, &session.protocol) &&
	    is_established(at, session.protocol) && is_any_selected(reading, &session))
		*ARENA_PUSH(&reading->out->arena, reading->found, reading->found_count,
			    reading->found_room) = session;
	return 0;
}

static void sessions_begin(void *context)
{
	struct session_reading *reading = context;

	reading->found = NULL;
	reading->found_count = reading->found_room = 0;
}

/* The first redirect of the document that takes it counts it. */
static void session_count(const struct session_reading *reading, const struct session *session,
			  const char *interface)
{
	for (size_t i = 0; i < reading->count; i++) {
		const struct selection *selection = &reading->selections[i];

		if (!is_selected(selection, session) ||
		    !redirect_covers(selection->redirect, interface))
			continue;
		reading->out->sessions[selection->index]++;
		return;
	}
}

static void servers_gather(struct session_reading *reading)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct spans *all = &reading->servers[family];

		for (size_t i = 0; i < reading->count; i++)
			for (size_t j = 0; j < reading->selections[i].servers[family].count; j++)
				*ARENA_PUSH(&reading->out->arena, all->items, all->count,
					    all->room) =
					reading->selections[i].servers[family].items[j];
		spans_normalize(all);
	}
}

static uint32_t masks(const struct document *document)
{
	uint32_t all = 0;

	for (size_t i = 0; i < document->gateway_count; i++)
		all |= document->gateways[i].mark.mask;
	return all;
}

void surround_sessions(struct netlink *route, struct netlink *netfilter,
		       const struct document *document, struct surroundings *out)
{
	struct session_reading reading = { .out = out };
	struct netlink_reader reader = { sessions_begin, session_take, &reading };
	const struct mark unmarked = { .mask = masks(document) };

	reading.count = selections_build(&out->arena, document, &reading.selections);
	out->sessions =
		arena_alloc(&out->arena, (document->redirect_count + 1) * sizeof(*out->sessions));
	if (!reading.count)
		return;
	servers_gather(&reading);
	if (conntrack_dump(netfilter, &unmarked, &reader))
		return;
	for (size_t i = 0; i < reading.found_count; i++) {
		const struct session *session = &reading.found[i];
		const char *interface =
			rtnl_way_out(route, session->family, session->client.address, &out->arena);

		if (interface)
			session_count(&reading, session, interface);
	}
}
