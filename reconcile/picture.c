/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/picture.h"

#include <stdlib.h>
#include <string.h>

const char *life_name(enum life life)
{
	static const char *const names[] = { "live", "differs", "missing", "extra" };

	return names[life];
}

/* Once, though both families have it. */
static void flaw_add(struct arena *arena, struct flaws *flaws, const char *text)
{
	if (!flaws->count || strcmp(flaws->items[flaws->count - 1], text) != 0)
		*ARENA_PUSH(arena, flaws->items, flaws->count, flaws->room) = text;
}

/* --- what there is -------------------------------------------------------- */

static struct picture_gateway *gateway_add(struct picture *picture, const char *name)
{
	struct picture_gateway *added = ARENA_PUSH(&picture->arena, picture->gateways,
						   picture->gateway_count, picture->gateway_room);

	added->name = name;
	return added;
}

static struct picture_redirect *redirect_add(struct picture *picture, const char *name)
{
	struct picture_redirect *added =
		ARENA_PUSH(&picture->arena, picture->redirects, picture->redirect_count,
			   picture->redirect_room);

	added->name = name;
	added->fate = "";
	return added;
}

static bool is_silent(const struct next_hop *hop)
{
	return hop && hop->neighbour.state == NEIGHBOUR_FAILED;
}

static void hops_add(struct picture *picture, const struct state *observed,
		     struct picture_gateway *out)
{
	const struct gateway *gateway = out->gateway;
	char text[SPAN_TEXT];
	struct span span;

	out->is_silent = true;
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct picture_hop *hop = &out->hops[out->hop_count];

		if (!gateway->has_address[family])
			continue;
		memcpy(span.from, gateway->address[family], SPAN_BYTES);
		memcpy(span.to, gateway->address[family], SPAN_BYTES);
		hop->family = family;
		hop->address = arena_strdup(&picture->arena, span_format(&span, family, text));
		hop->hop = state_next_hop(observed, family, gateway->interface,
					  gateway->address[family]);
		hop->is_silent = is_silent(hop->hop);
		out->is_silent &= hop->is_silent;
		picture->is_broken |= hop->is_silent;
		out->hop_count++;
	}
}

static const char *link_word(const struct state *observed, const char *interface)
{
	const struct link *link = state_link(observed, interface);

	return !link ? "missing" : link->up ? "up" : "down";
}

static void tally_take(const struct tallies *tallies, const char *name, struct tally *out)
{
	const struct tally *found = tally_find(tallies, name);

	if (found)
		*out = *found;
}

static void gateways_take(struct picture *picture, const struct document *document,
			  const struct state *observed)
{
	struct tallies live;

	tally_gateways(&picture->arena, observed, &live);
	for (size_t i = 0; i < document->gateway_count; i++) {
		const struct gateway *gateway = &document->gateways[i];
		struct picture_gateway *out = gateway_add(picture, gateway->name);

		out->gateway = gateway;
		out->life = tally_find(&live, gateway->name) ? LIFE_LIVE : LIFE_MISSING;
		out->interface = link_word(observed, gateway->interface);
		hops_add(picture, observed, out);
		tally_take(&live, gateway->name, &out->tally);
	}
	for (size_t i = 0; i < live.count; i++) {
		size_t g = 0;

		while (g < document->gateway_count &&
		       strcmp(document->gateways[g].name, live.items[i].name) != 0)
			g++;
		if (g == document->gateway_count) {
			struct picture_gateway *out = gateway_add(picture, live.items[i].name);

			out->life = LIFE_EXTRA;
			out->tally = live.items[i];
		}
	}
}

/* --- redirects, by name --------------------------------------------------- */

struct by_name {
	const char *name;
	size_t index; /* into the picture's redirects */
};

struct index {
	struct by_name *items;
	size_t count;
};

static int name_compare(const void *a, const void *b)
{
	return strcmp(((const struct by_name *)a)->name, ((const struct by_name *)b)->name);
}

static struct index redirects_index(struct picture *picture)
{
	struct index index = { NULL, picture->redirect_count };

	index.items = arena_alloc(&picture->arena, (index.count + 1) * sizeof(*index.items));
	for (size_t i = 0; i < index.count; i++)
		index.items[i] = (struct by_name){ picture->redirects[i].name, i };
	qsort(index.items, index.count, sizeof(*index.items), name_compare);
	return index;
}

static struct picture_redirect *redirect_find(struct picture *picture, const struct index *index,
					      const char *name)
{
	struct by_name wanted = { .name = name };
	const struct by_name *found =
		bsearch(&wanted, index->items, index->count, sizeof(wanted), name_compare);

	return found ? &picture->redirects[found->index] : NULL;
}

static void redirects_take(struct picture *picture, const struct document *document,
			   const struct tallies *live)
{
	for (size_t i = 0; i < document->redirect_count; i++) {
		const struct redirect *redirect = &document->redirects[i];
		struct picture_gateway *gateway =
			&picture->gateways[redirect->gateway - document->gateways];
		struct picture_redirect *out;

		if (!redirect->enabled)
			continue;
		*ARENA_PUSH(&picture->arena, gateway->redirects, gateway->redirect_count,
			    gateway->redirect_room) = picture->redirect_count;
		out = redirect_add(picture, redirect->name);
		out->redirect = redirect;
		out->life = tally_find(live, redirect->name) ? LIFE_LIVE : LIFE_MISSING;
		tally_take(live, redirect->name, &out->tally);
	}
}

static void redirects_take_extra(struct picture *picture, const struct tallies *live)
{
	struct index index = redirects_index(picture);

	for (size_t i = 0; i < live->count; i++)
		if (!redirect_find(picture, &index, live->items[i].name)) {
			struct picture_redirect *out = redirect_add(picture, live->items[i].name);

			out->life = LIFE_EXTRA;
			out->tally = live->items[i];
		}
}

