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
#include "reconcile/foreign.h"
#include "reconcile/policy.h"
#include "reconcile/selection.h"

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
	bool has_manager;        /* NetworkManager sets it up */
	struct sysctls sysctls;  /* read of those that surroundings_concern() */
};

enum packet_hook {
	PACKET_INGRESS,
	PACKET_PREROUTING,
	PACKET_INPUT,
	PACKET_FORWARD,
	PACKET_OUTPUT,
	PACKET_POSTROUTING,
	PACKET_HOOKS
};

/* A chain of nf_tables, iptables-nft's included, in a table that is not ours and not dormant. */
struct other_chain {
	const char *table; /* "ip mangle" */
	const char *name;
	bool families[FAMILY_COUNT];
	bool is_base, is_nat, drops; /* the latter two of base chains; its policy */
	enum packet_hook hook;       /* of a base chain */
	int32_t priority;            /* of a base chain */
	size_t rule_count;
	/* Where packets may come here, by jumps too, and the last such priority at prerouting. */
	bool at[PACKET_HOOKS];
	int32_t latest;
};

enum deed {
	DEED_SETS_PACKET_MARK,
	DEED_SETS_CONNECTION_MARK,
	DEED_TESTS_PACKET_MARK,
	DEED_TESTS_CONNECTION_MARK,
	DEED_NOTRACK,
	DEED_REVERSE_PATH, /* drops what its source is not routed back by the same interface */
	DEED_OFFLOAD,      /* into a flowtable */
	DEED_COUNT
};

/* What a rule of such a chain does that can matter to us. */
struct other_deed {
	const struct other_chain *chain;
	size_t rule;     /* its number in the chain, from 1 */
	uint64_t handle; /* its number in the table */
	enum deed deed;
	bool families[FAMILY_COUNT];
	uint32_t bits;    /* of the mark, that are written or tested */
	bool is_constant; /* they become `value`, whatever was there */
	uint32_t value;
	bool is_certain;       /* every packet at the chain's hook meets it */
	const char *interface; /* only packets that come in by it; NULL: by any */
	const char *flowtable; /* of DEED_OFFLOAD */
};

/* A device whose packets a flowtable may take. */
struct flow_device {
	const char *table, *flowtable, *device;
};

/* A policy rule of others, and where it leads. */
struct other_rule {
	struct fib_rule rule;
	struct spans routes; /* of a lookup: that lead to servers; normalized */
	bool has_default;    /* one of them is a default route */
};

/* An IPsec policy that takes or refuses forwarded packets. */
struct xfrm_rule {
	enum family family;
	bool is_out;   /* applies to what leaves; else to what was forwarded in */
	bool is_block; /* refuses; else packets must be, or become, encrypted */
	struct span from, to;
	uint8_t ip_protocol; /* 0: any */
	uint16_t dport, dport_mask;
	uint32_t out_index; /* of the interface that a packet leaves by; 0: any */
	struct mark mark;   /* mask 0: none */
};

/* By which interface unmarked packets to some servers of a redirect leave. */
struct way {
	const struct redirect *redirect;
	enum family family;
	const char *example; /* one of the servers */
	const char *interface;
};

struct surroundings {
	struct arena arena;
	struct sysctls all;     /* the pseudo-interface `all` */
	struct device *devices; /* by index */
	size_t device_count, device_room;
	struct other_rule *rules; /* in the kernel's order, by family */
	size_t rule_count, rule_room;
	bool has_rules;             /* they were read */
	struct other_chain *chains; /* by table and name */
	size_t chain_count, chain_room;
	struct other_deed *deeds; /* by chain and rule */
	size_t deed_count, deed_room;
	struct xfrm_rule *xfrm;
	size_t xfrm_count, xfrm_room;
	struct legacy_rule *legacy;
	size_t legacy_count, legacy_room;
	struct way *ways; /* of redirects whose gateway spoofs clients or keeps rp_filter */
	size_t way_count, way_room;
	/* By redirect of the document: connections that it would select, without a gateway's mark.
	 */
	size_t *sessions;
	const char *flush_file; /* that flushes the ruleset; NULL: none */
	size_t flush_line;
	bool networkd_removes_rules, networkd_removes_routes;
	struct flow_device *flow_devices;
	size_t flow_device_count, flow_device_room;
};

void surroundings_free(struct surroundings *around);

/* Whether it is a gateway's interface or one of an enabled redirect's clients. */
bool surroundings_concern(const struct document *document, const char *interface);

/* Whether the redirect's clients come in by it. */
bool redirect_covers(const struct redirect *redirect, const char *interface);

/*
 * Whether the rule comes before the gateway's and its selectors do not rule the
 * redirect's marked packets out, whatever it then does with them.
 */
bool fib_rule_meets(const struct surroundings *around, const struct fib_rule *rule,
		    const struct selection *selection);

/* NULL when there is none. */
const struct device *surroundings_device(const struct surroundings *around, const char *name);

/* As sysctl(8) has it: "net.ipv4.conf.eth0/5.rp_filter" for eth0.5. The arena owns it. */
const char *sysctl_name(struct arena *arena, enum sysctl sysctl, const char *interface);

/* "/proc/sys/net/ipv4/conf/eth0.5/rp_filter". The arena owns it. */
const char *sysctl_path(struct arena *arena, enum sysctl sysctl, const char *interface);

#endif
