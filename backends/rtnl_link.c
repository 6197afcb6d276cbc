/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links by name, and whether a next hop is on one. The kernel takes a next hop
 * that its own routing finds directly on the interface; RTM_GETROUTE with
 * RTM_F_FIB_MATCH asks it that without writing. (Without that flag IPv4 says
 * yes to any address, given an output interface.)
 */
#include "backends/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <linux/rtnetlink.h>

static int link_take(const struct nlmsghdr *message, void *context)
{
	struct link *link = context;
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[IFLA_IFNAME + 1];

	if (message->nlmsg_type != RTM_NEWLINK)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	rtnl_attributes(message, sizeof(*header), found, IFLA_IFNAME);
	/* The kernel finds alternative names, too, but nftables does not match them. */
	if (!found[IFLA_IFNAME] || strcmp(mnl_attr_get_str(found[IFLA_IFNAME]), link->name) != 0)
		return -ENODEV;
	link->index = (uint32_t)header->ifi_index;
	link->up = header->ifi_flags & IFF_UP;
	link->has_carrier = header->ifi_flags & IFF_RUNNING;
	return 0;
}

int rtnl_get_link(struct netlink *nl, struct link *link)
{
	struct netlink_reader reader = { .message = link_take, .context = link };
	struct nlmsghdr *request = netlink_message(nl, RTM_GETLINK, 0);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(request, IFLA_IFNAME, link->name);
	return netlink_request(nl, request, &reader);
}

static int link_read(struct netlink *nl, const char *name, struct state *out, struct error *error)
{
	struct link link = { .name = name };
	int code;

	if (strchr(name, '*') || state_link(out, name))
		return 0;
	code = rtnl_get_link(nl, &link);
	if (code == -ENODEV)
		return 0;
	if (code)
		return rtnl_unreadable(nl, code, name, error);
	link.name = arena_strdup(&out->arena, name);
	*ARENA_PUSH(&out->arena, out->links, out->link_count, out->link_room) = link;
	return 0;
}

int rtnl_read_links(struct netlink *nl, const struct document *document, struct state *out,
		    struct error *error)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (link_read(nl, document->gateways[i].interface, out, error))
			return -1;
	for (size_t i = 0; i < document->redirect_count; i++)
		for (size_t j = 0; j < document->redirects[i].interface_count; j++)
			if (link_read(nl, document->redirects[i].interfaces[j], out, error))
				return -1;
	return 0;
}

struct match {
	uint8_t type; /* RTN_* */
	uint32_t index;
	bool has_gateway;
};

static int match_take(const struct nlmsghdr *message, void *context)
{
	struct match *match = context;
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[RTA_MAX + 1];

	if (message->nlmsg_type != RTM_NEWROUTE)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	rtnl_attributes(message, sizeof(*header), found, RTA_MAX);
	match->type = header->rtm_type;
	match->index = attribute_u32(found[RTA_OIF], 0);
	match->has_gateway = found[RTA_GATEWAY] || found[RTA_VIA];
	return 0;
}

/*
 * The route that the kernel would take, over that interface unless it is 0; of
 * type RTN_UNSPEC when it has none. 0, or a negative errno when it did not say.
 */
static int match_get(struct netlink *nl, const struct next_hop *hop, uint32_t index,
		     struct match *match)
{
	struct netlink_reader reader = { .message = match_take, .context = match };
	struct nlmsghdr *request = netlink_message(nl, RTM_GETROUTE, 0);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	size_t bytes = family_bytes(hop->family);
	int code;

	header->rtm_family = rtnl_family(hop->family);
	header->rtm_dst_len = (uint8_t)(bytes * 8);
	header->rtm_flags = RTM_F_FIB_MATCH;
	mnl_attr_put(request, RTA_DST, bytes, hop->address);
	if (index)
		mnl_attr_put_u32(request, RTA_OIF, index);
	*match = (struct match){ .type = RTN_UNSPEC };
	code = netlink_request(nl, request, &reader);
	/* Every refusal (ENETUNREACH, EHOSTUNREACH, what a policy rule says) means no route. */
	return netlink_is_lost(code) ? code : 0;
}

/* A link-local address is ours on one link and somebody else's on the next. */
static uint32_t index_for_own(const struct next_hop *hop, uint32_t index)
{
	bool link_local = hop->family == FAMILY_IPV6 && hop->address[0] == 0xfe &&
			  (hop->address[1] & 0xc0) == 0x80;

	return link_local ? index : 0;
}

/* NULL when it has gone meanwhile. */
static const char *name_of(struct arena *arena, uint32_t index)
{
	char name[IF_NAMESIZE];

	return if_indextoname(index, name) ? arena_strdup(arena, name) : NULL;
}

const char *rtnl_way_out(struct netlink *nl, enum family family, const uint8_t *address,
			 struct arena *arena)
{
	struct next_hop hop = { .family = family };
	struct match match;

	memcpy(hop.address, address, sizeof(hop.address));
	if (match_get(nl, &hop, 0, &match) || match.type != RTN_UNICAST)
		return NULL;
	return name_of(arena, match.index);
}

/* hop->obstacle becomes NULL when it is on the link. 0 or a negative errno. */
static int obstacle_find(struct netlink *nl, struct state *out, struct next_hop *hop)
{
	const struct link *link = state_link(out, hop->interface);
	char address[INET6_ADDRSTRLEN];
	struct match own, over;
	int code;

	if (!link || !link->up) {
		hop->obstacle = arena_printf(&out->arena, "interface %s %s", hop->interface,
					     link ? "is down" : "does not exist");
		return 0;
	}
	code = match_get(nl, hop, index_for_own(hop, link->index), &own);
	if (!code)
		code = match_get(nl, hop, link->index, &over);
	if (code)
		return code;
	inet_ntop(rtnl_family(hop->family), hop->address, address, sizeof(address));
	hop->is_own = own.type == RTN_LOCAL;
	if (hop->is_own)
		hop->obstacle =
			arena_printf(&out->arena, "%s is this router's own address", address);
	else if (over.type != RTN_UNICAST || over.index != link->index || over.has_gateway)
		hop->obstacle = arena_printf(&out->arena, "%s is not on the link of %s", address,
					     hop->interface);
	else if (own.type == RTN_UNICAST && own.index != link->index)
		hop->elsewhere = name_of(&out->arena, own.index);
	return 0;
}

static int next_hop_read(struct netlink *nl, const struct gateway *gateway, enum family family,
			 struct state *out, struct error *error)
{
	struct next_hop hop = { .family = family, .interface = gateway->interface };
	int code;

	memcpy(hop.address, gateway->address[family], sizeof(hop.address));
	code = obstacle_find(nl, out, &hop);
	if (code)
		return rtnl_unreadable(nl, code, "the route to a gateway", error);
	*ARENA_PUSH(&out->arena, out->next_hops, out->next_hop_count, out->next_hop_room) = hop;
	return 0;
}

int rtnl_read_next_hops(struct netlink *nl, const struct document *document, struct state *out,
			struct error *error)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (document->gateways[i].has_address[family] &&
			    next_hop_read(nl, &document->gateways[i], family, out, error))
				return -1;
	return 0;
}
