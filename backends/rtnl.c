/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <linux/rtnetlink.h>

enum { SETTLE_ATTEMPTS = 10 };

void tables_add(struct arena *arena, struct tables *tables, uint32_t id)
{
	*ARENA_PUSH(arena, tables->ids, tables->count, tables->room) = id;
}

static int id_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void tables_sort(struct tables *tables)
{
	size_t kept = 0;

	if (tables->count)
		qsort(tables->ids, tables->count, sizeof(*tables->ids), id_compare);
	for (size_t i = 0; i < tables->count; i++)
		if (!kept || tables->ids[i] != tables->ids[kept - 1])
			tables->ids[kept++] = tables->ids[i];
	tables->count = kept;
}

bool tables_contain(const struct tables *tables, uint32_t id)
{
	return tables->count &&
	       bsearch(&id, tables->ids, tables->count, sizeof(id), id_compare) != NULL;
}

uint8_t rtnl_family(enum family family)
{
	return family == FAMILY_IPV4 ? AF_INET : AF_INET6;
}

/* FNV-1a: two dumps that differ by chance in nothing but their digest do not matter. */
void digest_add(uint64_t *digest, const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < size; i++)
		*digest = (*digest ^ byte[i] ^ 0xcbf29ce484222325) * 0x100000001b3;
}

int rtnl_dump_settled(struct netlink *nl, struct nlmsghdr *request,
		      const struct netlink_reader *reader, const uint64_t *digest)
{
	uint64_t before = 0;

	for (int attempt = 0; attempt < SETTLE_ATTEMPTS; attempt++) {
		int code = netlink_dump(nl, request, reader);

		if (code)
			return code;
		if (attempt && *digest == before)
			return 0;
		before = *digest;
	}
	return -EAGAIN;
}

void rtnl_attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **found,
		     uint16_t max)
{
	const struct nlattr *attribute;

	for (uint16_t type = 0; type <= max; type++)
		found[type] = NULL;
	mnl_attr_for_each(attribute, message, header) if (mnl_attr_get_type(attribute) <= max)
		found[mnl_attr_get_type(attribute)] = attribute;
}

uint32_t attribute_u32(const struct nlattr *attribute, uint32_t absent)
{
	if (!attribute || mnl_attr_get_payload_len(attribute) < sizeof(uint32_t))
		return absent;
	return mnl_attr_get_u32(attribute);
}

static const char *remedy(int code)
{
	switch (code) {
	case -EPERM:
		return "; run as root, or grant CAP_NET_ADMIN in this network namespace";
	case -EEXIST:
		return "; somebody else has put one there meanwhile: run plan again";
	case -ENOENT:
	case -ESRCH:
		return "; somebody else has taken it away meanwhile: run plan again";
	case -EAFNOSUPPORT:
	case -EOPNOTSUPP:
		return "; this kernel lacks the family or the feature";
	}
	return "";
}

int rtnl_refused(struct netlink *nl, int code, const char *what, const char *done,
		 struct error *error)
{
	error_set(error, "kernel-refused", "%s: cannot be %s: %s%s", what, done,
		  netlink_reason(nl, code), remedy(code));
	return netlink_is_lost(code) ? OUTCOME_UNKNOWN : -1;
}

int rtnl_unreadable(struct netlink *nl, int code, const char *what, struct error *error)
{
	if (code == -EAGAIN || code == -EINTR)
		return error_set(error, "unsettled",
				 "%s: they change faster than they can be read; find out what "
				 "rewrites them all the time, and try again",
				 what);
	return error_set(error, "kernel-refused", "%s: cannot be read: %s%s", what,
			 netlink_reason(nl, code), remedy(code));
}
