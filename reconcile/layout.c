/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How redirects stand in nf_tables.
 *
 *   prerouting   clears our bits where they must not be, sends the packets that
 *                may begin a redirect to `select`, then converts connection
 *                marks to packet marks
 *   select       one look-up of the server's address finds the redirect,
 *                however many there are; only first, invalid and untracked
 *                packets come here (and more where existing connections count)
 *   redirect_R   the conditions of redirect R, its counter, and the conditions
 *                again to refuse what has no connection. They are positive: a
 *                packet that cannot be read is not selected
 *   mark-E_G     what then happens to a connection to gateway G where existing
 *                connections are treated as E: for all such redirects
 *   forward      the guard: a marked connection comes from its gateway's
 *                interface or leaves by it, whatever others do to the rest
 *
 * Where networks of several redirects overlap, the map leads to a shared chain,
 * which tells them apart by service, then by client, and tries those that are
 * still alike in the document's order (see docs/layout.md for the figures). A
 * big map of addresses stands in parts: see parts.h.
 */
#include "reconcile/expand.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/dispatch.h"
#include "reconcile/rule_build.h"
#include "reconcile/selection.h"
#include "reconcile/sharing.h"

struct layout {
	struct arena *arena;
	const struct document *document;
	struct nft_table *table;
	uint32_t masks; /* the bits of all gateways together */
	/* Sets that redirects share: each of them once more for each redirect. */
	struct nft_set *shared;
	size_t shared_count, shared_room;
};

/* Names of sets; NULL: nothing is asked for. */
struct addresses {
	enum family family;
	const char *clients, *clients_except, *servers_except;
};

/* What a packet to a redirect's servers must be besides. */
struct conditions {
	const char *interface, *interfaces; /* one of both */
	const char *services;
	bool by_family; /* some addresses matter: a rule for each family */
	struct addresses addresses[FAMILY_COUNT];
	size_t rule_count;
};

static const char *const servers_map[FAMILY_COUNT] = { "servers4", "servers6" };
static const enum field saddr[FAMILY_COUNT] = { FIELD_IP_SADDR, FIELD_IP6_SADDR };
static const enum field daddr[FAMILY_COUNT] = { FIELD_IP_DADDR, FIELD_IP6_DADDR };
static const enum key_type address_key[FAMILY_COUNT] = { KEY_IPV4, KEY_IPV6 };

static void set_fill(struct arena *arena, struct nft_set *set, const struct spans *spans)
{
	for (size_t i = 0; i < spans->count; i++)
		ARENA_PUSH(arena, set->elements, set->element_count, set->element_room)->span =
			spans->items[i];
}

/* The set is made only where there is something to put into it; returns its name or NULL. */
static const char *optional_set(struct layout *layout, const char *prefix, enum family family,
				const char *redirect, const struct spans *spans)
{
	const char *name;

	if (!spans->count)
		return NULL;
	name = arena_printf(layout->arena, "%s%d_%s", prefix, family == FAMILY_IPV4 ? 4 : 6,
			    redirect);
	set_fill(layout->arena,
		 set_build(layout->arena, layout->table, name, address_key[family], false), spans);
	return name;
}

static const char *shared_set(struct layout *layout, const char *name, enum key_type key,
			      const struct spans *spans)
{
	struct nft_set *set = ARENA_PUSH(layout->arena, layout->shared, layout->shared_count,
					 layout->shared_room);

	set->name = name;
	set->key = key;
	set_fill(layout->arena, set, spans);
	return name;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(((const struct nft_set *)a)->name, ((const struct nft_set *)b)->name);
}

static void shared_sets(struct layout *layout)
{
	if (layout->shared_count)
		qsort(layout->shared, layout->shared_count, sizeof(*layout->shared), name_compare);
	for (size_t i = 0; i < layout->shared_count; i++)
		if (!i || name_compare(&layout->shared[i], &layout->shared[i - 1]) != 0)
			*ARENA_PUSH(layout->arena, layout->table->sets, layout->table->set_count,
				    layout->table->set_room) = layout->shared[i];
}

