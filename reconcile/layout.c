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
 *   redirect_R   the conditions of redirect R, one rule a family. Conditions
 *                are positive: a packet that cannot be read is not selected
 *   mark_R       what then happens to the packet and its connection
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

struct layout {
	struct arena *arena;
	const struct document *document;
	struct nft_table *table;
	uint32_t masks; /* the bits of all gateways together */
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

static const char *interfaces_set(struct layout *layout, const struct redirect *redirect)
{
	const char *name = arena_printf(layout->arena, "interfaces_%s", redirect->name);
	struct nft_set *set = set_build(layout->arena, layout->table, name, KEY_IFNAME, false);
	struct spans spans;

	selection_interfaces(layout->arena, redirect, &spans);
	set_fill(layout->arena, set, &spans);
	return name;
}

static const char *services_set(struct layout *layout, const struct redirect *redirect)
{
	const char *name = arena_printf(layout->arena, "services_%s", redirect->name);
	struct nft_set *set = set_build(layout->arena, layout->table, name, KEY_SERVICE, false);

	for (size_t i = 0; i < redirect->service_count; i++)
		service_span(&redirect->services[i],
			     &ARENA_PUSH(layout->arena, set->elements, set->element_count,
					 set->element_room)
				      ->span);
	return name;
}

static void select_rule(struct layout *layout, const struct redirect *redirect, enum family family,
			const char *interfaces, const char *services)
{
	struct nft_chain *chain = chain_named(layout->table, "redirect_", redirect->name);
	struct nft_rule *rule = rule_build(layout->arena, chain, ROLE_SELECT, "%s %s",
					   redirect->name, family_name(family));
	const char *clients = NULL, *except;

	if (!redirect->any_client)
		clients = optional_set(layout, "clients", family, redirect->name,
				       &redirect->clients.networks[family]);
	stmt_lookup(layout->arena, rule, FIELD_IIFNAME, interfaces, false);
	stmt_lookup(layout->arena, rule, FIELD_SERVICE, services, false);
	stmt_match_byte(layout->arena, rule, FIELD_NFPROTO, 0, family_nfproto(family), false);
	if (clients)
		stmt_lookup(layout->arena, rule, saddr[family], clients, false);
	except = optional_set(layout, "clients-except", family, redirect->name,
			      &redirect->clients.except[family]);
	if (except)
		stmt_lookup(layout->arena, rule, saddr[family], except, true);
	except = optional_set(layout, "servers-except", family, redirect->name,
			      &redirect->servers.except[family]);
	if (except)
		stmt_lookup(layout->arena, rule, daddr[family], except, true);
	stmt_verdict(layout->arena, rule, VERDICT_GOTO,
		     arena_printf(layout->arena, "mark_%s", redirect->name));
}

/* Packets without a connection mark to guard them would reach the server. */
static void refuse_rule(struct arena *arena, struct nft_chain *chain,
			const struct redirect *redirect)
{
	struct nft_rule *rule = rule_build(arena, chain, ROLE_REFUSE, "%s", redirect->name);

	if (redirect->gateway->spoofs_clients)
		stmt_match_name(arena, rule, FIELD_IIFNAME, redirect->gateway->interface, true);
	stmt_match(arena, rule, FIELD_CT_STATE, CT_STATE_INVALID | CT_STATE_UNTRACKED, 0, true);
	stmt_counter(arena, rule);
	stmt_verdict(arena, rule, VERDICT_DROP, NULL);
}

static bool has_protocol(const struct redirect *redirect, uint8_t protocol)
{
	for (size_t i = 0; i < redirect->service_count; i++)
		if (redirect->services[i].protocol == protocol)
			return true;
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
static void keep_rules(struct arena *arena, struct nft_chain *chain,
		       const struct redirect *redirect)
{
	struct nft_rule *rule;

	for (size_t i = 0; i < sizeof(opening) / sizeof(*opening); i++) {
		if (!has_protocol(redirect, opening[i].protocol))
			continue;
		rule = rule_build(arena, chain, ROLE_KEEP, "%s %s", redirect->name,
				  protocol_name(opening[i].protocol));
		match_opening(arena, rule, opening[i].protocol, true);
		stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
	}
	if (!has_protocol(redirect, IPPROTO_UDP))
		return;
	rule = rule_build(arena, chain, ROLE_KEEP, "%s udp", redirect->name);
	stmt_match_byte(arena, rule, FIELD_L4PROTO, 0, IPPROTO_UDP, false);
	stmt_match(arena, rule, FIELD_CT_STATUS, CT_STATUS_CONFIRMED, 0, true);
	stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
}

/*
 * A known connection runs in the original direction. One that conntrack met
 * by the server's packet runs the other way round: it was lost and found.
 */
static void tracked_rule(struct arena *arena, struct nft_chain *chain,
			 const struct redirect *redirect)
{
	struct nft_rule *rule = rule_build(arena, chain, ROLE_KEEP, "%s known", redirect->name);

	stmt_match(arena, rule, FIELD_CT_STATUS, CT_STATUS_CONFIRMED, 0, true);
	stmt_match_byte(arena, rule, FIELD_CT_DIRECTION, 0, 0, false);
	stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
}

static void existing_rules(struct arena *arena, struct nft_chain *chain,
			   const struct redirect *redirect)
{
	switch (redirect->existing) {
	case EXISTING_KEEP:
		keep_rules(arena, chain, redirect);
		return;
	case EXISTING_TRACKED:
		tracked_rule(arena, chain, redirect);
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
static void answer_rule(struct arena *arena, struct nft_chain *chain,
			const struct redirect *redirect)
{
	const struct gateway *gateway = redirect->gateway;
	struct nft_rule *rule;

	if (!gateway->spoofs_clients)
		return;
	rule = rule_build(arena, chain, ROLE_ANSWER, "%s", redirect->name);
	stmt_match_name(arena, rule, FIELD_IIFNAME, gateway->interface, false);
	stmt_mark(arena, rule, FIELD_CT_MARK, gateway->mark.mask, gateway->mark.value);
	stmt_verdict(arena, rule, VERDICT_RETURN, NULL);
}

static void mark_chain(struct layout *layout, const struct redirect *redirect)
{
	struct arena *arena = layout->arena;
	struct nft_chain *chain = chain_named(layout->table, "mark_", redirect->name);
	const struct mark *mark = &redirect->gateway->mark;
	struct nft_rule *rule;

	refuse_rule(arena, chain, redirect);
	existing_rules(arena, chain, redirect);
	answer_rule(arena, chain, redirect);
	rule = rule_build(arena, chain, ROLE_MARK, "%s", redirect->name);
	stmt_counter(arena, rule);
	stmt_mark(arena, rule, FIELD_CT_MARK, mark->mask, mark->value);
}

static void redirect_chains(struct layout *layout, const struct redirect *redirect)
{
	const char *interfaces = interfaces_set(layout, redirect);
	const char *services = services_set(layout, redirect);

	chain_build(layout->arena, layout->table,
		    arena_printf(layout->arena, "redirect_%s", redirect->name));
	chain_build(layout->arena, layout->table,
		    arena_printf(layout->arena, "mark_%s", redirect->name));
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (redirect_works_in(redirect, family))
			select_rule(layout, redirect, family, interfaces, services);
	mark_chain(layout, redirect);
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

static bool has_existing(const struct document *document, enum existing existing)
{
	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled && document->redirects[i].existing == existing)
			return true;
	return false;
}

static bool keeps(const struct document *document, uint8_t protocol)
{
	for (size_t i = 0; i < document->redirect_count; i++) {
		const struct redirect *redirect = &document->redirects[i];

		if (redirect->enabled && redirect->existing == EXISTING_KEEP &&
		    has_protocol(redirect, protocol))
			return true;
	}
	return false;
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
		if (!keeps(layout->document, opening[i].protocol))
			continue;
		rule = rule_build(layout->arena, chain, ROLE_DISPATCH, "%s", opening[i].packets);
		match_opening(layout->arena, rule, opening[i].protocol, false);
		dispatch_unmarked(layout, rule);
	}
	if (!has_existing(layout->document, EXISTING_TRACKED))
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
	if (has_existing(layout->document, EXISTING_REDIRECT)) {
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
		redirect_chains(&layout, &document->redirects[i]);
		redirects = true;
	}
	if (redirects)
		select_chain(&layout);
	prerouting_chain(&layout, redirects);
	forward_chain(&layout);
}
