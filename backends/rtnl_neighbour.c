/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Neighbours: whether somebody answers for an address on a link (ARP, neighbour
 * discovery). RTM_GETNEIGH for one entry (kernel 5.0) makes none and asks
 * nobody: what it tells is what traffic until now has shown.
 */
#include "backends/rtnl.h"

#include <errno.h>
#include <stdio.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

enum { LINK_ADDRESS_MAX = 32 }; /* linux/netdevice.h: MAX_ADDR_LEN */

struct neighbour_reading {
	struct arena *arena;
	struct neighbour *out;
};

static enum neighbour_state state_of_bits(uint16_t bits)
{
	static const struct {
		uint16_t bit;
		enum neighbour_state state;
	} states[] = {
		{ NUD_INCOMPLETE, NEIGHBOUR_INCOMPLETE }, { NUD_REACHABLE, NEIGHBOUR_REACHABLE },
		{ NUD_STALE, NEIGHBOUR_STALE },           { NUD_DELAY, NEIGHBOUR_DELAY },
		{ NUD_PROBE, NEIGHBOUR_PROBE },           { NUD_FAILED, NEIGHBOUR_FAILED },
		{ NUD_NOARP, NEIGHBOUR_NOARP },           { NUD_PERMANENT, NEIGHBOUR_PERMANENT },
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (bits & states[i].bit)
			return states[i].state;
	return NEIGHBOUR_NONE;
}

static const char *link_address_text(struct arena *arena, const struct nlattr *attribute)
{
	char text[3 * LINK_ADDRESS_MAX] = "";
	const uint8_t *bytes = mnl_attr_get_payload(attribute);
	size_t count = mnl_attr_get_payload_len(attribute);

	for (size_t i = 0; i < count && i < LINK_ADDRESS_MAX; i++)
		snprintf(text + (i ? 3 * i - 1 : 0), 4, "%s%02x", i ? ":" : "", bytes[i]);
	return arena_strdup(arena, text);
}

static int neighbour_take(const struct nlmsghdr *message, void *context)
{
	struct neighbour_reading *reading = context;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[NDA_LLADDR + 1];

	if (message->nlmsg_type != RTM_NEWNEIGH)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	rtnl_attributes(message, sizeof(*header), found, NDA_LLADDR);
	reading->out->state = state_of_bits(header->ndm_state);
	if (found[NDA_LLADDR])
		reading->out->link_address = link_address_text(reading->arena, found[NDA_LLADDR]);
	return 0;
}

int rtnl_read_neighbour(struct netlink *nl, uint32_t index, enum family family,
			const uint8_t *address, struct arena *arena, struct neighbour *out,
			struct error *error)
{
	struct neighbour_reading reading = { arena, out };
	struct netlink_reader reader = { .message = neighbour_take, .context = &reading };
	struct nlmsghdr *request = netlink_message(nl, RTM_GETNEIGH, 0);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	int code;

	header->ndm_family = rtnl_family(family);
	header->ndm_ifindex = (int)index;
	mnl_attr_put(request, NDA_DST, family_bytes(family), address);
	*out = (struct neighbour){ .state = NEIGHBOUR_NONE };
	code = netlink_request(nl, request, &reader);
	/* No entry, or the interface has gone meanwhile, or the kernel lacks the family. */
	if (!code || code == -ENOENT || code == -ENODEV || code == -EAFNOSUPPORT)
		return 0;
	return rtnl_unreadable(nl, code, "the neighbour entry of a gateway", error);
}

int rtnl_read_neighbours(struct netlink *nl, struct state *out, struct error *error)
{
	for (size_t i = 0; i < out->next_hop_count; i++) {
		struct next_hop *hop = &out->next_hops[i];
		const struct link *link = state_link(out, hop->interface);

		if (link && rtnl_read_neighbour(nl, link->index, hop->family, hop->address,
						&out->arena, &hop->neighbour, error))
			return -1;
	}
	return 0;
}