/* A single name is compared in the rule, in a fifth of the time that a look-up takes. */
static void interface_conditions(struct layout *layout, const struct redirect *redirect,
				 struct conditions *out)
{
	struct spans spans;

	selection_interfaces(layout->arena, redirect, &spans);
	if (spans.count == 1 && !memcmp(spans.items->from, spans.items->to, SPAN_BYTES))
		out->interface = (const char *)spans.items->from;
	else
		out->interfaces = shared_set(layout, interfaces_name(layout->arena, &spans),
					     KEY_IFNAME, &spans);
}

static const char *services_set(struct layout *layout, const struct redirect *redirect)
{
	struct spans spans = { .count = redirect->service_count };

	spans.items = arena_alloc(layout->arena, spans.count * sizeof(*spans.items));
	for (size_t i = 0; i < spans.count; i++)
		service_span(&redirect->services[i], &spans.items[i]);
	return shared_set(layout, services_name(layout->arena, redirect, &spans), KEY_SERVICE,
			  &spans);
}

static bool addresses_build(struct layout *layout, const struct redirect *redirect,
			    enum family family, struct addresses *out)
{
	out->family = family;
	if (!redirect->any_client)
		out->clients = optional_set(layout, "clients", family, redirect->name,
					    &redirect->clients.networks[family]);
	out->clients_except = optional_set(layout, "clients-except", family, redirect->name,
					   &redirect->clients.except[family]);
	out->servers_except = optional_set(layout, "servers-except", family, redirect->name,
					   &redirect->servers.except[family]);
	return out->clients || out->clients_except || out->servers_except;
}

static void conditions_build(struct layout *layout, const struct redirect *redirect,
			     struct conditions *out)
{
	*out = (struct conditions){ .services = services_set(layout, redirect) };
	interface_conditions(layout, redirect, out);
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (redirect_works_in(redirect, family))
			out->by_family |= addresses_build(layout, redirect, family,
							  &out->addresses[out->rule_count++]);
	if (!out->by_family)
		out->rule_count = 1;
}

/* The family right before its addresses, where nft(8) puts it when it reads its own listing. */
static void match_addresses(struct arena *arena, struct nft_rule *rule,
			    const struct addresses *addresses)
{
	enum family family = addresses->family;

	stmt_match_byte(arena, rule, FIELD_NFPROTO, 0, family_nfproto(family), false);
	if (addresses->clients)
		stmt_lookup(arena, rule, saddr[family], addresses->clients, false);
	if (addresses->clients_except)
		stmt_lookup(arena, rule, saddr[family], addresses->clients_except, true);
	if (addresses->servers_except)
		stmt_lookup(arena, rule, daddr[family], addresses->servers_except, true);
}

static void match_conditions(struct arena *arena, struct nft_rule *rule,
			     const struct conditions *conditions, size_t index)
{
	if (conditions->by_family)
		match_addresses(arena, rule, &conditions->addresses[index]);
	if (conditions->interface)
		stmt_match_name(arena, rule, FIELD_IIFNAME, conditions->interface, false);
	else
		stmt_lookup(arena, rule, FIELD_IIFNAME, conditions->interfaces, false);
	stmt_lookup(arena, rule, FIELD_SERVICE, conditions->services, false);
}

static struct nft_rule *condition_rule(struct arena *arena, struct nft_chain *chain, enum role role,
				       const struct redirect *redirect,
				       const struct conditions *conditions, size_t index)
{
	if (!conditions->by_family)
		return rule_build(arena, chain, role, "%s", redirect->name);
	return rule_build(arena, chain, role, "%s %s", redirect->name,
			  family_name(conditions->addresses[index].family));
}

static void select_rules(struct arena *arena, struct nft_chain *chain,
			 const struct redirect *redirect, const struct conditions *conditions)
{
	for (size_t i = 0; i < conditions->rule_count; i++) {
		struct nft_rule *rule =
			condition_rule(arena, chain, ROLE_SELECT, redirect, conditions, i);

		match_conditions(arena, rule, conditions, i);
		stmt_verdict(arena, rule, VERDICT_JUMP,
			     mark_chain_name(arena, redirect->gateway, redirect->existing));
	}
}

