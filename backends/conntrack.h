/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections that bear a mark: conntrack entries, by CTA_MARK
 * (linux/netfilter/nfnetlink_conntrack.h). */
#ifndef BACKENDS_CONNTRACK_H
#define BACKENDS_CONNTRACK_H

#include "backends/netlink.h"
#include "reconcile/document.h"
#include "reconcile/error.h"
#include "reconcile/state.h"

/*
 * Appends how many connections bear each mark that a plan can start or stop to
 * use: a gateway's without a rule in *out, and one of our rules in *out without
 * a gateway; of all gateways and rules of ours when the scope asks for it. 0,
 * or -1 with *error.
 */
int conntrack_read(struct netlink *nl, const struct scope *scope, struct state *out,
		   struct error *error);

/* All entries with (mark & mask) == value, as the kernel sends them. 0 or a negative errno. */
int conntrack_dump(struct netlink *nl, const struct mark *mark,
		   const struct netlink_reader *reader);

/* Deletes the entries of both families that bear the mark. 0, or -1 with *error. */
int conntrack_forget(struct netlink *nl, const struct mark *mark, struct error *error);

#endif
