/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules of iptables-legacy, which live apart from nf_tables and are read
 * through getsockopt() (linux/netfilter_ipv4/ip_tables.h). They are named, no
 * more: a table that is asked for comes into being, so only those are that the
 * kernel lists already.
 */
#include "backends/foreign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

/* struct ip6t_getinfo and ip6t_get_entries are those of IPv4; the entries differ in size. */
static const struct protocol {
	const char *names, *command;
	int domain, level;
	size_t target_offset, next_offset, size; /* in and of struct ipt_entry, ip6t_entry */
} protocols[] = {
	{ "/proc/thread-self/net/ip_tables_names", "iptables-legacy", AF_INET, IPPROTO_IP,
	  offsetof(struct ipt_entry, target_offset), offsetof(struct ipt_entry, next_offset),
	  sizeof(struct ipt_entry) },
	{ "/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy", AF_INET6, IPPROTO_IPV6,
	  offsetof(struct ip6t_entry, target_offset), offsetof(struct ip6t_entry, next_offset),
	  sizeof(struct ip6t_entry) },
};

/* The chain that is being walked through. */
struct walk {
	const struct protocol *protocol;
	const struct ipt_getinfo *info;
	const char *chain;
	size_t number;
	struct foreign *out;
};

static uint16_t read_u16(const char *entry, size_t offset)
{
	uint16_t number;

	memcpy(&number, entry + offset, sizeof(number));
	return number;
}

static bool is_marker(const char *target)
{
	return !strcmp(target, "MARK") || !strcmp(target, "CONNMARK");
}

static void marker_add(const struct walk *walk, const char *target)
{
	struct foreign *out = walk->out;
	struct arena *arena = out->arena;

	*ARENA_PUSH(arena, out->legacy, out->legacy_count, out->legacy_room) = (struct legacy_rule){
		.place = arena_printf(arena, "%s %s %s rule %zu", walk->protocol->command,
				      walk->info->name, walk->chain, walk->number),
		.found = arena_printf(arena, "target %s", target),
		.remedy = arena_printf(arena,
				       "rules of iptables-legacy are not read; remove it "
				       "with %s -t %s -D %s %zu (of several the last first)",
				       walk->protocol->command, walk->info->name, walk->chain,
				       walk->number),
	};
}

/* A chain of the user's begins with a target ERROR that bears its name. */
static void entry_walk(struct walk *walk, const char *entry, size_t offset)
{
	static const char *const hooks[] = { "PREROUTING", "INPUT", "FORWARD", "OUTPUT",
					     "POSTROUTING" };
	size_t target_offset = read_u16(entry, walk->protocol->target_offset);
	const char *target = entry + target_offset + offsetof(struct xt_entry_target, u.user.name);

	for (size_t i = 0; i < NF_INET_NUMHOOKS; i++)
		if (walk->info->valid_hooks >> i & 1 && walk->info->hook_entry[i] == offset) {
			walk->chain = hooks[i];
			walk->number = 0;
		}
	if (!strcmp(target, XT_ERROR_TARGET)) {
		walk->chain = arena_printable(
			walk->out->arena,
			arena_strdup(walk->out->arena,
				     entry + target_offset + sizeof(struct xt_entry_target)));
		walk->number = 0;
		return;
	}
	walk->number++;
	if (is_marker(target))
		marker_add(walk, target);
}

static void entries_walk(struct walk *walk, const char *entries, size_t size)
{
	const struct protocol *protocol = walk->protocol;

	for (size_t offset = 0; offset + protocol->size <= size;) {
		const char *entry = entries + offset;
		size_t next = read_u16(entry, protocol->next_offset);
		size_t target = read_u16(entry, protocol->target_offset);

		if (next < target + sizeof(struct xt_entry_target) || offset + next > size)
			return;
		entry_walk(walk, entry, offset);
		offset += next;
	}
}

static void table_read(struct foreign *out, const struct protocol *protocol, int fd,
		       const char *name)
{
	struct ipt_getinfo info = { 0 };
	struct walk walk = { .protocol = protocol, .info = &info, .chain = "", .out = out };
	socklen_t length = sizeof(info);
	struct ipt_get_entries *entries;

	if (strlen(name) >= sizeof(info.name))
		return;
	memcpy(info.name, name, strlen(name) + 1);
	if (getsockopt(fd, protocol->level, IPT_SO_GET_INFO, &info, &length) < 0)
		return;
	length = (socklen_t)(sizeof(*entries) + info.size);
	entries = calloc(1, length);
	if (!entries)
		return;
	memcpy(entries->name, info.name, sizeof(entries->name));
	entries->size = info.size;
	if (getsockopt(fd, protocol->level, IPT_SO_GET_ENTRIES, entries, &length) == 0)
		entries_walk(&walk, (const char *)entries->entrytable, info.size);
	free(entries);
}

static void protocol_read(struct foreign *out, const struct protocol *protocol)
{
	FILE *names = fopen(protocol->names, "re");
	int fd = socket(protocol->domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[XT_TABLE_MAXNAMELEN + 2];

	while (names && fd >= 0 && fgets(name, sizeof(name), names)) {
		name[strcspn(name, "\n")] = '\0';
		table_read(out, protocol, fd, name);
	}
	if (fd >= 0)
		close(fd);
	if (names)
		fclose(names);
}

void foreign_read_legacy(struct foreign *out)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		protocol_read(out, &protocols[i]);
}