/* What came unmarked and leaves marked was taken; the gateway's own connections are not counted. */
static void take_rule(struct arena *arena, struct nft_chain *chain, const struct redirect *redirect)
{
	const struct gateway *gateway = redirect->gateway;
	struct nft_rule *rule = rule_build(arena, chain, ROLE_TAKE, "%s", redirect->name);

	if (gateway->spoofs_clients)
		stmt_match_name(arena, rule, FIELD_IIFNAME, gateway->interface, true);
	stmt_match(arena, rule, FIELD_CT_MARK, gateway->mark.mask, gateway->mark.value, false);
	stmt_counter(arena, rule);
}

/*
 * Packets without a connection, whose mark would guard them, would reach the
 * server. Few are such: the rule stands behind those that every packet meets.
 */
static void refuse_rules(struct arena *arena, struct nft_chain *chain,
			 const struct redirect *redirect, const struct conditions *conditions)
{
	for (size_t i = 0; i < conditions->rule_count; i++) {
		struct nft_rule *rule =
			condition_rule(arena, chain, ROLE_REFUSE, redirect, conditions, i);

		stmt_match(arena, rule, FIELD_CT_STATE, CT_STATE_INVALID | CT_STATE_UNTRACKED, 0,
			   true);
		if (redirect->gateway->spoofs_clients)
			stmt_match_name(arena, rule, FIELD_IIFNAME, redirect->gateway->interface,
					true);
		match_conditions(arena, rule, conditions, i);
		stmt_counter(arena, rule);
		stmt_verdict(arena, rule, VERDICT_DROP, NULL);
	}
}

static void redirect_chain(struct layout *layout, const struct redirect *redirect)
{
	struct arena *arena = layout->arena;
	struct conditions conditions;
	struct nft_chain *chain;

	conditions_build(layout, redirect, &conditions);
	chain = chain_build(arena, layout->table,
			    arena_printf(arena, "redirect_%s", redirect->name));
	select_rules(arena, chain, redirect, &conditions);
	take_rule(arena, chain, redirect);
	refuse_rules(arena, chain, redirect, &conditions);
}

/* --- what happens to a connection ------------------------------------------ */

static bool has_protocol(const struct redirect *redirect, uint8_t protocol)
{
	for (size_t i = 0; i < redirect->service_count; i++)
		if (redirect->services[i].protocol == protocol)
			return true;
	return false;
}

/* Whether a redirect is such: to that gateway, or to any for NULL; with any protocol for 0. */
static bool has_redirect(const struct document *document, const struct gateway *gateway,
			 enum existing existing, uint8_t protocol)
{
	for (size_t i = 0; i < document->redirect_count; i++) {
		const struct redirect *redirect = &document->redirects[i];

		if (redirect->enabled && redirect->existing == existing &&
		    (!gateway || redirect->gateway == gateway) &&
		    (!protocol || has_protocol(redirect, protocol)))
			return true;
	}
	return false;
}

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10, SCTP_INIT = 1 };

/* Protocols whose connections begin with a packet of their own. */
static const struct {
	uint8_t protocol;
	const char *packets;
} opening[] = { { IPPROTO_TCP, "SYN packets" }, { IPPROTO_SCTP, "INIT packets" } };

/* The packet that opens a connection: SYN, or INIT. UDP has none. */
static void match_opening(struct arena *arena, struct nft_rule *rule, uint8_t protocol, bool negate)
{
	stmt_match_byte(arena, rule, FIELD_L4PROTO, 0, protocol, false);
	if (protocol == IPPROTO_TCP)
		stmt_match_byte(arena, rule, FIELD_TCP_FLAGS, TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK,
				TCP_SYN, negate);
	else
		stmt_match_byte(arena, rule, FIELD_SCTP_CHUNK, 0, SCTP_INIT, negate);
}

