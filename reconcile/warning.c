/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/warning.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "reconcile/take_over.h"
#include "reconcile/warning_parts.h"

struct warning *warn(struct plan *plan, const char *code, const char *hint, const char *format, ...)
{
	struct warning *warning =
		ARENA_PUSH(&plan->arena, plan->warnings, plan->warning_count, plan->warning_room);
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	*warning = (struct warning){
		.code = code,
		.message = arena_printable(&plan->arena, arena_strdup(&plan->arena, message)),
		.hint = arena_printable(&plan->arena, arena_strdup(&plan->arena, hint)),
	};
	return warning;
}

const char *family_title(enum family family)
{
	return family == FAMILY_IPV4 ? "IPv4" : "IPv6";
}

void warnings_of_document(const struct document *document, struct plan *plan)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (mark_is_full(&document->gateways[i].mark))
			warn(plan, "mark-full-mask", "give the mark a mask, such as \"0x10/0xf0\"",
			     "gateway %s: its mark takes all 32 bits; a bit that anything else "
			     "sets "
			     "defeats it",
			     document->gateways[i].name);
}

static void warn_client_interfaces(const struct redirect *redirect, const struct state *observed,
				   struct plan *plan)
{
	for (size_t i = 0; i < redirect->interface_count; i++) {
		const char *name = redirect->interfaces[i];
		const struct link *link = state_link(observed, name);

		if (strchr(name, '*') || (link && link->up))
			continue;
		if (link)
			warn(plan, "interface-down", "bring it up; the redirect holds then",
			     "redirect %s: client interface %s is down", redirect->name, name);
		else
			warn(plan, "interface-missing",
			     "check the name; the redirect holds as soon as it is there",
			     "redirect %s: client interface %s does not exist", redirect->name,
			     name);
	}
}

static void warn_gateway_interface(const struct gateway *gateway, const struct state *observed,
				   struct plan *plan)
{
	const struct link *link = state_link(observed, gateway->interface);
	const char *hint =
		gateway->on_loss == ON_LOSS_BLOCK
			? "its connections are refused until the interface is up and detour has run"
			: "its connections reach the servers directly until then";

	if (link && link->up)
		return;
	if (link)
		warn(plan, "interface-down", hint, "gateway %s: interface %s is down",
		     gateway->name, gateway->interface)
			->fatal = true;
	else
		warn(plan, "interface-missing", hint, "gateway %s: interface %s does not exist",
		     gateway->name, gateway->interface)
			->fatal = true;
}

/* No route can be made; while the interface is down, that is what is warned of. */
static void warn_obstacle(const struct gateway *gateway, const struct next_hop *hop,
			  const struct state *observed, struct plan *plan)
{
	const struct link *link = state_link(observed, gateway->interface);

	if (!link || !link->up)
		return;
	if (hop->is_own)
		warn(plan, "next-hop-own-address", "name the gateway's address, not this router's",
		     "gateway %s: %s", gateway->name, hop->obstacle)
			->fatal = true;
	else
		warn(plan, "next-hop-not-on-link",
		     "check the address and the interface, and that the interface has an address "
		     "of the same network",
		     "gateway %s: %s", gateway->name, hop->obstacle)
			->fatal = true;
}

static void warn_next_hop(const struct gateway *gateway, enum family family,
			  const struct state *observed, struct plan *plan)
{
	const struct next_hop *hop =
		state_next_hop(observed, family, gateway->interface, gateway->address[family]);
	char address[SPAN_TEXT];

	if (!gateway->has_address[family] || !hop)
		return;
	address_format(hop->address, family, address);
	if (hop->obstacle)
		warn_obstacle(gateway, hop, observed, plan);
	if (hop->elsewhere)
		warn(plan, "next-hop-elsewhere",
		     "check the interface; two interfaces may have an address of the same network",
		     "gateway %s: %s is reached by %s otherwise, not by %s", gateway->name, address,
		     hop->elsewhere, gateway->interface);
	if (hop->neighbour.state == NEIGHBOUR_FAILED)
		warn(plan, "next-hop-unreachable",
		     "check that the gateway is up and on that link, and its address",
		     "gateway %s: %s does not answer on %s", gateway->name, address,
		     gateway->interface);
}

static int rp_filter_value(const struct state *observed, const char *interface)
{
	const struct rp_filter *filter = state_rp_filter(observed, interface);

	return filter ? filter->value : 0;
}

