/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.ipv4.conf.*.rp_filter, read by RTM_GETNETCONF. An interface's value is
 * written by RTM_SETLINK; for `all` and `default` there is only /proc.
 */
#include "backends/rtnl.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ip.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>

struct conf {
	int32_t index; /* NETCONFA_IFINDEX_ALL, _DEFAULT or a link */
	int value;
};

/* False when the message says nothing about rp_filter. */
static bool conf_decode(const struct nlmsghdr *message, struct conf *conf)
{
	const struct nlattr *found[NETCONFA_RP_FILTER + 1];

	if (message->nlmsg_type != RTM_NEWNETCONF ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct netconfmsg))
		return false;
	rtnl_attributes(message, sizeof(struct netconfmsg), found, NETCONFA_RP_FILTER);
	if (!found[NETCONFA_IFINDEX] || !found[NETCONFA_RP_FILTER])
		return false;
	conf->index = (int32_t)attribute_u32(found[NETCONFA_IFINDEX], 0);
	conf->value = (int)attribute_u32(found[NETCONFA_RP_FILTER], 0);
	return true;
}

static struct nlmsghdr *conf_request(struct netlink *nl)
{
	struct nlmsghdr *request = netlink_message(nl, RTM_GETNETCONF, 0);
	struct netconfmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ncm_family = AF_INET;
	return request;
}

static int conf_take(const struct nlmsghdr *message, void *context)
{
	return conf_decode(message, context) ? 0 : -ENODATA;
}

/* 0 or a negative errno; what a link without IPv4 gets is -ENOENT or -EINVAL. */
static int conf_get(struct netlink *nl, int32_t index, struct conf *conf)
{
	struct netlink_reader reader = { .message = conf_take, .context = conf };
	struct nlmsghdr *request = conf_request(nl);

	mnl_attr_put_u32(request, NETCONFA_IFINDEX, (uint32_t)index);
	return netlink_request(nl, request, &reader);
}

struct conf_reading {
	const struct record *record;
	struct state *out;
	size_t start;
};

static void confs_begin(void *context)
{
	struct conf_reading *reading = context;

	reading->out->rp_filter_count = reading->start;
}

/* NULL when the link has gone meanwhile. */
static const char *conf_name(int32_t index, char *name)
{
	if (index == NETCONFA_IFINDEX_ALL)
		return "all";
	if (index == NETCONFA_IFINDEX_DEFAULT)
		return "default";
	return if_indextoname((unsigned int)index, name);
}

static void conf_store(const struct conf_reading *reading, const char *name, int value)
{
	struct state *out = reading->out;
	const struct record_entry *entry = record_find(reading->record, name);
	struct rp_filter *filter;

	filter =
		ARENA_PUSH(&out->arena, out->rp_filters, out->rp_filter_count, out->rp_filter_room);
	*filter =
		(struct rp_filter){ .interface = arena_strdup(&out->arena, name), .value = value };
	if (entry) {
		filter->recorded = entry->ours == value;
		filter->overridden = !filter->recorded && entry->before != value;
		filter->before = entry->before;
	}
}

static int confs_take(const struct nlmsghdr *message, void *context)
{
	char buffer[IF_NAMESIZE];
	struct conf conf;
	const char *name;

	if (!conf_decode(message, &conf))
		return 0;
	name = conf_name(conf.index, buffer);
	if (name)
		conf_store(context, name, conf.value);
	return 0;
}

static int conf_read_one(struct netlink *nl, const struct conf_reading *reading, int32_t index,
			 const char *name, struct error *error)
{
	struct conf conf;
	int code;

	if (state_rp_filter(reading->out, name))
		return 0;
	code = conf_get(nl, index, &conf);
	if (netlink_is_lost(code))
		return rtnl_unreadable(nl, code, "rp_filter", error);
	if (code == 0)
		conf_store(reading, name, conf.value);
	return 0;
}

static int confs_read_few(struct netlink *nl, const struct document *document,
			  const struct conf_reading *reading, struct error *error)
{
	if (conf_read_one(nl, reading, NETCONFA_IFINDEX_ALL, "all", error) ||
	    conf_read_one(nl, reading, NETCONFA_IFINDEX_DEFAULT, "default", error))
		return -1;
	for (size_t i = 0; i < document->gateway_count; i++) {
		const char *name = document->gateways[i].interface;
		unsigned int index = if_nametoindex(name);

		if (index && conf_read_one(nl, reading, (int32_t)index, name, error))
			return -1;
	}
	return 0;
}

static bool needs_every_interface(const struct scope *scope, const struct record *record)
{
	const struct document *document = scope->document;

	for (size_t i = 0; i < document->gateway_count; i++)
		if (document->gateways[i].rp_filter == RP_FILTER_OFF)
			return true;
	return scope->every_rp_filter || record->count > 0;
}

