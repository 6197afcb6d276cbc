/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs that are known to use marks, told by what they leave on a router:
 * chains, tables, interfaces and policy rules of theirs. They count only where
 * their bits are a gateway's, too.
 */
#include <string.h>

#include "reconcile/warning_parts.h"

/* What begins the names; NULL: nothing of that sort. A rule is told by its mask and priority. */
static const struct user {
	const char *name, *chain, *table, *interface;
	uint32_t bits, rule_mask, rule_from, rule_to;
} users[] = {
	{ "kube-proxy", "KUBE-", "ip kube-proxy", NULL, 0xc000, 0, 0, 0 },
	{ "Calico", "cali-", NULL, "cali", 0xffff0000, 0, 0, 0 },
	{ "Cilium", "CILIUM_", NULL, "cilium_", 0xffff0f00, 0, 0, 0 },
	{ "Tailscale", "ts-", NULL, "tailscale", 0x00ff0000, 0xff0000, 5200, 5299 },
	{ "mwan3", "mwan3_", NULL, NULL, 0x3f00, 0x3f00, 1000, 3999 },
	{ "pbr", "pbr_", NULL, NULL, 0x00ff0000, 0xff0000, 29000, 31000 },
	{ "wg-quick", NULL, "ip wg-quick-", NULL, 0xffffffff, 0xffffffff, 0, UINT32_MAX },
};

enum { WG_QUICK_MARK = 51820 };

static bool begins(const char *text, const char *prefix)
{
	return prefix && !strncmp(text, prefix, strlen(prefix));
}

static bool is_rule_of(const struct user *user, const struct fib_rule *rule)
{
	return user->rule_mask && rule->mark.mask == user->rule_mask &&
	       rule->priority >= user->rule_from && rule->priority <= user->rule_to &&
	       (user->rule_mask != UINT32_MAX || rule->mark.value == WG_QUICK_MARK);
}

/* "chain KUBE-SERVICES in table ip nat"; NULL when nothing shows that the program is here. */
static const char *evidence(const struct judgement *judgement, const struct user *user)
{
	const struct surroundings *around = judgement->around;
	struct arena *arena = &judgement->plan->arena;

	for (size_t i = 0; i < around->chain_count; i++)
		if (begins(around->chains[i].name, user->chain) ||
		    begins(around->chains[i].table, user->table))
			return arena_printf(arena, "chain %s in table %s", around->chains[i].name,
					    around->chains[i].table);
	for (size_t i = 0; i < around->device_count; i++)
		if (begins(around->devices[i].name, user->interface))
			return arena_printf(arena, "interface %s", around->devices[i].name);
	for (size_t i = 0; i < around->rule_count; i++)
		if (is_rule_of(user, &around->rules[i].rule))
			return arena_printf(arena, "%s rule %u",
					    family_name(around->rules[i].rule.family),
					    around->rules[i].rule.priority);
	return NULL;
}

static void warn_user(const struct judgement *judgement, const struct gateway *gateway,
		      const struct user *user)
{
	uint32_t common = gateway->mark.mask & user->bits;
	const char *seen = common ? evidence(judgement, user) : NULL;

	if (seen)
		warn(judgement->plan, "mark-user",
		     arena_printf(
			     &judgement->plan->arena,
			     "give the gateway bits outside 0x%x, or configure %s to use others",
			     user->bits, user->name),
		     "gateway %s: %s is here (%s) and uses bits 0x%x of marks, 0x%x of which are "
		     "the gateway's",
		     gateway->name, user->name, seen, user->bits, common);
}

void warnings_of_marks(const struct judgement *judgement)
{
	const struct document *document = judgement->document;

	for (size_t i = 0; i < document->gateway_count; i++)
		for (size_t j = 0; j < sizeof(users) / sizeof(*users); j++)
			warn_user(judgement, &document->gateways[i], &users[j]);
}
