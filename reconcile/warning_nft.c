/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the chains of others do: to marks, to tracking, to packets. One warning
 * for a chain and a sort of deed. It is certain only what no earlier rule of the
 * chain and no condition of the rule can prevent.
 */
#include <string.h>

#include "reconcile/listing.h"
#include "reconcile/warning_parts.h"

enum {
	OUR_PRIORITY = -95,        /* of our chain at prerouting: see layout.c */
	CONNTRACK_PRIORITY = -200, /* NF_IP_PRI_CONNTRACK: notrack comes too late from there on */
};

typedef bool deed_fn(const struct judgement *judgement, const struct other_deed *deed);

static bool is_ours(const struct judgement *judgement, const struct other_deed *deed)
{
	const struct document *document = judgement->document;

	for (size_t i = 0; i < document->gateway_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (document->gateways[i].has_address[family] && deed->families[family] &&
			    document->gateways[i].mark.mask & deed->bits)
				return true;
	return false;
}

static bool is_reached(const struct other_chain *chain)
{
	for (enum packet_hook hook = 0; hook < PACKET_HOOKS; hook++)
		if (chain->at[hook])
			return true;
	return false;
}

static bool comes_after_us(const struct other_chain *chain)
{
	return chain->at[PACKET_PREROUTING] && chain->latest >= OUR_PRIORITY;
}

/* A connection keeps what is written into it at any later hook, too. */
static bool overwrites(const struct judgement *judgement, const struct other_deed *deed)
{
	const struct other_chain *chain = deed->chain;

	if (!is_ours(judgement, deed))
		return false;
	if (deed->deed == DEED_SETS_PACKET_MARK)
		return comes_after_us(chain);
	return deed->deed == DEED_SETS_CONNECTION_MARK &&
	       (comes_after_us(chain) || chain->at[PACKET_INPUT] || chain->at[PACKET_FORWARD] ||
		chain->at[PACKET_OUTPUT] || chain->at[PACKET_POSTROUTING]);
}

static bool writes(const struct judgement *judgement, const struct other_deed *deed)
{
	return (deed->deed == DEED_SETS_PACKET_MARK || deed->deed == DEED_SETS_CONNECTION_MARK) &&
	       is_ours(judgement, deed) && is_reached(deed->chain) && !overwrites(judgement, deed);
}

static bool tests(const struct judgement *judgement, const struct other_deed *deed)
{
	return (deed->deed == DEED_TESTS_PACKET_MARK || deed->deed == DEED_TESTS_CONNECTION_MARK) &&
	       is_ours(judgement, deed) && is_reached(deed->chain);
}

static bool touches_family(const struct judgement *judgement, const struct other_deed *deed)
{
	const struct document *document = judgement->document;

	for (size_t i = 0; i < document->redirect_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (document->redirects[i].enabled && deed->families[family] &&
			    redirect_works_in(&document->redirects[i], family))
				return true;
	return false;
}

static bool untracks(const struct judgement *judgement, const struct other_deed *deed)
{
	return deed->deed == DEED_NOTRACK && deed->chain->at[PACKET_PREROUTING] &&
	       deed->chain->latest < CONNTRACK_PRIORITY && touches_family(judgement, deed) &&
	       (!deed->interface || surroundings_concern(judgement->document, deed->interface));
}

static bool refuses_answers(const struct judgement *judgement, const struct other_deed *deed)
{
	const struct document *document = judgement->document;

	if (deed->deed != DEED_REVERSE_PATH || !deed->chain->at[PACKET_PREROUTING] ||
	    !touches_family(judgement, deed))
		return false;
	for (size_t i = 0; i < document->gateway_count; i++)
		if (!deed->interface || !strcmp(deed->interface, document->gateways[i].interface))
			return true;
	return false;
}

static const struct flow_device *flow_device_of(const struct judgement *judgement,
						const struct other_deed *deed)
{
	const struct surroundings *around = judgement->around;

	for (size_t i = 0; i < around->flow_device_count; i++) {
		const struct flow_device *flow = &around->flow_devices[i];

		if (!strcmp(flow->table, deed->chain->table) &&
		    !strcmp(flow->flowtable, deed->flowtable) &&
		    surroundings_concern(judgement->document, flow->device))
			return flow;
	}
	return NULL;
}

static bool offloads(const struct judgement *judgement, const struct other_deed *deed)
{
	return deed->deed == DEED_OFFLOAD && touches_family(judgement, deed) &&
	       flow_device_of(judgement, deed);
}

/* What our conversion wrote is gone, for every packet of a gateway's. */
static bool ruins(const struct judgement *judgement, const struct other_deed *deed)
{
	const struct document *document = judgement->document;

	if (!deed->is_certain || !deed->is_constant || deed->deed != DEED_SETS_PACKET_MARK ||
	    deed->chain->latest == OUR_PRIORITY || deed->interface)
		return false;
	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct mark *mark = &document->gateways[i].mark;

		if ((deed->value ^ mark->value) & mark->mask & deed->bits)
			return true;
	}
	return false;
}

static bool is_never(const struct judgement *judgement, const struct other_deed *deed)
{
	(void)judgement;
	(void)deed;
	return false;
}

static bool is_certain(const struct judgement *judgement, const struct other_deed *deed)
{
	(void)judgement;
	return deed->is_certain && !deed->interface;
}

/* A rule that the plan removes. */
static bool is_taken(const struct judgement *judgement, const struct other_deed *deed)
{
	const struct state *observed = judgement->observed;
	struct arena *arena = &judgement->plan->arena;

	for (size_t i = 0; i < observed->hand_rule_count; i++) {
		const struct hand_rule *rule = &observed->hand_rules[i];

		if (rule->handle == deed->handle &&
		    !strcmp(deed->chain->table,
			    arena_printf(arena, "%s %s", rule->family, rule->table)))
			return true;
	}
	return false;
}

/* "rule 3", "rules 3, 5, 6 and 2 more". */
static const char *rules_text(struct arena *arena, const struct listing *listing)
{
	return arena_printf(arena, "rule%s %s", listing->count > 1 ? "s" : "",
			    listing_text(listing));
}

/* Those of one chain, from the deed on, that are so; *end is the next chain's first. */
static const struct other_deed *deeds_gather(const struct judgement *judgement, size_t from,
					     deed_fn *is_so, size_t *end, struct listing *listing)
{
	const struct surroundings *around = judgement->around;
	const struct other_deed *first = NULL;
	size_t last_rule = 0, i;

	for (i = from; i < around->deed_count; i++) {
		const struct other_deed *deed = &around->deeds[i];

		if (deed->chain != around->deeds[from].chain)
			break;
		if (is_taken(judgement, deed) || !is_so(judgement, deed))
			continue;
		first = first ? first : deed;
		if (deed->rule != last_rule)
			listing_add(listing, arena_printf(listing->arena, "%zu", deed->rule));
		last_rule = deed->rule;
	}
	*end = i;
	return first;
}

static bool any_is(const struct judgement *judgement, size_t from, size_t end, deed_fn *is_so,
		   deed_fn *is_fatal)
{
	for (size_t i = from; i < end; i++)
		if (!is_taken(judgement, &judgement->around->deeds[i]) &&
		    is_so(judgement, &judgement->around->deeds[i]) &&
		    is_fatal(judgement, &judgement->around->deeds[i]))
			return true;
	return false;
}

static const char *mark_word(const struct other_deed *deed)
{
	return deed->deed == DEED_SETS_PACKET_MARK || deed->deed == DEED_TESTS_PACKET_MARK
		       ? "packet"
		       : "connection";
}

static const char *bits_text(struct arena *arena, const struct other_deed *deed)
{
	if (deed->bits == UINT32_MAX)
		return arena_printf(arena, "all bits of the %s mark", mark_word(deed));
	return arena_printf(arena, "bits 0x%x of the %s mark", deed->bits, mark_word(deed));
}

/* One for each chain with rules of which that is so; fatal when that is so of one of them. */
static void warn_deeds(const struct judgement *judgement, deed_fn *is_so, deed_fn *is_fatal,
		       struct warning *(*say)(const struct judgement *judgement,
					      const struct other_deed *deed, const char *rules))
{
	struct arena *arena = &judgement->plan->arena;
	size_t end;

	for (size_t i = 0; i < judgement->around->deed_count; i = end) {
		struct listing listing = { arena, "", 0 };
		const struct other_deed *deed = deeds_gather(judgement, i, is_so, &end, &listing);

		if (deed)
			say(judgement, deed,
			    arena_printf(arena, "%s of chain %s in table %s",
					 rules_text(arena, &listing), deed->chain->name,
					 deed->chain->table))
				->fatal = any_is(judgement, i, end, is_so, is_fatal);
	}
}

static struct warning *say_overwrites(const struct judgement *judgement,
				      const struct other_deed *deed, const char *rules)
{
	return warn(judgement->plan, "mark-overwritten",
		    "let them write other bits, with a mask, or only other packets; or give the "
		    "gateway other bits",
		    "%s: after detour they write %s, where gateways' marks are", rules,
		    bits_text(&judgement->plan->arena, deed));
}

static struct warning *say_writes(const struct judgement *judgement, const struct other_deed *deed,
				  const char *rules)
{
	return warn(judgement->plan, "mark-written",
		    "let them write other bits, with a mask; or give the gateway other bits",
		    "%s: they write %s, where gateways' marks are", rules,
		    bits_text(&judgement->plan->arena, deed));
}

static struct warning *say_tests(const struct judgement *judgement, const struct other_deed *deed,
				 const char *rules)
{
	return warn(judgement->plan, "mark-tested",
		    "let them test their own bits only, with a mask; or give the gateway other "
		    "bits",
		    "%s: they test %s, where gateways' marks are", rules,
		    bits_text(&judgement->plan->arena, deed));
}

static struct warning *say_untracks(const struct judgement *judgement,
				    const struct other_deed *deed, const char *rules)
{
	(void)deed;
	return warn(judgement->plan, "notrack",
		    "let them pass the redirects' clients and servers by; untracked packets of a "
		    "selection are refused",
		    "%s: they exempt packets from connection tracking (notrack)", rules);
}

static struct warning *say_refuses(const struct judgement *judgement, const struct other_deed *deed,
				   const char *rules)
{
	(void)deed;
	return warn(judgement->plan, "reverse-path-rule",
		    "except the gateway's interface from them; for firewalld: IPv6_rpfilter=no",
		    "%s: they drop what is not routed back by the interface that it came in by, "
		    "as are the gateway's answers from the servers' addresses",
		    rules);
}

static struct warning *say_offloads(const struct judgement *judgement,
				    const struct other_deed *deed, const char *rules)
{
	return warn(judgement->plan, "flowtable",
		    "leave the redirects' clients and servers out of the flowtable; what it takes "
		    "is not looked at again",
		    "%s: they put connections into flowtable %s, which has %s among its devices",
		    rules, deed->flowtable, flow_device_of(judgement, deed)->device);
}

static void warn_forward_drop(const struct judgement *judgement, const struct other_chain *chain)
{
	struct other_deed any = { .chain = chain };

	memcpy(any.families, chain->families, sizeof(any.families));
	if (!chain->is_base || chain->hook != PACKET_FORWARD || !chain->drops ||
	    !touches_family(judgement, &any))
		return;
	warn(judgement->plan, "forward-drop",
	     "see that it accepts the clients' packets to the gateway's interface and back",
	     "chain %s in table %s drops what it does not accept (policy drop, %zu rules)",
	     chain->name, chain->table, chain->rule_count)
		->fatal = chain->rule_count == 0;
}

void warnings_of_nft(const struct judgement *judgement)
{
	warn_deeds(judgement, overwrites, ruins, say_overwrites);
	warn_deeds(judgement, writes, is_never, say_writes);
	warn_deeds(judgement, tests, is_never, say_tests);
	warn_deeds(judgement, untracks, is_certain, say_untracks);
	warn_deeds(judgement, refuses_answers, is_never, say_refuses);
	warn_deeds(judgement, offloads, is_never, say_offloads);
	for (size_t i = 0; i < judgement->around->chain_count; i++)
		warn_forward_drop(judgement, &judgement->around->chains[i]);
}
