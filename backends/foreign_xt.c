/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Matches and targets of iptables-nft that nf_tables keeps as it got them
 * (linux/netfilter/xt_*.h). Each is read whole or not at all: an option that is
 * not known here makes the rule one that is not understood.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_CONNMARK.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_sctp.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <libnftnl/expr.h>

#include "backends/foreign_parts.h"

/* info points to at least `size` bytes. False: not understood. */
typedef bool xt_reader(struct foreign_reading *reading, const void *info);

struct extension {
	const char *name;
	uint32_t revision;
	size_t size;
	xt_reader *read;
};

static bool read_nothing(struct foreign_reading *reading, const void *info)
{
	(void)reading;
	(void)info;
	return true;
}

static bool read_test(struct foreign_reading *reading, const struct xt_mark_mtinfo1 *info,
		      struct foreign_test *test)
{
	if (!info->mask)
		return false;
	foreign_test(reading->arena, reading->rule, test,
		     (struct foreign_test){ { info->mark, info->mask }, info->invert });
	return true;
}

static bool read_mark(struct foreign_reading *reading, const void *info)
{
	return read_test(reading, info, &reading->rule->packet);
}

/* struct xt_connmark_mtinfo1 is the same. */
static bool read_connmark(struct foreign_reading *reading, const void *info)
{
	return read_test(reading, info, &reading->rule->connection);
}

/* Ports in host order. */
static void ports_add(struct foreign_reading *reading, struct spans *spans, uint16_t from,
		      uint16_t to)
{
	uint16_t ends[] = { htons(from), htons(to) };

	foreign_span_add(reading->arena, spans, &ends[0], &ends[1], sizeof(ends[0]));
}

static void ports_narrow(struct foreign_reading *reading, enum foreign_field field,
			 const uint16_t ends[2], bool negate)
{
	struct spans spans = { 0 };

	if (!ends[0] && ends[1] == UINT16_MAX && !negate)
		return;
	ports_add(reading, &spans, ends[0], ends[1]);
	foreign_narrow(reading->arena, reading->rule, field, FAMILY_IPV4, &spans, negate);
}

static bool read_tcp(struct foreign_reading *reading, const void *data)
{
	const struct xt_tcp *info = data;

	if (info->option || info->flg_mask ||
	    info->invflags & (XT_TCP_INV_FLAGS | XT_TCP_INV_OPTION))
		return false;
	ports_narrow(reading, FOREIGN_SPORT, info->spts, info->invflags & XT_TCP_INV_SRCPT);
	ports_narrow(reading, FOREIGN_DPORT, info->dpts, info->invflags & XT_TCP_INV_DSTPT);
	return true;
}

static bool read_udp(struct foreign_reading *reading, const void *data)
{
	const struct xt_udp *info = data;

	ports_narrow(reading, FOREIGN_SPORT, info->spts, info->invflags & XT_UDP_INV_SRCPT);
	ports_narrow(reading, FOREIGN_DPORT, info->dpts, info->invflags & XT_UDP_INV_DSTPT);
	return true;
}

static bool read_sctp(struct foreign_reading *reading, const void *data)
{
	const struct xt_sctp_info *info = data;

	if (info->flags & ~(uint32_t)(XT_SCTP_SRC_PORTS | XT_SCTP_DEST_PORTS))
		return false;
	if (info->flags & XT_SCTP_SRC_PORTS)
		ports_narrow(reading, FOREIGN_SPORT, info->spts,
			     info->invflags & XT_SCTP_SRC_PORTS);
	if (info->flags & XT_SCTP_DEST_PORTS)
		ports_narrow(reading, FOREIGN_DPORT, info->dpts,
			     info->invflags & XT_SCTP_DEST_PORTS);
	return true;
}

static bool read_multiport(struct foreign_reading *reading, const void *data)
{
	const struct xt_multiport_v1 *info = data;
	struct spans spans = { 0 };

	if (info->flags > XT_MULTIPORT_DESTINATION || info->count > XT_MULTI_PORTS)
		return false;
	/* A flagged port begins a range that the next one ends. */
	for (size_t i = 0; i < info->count; i++) {
		bool is_range = info->pflags[i] && i + 1 < info->count;

		ports_add(reading, &spans, info->ports[i], info->ports[i + is_range]);
		i += is_range;
	}
	foreign_narrow(reading->arena, reading->rule,
		       info->flags == XT_MULTIPORT_SOURCE ? FOREIGN_SPORT : FOREIGN_DPORT,
		       FAMILY_IPV4, &spans, info->invert);
	return true;
}

static bool read_iprange(struct foreign_reading *reading, const void *data)
{
	const struct xt_iprange_mtinfo *info = data;
	enum family family;

	if (!foreign_family(reading->rule, &family))
		return false;
	if (info->flags & IPRANGE_SRC)
		foreign_narrow_range(reading, FOREIGN_SOURCE, family, &info->src_min,
				     &info->src_max, info->flags & IPRANGE_SRC_INV);
	if (info->flags & IPRANGE_DST)
		foreign_narrow_range(reading, FOREIGN_DESTINATION, family, &info->dst_min,
				     &info->dst_max, info->flags & IPRANGE_DST_INV);
	return true;
}

