/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/fib_rules.h>
#include <linux/netconf.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "backends/netlink.h"
#include "backends/nft_parts.h"
#include "backends/rtnl.h"

/* Of a gateway: what tells that an event is about it. */
struct concern {
	const char *interface;
	uint32_t index; /* 0: there is no such interface */
	uint32_t table, priority;
};

struct events {
	struct netlink *route, *netfilter;
	struct arena arena; /* owns the concerns */
	struct concern *concerns;
	size_t count, room;
	bool every_rp_filter;
	bool is_waiting;     /* for a next hop to be on its link: any route may bring it there */
	uint32_t generation; /* of the ruleset, as last looked at */
	long pid;            /* ours, as announcements of nf_tables have it: see own_pid_read() */
	bool is_touched;     /* our table, in the transaction that is being announced */
	unsigned int causes;
	uint32_t culprit; /* port id of who took the last route or rule away; 0: nobody */
	struct suspect suspect;
};

/* --- policy rules, routes, links ----------------------------------------- */

static bool concerns_table(const struct events *events, uint32_t table)
{
	for (size_t i = 0; i < events->count; i++)
		if (events->concerns[i].table == table)
			return true;
	return false;
}

static bool concerns_index(const struct events *events, uint32_t index)
{
	for (size_t i = 0; index && i < events->count; i++)
		if (events->concerns[i].index == index)
			return true;
	return false;
}

static bool concerns_priority(const struct events *events, uint32_t priority)
{
	for (size_t i = 0; i < events->count; i++)
		if (events->concerns[i].priority == priority ||
		    events->concerns[i].priority + 1 == priority)
			return true;
	return false;
}

static bool concerns_name(const struct events *events, const struct nlattr *name)
{
	for (size_t i = 0; name && i < events->count; i++)
		if (!strcmp(events->concerns[i].interface, mnl_attr_get_str(name)))
			return true;
	return false;
}

/* By index too: it may just have been renamed. */
static unsigned int link_judge(struct events *events, const struct nlmsghdr *message)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[IFLA_IFNAME + 1];

	rtnl_attributes(message, sizeof(*header), found, IFLA_IFNAME);
	if (concerns_index(events, (uint32_t)header->ifi_index) ||
	    concerns_name(events, found[IFLA_IFNAME]))
		return CAUSE_LINK;
	return events->every_rp_filter ? CAUSE_RP_FILTER : 0;
}

static unsigned int address_judge(struct events *events, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);

	return concerns_index(events, header->ifa_index) ? CAUSE_LINK : 0;
}

static void note_culprit(struct events *events, const struct nlmsghdr *message, uint16_t deletion)
{
	if (message->nlmsg_type == deletion && message->nlmsg_pid)
		events->culprit = message->nlmsg_pid;
}

static unsigned int route_judge(struct events *events, const struct nlmsghdr *message)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[RTA_TABLE + 1];
	uint32_t table;

	if (header->rtm_flags & RTM_F_CLONED)
		return 0;
	rtnl_attributes(message, sizeof(*header), found, RTA_TABLE);
	table = attribute_u32(found[RTA_TABLE], header->rtm_table);
	if (!concerns_table(events, table) && header->rtm_protocol != PROTOCOL_DETOUR)
		return events->is_waiting &&
				       concerns_index(events, attribute_u32(found[RTA_OIF], 0))
			       ? CAUSE_LINK
			       : 0;
	note_culprit(events, message, RTM_DELROUTE);
	/* The kernel itself has no port id. */
	return message->nlmsg_pid ? CAUSE_ROUTE : CAUSE_LINK;
}

static unsigned int rule_judge(struct events *events, const struct nlmsghdr *message)
{
	const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[FRA_PROTOCOL + 1];
	bool is_ours;

	rtnl_attributes(message, sizeof(*header), found, FRA_PROTOCOL);
	is_ours = found[FRA_PROTOCOL] && mnl_attr_get_u8(found[FRA_PROTOCOL]) == PROTOCOL_DETOUR;
	if (!is_ours && !concerns_priority(events, attribute_u32(found[FRA_PRIORITY], 0)) &&
	    !concerns_table(events, attribute_u32(found[FRA_TABLE], header->table)))
		return 0;
	note_culprit(events, message, RTM_DELRULE);
	return CAUSE_RULE;
}