/*
 * What does not open a connection is left alone. Whether conntrack knows the
 * connection does not matter for TCP and SCTP: when it starts with our rules,
 * or forgets, old sessions look new; and a client that sends an ACK ahead of
 * its SYN makes a new session look old.
 */
static void keep_rules(struct layout *layout, struct nft_chain *chain,
		       const struct gateway *gateway)
{
	struct arena *arena = layout->arena;
	struct nft_rule *rule;

	for (size_t i = 0; i < sizeof(opening) / sizeof(*opening); i++) {
		if (!has_redirect(layout->document, gateway, EXISTING_KEEP, opening[i].protocol))
			continue;
		rule = rule_build(arena, chain, ROLE_KEEP, "%s %s", gateway->name,
				  protocol_name(opening[i].protocol));
		match_opening(arena, rule, opening[i].protocol, true);
		stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
	}
	if (!has_redirect(layout->document, gateway, EXISTING_KEEP, IPPROTO_UDP))
		return;
	rule = rule_build(arena, chain, ROLE_KEEP, "%s udp", gateway->name);
	stmt_match_byte(arena, rule, FIELD_L4PROTO, 0, IPPROTO_UDP, false);
	stmt_match(arena, rule, FIELD_CT_STATUS, CT_STATUS_CONFIRMED, 0, true);
	stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
}

/*
 * A known connection runs in the original direction. One that conntrack met
 * by the server's packet runs the other way round: it was lost and found.
 */
static void tracked_rule(struct arena *arena, struct nft_chain *chain,
			 const struct gateway *gateway)
{
	struct nft_rule *rule = rule_build(arena, chain, ROLE_KEEP, "%s known", gateway->name);

	stmt_match(arena, rule, FIELD_CT_STATUS, CT_STATUS_CONFIRMED, 0, true);
	stmt_match_byte(arena, rule, FIELD_CT_DIRECTION, 0, 0, false);
	stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
}

static void existing_rules(struct layout *layout, struct nft_chain *chain,
			   const struct gateway *gateway, enum existing existing)
{
	switch (existing) {
	case EXISTING_KEEP:
		keep_rules(layout, chain, gateway);
		return;
	case EXISTING_TRACKED:
		tracked_rule(layout->arena, chain, gateway);
		return;
	case EXISTING_REDIRECT:
		return;
	}
}

/*
 * Procedure step 2. The connection that a spoofing gateway opens from the
 * client's address is marked as it comes in, so that the server's answers are
 * converted. Matching answers by their source port would catch those to
 * excluded clients too.
 */
static void answer_rule(struct arena *arena, struct nft_chain *chain, const struct gateway *gateway)
{
	struct nft_rule *rule;

	if (!gateway->spoofs_clients)
		return;
	rule = rule_build(arena, chain, ROLE_ANSWER, "%s", gateway->name);
	stmt_match_name(arena, rule, FIELD_IIFNAME, gateway->interface, false);
	stmt_mark(arena, rule, FIELD_CT_MARK, gateway->mark.mask, gateway->mark.value);
	stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
}

static void mark_chain(struct layout *layout, const struct gateway *gateway, enum existing existing)
{
	struct arena *arena = layout->arena;
	struct nft_chain *chain =
		chain_build(arena, layout->table, mark_chain_name(arena, gateway, existing));
	struct nft_rule *rule;

	existing_rules(layout, chain, gateway, existing);
	answer_rule(arena, chain, gateway);
	rule = rule_build(arena, chain, ROLE_MARK, "%s", gateway->name);
	stmt_mark(arena, rule, FIELD_CT_MARK, gateway->mark.mask, gateway->mark.value);
}

static void mark_chains(struct layout *layout)
{
	const struct document *document = layout->document;

	for (size_t i = 0; i < document->gateway_count; i++)
		for (enum existing existing = EXISTING_KEEP; existing <= EXISTING_REDIRECT;
		     existing++)
			if (has_redirect(document, &document->gateways[i], existing, 0))
				mark_chain(layout, &document->gateways[i], existing);
}

