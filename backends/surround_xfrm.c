/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IPsec policies that apply to forwarded packets, by one dump (linux/xfrm.h). */
#include "backends/surround.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

#include "backends/rtnl.h"

static bool selector_decode(const struct xfrm_selector *selector, struct xfrm_rule *policy)
{
	size_t bytes;

	if (selector->family != AF_INET && selector->family != AF_INET6)
		return false;
	policy->family = selector->family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
	bytes = family_bytes(policy->family);
	prefix_to_span((const uint8_t *)&selector->saddr, bytes, selector->prefixlen_s,
		       &policy->from);
	prefix_to_span((const uint8_t *)&selector->daddr, bytes, selector->prefixlen_d,
		       &policy->to);
	policy->ip_protocol = selector->proto;
	policy->dport = ntohs(selector->dport);
	policy->dport_mask = ntohs(selector->dport_mask);
	policy->out_index = (uint32_t)selector->ifindex;
	return true;
}

static int policy_take(const struct nlmsghdr *message, void *context)
{
	struct surroundings *out = context;
	struct xfrm_userpolicy_info info; /* a copy: in a message its 64 bits are not aligned */
	const struct nlattr *found[XFRMA_IF_ID + 1];
	struct xfrm_rule policy = { 0 };
	const struct xfrm_mark *mark;

	if (message->nlmsg_type != XFRM_MSG_NEWPOLICY)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(info))
		return -EBADMSG;
	memcpy(&info, mnl_nlmsg_get_payload(message), sizeof(info));
	rtnl_attributes(message, sizeof(info), found, XFRMA_IF_ID);
	policy.is_block = info.action == XFRM_POLICY_BLOCK;
	policy.is_out = info.dir == XFRM_POLICY_OUT;
	/* One for a tunnel's own interface is not asked for; one that asks for nothing lets pass.
	 */
	if ((!policy.is_out && info.dir != XFRM_POLICY_FWD) ||
	    attribute_u32(found[XFRMA_IF_ID], 0) || (!policy.is_block && !found[XFRMA_TMPL]) ||
	    !selector_decode(&info.sel, &policy))
		return 0;
	if (found[XFRMA_MARK] && mnl_attr_get_payload_len(found[XFRMA_MARK]) >= sizeof(*mark)) {
		mark = mnl_attr_get_payload(found[XFRMA_MARK]);
		policy.mark = (struct mark){ mark->v, mark->m };
	}
	*ARENA_PUSH(&out->arena, out->xfrm, out->xfrm_count, out->xfrm_room) = policy;
	return 0;
}

static void policies_begin(void *context)
{
	struct surroundings *out = context;

	out->xfrm = NULL;
	out->xfrm_count = out->xfrm_room = 0;
}

void surround_xfrm(struct surroundings *out)
{
	struct netlink_reader reader = { policies_begin, policy_take, out };
	struct netlink *nl = NULL;
	struct error ignored;

	if (netlink_open(NETLINK_XFRM, &nl, &ignored))
		return;
	if (netlink_dump(nl, netlink_message(nl, XFRM_MSG_GETPOLICY, 0), &reader))
		policies_begin(out);
	netlink_close(nl);
}
