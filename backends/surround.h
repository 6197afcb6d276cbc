/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else is on the router: one file for each source. All readers append to
 * *out, sorted, and leave out what cannot be read.
 */
#ifndef BACKENDS_SURROUND_H
#define BACKENDS_SURROUND_H

#include "backends/netlink.h"
#include "reconcile/surroundings.h"

/* All of it. The sockets are on NETLINK_ROUTE and NETLINK_NETFILTER. */
void surround_read(struct netlink *route, struct netlink *netfilter,
		   const struct document *document, struct surroundings *out);

/* surround_device.c: all interfaces, and the sysctls of those that concern the document. */
void surround_devices(struct netlink *route, const struct document *document,
		      struct surroundings *out);

#endif
