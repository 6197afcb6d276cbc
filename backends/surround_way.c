/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the router sends what bears no mark: asked for some servers of a redirect each. */
#include "backends/surround.h"

#include <string.h>

#include "backends/rtnl.h"

enum { EXAMPLES = 4 };

/* Of a network the last address but one: the last may be its broadcast address. */
static void example_choose(const struct span *span, enum family family, uint8_t *address)
{
	memcpy(address, span->to, SPAN_BYTES);
	if (memcmp(span->from, span->to, SPAN_BYTES) != 0)
		key_decrement(address, family_bytes(family));
}

static void way_read(struct netlink *route, const struct selection *selection, enum family family,
		     const struct span *span, struct surroundings *out)
{
	uint8_t address[SPAN_BYTES];
	char text[SPAN_TEXT];
	const char *interface;

	example_choose(span, family, address);
	interface = rtnl_way_out(route, family, address, &out->arena);
	if (interface)
		*ARENA_PUSH(&out->arena, out->ways, out->way_count, out->way_room) = (struct way){
			selection->redirect, family,
			arena_strdup(&out->arena, address_format(address, family, text)), interface
		};
}

static void ways_read(struct netlink *route, const struct selection *selection,
		      struct surroundings *out)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		for (size_t i = 0; i < selection->servers[family].count && i < EXAMPLES; i++)
			way_read(route, selection, family, &selection->servers[family].items[i],
				 out);
}

void surround_ways(struct netlink *route, const struct document *document, struct surroundings *out)
{
	const struct selection *selections;
	size_t count = selections_build(&out->arena, document, &selections);

	for (size_t i = 0; i < count; i++) {
		const struct gateway *gateway = selections[i].redirect->gateway;

		if (gateway->spoofs_clients || gateway->rp_filter == RP_FILTER_KEEP)
			ways_read(route, &selections[i], out);
	}
}
