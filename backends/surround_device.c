/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interfaces by one dump of links, whether they have IPv6 by one of addresses,
 * and their sysctls from /proc, which has all of them: RTM_GETNETCONF lacks
 * src_valid_mark and send_redirects.
 */
#include "backends/surround.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "backends/file.h"
#include "backends/rtnl.h"

/* --- sysctls ------------------------------------------------------------- */

static int sysctl_read(const char *path)
{
	char text[16], *end;
	long value;

	if (file_peek(path, text, sizeof(text)) <= 0)
		return SYSCTL_UNREAD;
	value = strtol(text, &end, 10);
	return end == text ? SYSCTL_UNREAD : (int)value;
}

static void sysctls_read(struct arena *arena, const char *interface, struct sysctls *sysctls)
{
	for (enum sysctl sysctl = 0; sysctl < SYSCTL_COUNT; sysctl++)
		sysctls->value[sysctl] = sysctl_read(sysctl_path(arena, sysctl, interface));
}

static void sysctls_clear(struct sysctls *sysctls)
{
	for (enum sysctl sysctl = 0; sysctl < SYSCTL_COUNT; sysctl++)
		sysctls->value[sysctl] = SYSCTL_UNREAD;
}

/* --- links --------------------------------------------------------------- */

struct device_reading {
	struct surroundings *out;
	uint32_t *masters; /* beside out->devices: an index, or 0 */
	size_t master_count, master_room;
};

/* The arrays of an interrupted attempt are left to the arena. */
static void devices_begin(void *context)
{
	struct device_reading *reading = context;

	reading->out->devices = NULL;
	reading->out->device_count = reading->out->device_room = 0;
	reading->masters = NULL;
	reading->master_count = reading->master_room = 0;
}

/* Of the device as a member: "bridge" for a port of a bridge. */
static const char *member_kind(struct arena *arena, const struct nlattr *info)
{
	const struct nlattr *attribute;
	const char *kind = "";

	if (!info)
		return kind;
	mnl_attr_for_each_nested(attribute, info)
	{
		if (mnl_attr_get_type(attribute) == IFLA_INFO_SLAVE_KIND)
			kind = mnl_attr_get_str(attribute);
	}
	return arena_strdup(arena, kind);
}

static int device_take(const struct nlmsghdr *message, void *context)
{
	struct device_reading *reading = context;
	struct surroundings *out = reading->out;
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[IFLA_LINKINFO + 1];
	struct device *device;

	if (message->nlmsg_type != RTM_NEWLINK)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	rtnl_attributes(message, sizeof(*header), found, IFLA_LINKINFO);
	if (!found[IFLA_IFNAME])
		return 0;
	device = ARENA_PUSH(&out->arena, out->devices, out->device_count, out->device_room);
	device->name = arena_strdup(&out->arena, mnl_attr_get_str(found[IFLA_IFNAME]));
	device->index = (uint32_t)header->ifi_index;
	device->mtu = attribute_u32(found[IFLA_MTU], 0);
	device->up = header->ifi_flags & IFF_UP;
	device->master_kind = member_kind(&out->arena, found[IFLA_LINKINFO]);
	sysctls_clear(&device->sysctls);
	*ARENA_PUSH(&out->arena, reading->masters, reading->master_count, reading->master_room) =
		attribute_u32(found[IFLA_MASTER], 0);
	return 0;
}

static struct device *device_of_index(struct surroundings *out, uint32_t index)
{
	for (size_t i = 0; index && i < out->device_count; i++)
		if (out->devices[i].index == index)
			return &out->devices[i];
	return NULL;
}

static void devices_read(struct netlink *route, struct surroundings *out)
{
	struct device_reading reading = { .out = out };
	struct netlink_reader reader = { devices_begin, device_take, &reading };
	struct nlmsghdr *request = netlink_message(route, RTM_GETLINK, 0);

	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (netlink_dump(route, request, &reader)) {
		devices_begin(&reading);
		return;
	}
	for (size_t i = 0; i < out->device_count; i++) {
		const struct device *master = device_of_index(out, reading.masters[i]);

		out->devices[i].master = master ? master->name : NULL;
	}
}

/* --- addresses ----------------------------------------------------------- */

static int address_take(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	struct device *device;

	if (message->nlmsg_type != RTM_NEWADDR)
		return 0;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return -EBADMSG;
	device = device_of_index(context, header->ifa_index);
	if (device && header->ifa_family == AF_INET6)
		device->has_ipv6 = true;
	return 0;
}

static void addresses_read(struct netlink *route, struct surroundings *out)
{
	struct netlink_reader reader = { .message = address_take, .context = out };
	struct nlmsghdr *request = netlink_message(route, RTM_GETADDR, 0);
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ifa_family = AF_INET6;
	netlink_dump(route, request, &reader);
}

static int device_compare(const void *a, const void *b)
{
	const struct device *left = a, *right = b;

	return (left->index > right->index) - (left->index < right->index);
}

void surround_devices(struct netlink *route, const struct document *document,
		      struct surroundings *out)
{
	sysctls_read(&out->arena, "all", &out->all);
	devices_read(route, out);
	addresses_read(route, out);
	for (size_t i = 0; i < out->device_count; i++)
		if (surroundings_concern(document, out->devices[i].name))
			sysctls_read(&out->arena, out->devices[i].name, &out->devices[i].sysctls);
	if (out->device_count)
		qsort(out->devices, out->device_count, sizeof(*out->devices), device_compare);
}