/* NETCONFA_IFINDEX_ALL and _DEFAULT are negative. */
static unsigned int netconf_judge(struct events *events, const struct nlmsghdr *message)
{
	const struct nlattr *found[NETCONFA_RP_FILTER + 1];
	int32_t index;

	rtnl_attributes(message, sizeof(struct netconfmsg), found, NETCONFA_RP_FILTER);
	if (!found[NETCONFA_RP_FILTER])
		return 0;
	index = (int32_t)attribute_u32(found[NETCONFA_IFINDEX], 0);
	if (index < 0 || events->every_rp_filter || concerns_index(events, (uint32_t)index))
		return CAUSE_RP_FILTER;
	return 0;
}

static const struct {
	uint16_t type;
	size_t header;
	unsigned int (*judge)(struct events *events, const struct nlmsghdr *message);
} judges[] = {
	{ RTM_NEWLINK, sizeof(struct ifinfomsg), link_judge },
	{ RTM_DELLINK, sizeof(struct ifinfomsg), link_judge },
	{ RTM_NEWADDR, sizeof(struct ifaddrmsg), address_judge },
	{ RTM_DELADDR, sizeof(struct ifaddrmsg), address_judge },
	{ RTM_NEWROUTE, sizeof(struct rtmsg), route_judge },
	{ RTM_DELROUTE, sizeof(struct rtmsg), route_judge },
	{ RTM_NEWRULE, sizeof(struct fib_rule_hdr), rule_judge },
	{ RTM_DELRULE, sizeof(struct fib_rule_hdr), rule_judge },
	{ RTM_NEWNETCONF, sizeof(struct netconfmsg), netconf_judge },
};

static int route_take(const struct nlmsghdr *message, void *context)
{
	struct events *events = context;

	for (size_t i = 0; i < sizeof(judges) / sizeof(*judges); i++)
		if (judges[i].type == message->nlmsg_type &&
		    mnl_nlmsg_get_payload_len(message) >= judges[i].header)
			events->causes |= judges[i].judge(events, message);
	return 0;
}

/* --- nf_tables ----------------------------------------------------------- */

/* A transaction is announced object by object, and ends with the new generation. */
static void generation_judge(struct events *events, const struct nlmsghdr *message)
{
	const struct nlattr *found[NFTA_GEN_PROC_NAME + 1];
	bool is_touched = events->is_touched;
	uint32_t generation;
	long pid;

	events->is_touched = false;
	rtnl_attributes(message, sizeof(struct nfgenmsg), found, NFTA_GEN_PROC_NAME);
	generation = ntohl(attribute_u32(found[NFTA_GEN_ID], 0));
	pid = ntohl(attribute_u32(found[NFTA_GEN_PROC_PID], 0));
	/* What the last look has seen already, numbers go round; or what we did after it. */
	if (!is_touched || (int32_t)(generation - events->generation) <= 0 || pid == events->pid)
		return;
	events->causes |= CAUSE_TABLE;
	if (!pid || !found[NFTA_GEN_PROC_NAME])
		return;
	events->culprit = 0;
	events->suspect = (struct suspect){ .pid = pid, .is_certain = true };
	strncpy(events->suspect.name, mnl_attr_get_str(found[NFTA_GEN_PROC_NAME]),
		SUSPECT_NAME - 1);
}

/* Attribute 1 is the table's name in messages about all that stands in a table. */
static bool is_about_ours(const struct nlmsghdr *message)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *found[NFTA_TABLE_NAME + 1];

	if (header->nfgen_family != NFPROTO_INET)
		return false;
	rtnl_attributes(message, sizeof(*header), found, NFTA_TABLE_NAME);
	return found[NFTA_TABLE_NAME] &&
	       !strcmp(mnl_attr_get_str(found[NFTA_TABLE_NAME]), NFT_TABLE);
}

static int netfilter_take(const struct nlmsghdr *message, void *context)
{
	struct events *events = context;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return 0;
	if (NFNL_MSG_TYPE(message->nlmsg_type) == NFT_MSG_NEWGEN)
		generation_judge(events, message);
	else if (!events->is_touched)
		events->is_touched = is_about_ours(message);
	return 0;
}

