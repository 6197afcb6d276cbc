/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/live.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/netlink.h>

#include "backends/conntrack.h"
#include "backends/foreign.h"
#include "backends/names.h"
#include "backends/netlink.h"
#include "backends/nft.h"
#include "backends/owner.h"
#include "backends/record.h"
#include "backends/rtnl.h"
#include "backends/surround.h"

enum { PROTECT_ATTEMPTS = 50 };

struct live {
	struct kernel kernel; /* first: a struct kernel of ours is a struct live */
	struct netlink *route, *netfilter;
};

static struct live *live_of(struct kernel *kernel)
{
	return (struct live *)kernel;
}

/* main and its like belong to everybody. */
static bool rule_leads_to_table(const struct rule *rule, bool foreign)
{
	return rule->action == RULE_LOOKUP &&
	       (rule->protocol == PROTOCOL_DETOUR ||
		(foreign && rule->mark.mask && rule->table &&
		 (rule->table < TABLE_DEFAULT || rule->table > TABLE_LOCAL)));
}

/*
 * The tables in which something of ours may be: those we would use, and those
 * we did use. Of others, those that a rule with a mark looks up.
 */
static void tables_find(const struct document *document, bool foreign, struct state *out,
			struct tables *tables)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		tables_add(&out->arena, tables, document->gateways[i].table);
	for (size_t i = 0; i < out->rt_table_count; i++)
		if (out->rt_tables[i].own)
			tables_add(&out->arena, tables, out->rt_tables[i].id);
	for (size_t i = 0; i < out->rule_count; i++)
		if (rule_leads_to_table(&out->rules[i], foreign))
			tables_add(&out->arena, tables, out->rules[i].table);
	tables_sort(tables);
}

static int routes_observe(struct live *live, const struct scope *scope, struct state *out,
			  struct error *error)
{
	struct tables tables = { 0 };

	tables_find(scope->document, scope->foreign, out, &tables);
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		for (size_t i = 0; i < tables.count; i++)
			if (rtnl_read_table(live->route, family, tables.ids[i], out, error))
				return -1;
		if (scope->everything &&
		    rtnl_read_own_routes(live->route, family, &tables, out, error))
			return -1;
	}
	return 0;
}

/*
 * A table that something else owns; twice, for whoever protects it may have
 * ended, or been followed by the next, between the reading and the question.
 */
static int nft_observe(struct live *live, const struct scope *scope, struct state *out,
		       struct error *error)
{
	struct nft_table *table = &out->nft;

	for (int attempt = 0; attempt < 2; attempt++) {
		bool is_known = true;

		if (nft_read(live->netfilter, scope->since, &out->arena, table, error) ||
		    (table->owner && owner_knows(table->owner, &is_known, error)))
			return -1;
		table->is_owned = !is_known;
		if (is_known)
			break;
	}
	return 0;
}

static int live_observe(struct kernel *kernel, const struct scope *scope, struct state *out,
			struct error *error)
{
	struct live *live = live_of(kernel);
	const struct document *document = scope->document;
	struct record record;

	/* Names and rules come first: they tell which tables to look at. */
	if (names_read(scope->foreign ? NULL : document, out, error) ||
	    rtnl_read_rules(live->route, scope->foreign ? NULL : document, out, error) ||
	    routes_observe(live, scope, out, error) ||
	    rtnl_read_links(live->route, document, out, error) ||
	    rtnl_read_next_hops(live->route, document, out, error) ||
	    (scope->neighbours && rtnl_read_neighbours(live->route, out, error)) ||
	    record_read(&out->arena, &record, error) ||
	    rtnl_read_rp_filters(live->route, scope, &record, out, error) ||
	    conntrack_read(live->netfilter, scope, out, error) ||
	    nft_observe(live, scope, out, error) ||
	    (scope->foreign && foreign_read(live->netfilter, out, error)))
		return -1;
	state_sort(out);
	return 0;
}

static void live_look_around(struct kernel *kernel, const struct document *document,
			     struct surroundings *out)
{
	struct live *live = live_of(kernel);

	surround_read(live->route, live->netfilter, document, out);
}