/* One rule a family in which something is redirected: address to chain. */
static void select_chain(struct layout *layout)
{
	chain_build(layout->arena, layout->table, "select");
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct nft_rule *rule;

		if (!dispatch_build(layout->arena, layout->document, family, layout->masks,
				    servers_map[family], layout->table))
			continue;
		rule = rule_build(layout->arena, chain_named(layout->table, "select", ""),
				  ROLE_DISPATCH, "%s", family_name(family));
		stmt_vmap(layout->arena, rule, daddr[family], servers_map[family]);
	}
}

/* The first of the gateways on an interface speaks for it. */
static bool is_first_on_interface(const struct document *document, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (!strcmp(document->gateways[i].interface, document->gateways[index].interface))
			return false;
	return true;
}

/*
 * A rule for each interface that gateways are on. Compared in the rule: every
 * packet comes here, and a look-up in a set takes several times as long.
 */
static struct nft_rule *gateway_rule(struct layout *layout, struct nft_chain *chain, enum role role,
				     size_t index)
{
	const struct gateway *gateway = &layout->document->gateways[index];
	struct nft_rule *rule;

	if (!is_first_on_interface(layout->document, index))
		return NULL;
	rule = rule_build(layout->arena, chain, role, "%s", gateway->name);
	stmt_match_name(layout->arena, rule, FIELD_IIFNAME, gateway->interface, false);
	return rule;
}

static void clear_rules(struct layout *layout, struct nft_chain *chain)
{
	struct arena *arena = layout->arena;
	struct nft_rule *rule;

	/* Others may have put our bits on a packet (wg-quick restores whole marks): it would loop.
	 */
	for (size_t i = 0; i < layout->document->gateway_count; i++) {
		rule = gateway_rule(layout, chain, ROLE_CLEAR, i);
		if (rule)
			stmt_mark(arena, rule, FIELD_META_MARK, layout->masks, 0);
	}
	rule = rule_build(arena, chain, ROLE_CLEAR, "first packets");
	stmt_match(arena, rule, FIELD_CT_STATE, CT_STATE_NEW, 0, true);
	stmt_match(arena, rule, FIELD_CT_STATUS, CT_STATUS_CONFIRMED, 0, false);
	stmt_match(arena, rule, FIELD_CT_MARK, layout->masks, 0, true);
	stmt_mark(arena, rule, FIELD_CT_MARK, layout->masks, 0);
}

/* Packets of a connection that is marked already need not be classified again. */
static void dispatch_unmarked(struct layout *layout, struct nft_rule *rule)
{
	stmt_match(layout->arena, rule, FIELD_CT_MARK, layout->masks, 0, false);
	stmt_verdict(layout->arena, rule, VERDICT_JUMP, "select");
}

/* Beside first packets: what else may begin a redirect, by how existing connections count. */
static void dispatch_more(struct layout *layout, struct nft_chain *chain)
{
	struct nft_rule *rule;

	for (size_t i = 0; i < sizeof(opening) / sizeof(*opening); i++) {
		if (!has_redirect(layout->document, NULL, EXISTING_KEEP, opening[i].protocol))
			continue;
		rule = rule_build(layout->arena, chain, ROLE_DISPATCH, "%s", opening[i].packets);
		match_opening(layout->arena, rule, opening[i].protocol, false);
		dispatch_unmarked(layout, rule);
	}
	if (!has_redirect(layout->document, NULL, EXISTING_TRACKED, 0))
		return;
	rule = rule_build(layout->arena, chain, ROLE_DISPATCH, "replies");
	stmt_match_byte(layout->arena, rule, FIELD_CT_DIRECTION, 0, 1, false);
	dispatch_unmarked(layout, rule);
}

