/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/foreign.h"

#include "backends/names.h"
#include "backends/record.h"
#include "backends/rtnl.h"

/* The tables that rules with a mark look up; main and its like belong to everybody. */
static void tables_find(struct state *state, struct tables *tables)
{
	for (size_t i = 0; i < state->rule_count; i++) {
		const struct rule *rule = &state->rules[i];

		if (rule->mark.mask && rule->action == RULE_LOOKUP &&
		    (rule->table < TABLE_DEFAULT || rule->table > TABLE_LOCAL))
			tables_add(&state->arena, tables, rule->table);
	}
	tables_sort(tables);
}

static int state_read(struct netlink *route, struct state *out, struct error *error)
{
	static const struct document none;
	const struct scope scope = { .document = &none, .every_rp_filter = true };
	const struct record nothing = { 0 };
	struct tables tables = { 0 };

	if (names_read(NULL, out, error) || rtnl_read_rules(route, NULL, out, error))
		return -1;
	tables_find(out, &tables);
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		for (size_t i = 0; i < tables.count; i++)
			if (rtnl_read_table(route, family, tables.ids[i], out, error))
				return -1;
	return rtnl_read_rp_filters(route, &scope, &nothing, out, error);
}

int foreign_read(struct netlink *route, struct netlink *netfilter, struct foreign *out,
		 struct error *error)
{
	uint32_t generation;

	*out = (struct foreign){ 0 };
	if (state_read(route, &out->state, error) ||
	    foreign_read_nft(netfilter, out, &generation, error))
		return -1;
	foreign_read_legacy(out);
	state_sort(&out->state);
	return 0;
}
