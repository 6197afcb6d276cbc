/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/packet.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "reconcile/rule_build.h"

enum { JUMPS_MAX = 16 }; /* the kernel's NFT_JUMP_STACK_SIZE */

struct walk {
	const struct nft_table *table;
	struct packet *packet;
	unsigned depth;
};

/* How a rule or a chain ends for a packet. */
enum end { END_NEXT, END_BREAK, END_VERDICT };

struct result {
	enum end end;
	enum verdict verdict;
	const char *chain; /* of a jump or goto */
};

static const struct result next = { .end = END_NEXT };

static void load_number(uint32_t number, uint8_t *key)
{
	memcpy(key, &number, sizeof(number));
}

static bool load_conntrack(const struct packet *packet, enum field field, uint8_t *key)
{
	if (field == FIELD_CT_STATE) {
		load_number(packet->state, key);
		return true;
	}
	if (!packet->tracked)
		return false;
	if (field == FIELD_CT_STATUS)
		load_number(packet->status, key);
	else if (field == FIELD_CT_MARK)
		load_number(packet->connection_mark, key);
	else
		key[0] = packet->direction;
	return true;
}

/* The rule must have made sure that the header is there: the kernel would read another one. */
static void load_address(const struct packet *packet, enum field field, uint8_t *key)
{
	bool is_ipv4 = field == FIELD_IP_SADDR || field == FIELD_IP_DADDR;
	bool is_source = field == FIELD_IP_SADDR || field == FIELD_IP6_SADDR;

	assert_int_equal(packet->family, is_ipv4 ? FAMILY_IPV4 : FAMILY_IPV6);
	memcpy(key, is_source ? packet->saddr : packet->daddr, SPAN_BYTES);
}

static void load_service(const struct packet *packet, uint8_t *key)
{
	struct service service = { packet->protocol, packet->port, packet->port };
	struct span span;

	service_span(&service, &span);
	memcpy(key, span.from, SPAN_BYTES);
}

/* False: the packet has no such field, and the rule ends here. Numbers are in host order. */
static bool load(const struct packet *packet, enum field field, uint8_t key[SPAN_BYTES])
{
	memset(key, 0, SPAN_BYTES);
	switch (field) {
	case FIELD_NFPROTO:
		key[0] = packet->family == FAMILY_IPV4 ? 2 : 10;
		return true;
	case FIELD_L4PROTO:
		key[0] = packet->protocol;
		return true;
	case FIELD_IIFNAME:
		memcpy(key, packet->iif, IFNAME_SIZE);
		return true;
	case FIELD_OIFNAME:
		memcpy(key, packet->oif, IFNAME_SIZE);
		return true;
	case FIELD_META_MARK:
		load_number(packet->mark, key);
		return true;
	case FIELD_CT_STATE:
	case FIELD_CT_STATUS:
	case FIELD_CT_DIRECTION:
	case FIELD_CT_MARK:
		return load_conntrack(packet, field, key);
	case FIELD_IP_SADDR:
	case FIELD_IP_DADDR:
	case FIELD_IP6_SADDR:
	case FIELD_IP6_DADDR:
		load_address(packet, field, key);
		return true;
	case FIELD_TCP_FLAGS:
		assert_int_equal(packet->protocol, IPPROTO_TCP);
		key[0] = packet->tcp_flags;
		return true;
	case FIELD_SCTP_CHUNK:
		assert_int_equal(packet->protocol, IPPROTO_SCTP);
		key[0] = packet->sctp_chunk;
		return true;
	case FIELD_SERVICE:
		load_service(packet, key);
		return true;
	case FIELD_COUNT:
		break;
	}
	fail_msg("field %d is not one of a packet", field);
	return false;
}

static bool is_number(enum field field)
{
	return field == FIELD_META_MARK || field == FIELD_CT_STATE || field == FIELD_CT_STATUS ||
	       field == FIELD_CT_MARK;
}

static bool match_holds(const struct stmt *stmt, const uint8_t *key)
{
	uint32_t number = key[0], wanted = stmt->bytes[0];

	if (is_number(stmt->field)) {
		memcpy(&number, key, sizeof(number));
		wanted = stmt->number;
	} else if (!stmt->mask) {
		return !memcmp(key, stmt->bytes, field_bytes(stmt->field)) != stmt->negate;
	}
	if (stmt->mask)
		number &= stmt->mask;
	return (number == wanted) != stmt->negate;
}