static int live_write(struct kernel *kernel, const struct step *step, struct error *error)
{
	struct live *live = live_of(kernel);

	switch (step->kind) {
	case KIND_RT_TABLE:
		return names_write(step, error);
	case KIND_RP_FILTER:
		return rtnl_write_rp_filter(live->route, step, error);
	case KIND_ROUTE:
		return rtnl_write_route(live->route, step, error);
	case KIND_RULE:
		return rtnl_write_rule(live->route, step, error);
	case KIND_NFT_TABLE:
	case KIND_NFT_CHAIN:
	case KIND_NFT_SET:
	case KIND_NFT_ELEMENT:
	case KIND_NFT_RULE:
	case KIND_HAND_RULE:
	case KIND_COUNT:
		break;
	}
	return error_set(error, "internal", "a step of kind %s is not written alone",
			 kind_name(step->kind));
}

static int live_commit(struct kernel *kernel, const struct step *steps, size_t count,
		       uint32_t generation, struct error *error)
{
	struct netlink *ours = live_of(kernel)->netfilter, *owner;
	int outcome;

	/* Only for as long as it takes: the table is unprotected once nobody has the socket. */
	if (owner_borrow(&owner, error))
		return -1;
	if (owner)
		owner->progress = ours->progress;
	outcome = nft_commit(owner ? owner : ours, steps, count, generation, error);
	netlink_close(owner);
	return outcome;
}

static int live_forget(struct kernel *kernel, const struct mark *mark, struct error *error)
{
	return conntrack_forget(live_of(kernel)->netfilter, mark, error);
}

static int live_read_policy(struct kernel *kernel, enum family family, struct arena *arena,
			    struct policy *out, struct error *error)
{
	return rtnl_read_policy(live_of(kernel)->route, family, arena, out, error);
}

static int live_read_course(struct kernel *kernel, const struct flow *flow, struct arena *arena,
			    struct course *out, struct error *error)
{
	return rtnl_read_course(live_of(kernel)->route, flow, arena, out, error);
}

/* OUTCOME_*, or -1. */
static int protect_once(struct live *live, struct netlink *owner, bool *changed,
			struct error *error)
{
	struct arena arena = { 0 };
	struct nft_table table;
	int outcome = nft_read(live->netfilter, NULL, &arena, &table, error);

	*changed = outcome == 0 && table.exists && !owner_is_self(table.owner);
	if (*changed)
		outcome = nft_protect(owner, &table, error);
	arena_free(&arena);
	return outcome;
}

int live_protect(struct kernel *kernel, bool *changed, struct error *error)
{
	struct netlink *owner;
	int outcome;

	*changed = false;
	if (owner_borrow(&owner, error) || !owner)
		return -1;
	for (int attempt = 0; attempt < PROTECT_ATTEMPTS; attempt++) {
		outcome = protect_once(live_of(kernel), owner, changed, error);
		if (outcome != OUTCOME_STALE && outcome != OUTCOME_UNKNOWN)
			break;
	}
	netlink_close(owner);
	if (outcome > 0)
		return error_set(
			error, "not-at-rest",
			"the ruleset changed during each of %d attempts to protect the table",
			PROTECT_ATTEMPTS);
	return outcome;
}

static const struct kernel_ops live_ops = {
	.observe = live_observe,
	.look_around = live_look_around,
	.write = live_write,
	.commit = live_commit,
	.forget = live_forget,
	.read_policy = live_read_policy,
	.read_course = live_read_course,
};

static int permission_check(struct error *error)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data) == 0 &&
	    data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN))
		return 0;
	return error_set(error, "no-permission",
			 "this needs the capability CAP_NET_ADMIN: run it as root, or grant "
			 "CAP_NET_ADMIN (setpriv, or AmbientCapabilities= of a systemd unit)");
}

struct kernel *live_open(struct error *error)
{
	struct live *live;

	if (permission_check(error))
		return NULL;
	live = calloc(1, sizeof(*live));
	if (!live) {
		error_set(error, "no-memory", "out of memory");
		return NULL;
	}
	live->kernel.ops = &live_ops;
	if (netlink_open(NETLINK_ROUTE, &live->route, error) ||
	    netlink_open(NETLINK_NETFILTER, &live->netfilter, error)) {
		live_close(&live->kernel);
		return NULL;
	}
	return &live->kernel;
}

void live_show_progress(struct kernel *kernel, struct progress *progress)
{
	live_of(kernel)->netfilter->progress = progress;
}

void live_close(struct kernel *kernel)
{
	struct live *live;

	if (!kernel)
		return;
	live = live_of(kernel);
	netlink_close(live->route);
	netlink_close(live->netfilter);
	free(live);
}
