/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel selects by mark and mask itself, but walks all of its table each
 * time. So only those marks are counted that a plan may ask about: when all
 * is in sync there are none.
 */
#include "backends/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

static struct nlmsghdr *mark_message(struct netlink *nl, uint16_t type, const struct mark *mark)
{
	struct nlmsghdr *request = netlink_message(nl, NFNL_SUBSYS_CTNETLINK << 8 | type, 0);
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->nfgen_family = AF_UNSPEC;
	header->version = NFNETLINK_V0;
	mnl_attr_put_u32(request, CTA_MARK, htonl(mark->value));
	mnl_attr_put_u32(request, CTA_MARK_MASK, htonl(mark->mask));
	return request;
}

int conntrack_dump(struct netlink *nl, const struct mark *mark, const struct netlink_reader *reader)
{
	return netlink_dump(nl, mark_message(nl, IPCTNL_MSG_CT_GET, mark), reader);
}

/*
 * A rule that somebody stripped of its mark must not make us take all
 * connections for its own.
 */
static bool mark_selects(const struct mark *mark)
{
	return mark->value & mark->mask;
}

static void count_begin(void *context)
{
	((struct marked *)context)->connections = 0;
}

static int count_take(const struct nlmsghdr *message, void *context)
{
	(void)message;
	((struct marked *)context)->connections++;
	return 0;
}

static int mark_count(struct netlink *nl, const struct mark *mark, struct state *out,
		      struct error *error)
{
	struct marked marked = { .mark = *mark };
	struct netlink_reader reader = { .begin = count_begin,
					 .message = count_take,
					 .context = &marked };
	int code;

	code = conntrack_dump(nl, mark, &reader);
	/* A kernel without conntrack, or without its netlink part, shows no connections. */
	if (code && code != -EINVAL && code != -EOPNOTSUPP)
		return error_set(error, "kernel-refused",
				 "conntrack entries with mark 0x%x/0x%x: cannot be read: %s",
				 mark->value, mark->mask, netlink_reason(nl, code));
	*ARENA_PUSH(&out->arena, out->marked, out->marked_count, out->marked_room) = marked;
	return 0;
}

static bool is_same(const struct mark *a, const struct mark *b)
{
	return a->value == b->value && a->mask == b->mask;
}

static bool has_gateway(const struct document *document, const struct mark *mark)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (is_same(&document->gateways[i].mark, mark))
			return true;
	return false;
}

static bool has_rule(const struct state *out, const struct mark *mark)
{
	for (size_t i = 0; i < out->rule_count; i++)
		if (out->rules[i].protocol == PROTOCOL_DETOUR && is_same(&out->rules[i].mark, mark))
			return true;
	return false;
}

static bool is_counted(const struct state *out, const struct mark *mark)
{
	for (size_t i = 0; i < out->marked_count; i++)
		if (is_same(&out->marked[i].mark, mark))
			return true;
	return false;
}

int conntrack_read(struct netlink *nl, const struct scope *scope, struct state *out,
		   struct error *error)
{
	const struct document *document = scope->document;

	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct mark *mark = &document->gateways[i].mark;

		if ((scope->connections || !has_rule(out, mark)) &&
		    mark_count(nl, mark, out, error))
			return -1;
	}
	for (size_t i = 0; i < out->rule_count; i++) {
		const struct rule *rule = &out->rules[i];

		if (rule->protocol == PROTOCOL_DETOUR && mark_selects(&rule->mark) &&
		    !has_gateway(document, &rule->mark) && !is_counted(out, &rule->mark) &&
		    mark_count(nl, &rule->mark, out, error))
			return -1;
	}
	return 0;
}

int conntrack_forget(struct netlink *nl, const struct mark *mark, struct error *error)
{
	int code;

	if (!mark_selects(mark))
		return 0;
	code = netlink_request(nl, mark_message(nl, IPCTNL_MSG_CT_DELETE, mark), NULL);
	/* EOPNOTSUPP: conntrack keeps no marks, so no connection bears one. */
	if (code == 0 || code == -ENOENT || code == -EOPNOTSUPP)
		return 0;
	return error_set(
		error, "kernel-refused",
		"conntrack entries with mark 0x%x/0x%x: cannot be deleted: %s; they may go "
		"to the wrong gateway: delete them with conntrack -D --mark 0x%x/0x%x",
		mark->value, mark->mask, netlink_reason(nl, code), mark->value, mark->mask);
}