/* -m state, too, which is this one under another name. */
static bool read_conntrack(struct foreign_reading *reading, const void *data)
{
	const struct xt_conntrack_mtinfo3 *info = data;

	if ((info->match_flags & ~XT_CONNTRACK_STATE_ALIAS) != XT_CONNTRACK_STATE ||
	    info->invert_flags || info->state_mask != XT_CONNTRACK_STATE_BIT(IP_CT_NEW))
		return false;
	reading->rule->is_new = true;
	return true;
}

static const struct extension matches[] = {
	{ "comment", 0, 0, read_nothing },
	{ "connmark", 1, sizeof(struct xt_connmark_mtinfo1), read_connmark },
	{ "conntrack", 3, sizeof(struct xt_conntrack_mtinfo3), read_conntrack },
	{ "iprange", 1, sizeof(struct xt_iprange_mtinfo), read_iprange },
	{ "mark", 1, sizeof(struct xt_mark_mtinfo1), read_mark },
	{ "multiport", 1, sizeof(struct xt_multiport_v1), read_multiport },
	{ "sctp", 0, sizeof(struct xt_sctp_info), read_sctp },
	{ "tcp", 0, sizeof(struct xt_tcp), read_tcp },
	{ "udp", 0, sizeof(struct xt_udp), read_udp },
};

static bool target_mark(struct foreign_reading *reading, const void *data)
{
	const struct xt_mark_tginfo2 *info = data;

	foreign_mark(reading, FOREIGN_MARKS_PACKET, ~info->mask, info->mark);
	return true;
}

/* Revision 1 ends with the mode, revision 2 with shifts and the mode. */
static bool target_connmark(struct foreign_reading *reading, const struct xt_connmark_tginfo1 *info,
			    uint8_t mode)
{
	if (mode == XT_CONNMARK_SET) {
		foreign_mark(reading, FOREIGN_MARKS_CONNECTION, ~info->ctmask, info->ctmark);
		return true;
	}
	if (mode != XT_CONNMARK_RESTORE || info->ctmask & ~info->nfmask)
		return false;
	foreign_act(reading->arena, reading->rule, FOREIGN_RESTORES,
		    (struct mark){ info->ctmask, info->nfmask });
	return true;
}

static bool target_connmark1(struct foreign_reading *reading, const void *data)
{
	const struct xt_connmark_tginfo1 *info = data;

	return target_connmark(reading, info, info->mode);
}

static bool target_connmark2(struct foreign_reading *reading, const void *data)
{
	const struct xt_connmark_tginfo2 *info = data;
	const struct xt_connmark_tginfo1 old = { info->ctmark, info->ctmask, info->nfmask,
						 info->mode };

	return !info->shift_bits && target_connmark(reading, &old, info->mode);
}

static const struct extension targets[] = {
	{ "CONNMARK", 1, sizeof(struct xt_connmark_tginfo1), target_connmark1 },
	{ "CONNMARK", 2, sizeof(struct xt_connmark_tginfo2), target_connmark2 },
	{ "MARK", 2, sizeof(struct xt_mark_tginfo2), target_mark },
};

/* They neither mark nor end anything, whatever their revision. */
static const char *const harmless[] = {
	"AUDIT",   "CHECKSUM",  "CLASSIFY",    "CONNSECMARK", "DSCP",  "ECN",
	"HL",      "IDLETIMER", "LED",         "LOG",         "NFLOG", "RATEEST",
	"SECMARK", "TCPMSS",    "TCPOPTSTRIP", "TOS",         "TRACE", "TTL",
};

static bool extension_read(struct foreign_reading *reading, const struct extension *extensions,
			   size_t count, const char *name, uint32_t revision, const void *info,
			   uint32_t size)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(extensions[i].name, name) && extensions[i].revision == revision &&
		    size >= extensions[i].size)
			return extensions[i].read(reading, info);
	return false;
}

void foreign_xt_match(struct foreign_reading *reading, const struct nftnl_expr *expr)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_MT_NAME);
	uint32_t revision = nftnl_expr_get_u32(expr, NFTNL_EXPR_MT_REV), size = 0;
	const void *info = nftnl_expr_get(expr, NFTNL_EXPR_MT_INFO, &size);

	if (!extension_read(reading, matches, sizeof(matches) / sizeof(*matches), name, revision,
			    info, size))
		foreign_obscure(reading->arena, reading->rule, "match %s", name);
}

static bool is_harmless(const char *name)
{
	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
		if (!strcmp(harmless[i], name))
			return true;
	return false;
}

void foreign_xt_target(struct foreign_reading *reading, const struct nftnl_expr *expr)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_TG_NAME);
	uint32_t revision = nftnl_expr_get_u32(expr, NFTNL_EXPR_TG_REV), size = 0;
	const void *info = nftnl_expr_get(expr, NFTNL_EXPR_TG_INFO, &size);

	if (is_harmless(name) ||
	    extension_read(reading, targets, sizeof(targets) / sizeof(*targets), name, revision,
			   info, size))
		return;
	foreign_act(reading->arena, reading->rule, FOREIGN_UNKNOWN, (struct mark){ 0 });
	foreign_obscure(reading->arena, reading->rule, "target %s", name);
}
