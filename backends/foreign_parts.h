/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the readers of foreign nft rules share. */
#ifndef BACKENDS_FOREIGN_PARTS_H
#define BACKENDS_FOREIGN_PARTS_H

#include <libnftnl/rule.h>

#include "backends/nft_parts.h"
#include "reconcile/foreign.h"

/* A rule that is being read. */
struct foreign_reading {
	struct arena *arena;
	struct netlink *nl;
	struct foreign_rule *rule;
};

/* foreign_expr.c: expression by expression, as the kernel would run them. */
void foreign_expr_read(struct foreign_reading *reading, struct nftnl_rule *in);

/* foreign_xt.c: the extensions of iptables-nft, by the structs that they share with the kernel. */
void foreign_xt_match(struct foreign_reading *reading, const struct nftnl_expr *expr);
void foreign_xt_target(struct foreign_reading *reading, const struct nftnl_expr *expr);

/* foreign_nft.c: what is in a set of the rule's table, of keys of that size. False: not a plain
 * one. */
bool foreign_set_read(struct foreign_reading *reading, const char *name, size_t bytes,
		      struct spans *out);

/* The only family that the rule is about. False when there are two. */
bool foreign_family(const struct foreign_rule *rule, enum family *family);

/* Adds one more span, of numbers in network byte order. */
void foreign_span_add(struct arena *arena, struct spans *spans, const void *from, const void *to,
		      size_t bytes);

/* The field is from-to, or not. */
void foreign_narrow_range(struct foreign_reading *reading, enum foreign_field field,
			  enum family family, const void *from, const void *to, bool negate);

/* Marks are written by (mark & kept) ^ flip: constant bits, or obscure. */
void foreign_mark(struct foreign_reading *reading, enum foreign_action action, uint32_t kept,
		  uint32_t flip);

#endif
