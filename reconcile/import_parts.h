/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the import. A function that returns a reason returns NULL when there is none. */
#ifndef RECONCILE_IMPORT_PARTS_H
#define RECONCILE_IMPORT_PARTS_H

#include "reconcile/box.h"
#include "reconcile/import.h"

/* The way that a connection mark leads to a next hop in one family: steps 3 to 6. */
struct path {
	const struct foreign_rule *convert;
	const struct rule *lookup, *refusal; /* refusal: NULL, or what stands behind the lookup */
	const struct route *route;
	struct mark mark;
};

/* A rule that marks connections, in one family: step 1, or step 2. */
struct caught {
	const struct foreign_rule *rule;
	struct box box; /* step 2: turned round, with the clients as clients */
	bool is_answer; /* step 2 */
	bool is_new;    /* only connections that begin */
	struct path path;
	const struct caught *twin; /* NULL, or the same from an earlier rule */
	const char *why;           /* NULL, or why it is not used */
	size_t gateway, redirect;  /* indices in the document that is made */
};

struct inference {
	const struct state *state;
	const struct foreign *foreign; /* the state's */
	struct import *out;
	struct caught *caught;
	size_t caught_count;
	struct gateway *gateways; /* of the document that is made */
	size_t gateway_count, gateway_room;
};

static inline bool caught_is_used(const struct caught *caught)
{
	return !caught->why && !caught->twin;
}

/* import.c: all of it, up to the document; out->document is made. */
void inference_run(struct inference *in);

/* Whether a connection with that mark gets a packet mark by the rule. */
bool is_convert(const struct foreign_rule *rule, enum family family, const struct mark *mark);

/*
 * import.c: why it is not in the document. NULL: it is, or it does nothing, or
 * the document says the same because of *twin, which is NULL otherwise.
 */
const char *rule_unused(struct inference *in, const struct foreign_rule *rule,
			const struct foreign_rule **twin);
const char *lookup_unused(const struct inference *in, const struct rule *rule,
			  const struct rule **twin);

/* import.c: one is as good as the other. */
bool same_conversion(const struct foreign_rule *a, const struct foreign_rule *b);
bool same_lookup(const struct rule *a, const struct rule *b);

/* import.c: answers to what is not used are not used. */
void answers_judge(struct inference *in);

/* import_box.c: what the rule catches in the family. */
const char *caught_read(struct inference *in, const struct foreign_rule *rule, enum family family,
			struct caught *out);

/* import_path.c: where the rule's mark leads to. */
const char *path_find(struct inference *in, const struct foreign_rule *rule, enum family family,
		      struct path *out);

/* import_document.c: the document of all that is used. What it cannot say is used no more. */
json_t *import_document(struct inference *in);

/* An earlier rule of the chain that keeps packets from this one. */
const char *rule_is_shadowed(struct inference *in, const struct foreign_rule *rule);

/* "ipv4 priority 100" and so on, for people. */
const char *lookup_place(struct arena *arena, const struct rule *rule);
const char *lookup_words(struct arena *arena, const struct rule *rule);
const char *route_words(struct arena *arena, const struct route *route);

#endif