static int own_pid_take(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *found[NFTA_GEN_PROC_PID + 1];
	long *pid = context;

	rtnl_attributes(message, sizeof(struct nfgenmsg), found, NFTA_GEN_PROC_PID);
	*pid = ntohl(attribute_u32(found[NFTA_GEN_PROC_PID], 0));
	return 0;
}

/* In a container getpid() is another number than the one that is announced; who asks is told it. */
static int own_pid_read(struct events *events, struct error *error)
{
	const struct netlink_reader reader = { .message = own_pid_take, .context = &events->pid };
	struct nlmsghdr *request = netlink_message(events->netfilter, nft_type(NFT_MSG_GETGEN), 0);
	int code;

	nft_family_put(request, NFPROTO_INET, 0);
	code = netlink_request(events->netfilter, request, &reader);
	if (code)
		return error_set(error, "no-events",
				 "whose the kernel's announcements are cannot be asked: %s",
				 netlink_reason(events->netfilter, code));
	return 0;
}

/* --- the subscription ---------------------------------------------------- */

static int join(struct netlink *nl, const int *groups, size_t count, struct error *error)
{
	for (size_t i = 0; i < count; i++) {
		int code = netlink_watch(nl, groups[i]);

		if (code)
			return error_set(error, "no-events",
					 "the kernel's announcements cannot be received: %s",
					 strerror(-code));
	}
	return 0;
}

int events_open(struct events **out, struct error *error)
{
	static const int route_groups[] = {
		RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,   RTNLGRP_IPV4_NETCONF,
	};
	static const int netfilter_groups[] = { NFNLGRP_NFTABLES };
	struct events *events = calloc(1, sizeof(*events));

	if (!events)
		return error_set(error, "no-memory", "events: out of memory");
	if (netlink_open(NETLINK_ROUTE, &events->route, error) ||
	    netlink_open(NETLINK_NETFILTER, &events->netfilter, error) ||
	    own_pid_read(events, error) ||
	    join(events->route, route_groups, sizeof(route_groups) / sizeof(*route_groups),
		 error) ||
	    join(events->netfilter, netfilter_groups, 1, error)) {
		events_close(events);
		return -1;
	}
	*out = events;
	return 0;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	netlink_close(events->route);
	netlink_close(events->netfilter);
	arena_free(&events->arena);
	free(events);
}

void events_poll(const struct events *events, struct pollfd fds[EVENTS_FDS])
{
	fds[0] = (struct pollfd){ mnl_socket_get_fd(events->route->socket), POLLIN, 0 };
	fds[1] = (struct pollfd){ mnl_socket_get_fd(events->netfilter->socket), POLLIN, 0 };
}

static bool is_waiting(const struct plan *plan)
{
	return plan_ready_count(plan) < plan->step_count;
}

void events_concern(struct events *events, const struct document *document,
		    const struct state *observed, const struct plan *plan)
{
	arena_free(&events->arena);
	events->concerns = NULL;
	events->count = events->room = 0;
	events->every_rp_filter = false;
	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct gateway *gateway = &document->gateways[i];
		const struct link *link = state_link(observed, gateway->interface);

		events->every_rp_filter |= gateway->rp_filter == RP_FILTER_OFF;
		*ARENA_PUSH(&events->arena, events->concerns, events->count, events->room) =
			(struct concern){
				.interface = arena_strdup(&events->arena, gateway->interface),
				.index = link ? link->index : 0,
				.table = gateway->table,
				.priority = gateway->priority,
			};
	}
	events->generation = observed->nft.generation;
	events->is_waiting = is_waiting(plan);
	events->suspect = (struct suspect){ 0 };
}

unsigned int events_read(struct events *events)
{
	const struct netlink_reader route = { .message = route_take, .context = events };
	const struct netlink_reader netfilter = { .message = netfilter_take, .context = events };

	struct suspect suspect = { 0 };

	events->causes = 0;
	events->culprit = 0;
	if (netlink_listen(events->route, &route))
		events->causes |= CAUSE_LOST;
	if (netlink_listen(events->netfilter, &netfilter))
		events->causes |= CAUSE_LOST;
	/* Only once a reading: it costs a look into /proc. */
	if (events->culprit)
		suspect_of_port(events->culprit, &suspect);
	if (suspect.pid && suspect.pid != getpid())
		events->suspect = suspect;
	return events->causes;
}

const struct suspect *events_suspect(const struct events *events)
{
	return &events->suspect;
}