int rtnl_read_rp_filters(struct netlink *nl, const struct scope *scope, const struct record *record,
			 struct state *out, struct error *error)
{
	struct conf_reading reading = { .record = record,
					.out = out,
					.start = out->rp_filter_count };
	struct netlink_reader reader = { .begin = confs_begin,
					 .message = confs_take,
					 .context = &reading };
	int code;

	if (!needs_every_interface(scope, record))
		return confs_read_few(nl, scope->document, &reading, error);
	code = netlink_dump(nl, conf_request(nl), &reader);
	return code ? rtnl_unreadable(nl, code, "rp_filter of all interfaces", error) : 0;
}

static int write_link(struct netlink *nl, int32_t index, int value)
{
	struct nlmsghdr *request = netlink_message(nl, RTM_SETLINK, 0);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	struct nlattr *families, *inet, *conf;

	header->ifi_index = index;
	families = mnl_attr_nest_start(request, IFLA_AF_SPEC);
	inet = mnl_attr_nest_start(request, AF_INET);
	conf = mnl_attr_nest_start(request, IFLA_INET_CONF);
	mnl_attr_put_u32(request, IPV4_DEVCONF_RP_FILTER, (uint32_t)value);
	mnl_attr_nest_end(request, conf);
	mnl_attr_nest_end(request, inet);
	mnl_attr_nest_end(request, families);
	return netlink_request(nl, request, NULL);
}

/* Name is "all" or "default". 0 or a negative errno. */
static int write_proc(const char *name, int value)
{
	char path[64], text[16];
	int length = snprintf(text, sizeof(text), "%d\n", value), fd, code;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	code = write(fd, text, (size_t)length) == length ? 0 : -errno;
	close(fd);
	return code;
}

/* 0 when there is no such interface: an index that no link has. */
static int32_t conf_index(const char *name)
{
	if (!strcmp(name, "all"))
		return NETCONFA_IFINDEX_ALL;
	if (!strcmp(name, "default"))
		return NETCONFA_IFINDEX_DEFAULT;
	return (int32_t)if_nametoindex(name);
}

static int value_write(struct netlink *nl, const struct conf *conf, const struct rp_filter *wanted,
		       struct error *error)
{
	bool by_proc = conf->index < 0;
	char what[64];
	int code;

	code = by_proc ? write_proc(wanted->interface, wanted->value)
		       : write_link(nl, conf->index, wanted->value);
	if (code == 0)
		return OUTCOME_DONE;
	snprintf(what, sizeof(what), "rp_filter of %s", wanted->interface);
	return rtnl_refused(nl, code, what, "written", error);
}

/* before == value: it is not ours then, and nothing is noted. */
static int record_set(const char *interface, int before, int value, struct error *error)
{
	return before == value ? record_drop(interface, error)
			       : record_note(interface, before, value, error);
}

static bool is_written(struct netlink *nl, const struct conf *tried, int value)
{
	struct conf now = *tried;

	return conf_get(nl, tried->index, &now) == 0 && now.value == value;
}

/*
 * What stood there before our very first write is what is to be restored one
 * day, whoever wrote since, and writing just that value is the restoration.
 * Nothing stays noted as ours that was not written: it would pass for an
 * administrator's value.
 */
static int value_write_recorded(struct netlink *nl, const struct conf *live,
				const struct rp_filter *wanted, const struct record *record,
				struct error *error)
{
	const struct record_entry *entry = record_find(record, wanted->interface);
	int before = entry ? entry->before : live->value, outcome;

	if (record_set(wanted->interface, before, wanted->value, error))
		return -1;
	outcome = value_write(nl, live, wanted, error);
	if (outcome != OUTCOME_DONE && !is_written(nl, live, wanted->value) &&
	    record_set(wanted->interface, before, entry ? entry->ours : before, error))
		return outcome == OUTCOME_UNKNOWN ? outcome : -1;
	return outcome;
}

int rtnl_write_rp_filter(struct netlink *nl, const struct step *step, struct error *error)
{
	const struct rp_filter *wanted = step->after;
	struct conf live = { .index = conf_index(wanted->interface) };
	struct record record = { 0 };
	struct arena arena = { 0 };
	int code, outcome;

	code = live.index ? conf_get(nl, live.index, &live) : -ENODEV;
	if (code) {
		error_set(error, "kernel-refused", "rp_filter of %s: cannot be read: %s",
			  wanted->interface, netlink_reason(nl, code));
		return netlink_is_lost(code) ? -1 : OUTCOME_WAITS;
	}
	outcome = record_read(&arena, &record, error);
	if (outcome == 0)
		outcome = value_write_recorded(nl, &live, wanted, &record, error);
	arena_free(&arena);
	return outcome;
}
