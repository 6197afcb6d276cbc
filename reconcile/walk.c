/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/walk.h"

#include <netinet/in.h>
#include <string.h>

#include "reconcile/rule_build.h"

enum { JUMPS_MAX = 16 }; /* the kernel's NFT_JUMP_STACK_SIZE */

struct walker {
	struct arena *arena;
	const struct nft_table *table;
	struct packet *packet;
	struct walk *out;
	unsigned depth;
};

/* How a statement, a rule or a chain ends for a packet. */
enum end { END_NEXT, END_BREAK, END_VERDICT, END_UNKNOWN };

struct result {
	enum end end;
	enum verdict verdict;
	const char *chain; /* of a jump or goto */
};

static const struct result next = { .end = END_NEXT }, broken = { .end = END_BREAK },
			   unknown = { .end = END_UNKNOWN };

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

static void load_address(const struct packet *packet, enum field field, uint8_t *key)
{
	bool is_source = field == FIELD_IP_SADDR || field == FIELD_IP6_SADDR;

	memcpy(key, is_source ? packet->saddr : packet->daddr, SPAN_BYTES);
}

static void load_service(const struct packet *packet, uint8_t *key)
{
	struct service service = { packet->protocol, packet->port, packet->port };
	struct span span;

	service_span(&service, &span);
	memcpy(key, span.from, SPAN_BYTES);
}

/* Without that protocol the rule would read bytes of something else. */
static bool has_header(const struct packet *packet, enum field field)
{
	bool reads_ipv4 = field == FIELD_IP_SADDR || field == FIELD_IP_DADDR;
	bool reads_ipv6 = field == FIELD_IP6_SADDR || field == FIELD_IP6_DADDR;

	if (reads_ipv4 || reads_ipv6)
		return packet->family == (reads_ipv4 ? FAMILY_IPV4 : FAMILY_IPV6);
	if (field == FIELD_TCP_FLAGS)
		return packet->protocol == IPPROTO_TCP;
	return field != FIELD_SCTP_CHUNK || packet->protocol == IPPROTO_SCTP;
}

/* False: the packet has no such field, and the rule ends here. Numbers are in host order. */
static bool load(const struct packet *packet, enum field field, uint8_t key[SPAN_BYTES])
{
	memset(key, 0, SPAN_BYTES);
	switch (field) {
	case FIELD_NFPROTO:
		key[0] = family_nfproto(packet->family);
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
		key[0] = packet->tcp_flags;
		return true;
	case FIELD_SCTP_CHUNK:
		key[0] = packet->sctp_chunk;
		return true;
	case FIELD_SERVICE:
		load_service(packet, key);
		return true;
	case FIELD_COUNT:
		break;
	}
	return false;
}

static bool match_holds(const struct stmt *stmt, const uint8_t *key)
{
	uint32_t number = key[0], wanted = stmt->bytes[0];

	if (field_is_number(stmt->field)) {
		memcpy(&number, key, sizeof(number));
		wanted = stmt->number;
	} else if (!stmt->mask) {
		return !memcmp(key, stmt->bytes, field_bytes(stmt->field)) != stmt->negate;
	}
	if (stmt->mask)
		number &= stmt->mask;
	return (number == wanted) != stmt->negate;
}

/* A concatenation holds a key that it holds field by field: port, then protocol. */
static bool span_holds(enum key_type type, const struct span *span, const uint8_t *key)
{
	if (type == KEY_SERVICE && (key[4] < span->from[4] || key[4] > span->to[4]))
		return false;
	return memcmp(span->from, key, type == KEY_SERVICE ? 2 : SPAN_BYTES) <= 0 &&
	       memcmp(key, span->to, type == KEY_SERVICE ? 2 : SPAN_BYTES) <= 0;
}

static const struct element *element_find(const struct nft_set *set, const uint8_t *key)
{
	for (size_t i = 0; i < set->element_count; i++)
		if (span_holds(set->key, &set->elements[i].span, key))
			return &set->elements[i];
	return NULL;
}

static void mark_set(struct packet *packet, const struct stmt *stmt)
{
	uint32_t *mark = stmt->field == FIELD_CT_MARK ? &packet->connection_mark : &packet->mark;

	if (stmt->field == FIELD_META_MARK || packet->tracked)
		*mark = (*mark & ~stmt->mask) | stmt->number;
}

/* The walk ends in this rule. */
static struct result give_up(struct walker *walker, const struct walk_step *step, const char *what)
{
	walker->out->unknown =
		arena_printf(walker->arena, "chain %s, rule \"%s\": %s", step->chain->name,
			     nft_rule_format(walker->arena, step->rule), what);
	return unknown;
}

static struct result lookup_run(struct walker *walker, struct walk_step *step,
				const struct stmt *stmt, const uint8_t *key)
{
	const struct nft_set *set = nft_set_find(walker->table, stmt->name);

	/* Anonymous sets, and those that are unlike ours, are not read. */
	if (!set || set->foreign_flags)
		return give_up(walker, step, "the set that it looks into is not one of detour's");
	step->element = element_find(set, key);
	if (stmt->type == STMT_LOOKUP)
		return (step->element != NULL) != stmt->negate ? next : broken;
	if (!step->element)
		return broken;
	if (step->element->foreign_verdict || !step->element->chain)
		return give_up(walker, step, "the element that it finds has a foreign verdict");
	return (struct result){ END_VERDICT, VERDICT_GOTO, step->element->chain };
}