/* --- what is wrong with it ------------------------------------------------ */

static bool is_of_gateway(const struct step *step)
{
	const struct nft_rule *rule = step->after ? step->after : step->before;

	if (step->kind < KIND_NFT_TABLE)
		return true;
	return step->kind == KIND_NFT_RULE &&
	       (rule->role == ROLE_CONVERT || rule->role == ROLE_GUARD);
}

static const char *rule_words(struct arena *arena, const struct step *step)
{
	const struct rule *rule = step->after ? step->after : step->before;

	return arena_printf(arena, "%s rule %u", family_name(rule->family), rule->priority);
}

static const char *route_words(struct arena *arena, const struct step *step)
{
	const struct route *route = step->after ? step->after : step->before;

	return arena_printf(arena, "%s route", family_name(route->family));
}

static const char *flaw_words(struct arena *arena, const struct step *step)
{
	switch (step->kind) {
	case KIND_RT_TABLE:
		return "table's name";
	case KIND_RP_FILTER:
		return "rp_filter";
	case KIND_ROUTE:
		return route_words(arena, step);
	case KIND_RULE:
		return rule_words(arena, step);
	case KIND_NFT_TABLE:
	case KIND_NFT_CHAIN:
	case KIND_NFT_SET:
	case KIND_NFT_ELEMENT:
	case KIND_NFT_RULE:
	case KIND_HAND_RULE:
	case KIND_COUNT:
		break;
	}
	return arena_printf(arena, "%s %s", kind_name(step->kind), step->object);
}

static struct picture_gateway *gateway_find(struct picture *picture, const char *name)
{
	for (size_t i = 0; i < picture->gateway_count; i++)
		if (!strcmp(picture->gateways[i].name, name))
			return &picture->gateways[i];
	return NULL;
}

static void gateway_worsen(struct picture_gateway *gateway, enum effect effect)
{
	if (gateway->life == LIFE_LIVE)
		gateway->life = LIFE_DIFFERS;
	if (effect > gateway->effect)
		gateway->effect = effect;
}

static void redirects_worsen(struct picture *picture, const struct index *index,
			     const struct step *step, const char *flaw)
{
	for (size_t i = 0; i < step->redirect_count; i++) {
		struct picture_redirect *redirect =
			redirect_find(picture, index, step->redirects[i]);

		if (!redirect)
			continue;
		if (redirect->life == LIFE_LIVE && flaw)
			redirect->life = LIFE_DIFFERS;
		if (step->effect > redirect->effect)
			redirect->effect = step->effect;
		if (flaw && redirect->life == LIFE_DIFFERS)
			flaw_add(&picture->arena, &redirect->flaws, flaw);
	}
}

/* Elements of several redirects may be one step. */
static bool leads_to_redirects(const struct step *step)
{
	const struct element *elements = step->after ? step->after : step->before;

	if (step->kind != KIND_NFT_ELEMENT)
		return false;
	for (size_t i = 0; i < step->count; i++)
		if (!elements[i].chain || strncmp(elements[i].chain, "redirect_", 9) != 0)
			return false;
	return true;
}

static void step_take(struct picture *picture, const struct index *index, const struct step *step)
{
	const char *flaw = arena_printf(&picture->arena, "%s %s", flaw_words(&picture->arena, step),
					drift_name(step->drift));
	struct picture_gateway *gateway =
		is_of_gateway(step) && step->gateway ? gateway_find(picture, step->gateway) : NULL;

	if (gateway) {
		gateway_worsen(gateway, step->effect);
		flaw_add(&picture->arena, &gateway->flaws, flaw);
		redirects_worsen(picture, index, step, NULL);
	} else if (step->redirect_count > 1 && leads_to_redirects(step)) {
		redirects_worsen(picture, index, step, "server networks differ");
	} else if (step->redirect_count == 1) {
		redirects_worsen(picture, index, step, flaw);
	} else {
		flaw_add(&picture->arena, &picture->flaws, flaw);
		redirects_worsen(picture, index, step, NULL);
	}
}

static const char *fate_of(const struct picture_redirect *redirect,
			   const struct picture_gateway *gateway)
{
	static const char *const fates[] = {
		[EFFECT_NONE] = "",
		[EFFECT_EXPOSED] = "would leak at the next loss",
		[EFFECT_OUTAGE] = "is dropped",
		[EFFECT_LEAK] = "reaches the servers directly",
	};

	/* Dropped on the way to a box that does not answer, unless it does not even go there. */
	if (gateway->is_silent && redirect->effect < EFFECT_OUTAGE)
		return "is dropped: the gateway does not answer";
	return fates[redirect->effect];
}

static void fates_take(struct picture *picture)
{
	for (size_t g = 0; g < picture->gateway_count; g++) {
		const struct picture_gateway *gateway = &picture->gateways[g];

		for (size_t i = 0; i < gateway->redirect_count; i++) {
			struct picture_redirect *redirect =
				&picture->redirects[gateway->redirects[i]];

			redirect->fate = fate_of(redirect, gateway);
		}
	}
}

void picture_make(const struct document *document, const struct comparison *comparison,
		  struct picture *picture)
{
	struct tallies live;
	struct index index;

	*picture = (struct picture){ 0 };
	gateways_take(picture, document, &comparison->observed);
	tally_redirects(&picture->arena, &comparison->observed, &live);
	redirects_take(picture, document, &live);
	redirects_take_extra(picture, &live);
	index = redirects_index(picture);
	for (size_t i = 0; i < comparison->plan.step_count; i++)
		step_take(picture, &index, &comparison->plan.steps[i]);
	fates_take(picture);
}

void picture_free(struct picture *picture)
{
	arena_free(&picture->arena);
}
