/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else is on the router that can defeat a redirect: a plain description,
 * read by a backend and judged in warning_*.c. It decides about no step and is
 * part of no fingerprint. What could not be read is left out, and left out does
 * not mean absent: where that matters, a member says whether it was read.
 */
#ifndef RECONCILE_SURROUNDINGS_H
#define RECONCILE_SURROUNDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"
#include "reconcile/document.h"

/* Of net.ipv4.conf.* and net.ipv6.conf.*; sysctl_name() has their names. */
enum sysctl {
	SYSCTL_FORWARDING4,
	SYSCTL_RP_FILTER,
	SYSCTL_SRC_VALID_MARK,
	SYSCTL_SEND_REDIRECTS,
	SYSCTL_FORWARDING6,
	SYSCTL_FORCE_FORWARDING6, /* of one interface, Linux 6.17 */
	SYSCTL_COUNT
};

enum { SYSCTL_UNREAD = -1 };

struct sysctls {
	int value[SYSCTL_COUNT]; /* SYSCTL_UNREAD when it is not there or was not asked for */
};

/* An interface of the router, whether or not the document names it. */
struct device {
	const char *name;
	uint32_t index, mtu;
	bool up;
	bool has_ipv6;           /* an address, of whatever scope */
	const char *master;      /* the interface that it belongs to; NULL: none */
	const char *master_kind; /* "bridge", "bond", "vrf", ...; "" when it is not known */
	struct sysctls sysctls;  /* read of those that surroundings_concern() */
};

struct surroundings {
	struct arena arena;
	struct sysctls all;     /* the pseudo-interface `all` */
	struct device *devices; /* by index */
	size_t device_count, device_room;
};

void surroundings_free(struct surroundings *around);

/* Whether it is a gateway's interface or one of an enabled redirect's clients. */
bool surroundings_concern(const struct document *document, const char *interface);

/* Whether the redirect's clients come in by it. */
bool redirect_covers(const struct redirect *redirect, const char *interface);

/* NULL when there is none. */
const struct device *surroundings_device(const struct surroundings *around, const char *name);

/* As sysctl(8) has it: "net.ipv4.conf.eth0/5.rp_filter" for eth0.5. The arena owns it. */
const char *sysctl_name(struct arena *arena, enum sysctl sysctl, const char *interface);

/* "/proc/sys/net/ipv4/conf/eth0.5/rp_filter". The arena owns it. */
const char *sysctl_path(struct arena *arena, enum sysctl sysctl, const char *interface);

#endif
