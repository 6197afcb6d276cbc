/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/tally.h"

#include <stdlib.h>
#include <string.h>

static int tally_compare(const void *a, const void *b)
{
	return strcmp(((const struct tally *)a)->name, ((const struct tally *)b)->name);
}

static void count_rule(struct count *count, const struct nft_rule *rule)
{
	const struct stmt *counter = nft_rule_counter(rule);

	if (counter)
		*count = (struct count){ counter->packet_count, counter->byte_count };
}

/* An entry for each rule of the roles; the connections of those that test a mark. */
static void rules_take(struct arena *arena, const struct state *observed, enum role taken,
		       enum role refused, struct tallies *out)
{
	for (size_t c = 0; c < observed->nft.chain_count; c++)
		for (size_t i = 0; i < observed->nft.chains[c].rule_count; i++) {
			const struct nft_rule *rule = &observed->nft.chains[c].rules[i];
			struct tally *tally;
			struct mark mark;

			if (rule->role != taken && rule->role != refused)
				continue;
			tally = ARENA_PUSH(arena, out->items, out->count, out->room);
			tally->name = nft_rule_subject(arena, rule);
			count_rule(rule->role == taken ? &tally->taken : &tally->refused, rule);
			if (rule->role == ROLE_CONVERT && nft_rule_mark(rule, &mark))
				tally->connections = state_marked(observed, &mark);
		}
}

static void tally_add(struct tally *sum, const struct tally *more)
{
	sum->taken.packets += more->taken.packets;
	sum->taken.bytes += more->taken.bytes;
	sum->refused.packets += more->refused.packets;
	sum->refused.bytes += more->refused.bytes;
	sum->connections += more->connections;
}

/* Several rules have one subject; while a mark changes, even several of one role. */
static void tallies_merge(struct tallies *tallies)
{
	size_t kept = 0;

	if (tallies->count)
		qsort(tallies->items, tallies->count, sizeof(*tallies->items), tally_compare);
	for (size_t i = 0; i < tallies->count; i++)
		if (kept && !tally_compare(&tallies->items[i], &tallies->items[kept - 1]))
			tally_add(&tallies->items[kept - 1], &tallies->items[i]);
		else
			tallies->items[kept++] = tallies->items[i];
	tallies->count = kept;
}

void tally_gateways(struct arena *arena, const struct state *observed, struct tallies *out)
{
	*out = (struct tallies){ 0 };
	rules_take(arena, observed, ROLE_CONVERT, ROLE_GUARD, out);
	tallies_merge(out);
}

void tally_redirects(struct arena *arena, const struct state *observed, struct tallies *out)
{
	*out = (struct tallies){ 0 };
	rules_take(arena, observed, ROLE_TAKE, ROLE_REFUSE, out);
	tallies_merge(out);
}

const struct tally *tally_find(const struct tallies *tallies, const char *name)
{
	struct tally wanted = { .name = name };

	return tallies->count ? bsearch(&wanted, tallies->items, tallies->count, sizeof(wanted),
					tally_compare)
			      : NULL;
}
