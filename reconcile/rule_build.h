/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building chains, sets and rules, one statement after another. Pointers to
 * chains and sets are good until the next chain or set is built. Names are
 * kept, not copied.
 */
#ifndef RECONCILE_RULE_BUILD_H
#define RECONCILE_RULE_BUILD_H

#include "reconcile/nft.h"

struct nft_chain *chain_build(struct arena *arena, struct nft_table *table, const char *name);

/* The chain built last whose name is prefix + name. There must be one. */
struct nft_chain *chain_named(const struct nft_table *table, const char *prefix, const char *name);

struct nft_set *set_build(struct arena *arena, struct nft_table *table, const char *name,
			  enum key_type key, bool is_map);

/* A rule at the end of the chain; its comment is the role's name and the formatted words. */
struct nft_rule *rule_build(struct arena *arena, struct nft_chain *chain, enum role role,
			    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* (field & mask) == or != value; with the full mask, the field itself. */
void stmt_match(struct arena *arena, struct nft_rule *rule, enum field field, uint32_t mask,
		uint32_t value, bool negate);

/* The same for fields of one byte; mask 0 means the field itself. */
void stmt_match_byte(struct arena *arena, struct nft_rule *rule, enum field field, uint8_t mask,
		     uint8_t value, bool negate);
void stmt_match_name(struct arena *arena, struct nft_rule *rule, enum field field, const char *name,
		     bool negate);
void stmt_lookup(struct arena *arena, struct nft_rule *rule, enum field field, const char *set,
		 bool negate);
/* Behind a match of the address's family, without which nft(8) does not print its name. */
void stmt_vmap(struct arena *arena, struct nft_rule *rule, enum field field, const char *map);

/* The bits of mask become value, the others stay. */
void stmt_mark(struct arena *arena, struct nft_rule *rule, enum field field, uint32_t mask,
	       uint32_t value);
void stmt_counter(struct arena *arena, struct nft_rule *rule);
void stmt_verdict(struct arena *arena, struct nft_rule *rule, enum verdict verdict,
		  const char *chain);

/* The key of span.h for a service. */
void service_span(const struct service *service, struct span *span);

#endif
