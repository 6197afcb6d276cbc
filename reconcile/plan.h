/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan: the fewest steps that lead from what is to what should be, in the
 * order in which they are applied. A plan is data: it is printed, saved,
 * compared in tests, and executed by a backend that it knows nothing about.
 */
#ifndef RECONCILE_PLAN_H
#define RECONCILE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "reconcile/arena.h"
#include "reconcile/state.h"

/* In the order of creation; removal is the reverse. Report words: kind_name(). */
enum kind {
	KIND_RT_TABLE,
	KIND_RP_FILTER,
	KIND_ROUTE,
	KIND_RULE,
	KIND_NFT_TABLE,
	KIND_NFT_CHAIN,
	KIND_NFT_SET,
	KIND_NFT_ELEMENT,
	KIND_NFT_RULE,
	KIND_HAND_RULE, /* in a chain of somebody else's */
	KIND_COUNT
};

enum action { ACTION_CREATE, ACTION_UPDATE, ACTION_MOVE, ACTION_DELETE };
enum drift { DRIFT_MISSING, DRIFT_CHANGED, DRIFT_MISORDERED, DRIFT_EXTRA };

/* Worst last, so that the worst is the maximum. */
enum effect { EFFECT_NONE, EFFECT_EXPOSED, EFFECT_OUTAGE, EFFECT_LEAK };

/*
 * One step. before is NULL for a create, after is NULL for a delete; which
 * type they have, kind says: struct rt_table, rp_filter, route, rule, nft_chain
 * (without its rules, which are steps of their own), nft_set (without its
 * elements), nft_rule, hand_rule. For KIND_NFT_TABLE both are NULL. For KIND_NFT_ELEMENT
 * they are arrays of `count` struct element. The states own what is pointed to.
 */
struct step {
	enum action action;
	enum drift drift;
	enum kind kind;
	enum effect effect;
	const void *before, *after;
	size_t count;              /* elements; 1 otherwise */
	const char *container;     /* the chain of a rule, the set of elements */
	const struct nft_set *set; /* of elements: its key and whether it is a map */
	/* A rule that is created or moved stands before this live rule; NULL: at the end. */
	const struct nft_rule *successor;
	const char *object;     /* what it is about, for people and reports */
	const char *gateway;    /* NULL when it belongs to none */
	const char **redirects; /* names; those whose traffic it concerns */
	size_t redirect_count;
	const char *why;
	/* NULL, or why it cannot be done yet (interface missing, next hop not on-link). */
	const char *waits;
};

/* A foreign object that stands where one of ours should. */
struct conflict {
	enum kind kind;
	const char *object, *found, *wanted, *hint;
};

struct warning {
	const char *code;
	bool fatal; /* as long as it is so, a redirect certainly does not work */
	const char *message, *hint;
};

struct plan {
	struct arena arena;
	struct step *steps;
	size_t step_count, step_room;
	struct conflict *conflicts;
	size_t conflict_count, conflict_room;
	struct warning *warnings;
	size_t warning_count, warning_room;
	enum effect effect; /* the worst of the steps */
	bool is_by_hand;    /* the observed state's */
	/*
	 * Marks that no gateway uses any longer. The conntrack entries that
	 * bear them are deleted before step number forget_at, so that no old
	 * bits send a connection to the wrong box; until then the rules that
	 * honour the old mark stand beside the new ones.
	 */
	struct mark *retired;
	size_t retired_count, retired_room;
	size_t forget_at;
};

/*
 * Our table as it was observed, and the steps of the one transaction that we
 * have committed since. As long as the ruleset's generation shows no other, a
 * set that none of the steps touches holds what it held.
 */
struct since {
	const struct nft_table *table;
	const struct step *steps;
	size_t step_count;
};

/* Whether a step creates, changes or deletes the set or an element of it, or the table. */
bool steps_touch_set(const struct step *steps, size_t count, const char *set);

/*
 * Compares. The states and the document outlive the plan, which points into
 * them. The document says whom a difference concerns; it is empty when a state
 * is restored.
 */
void plan_build(const struct document *document, const struct state *desired,
		const struct state *observed, struct plan *plan);
void plan_free(struct plan *plan);

/* Steps that can be done now; the rest waits for an interface or a next hop. */
size_t plan_ready_count(const struct plan *plan);

/* Empty: nothing to do and nothing in the way. */
bool plan_in_sync(const struct plan *plan);

/* The first fatal warning, or NULL. */
const struct warning *plan_fatal(const struct plan *plan);

const char *kind_name(enum kind kind);
const char *action_name(enum action action);
const char *drift_name(enum drift drift);
const char *effect_name(enum effect effect);

#endif