static const struct element *element_find(const struct walk *walk, const char *name,
					  const uint8_t *key)
{
	const struct nft_set *set = nft_set_find(walk->table, name);

	assert_non_null(set);
	for (size_t i = 0; i < set->element_count; i++)
		if (memcmp(set->elements[i].span.from, key, SPAN_BYTES) <= 0 &&
		    memcmp(key, set->elements[i].span.to, SPAN_BYTES) <= 0 &&
		    /* A concatenation holds a key that it holds field by field. */
		    (set->key != KEY_SERVICE || set->elements[i].span.from[4] == key[4]))
			return &set->elements[i];
	return NULL;
}

static struct result test(bool holds)
{
	return holds ? next : (struct result){ .end = END_BREAK };
}

static void mark_set(struct packet *packet, const struct stmt *stmt)
{
	uint32_t *mark = stmt->field == FIELD_CT_MARK ? &packet->connection_mark : &packet->mark;

	if (stmt->field == FIELD_META_MARK || packet->tracked)
		*mark = (*mark & ~stmt->mask) | stmt->number;
}

static void count(struct packet *packet, const struct nft_rule *rule)
{
	if (rule->role != ROLE_MARK)
		return;
	packet->counted_times++;
	assert_int_equal(sscanf(rule->comment, "mark %31s", packet->counted_by), 1);
}

static struct result stmt_run(struct walk *walk, const struct nft_rule *rule,
			      const struct stmt *stmt)
{
	const struct element *element;
	uint8_t key[SPAN_BYTES];

	if (stmt->type <= STMT_VMAP && !load(walk->packet, stmt->field, key))
		return test(false);
	switch (stmt->type) {
	case STMT_MATCH:
		return test(match_holds(stmt, key));
	case STMT_LOOKUP:
		return test((element_find(walk, stmt->name, key) != NULL) != stmt->negate);
	case STMT_VMAP:
		element = element_find(walk, stmt->name, key);
		if (!element)
			return test(false);
		return (struct result){ END_VERDICT, VERDICT_GOTO, element->chain };
	case STMT_MARK:
		mark_set(walk->packet, stmt);
		return next;
	case STMT_COUNTER:
		count(walk->packet, rule);
		return next;
	case STMT_VERDICT:
		return (struct result){ END_VERDICT, stmt->verdict, stmt->name };
	case STMT_OTHER:
		break;
	}
	fail_msg("a statement that is not ours");
	return next;
}

static struct result rule_run(struct walk *walk, const struct nft_rule *rule)
{
	for (size_t i = 0; i < rule->stmt_count; i++) {
		struct result result = stmt_run(walk, rule, &rule->stmts[i]);

		if (result.end != END_NEXT)
			return result;
	}
	return next;
}

/* END_VERDICT with accept or drop, else END_NEXT: back to where the packet came from. */
static struct result chain_run(struct walk *walk, const char *name)
{
	const struct nft_chain *chain = nft_chain_find(walk->table, name);
	struct result inner;

	assert_non_null(chain);
	assert_true(walk->depth < JUMPS_MAX);
	for (size_t i = 0; i < chain->rule_count; i++) {
		struct result result = rule_run(walk, &chain->rules[i]);

		if (result.end != END_VERDICT)
			continue;
		switch (result.verdict) {
		case VERDICT_ACCEPT:
		case VERDICT_DROP:
			return result;
		case VERDICT_RETURN:
			return next;
		case VERDICT_GOTO:
			return chain_run(walk, result.chain);
		case VERDICT_JUMP:
			walk->depth++;
			inner = chain_run(walk, result.chain);
			walk->depth--;
			if (inner.end == END_VERDICT)
				return inner;
		}
	}
	return next;
}

void packet_run(const struct nft_table *table, const char *chain, struct packet *packet)
{
	struct walk walk = { .table = table, .packet = packet };
	struct result result = chain_run(&walk, chain);

	packet->dropped |= result.end == END_VERDICT && result.verdict == VERDICT_DROP;
}
