/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/rule_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct nft_chain *chain_build(struct arena *arena, struct nft_table *table, const char *name)
{
	struct nft_chain *chain =
		ARENA_PUSH(arena, table->chains, table->chain_count, table->chain_room);

	chain->name = name;
	return chain;
}

struct nft_chain *chain_named(const struct nft_table *table, const char *prefix, const char *name)
{
	size_t length = strlen(prefix);
	size_t i = table->chain_count;

	while (i-- > 0)
		if (!strncmp(table->chains[i].name, prefix, length) &&
		    !strcmp(table->chains[i].name + length, name))
			return &table->chains[i];
	return NULL;
}

struct nft_set *set_build(struct arena *arena, struct nft_table *table, const char *name,
			  enum key_type key, bool is_map)
{
	struct nft_set *set = ARENA_PUSH(arena, table->sets, table->set_count, table->set_room);

	set->name = name;
	set->key = key;
	set->is_map = is_map;
	return set;
}

struct nft_rule *rule_build(struct arena *arena, struct nft_chain *chain, enum role role,
			    const char *format, ...)
{
	struct nft_rule *rule =
		ARENA_PUSH(arena, chain->rules, chain->rule_count, chain->rule_room);
	char words[NFT_COMMENT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	rule->role = role;
	rule->comment = arena_printf(arena, "%s %s", role_name(role), words);
	return rule;
}

static struct stmt *stmt_build(struct arena *arena, struct nft_rule *rule, enum stmt_type type,
			       enum field field)
{
	struct stmt *stmt = ARENA_PUSH(arena, rule->stmts, rule->stmt_count, rule->stmt_room);

	stmt->type = type;
	stmt->field = field;
	return stmt;
}

void stmt_match(struct arena *arena, struct nft_rule *rule, enum field field, uint32_t mask,
		uint32_t value, bool negate)
{
	struct stmt *stmt = stmt_build(arena, rule, STMT_MATCH, field);

	stmt->mask = mask == UINT32_MAX ? 0 : mask;
	stmt->number = value;
	stmt->negate = negate;
}

void stmt_match_byte(struct arena *arena, struct nft_rule *rule, enum field field, uint8_t mask,
		     uint8_t value, bool negate)
{
	struct stmt *stmt = stmt_build(arena, rule, STMT_MATCH, field);

	stmt->mask = mask;
	stmt->bytes[0] = value;
	stmt->negate = negate;
}

void stmt_match_name(struct arena *arena, struct nft_rule *rule, enum field field, const char *name,
		     bool negate)
{
	struct stmt *stmt = stmt_build(arena, rule, STMT_MATCH, field);

	memcpy(stmt->bytes, name, strnlen(name, IFNAME_SIZE - 1));
	stmt->negate = negate;
}

void stmt_lookup(struct arena *arena, struct nft_rule *rule, enum field field, const char *set,
		 bool negate)
{
	struct stmt *stmt = stmt_build(arena, rule, STMT_LOOKUP, field);

	stmt->name = set;
	stmt->negate = negate;
}

void stmt_vmap(struct arena *arena, struct nft_rule *rule, enum field field, const char *map)
{
	bool is_ipv4 = field == FIELD_IP_SADDR || field == FIELD_IP_DADDR;
	bool is_ipv6 = field == FIELD_IP6_SADDR || field == FIELD_IP6_DADDR;

	if (is_ipv4 || is_ipv6)
		stmt_match_byte(arena, rule, FIELD_NFPROTO, 0,
				family_nfproto(is_ipv4 ? FAMILY_IPV4 : FAMILY_IPV6), false);
	stmt_build(arena, rule, STMT_VMAP, field)->name = map;
}

void stmt_mark(struct arena *arena, struct nft_rule *rule, enum field field, uint32_t mask,
	       uint32_t value)
{
	struct stmt *stmt = stmt_build(arena, rule, STMT_MARK, field);

	stmt->mask = mask;
	stmt->number = value;
}

void stmt_counter(struct arena *arena, struct nft_rule *rule)
{
	stmt_build(arena, rule, STMT_COUNTER, FIELD_COUNT);
}

void stmt_verdict(struct arena *arena, struct nft_rule *rule, enum verdict verdict,
		  const char *chain)
{
	struct stmt *stmt = stmt_build(arena, rule, STMT_VERDICT, FIELD_COUNT);

	stmt->verdict = verdict;
	stmt->name = chain;
}

static void service_key(uint8_t protocol, uint16_t port, uint8_t key[SPAN_BYTES])
{
	memset(key, 0, SPAN_BYTES);
	key[0] = port >> 8;
	key[1] = port & 0xff;
	key[4] = protocol;
}

void service_span(const struct service *service, struct span *span)
{
	service_key(service->protocol, service->from, span->from);
	service_key(service->protocol, service->to, span->to);
}
