/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.ipv4.conf.*.rp_filter: the kernel uses max(all, interface), so lowering
 * one interface's check takes care of the others.
 *
 * All that is wanted follows from two things: the document, and the baseline,
 * which is what each value would be without us: the recorded one while the
 * live one is still ours, else the live one, since then somebody else chose
 * it. A value that the document no longer needs is thereby restored.
 */
#include "reconcile/expand.h"

#include <string.h>

static int baseline(const struct rp_filter *filter)
{
	if (!filter)
		return 0;
	return filter->recorded ? filter->before : filter->value;
}

static const struct gateway *gateway_on(const struct document *document, const char *interface)
{
	const struct gateway *found = NULL;

	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct gateway *gateway = &document->gateways[i];

		/* Of two gateways on one interface, the mode that asks for more decides. */
		if (!strcmp(gateway->interface, interface) &&
		    (!found || gateway->rp_filter == RP_FILTER_OFF ||
		     found->rp_filter == RP_FILTER_KEEP))
			found = gateway;
	}
	return found;
}

static bool any_off(const struct document *document)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (document->gateways[i].rp_filter == RP_FILTER_OFF)
			return true;
	return false;
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

/* What the interface should have, given what it and `all` would have without us. */
static int wanted(const struct document *document, const char *interface, int own, int all)
{
	const struct gateway *gateway = gateway_on(document, interface);
	bool off = any_off(document);

	if (!strcmp(interface, "all"))
		return off ? 0 : own;
	if (gateway && gateway->rp_filter == RP_FILTER_OFF)
		return 0;
	if (gateway && gateway->rp_filter == RP_FILTER_LOOSE && max(own, all) == 1)
		return 2;
	/* `all` goes to 0: what it did for this interface, the interface does itself. */
	return off ? max(own, all) : own;
}

static void want(struct state *desired, const char *interface, int value)
{
	struct rp_filter *filter = ARENA_PUSH(&desired->arena, desired->rp_filters,
					      desired->rp_filter_count, desired->rp_filter_room);

	*filter = (struct rp_filter){ .interface = interface, .value = value };
}

/* A gateway's interface that is not there yet will start with the value of `default`. */
static void want_missing(const struct document *document, const struct state *observed,
			 struct state *desired, int all)
{
	int fresh = baseline(state_rp_filter(observed, "default"));

	for (size_t i = 0; i < document->gateway_count; i++) {
		const char *interface = document->gateways[i].interface;
		int value = wanted(document, interface, fresh, all);

		if (!state_rp_filter(observed, interface) && value != fresh &&
		    !state_rp_filter(desired, interface))
			want(desired, interface, value);
	}
}

void rp_filter_expand(const struct document *document, const struct state *observed,
		      struct state *desired)
{
	int all = baseline(state_rp_filter(observed, "all"));

	for (size_t i = 0; i < observed->rp_filter_count; i++) {
		const struct rp_filter *filter = &observed->rp_filters[i];

		want(desired, filter->interface,
		     wanted(document, filter->interface, baseline(filter), all));
	}
	want_missing(document, observed, desired, all);
}
