/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `detour show` draws: who goes where, and what is broken on the way. It
 * says of the live state how far it is what the document wants, and what has
 * gone that way. The renderers know nothing beside it.
 */
#ifndef RECONCILE_PICTURE_H
#define RECONCILE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "reconcile/error.h"
#include "reconcile/reconcile.h"
#include "reconcile/tally.h"

enum life {
	LIFE_LIVE,    /* as the document wants it */
	LIFE_DIFFERS, /* live, but not as the document wants it */
	LIFE_MISSING, /* only the document has it */
	LIFE_EXTRA,   /* live, and not in the document */
};

/* What is wrong, in a few words. */
struct flaws {
	const char **items;
	size_t count, room;
};

struct picture_hop {
	enum family family;
	const char *address;
	const struct next_hop *hop; /* NULL: not observed */
	bool is_silent;             /* it was asked and does not answer */
};

struct picture_gateway {
	const char *name;
	const struct gateway *gateway; /* NULL: not in the document */
	enum life life;
	enum effect effect;    /* the worst that its differences mean for traffic */
	const char *interface; /* "up", "down" or "missing" */
	struct picture_hop hops[FAMILY_COUNT];
	size_t hop_count;
	bool is_silent; /* no next hop answers */
	struct flaws flaws;
	struct tally tally;
	size_t *redirects; /* indices into the picture's */
	size_t redirect_count, redirect_room;
};

struct picture_redirect {
	const char *name;
	const struct redirect *redirect; /* NULL: not in the document */
	enum life life;
	enum effect effect;
	const char *fate; /* what becomes of its connections; "" when they go through the gateway */
	struct flaws flaws; /* of its own; what it shares with others is the picture's */
	struct tally tally;
};

struct picture {
	struct arena arena;
	struct picture_gateway *gateways; /* in the document's order, then what is extra */
	size_t gateway_count, gateway_room;
	struct picture_redirect *redirects; /* likewise, without those that are disabled */
	size_t redirect_count, redirect_room;
	struct flaws flaws; /* that concern all */
	bool is_broken;     /* something is silent, although all is in place */
};

/* Points into the document and the comparison, which outlive it. */
void picture_make(const struct document *document, const struct comparison *comparison,
		  struct picture *picture);
void picture_free(struct picture *picture);

/*
 * Leaves the gateway of that name with its redirects, and the redirect of that name with its
 * gateway; what concerns all stays. 0, or -1 with *error (code "usage"): nothing has that name.
 */
int picture_narrow(struct picture *picture, const char *name, struct error *error);

/* "live", "differs", "missing", "extra". */
const char *life_name(enum life life);

/* What renderers say: as the document wants it and answered; not through the gateway. */
bool picture_is_well(const struct picture_redirect *redirect);
bool picture_goes_elsewhere(const struct picture_redirect *redirect);

/* "not live: is dropped", "idle", and all of it in one sentence. The arena owns the first. */
const char *picture_redirect_words(struct arena *arena, const struct picture_redirect *redirect);
const char *picture_hop_words(const struct picture_hop *hop);
const char *picture_summary(const struct picture *picture, const struct plan *plan);

/* Adds the members "gateways" and "redirects". */
void picture_json(const struct picture *picture, json_t *report);

#endif