/* around: NULL when that was not looked at; it is not known to be certain then. */
static void warn_rp_filter(const struct gateway *gateway, const struct state *observed,
			   const struct surroundings *around, struct plan *plan)
{
	int all = rp_filter_value(observed, "all");
	int own = rp_filter_value(observed, gateway->interface);

	if (gateway->rp_filter != RP_FILTER_KEEP || !gateway->has_address[FAMILY_IPV4] ||
	    (all > own ? all : own) != 1)
		return;
	warn(plan, "rp-filter-strict", "use \"rp_filter\": \"loose\" for this gateway",
	     "gateway %s: %s has strict reverse-path filtering (all=%d, %s=%d); its IPv4 answers "
	     "are dropped",
	     gateway->name, gateway->interface, all, gateway->interface, own)
		->fatal = around && answers_are_strange(around, gateway);
}

/* The gateway is about to get this mark, and connections bear it already. */
static void warn_mark_in_use(const struct gateway *gateway, const struct state *observed,
			     struct plan *plan)
{
	size_t connections = state_marked(observed, &gateway->mark);

	/* Those of rules made by hand, which go, are meant. */
	if (observed->nft.exists || !connections || observed->hand_rule_count)
		return;
	warn(plan, "mark-in-use", "if they are not detour's, choose other bits",
	     "gateway %s: %zu connections bear the mark 0x%x/0x%x already and will go through it",
	     gateway->name, connections, gateway->mark.value, gateway->mark.mask);
}

static void warn_sessions_cut(const struct state *observed, struct plan *plan)
{
	for (size_t i = 0; i < plan->retired_count; i++) {
		size_t connections = state_marked(observed, &plan->retired[i]);

		if (connections)
			warn(plan, "sessions-cut", "choose a time at which they may end",
			     "%zu connections that bear the mark 0x%x/0x%x are cut", connections,
			     plan->retired[i].value, plan->retired[i].mask);
	}
}

static void warn_rp_filter_overridden(const struct state *observed, struct plan *plan)
{
	for (size_t i = 0; i < observed->rp_filter_count; i++) {
		const struct rp_filter *filter = &observed->rp_filters[i];

		if (filter->overridden)
			warn(plan, "rp-filter-overridden", "set it by hand if it should be another",
			     "%s: rp_filter is %d, which detour did not set: destroy leaves it so",
			     filter->interface, filter->value);
	}
}

/* What was made by hand and is not taken over. */
static void warn_left(const struct leftovers *leftovers, struct plan *plan)
{
	for (size_t i = 0; leftovers && i < leftovers->left.count; i++) {
		const struct finding *left = &leftovers->left.items[i];

		warn(plan, "not-taken-over",
		     "see what it does to the gateways' connections, and delete it by hand when "
		     "the document says the same",
		     "%s %s (%s) stays: %s", left->kind, left->object, left->found, left->why);
	}
}

/* A template that came out empty looks just like a wish to open everything. */
void warnings_of_emptying(const struct document *document, const struct state *observed,
			  struct plan *plan)
{
	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled)
			return;
	if (nft_redirect_count(&observed->nft))
		warn(plan, "would-be-empty",
		     "if that is meant, say apply --allow-empty, or use destroy",
		     "the document has no enabled redirect, and %zu are live: all their "
		     "connections would reach the servers directly",
		     nft_redirect_count(&observed->nft));
}

static void warnings_of_surroundings(const struct document *document, const struct state *observed,
				     const struct surroundings *around, struct plan *plan)
{
	struct judgement judgement = { document, observed, around, plan };

	warnings_of_devices(&judgement);
	warnings_of_ways(&judgement);
	warnings_of_policy(&judgement);
	warnings_of_nft(&judgement);
	warnings_of_marks(&judgement);
	warnings_of_host(&judgement);
}

void warnings_of_state(const struct document *document, const struct state *observed,
		       const struct surroundings *around, struct plan *plan)
{
	for (size_t i = 0; i < document->gateway_count; i++) {
		warn_gateway_interface(&document->gateways[i], observed, plan);
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			warn_next_hop(&document->gateways[i], family, observed, plan);
		warn_rp_filter(&document->gateways[i], observed, around, plan);
		warn_mark_in_use(&document->gateways[i], observed, plan);
	}
	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled)
			warn_client_interfaces(&document->redirects[i], observed, plan);
	warn_sessions_cut(observed, plan);
	warn_rp_filter_overridden(observed, plan);
	warn_left(observed->leftovers, plan);
	if (around)
		warnings_of_surroundings(document, observed, around, plan);
	else if (observed->foreign)
		warn_legacy(observed->foreign->legacy, observed->foreign->legacy_count, plan);
}