static void dispatch_rules(struct layout *layout, struct nft_chain *chain)
{
	struct arena *arena = layout->arena;
	struct nft_rule *rule;

	rule = rule_build(arena, chain, ROLE_DISPATCH, "invalid and untracked packets");
	stmt_match(arena, rule, FIELD_CT_STATE, CT_STATE_INVALID | CT_STATE_UNTRACKED, 0, true);
	stmt_verdict(arena, rule, VERDICT_JUMP, "select");
	if (has_redirect(layout->document, NULL, EXISTING_REDIRECT, 0)) {
		dispatch_unmarked(layout, rule_build(arena, chain, ROLE_DISPATCH, "all packets"));
		return;
	}
	rule = rule_build(arena, chain, ROLE_DISPATCH, "first packets");
	stmt_match(arena, rule, FIELD_CT_STATUS, CT_STATUS_CONFIRMED, 0, false);
	dispatch_unmarked(layout, rule);
	dispatch_more(layout, chain);
}

static void convert_rule(struct layout *layout, struct nft_chain *chain,
			 const struct gateway *gateway)
{
	struct nft_rule *rule = rule_build(layout->arena, chain, ROLE_CONVERT, "%s", gateway->name);

	stmt_match(layout->arena, rule, FIELD_CT_MARK, gateway->mark.mask, gateway->mark.value,
		   false);
	stmt_counter(layout->arena, rule);
	stmt_mark(layout->arena, rule, FIELD_META_MARK, gateway->mark.mask, gateway->mark.value);
}

static void prerouting_chain(struct layout *layout, bool redirects)
{
	struct nft_chain *chain = chain_build(layout->arena, layout->table, "prerouting");
	struct nft_rule *rule;

	chain->hook = HOOK_PREROUTING;
	chain->priority = -95; /* dstnat + 5: after the router's own destination NAT */
	chain->is_filter = true;
	clear_rules(layout, chain);
	if (redirects)
		dispatch_rules(layout, chain);
	for (size_t i = 0; i < layout->document->gateway_count; i++) {
		rule = gateway_rule(layout, chain, ROLE_PASS, i);
		if (rule)
			stmt_verdict(layout->arena, rule, VERDICT_ACCEPT, NULL);
	}
	for (size_t i = 0; i < layout->document->gateway_count; i++)
		convert_rule(layout, chain, &layout->document->gateways[i]);
}

static void guard_rule(struct layout *layout, struct nft_chain *chain,
		       const struct gateway *gateway)
{
	struct nft_rule *rule = rule_build(layout->arena, chain, ROLE_GUARD, "%s", gateway->name);

	stmt_match(layout->arena, rule, FIELD_CT_MARK, gateway->mark.mask, gateway->mark.value,
		   false);
	stmt_match_name(layout->arena, rule, FIELD_IIFNAME, gateway->interface, true);
	stmt_match_name(layout->arena, rule, FIELD_OIFNAME, gateway->interface, true);
	stmt_counter(layout->arena, rule);
	stmt_verdict(layout->arena, rule, VERDICT_DROP, NULL);
}

static void forward_chain(struct layout *layout)
{
	struct nft_chain *chain = chain_build(layout->arena, layout->table, "forward");

	chain->hook = HOOK_FORWARD;
	chain->priority = 0;
	chain->is_filter = true;
	for (size_t i = 0; i < layout->document->gateway_count; i++)
		if (layout->document->gateways[i].on_loss == ON_LOSS_BLOCK)
			guard_rule(layout, chain, &layout->document->gateways[i]);
}

void layout_build(struct arena *arena, const struct document *document, struct nft_table *table)
{
	struct layout layout = { .arena = arena, .document = document, .table = table };
	bool redirects = false;

	table->exists = true;
	for (size_t i = 0; i < document->gateway_count; i++)
		layout.masks |= document->gateways[i].mark.mask;
	for (size_t i = 0; i < document->redirect_count; i++) {
		if (!document->redirects[i].enabled)
			continue;
		redirect_chain(&layout, &document->redirects[i]);
		redirects = true;
	}
	shared_sets(&layout);
	mark_chains(&layout);
	if (redirects)
		select_chain(&layout);
	prerouting_chain(&layout, redirects);
	forward_chain(&layout);
}