static struct result stmt_run(struct walker *walker, struct walk_step *step,
			      const struct stmt *stmt)
{
	uint8_t key[SPAN_BYTES];

	if (stmt->type <= STMT_VMAP && !has_header(walker->packet, stmt->field))
		return give_up(walker, step, "it reads a header that the packet does not have");
	if (stmt->type <= STMT_VMAP && !load(walker->packet, stmt->field, key))
		return broken;
	switch (stmt->type) {
	case STMT_MATCH:
		return match_holds(stmt, key) ? next : broken;
	case STMT_LOOKUP:
	case STMT_VMAP:
		return lookup_run(walker, step, stmt, key);
	case STMT_MARK:
		mark_set(walker->packet, stmt);
		return next;
	case STMT_COUNTER:
		return next;
	case STMT_VERDICT:
		return (struct result){ END_VERDICT, stmt->verdict, stmt->name };
	case STMT_OTHER:
		break;
	}
	return give_up(walker, step, "it is not one of detour's");
}

static struct result rule_run(struct walker *walker, const struct nft_chain *chain,
			      const struct nft_rule *rule)
{
	struct walk *out = walker->out;
	struct walk_step *step =
		ARENA_PUSH(walker->arena, out->steps, out->step_count, out->step_room);
	struct result result = next;

	step->chain = chain;
	step->rule = rule;
	for (size_t i = 0; i < rule->stmt_count && result.end == END_NEXT; i++) {
		step->stmt = &rule->stmts[i];
		result = stmt_run(walker, step, step->stmt);
	}
	step->held = result.end == END_NEXT || result.end == END_VERDICT;
	return result;
}

static struct result chain_run(struct walker *walker, const struct nft_chain *chain);

/* NULL is a chain that was not read: nft(8) makes anonymous ones. */
static struct result jump(struct walker *walker, const char *name)
{
	const struct nft_chain *chain = nft_chain_find(walker->table, name);

	if (chain && walker->depth < JUMPS_MAX)
		return chain_run(walker, chain);
	walker->out->unknown = arena_printf(walker->arena, "chain %s: it cannot be read", name);
	return unknown;
}

/* Ends the walk, or END_NEXT: back to where the packet came from. */
static struct result chain_run(struct walker *walker, const struct nft_chain *chain)
{
	struct result inner;

	for (size_t i = 0; i < chain->rule_count; i++) {
		struct result result = rule_run(walker, chain, &chain->rules[i]);

		if (result.end == END_UNKNOWN)
			return result;
		if (result.end != END_VERDICT)
			continue;
		switch (result.verdict) {
		case VERDICT_ACCEPT:
		case VERDICT_DROP:
			return result;
		case VERDICT_RETURN:
			return next;
		case VERDICT_GOTO:
			return jump(walker, result.chain);
		case VERDICT_JUMP:
			walker->depth++;
			inner = jump(walker, result.chain);
			walker->depth--;
			if (inner.end != END_NEXT)
				return inner;
		}
	}
	return next;
}

/* False: the packet goes no further, or nobody knows. */
static bool base_chain_run(struct walker *walker, const struct nft_chain *chain)
{
	struct walk *out = walker->out;
	struct result result;

	if (!chain->is_filter) {
		out->unknown = arena_printf(walker->arena, "chain %s: it is not of type filter",
					    chain->name);
		return false;
	}
	result = chain_run(walker, chain);
	if (result.end == END_UNKNOWN)
		return false;
	if (result.end == END_NEXT && chain->drops)
		out->policy = chain;
	out->dropped = out->policy || (result.end == END_VERDICT && result.verdict == VERDICT_DROP);
	return !out->dropped;
}

/* The next one behind `last` by priority, then by name; NULL at the end. */
static const struct nft_chain *base_chain_after(const struct nft_table *table, enum hook hook,
						const struct nft_chain *last)
{
	const struct nft_chain *found = NULL;

	for (size_t i = 0; i < table->chain_count; i++) {
		const struct nft_chain *chain = &table->chains[i];

		if (chain->hook != hook ||
		    (last && (chain->priority < last->priority ||
			      (chain->priority == last->priority && chain <= last))))
			continue;
		if (!found || chain->priority < found->priority)
			found = chain;
	}
	return found;
}

void walk_hook(struct arena *arena, const struct nft_table *table, enum hook hook,
	       struct packet *packet, struct walk *out)
{
	struct walker walker = { .arena = arena, .table = table, .packet = packet, .out = out };
	const struct nft_chain *chain = NULL;

	*out = (struct walk){ 0 };
	if (table->is_dormant)
		return;
	do
		chain = base_chain_after(table, hook, chain);
	while (chain && base_chain_run(&walker, chain));
}

const struct walk_step *walk_held(const struct walk *walk, enum role role)
{
	for (size_t i = walk->step_count; i-- > 0;)
		if (walk->steps[i].held && walk->steps[i].rule->role == role)
			return &walk->steps[i];
	return NULL;
}
