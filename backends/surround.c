/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/surround.h"

void surround_read(struct netlink *route, struct netlink *netfilter,
		   const struct document *document, struct surroundings *out)
{
	surround_devices(route, document, out);
	surround_policy(route, document, out);
	surround_ways(route, document, out);
	surround_nft(netfilter, out);
	surround_xfrm(out);
	surround_sessions(route, netfilter, document, out);
	surround_host(document, out);
}
