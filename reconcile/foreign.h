/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What others on the router do with marks, as data: the rules of their chains
 * at the prerouting hook, whoever wrote them.
 */
#ifndef RECONCILE_FOREIGN_H
#define RECONCILE_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reconcile/arena.h"
#include "reconcile/state.h"

enum foreign_action {
	FOREIGN_NOTHING,          /* counts or logs; drops, which no later rule can undo */
	FOREIGN_LEAVES,           /* accepts, returns, jumps: later rules may not be reached */
	FOREIGN_MARKS_CONNECTION, /* connection mark = connection mark & ~mask | value */
	FOREIGN_MARKS_PACKET,     /* likewise */
	FOREIGN_RESTORES,         /* packet mark = packet mark & ~mask | connection mark & value */
	FOREIGN_UNKNOWN,          /* may do any of that */
};

/* Which interfaces a rule is about. */
enum foreign_among { AMONG_ANY, AMONG_THESE, AMONG_OTHERS };

/* (mark & mask) == value, or != when negated; mask 0: whatever the mark is. */
struct foreign_test {
	struct mark mark;
	bool negate;
};

/* Keys of 16, 4 or 16, 1 and 2 bytes. */
enum foreign_field {
	FOREIGN_SOURCE,
	FOREIGN_DESTINATION,
	FOREIGN_PROTOCOL,
	FOREIGN_SPORT,
	FOREIGN_DPORT,
	FOREIGN_FIELD_COUNT
};

/*
 * One rule: all of the conditions hold, then the action. What is not in here is
 * in `obscure`, so that a rule without it is understood in full.
 */
struct foreign_rule {
	struct hand_rule hand;
	bool is_bound; /* it has a set that goes with it, and does not come back */
	size_t hook;   /* rules of one base chain have the same; grows with evaluation */

	bool families[FAMILY_COUNT];
	enum foreign_among among;
	struct spans interfaces;
	bool narrowed[FOREIGN_FIELD_COUNT]; /* else any */
	struct spans addresses[FOREIGN_DESTINATION + 1][FAMILY_COUNT];
	struct spans numbers[FOREIGN_FIELD_COUNT]; /* from FOREIGN_PROTOCOL on */
	struct foreign_test connection, packet;
	bool is_new; /* conntrack has not seen an answer */

	enum foreign_action action;
	struct mark mark;
	const char *obscure; /* what was not understood, in words; "" when all was */
};

/* A rule of iptables-legacy that writes marks; only that program can show it in full. */
struct legacy_rule {
	const char *place, *found, *remedy;
};

struct foreign {
	struct arena *arena;        /* of the state */
	struct foreign_rule *rules; /* in the order of evaluation */
	size_t rule_count, rule_room;
	struct legacy_rule *legacy;
	size_t legacy_count, legacy_room;
};

/* Adds a condition: the field is in the spans, or not. Normalizes and uses up the spans. */
void foreign_narrow(struct arena *arena, struct foreign_rule *rule, enum foreign_field field,
		    enum family family, struct spans *spans, bool negate);
void foreign_narrow_interfaces(struct arena *arena, struct foreign_rule *rule, struct spans *names,
			       bool negate);
void foreign_test(struct arena *arena, struct foreign_rule *rule, struct foreign_test *test,
		  struct foreign_test wanted);

/* The rule does one thing more; of two that count, neither is understood. */
void foreign_act(struct arena *arena, struct foreign_rule *rule, enum foreign_action action,
		 struct mark mark);

/* The rule has a part that is not understood. */
void foreign_obscure(struct arena *arena, struct foreign_rule *rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether no packet can match both. False when that cannot be told. */
bool foreign_disjoint(const struct foreign_rule *a, const struct foreign_rule *b);

/* The rule in the words of nft(8), as far as it was understood. The arena owns the text. */
const char *foreign_words(struct arena *arena, const struct foreign_rule *rule);

/* Bytes of a field's keys. */
size_t foreign_bytes(enum foreign_field field, enum family family);

#endif
