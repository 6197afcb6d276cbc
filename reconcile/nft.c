/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/nft.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/hex.h"
#include "reconcile/sort.h"

/* linux/netfilter.h */
enum { NFPROTO_IPV4 = 2, NFPROTO_IPV6 = 10 };

/* A value that nft(8) prints as a word; a flag is one bit. */
struct word {
	uint32_t value;
	const char *name;
};

static const struct word nfproto_words[] = { { NFPROTO_IPV4, "ipv4" },
					     { NFPROTO_IPV6, "ipv6" },
					     { 0, NULL } };
static const struct word direction_words[] = { { 0, "original" }, { 1, "reply" }, { 0, NULL } };
static const struct word l4proto_words[] = {
	{ IPPROTO_TCP, "tcp" }, { IPPROTO_UDP, "udp" }, { IPPROTO_SCTP, "sctp" }, { 0, NULL }
};
static const struct word state_flags[] = {
	{ CT_STATE_INVALID, "invalid" },     { CT_STATE_ESTABLISHED, "established" },
	{ CT_STATE_RELATED, "related" },     { CT_STATE_NEW, "new" },
	{ CT_STATE_UNTRACKED, "untracked" }, { 0, NULL }
};
static const struct word status_flags[] = {
	{ 0x01, "expected" }, { 0x02, "seen-reply" },
	{ 0x04, "assured" },  { CT_STATUS_CONFIRMED, "confirmed" },
	{ 0x10, "snat" },     { 0x20, "dnat" },
	{ 0x200, "dying" },   { 0, NULL }
};
static const struct word tcp_flags[] = {
	{ 0x01, "fin" }, { 0x02, "syn" }, { 0x04, "rst" }, { 0x08, "psh" }, { 0x10, "ack" },
	{ 0x20, "urg" }, { 0x40, "ecn" }, { 0x80, "cwr" }, { 0, NULL },
};

enum style {
	STYLE_WORD,
	STYLE_FLAGS,
	STYLE_MARK,
	STYLE_HEX,
	STYLE_IFNAME,
	STYLE_IP,
	STYLE_SERVICE
};

/* needs: without this protocol (in the field `layer`) a packet does not have the field. */
static const struct {
	const char *name;
	size_t bytes;
	enum style style;
	const struct word *words;
	enum field layer;
	uint8_t needs;
} fields[FIELD_COUNT] = {
	[FIELD_NFPROTO] = { "meta nfproto", 1, STYLE_WORD, nfproto_words, 0, 0 },
	[FIELD_L4PROTO] = { "meta l4proto", 1, STYLE_WORD, l4proto_words, 0, 0 },
	[FIELD_IIFNAME] = { "iifname", 16, STYLE_IFNAME, NULL, 0, 0 },
	[FIELD_OIFNAME] = { "oifname", 16, STYLE_IFNAME, NULL, 0, 0 },
	[FIELD_META_MARK] = { "meta mark", 4, STYLE_MARK, NULL, 0, 0 },
	[FIELD_CT_STATE] = { "ct state", 4, STYLE_FLAGS, state_flags, 0, 0 },
	[FIELD_CT_STATUS] = { "ct status", 4, STYLE_FLAGS, status_flags, 0, 0 },
	[FIELD_CT_DIRECTION] = { "ct direction", 1, STYLE_WORD, direction_words, 0, 0 },
	[FIELD_CT_MARK] = { "ct mark", 4, STYLE_MARK, NULL, 0, 0 },
	[FIELD_IP_SADDR] = { "ip saddr", 4, STYLE_IP, NULL, FIELD_NFPROTO, NFPROTO_IPV4 },
	[FIELD_IP_DADDR] = { "ip daddr", 4, STYLE_IP, NULL, FIELD_NFPROTO, NFPROTO_IPV4 },
	[FIELD_IP6_SADDR] = { "ip6 saddr", 16, STYLE_IP, NULL, FIELD_NFPROTO, NFPROTO_IPV6 },
	[FIELD_IP6_DADDR] = { "ip6 daddr", 16, STYLE_IP, NULL, FIELD_NFPROTO, NFPROTO_IPV6 },
	[FIELD_TCP_FLAGS] = { "tcp flags", 1, STYLE_FLAGS, tcp_flags, FIELD_L4PROTO, IPPROTO_TCP },
	[FIELD_SCTP_CHUNK] = { "@th,96,8", 1, STYLE_HEX, NULL, 0, 0 },
	[FIELD_SERVICE] = { "th dport . meta l4proto", 8, STYLE_SERVICE, NULL, 0, 0 },
};

static const char *const roles[ROLE_COUNT] = {
	[ROLE_NONE] = "",         [ROLE_CLEAR] = "clear",     [ROLE_DISPATCH] = "dispatch",
	[ROLE_SELECT] = "select", [ROLE_TAKE] = "take",       [ROLE_REFUSE] = "refuse",
	[ROLE_KEEP] = "keep",     [ROLE_ANSWER] = "answer",   [ROLE_MARK] = "mark",
	[ROLE_PASS] = "pass",     [ROLE_CONVERT] = "convert", [ROLE_GUARD] = "guard",
};

static const char *const verdicts[] = {
	[VERDICT_ACCEPT] = "accept", [VERDICT_DROP] = "drop", [VERDICT_RETURN] = "return",
	[VERDICT_JUMP] = "jump",     [VERDICT_GOTO] = "goto",
};

size_t field_bytes(enum field field)
{
	return fields[field].bytes;
}

bool field_is_number(enum field field)
{
	return fields[field].bytes == sizeof(uint32_t) && fields[field].style != STYLE_IP;
}

uint8_t family_nfproto(enum family family)
{
	return family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

size_t key_bytes(enum key_type key)
{
	static const size_t bytes[] = {
		[KEY_IPV4] = 4,    [KEY_IPV6] = 16,  [KEY_IFNAME] = 16,
		[KEY_SERVICE] = 8, [KEY_OTHER] = 16,
	};

	return bytes[key];
}

const char *role_name(enum role role)
{
	return roles[role];
}

const char *nft_rule_subject(struct arena *arena, const struct nft_rule *rule)
{
	const char *from = strchr(rule->comment, ' ');
	size_t length = from ? strcspn(from + 1, " ") : 0;

	return from ? arena_printf(arena, "%.*s", (int)length, from + 1) : "";
}

bool nft_rule_mark(const struct nft_rule *rule, struct mark *mark)
{
	for (size_t i = 0; i < rule->stmt_count; i++) {
		const struct stmt *stmt = &rule->stmts[i];

		if (stmt->type != STMT_MATCH || stmt->field != FIELD_CT_MARK)
			continue;
		*mark = (struct mark){ stmt->number, stmt->mask ? stmt->mask : UINT32_MAX };
		return true;
	}
	return false;
}

const struct stmt *nft_rule_counter(const struct nft_rule *rule)
{
	const struct stmt *counter = NULL;

	for (size_t i = 0; i < rule->stmt_count; i++) {
		if (rule->stmts[i].type != STMT_COUNTER)
			continue;
		if (counter)
			return NULL;
		counter = &rule->stmts[i];
	}
	return counter;
}

enum role role_of_comment(const char *comment)
{
	size_t length = strcspn(comment, " ");

	for (enum role role = ROLE_NONE + 1; role < ROLE_COUNT; role++)
		if (strlen(roles[role]) == length && memcmp(roles[role], comment, length) == 0)
			return role;
	return ROLE_NONE;
}

static int chain_compare(const void *a, const void *b)
{
	const struct nft_chain *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static int set_compare(const void *a, const void *b)
{
	const struct nft_set *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static int element_compare(const void *a, const void *b)
{
	const struct element *left = a, *right = b;

	return memcmp(&left->span, &right->span, sizeof(left->span));
}

struct nft_chain *nft_chain_find(const struct nft_table *table, const char *name)
{
	const struct nft_chain key = { .name = name };

	if (table->chain_count == 0)
		return NULL;
	return bsearch(&key, table->chains, table->chain_count, sizeof(key), chain_compare);
}

struct nft_set *nft_set_find(const struct nft_table *table, const char *name)
{
	const struct nft_set key = { .name = name };

	if (table->set_count == 0)
		return NULL;
	return bsearch(&key, table->sets, table->set_count, sizeof(key), set_compare);
}

void nft_table_sort(struct nft_table *table)
{
	sort(table->chains, table->chain_count, sizeof(*table->chains), chain_compare);
	sort(table->sets, table->set_count, sizeof(*table->sets), set_compare);
	for (size_t i = 0; i < table->set_count; i++)
		sort(table->sets[i].elements, table->sets[i].element_count, sizeof(struct element),
		     element_compare);
}

/* No mask says the same as a mask of all bits. */
static uint32_t mask_of(const struct stmt *match)
{
	return match->mask ? match->mask : UINT32_MAX;
}

static bool match_equal(const struct stmt *a, const struct stmt *b)
{
	if (a->field != b->field || a->negate != b->negate || mask_of(a) != mask_of(b))
		return false;
	if (field_is_number(a->field))
		return a->number == b->number;
	return memcmp(a->bytes, b->bytes, field_bytes(a->field)) == 0;
}

static bool verdict_equal(const struct stmt *a, const struct stmt *b)
{
	bool has_chain = a->verdict == VERDICT_JUMP || a->verdict == VERDICT_GOTO;

	return a->verdict == b->verdict && (!has_chain || strcmp(a->name, b->name) == 0);
}

bool nft_stmt_equal(const struct stmt *a, const struct stmt *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case STMT_MATCH:
		return match_equal(a, b);
	case STMT_LOOKUP:
		return a->field == b->field && a->negate == b->negate &&
		       strcmp(a->name, b->name) == 0;
	case STMT_VMAP:
		return a->field == b->field && strcmp(a->name, b->name) == 0;
	case STMT_MARK:
		return a->field == b->field && a->mask == b->mask && a->number == b->number;
	case STMT_COUNTER:
		return true;
	case STMT_VERDICT:
		return verdict_equal(a, b);
	case STMT_OTHER:
		return false;
	}
	return false;
}

bool nft_rule_equal(const struct nft_rule *a, const struct nft_rule *b)
{
	if (a->stmt_count != b->stmt_count || strcmp(a->comment, b->comment) != 0)
		return false;
	/* Both as the kernel showed them: a rollback asks whether such a rule is back. */
	if (a->raw && b->raw)
		return a->raw_size == b->raw_size && !memcmp(a->raw, b->raw, a->raw_size);
	for (size_t i = 0; i < a->stmt_count; i++)
		if (!nft_stmt_equal(&a->stmts[i], &b->stmts[i]))
			return false;
	return true;
}

static const char *word_format(struct arena *arena, const struct word *words, uint32_t value)
{
	for (; words->name; words++)
		if (words->value == value)
			return words->name;
	return arena_printf(arena, "%u", value);
}

/* "fin,syn" in the order of the bits; what has no name is a hexadecimal rest. */
static const char *flags_format(struct arena *arena, const struct word *words, uint32_t flags)
{
	const char *text = "";

	for (; words->name; words++) {
		if (!(flags & words->value))
			continue;
		text = arena_printf(arena, "%s%s%s", text, *text ? "," : "", words->name);
		flags &= ~words->value;
	}
	if (flags || !*text)
		text = arena_printf(arena, "%s%s0x%x", text, *text ? "," : "", flags);
	return text;
}

static const char *ip_format(struct arena *arena, const uint8_t *address, size_t bytes)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(bytes == 4 ? AF_INET : AF_INET6, address, text, sizeof(text));
	return arena_strdup(arena, text);
}

/* key: as in span.h. */
static const char *service_key_format(struct arena *arena, const uint8_t *from, const uint8_t *to)
{
	unsigned first = from[0] << 8 | from[1], last = to[0] << 8 | to[1];
	const char *protocol = word_format(arena, l4proto_words, from[4]);

	if (first == last)
		return arena_printf(arena, "%u . %s", first, protocol);
	return arena_printf(arena, "%u-%u . %s", first, last, protocol);
}

static uint32_t stmt_number(const struct stmt *stmt)
{
	return field_is_number(stmt->field) ? stmt->number : stmt->bytes[0];
}

static const char *value_format(struct arena *arena, const struct stmt *stmt)
{
	const struct word *words = fields[stmt->field].words;

	switch (fields[stmt->field].style) {
	case STYLE_WORD:
		return word_format(arena, words, stmt->bytes[0]);
	case STYLE_FLAGS:
		return flags_format(arena, words, stmt_number(stmt));
	case STYLE_MARK:
		return arena_printf(arena, "0x%08x", stmt->number);
	case STYLE_HEX:
		return arena_printf(arena, "0x%x", stmt->bytes[0]);
	case STYLE_IFNAME:
		return arena_printf(arena, "\"%.16s\"", (const char *)stmt->bytes);
	case STYLE_IP:
		return ip_format(arena, stmt->bytes, field_bytes(stmt->field));
	case STYLE_SERVICE:
		return service_key_format(arena, stmt->bytes, stmt->bytes);
	}
	return "";
}

/* "ct state new", "ct status ! confirmed", "tcp flags != syn / fin,syn,rst,ack" */
static const char *masked_flags_format(struct arena *arena, const struct stmt *stmt)
{
	const char *name = fields[stmt->field].name;
	const char *mask = flags_format(arena, fields[stmt->field].words, stmt->mask);

	if (stmt_number(stmt) == 0)
		return arena_printf(arena, "%s %s%s", name, stmt->negate ? "" : "! ", mask);
	return arena_printf(arena, "%s %s%s / %s", name, stmt->negate ? "!= " : "",
			    value_format(arena, stmt), mask);
}

static const char *match_format(struct arena *arena, const struct stmt *stmt)
{
	const char *name = fields[stmt->field].name;
	bool is_flags = fields[stmt->field].style == STYLE_FLAGS;
	const char *value = value_format(arena, stmt);
	/* Without an operator, nft would read flags as "any of these". */
	const char *equals = is_flags ? "== " : "";

	if (stmt->mask && is_flags)
		return masked_flags_format(arena, stmt);
	if (stmt->mask && stmt->mask != UINT32_MAX)
		return arena_printf(arena, "%s & 0x%0*x %s %s", name,
				    field_is_number(stmt->field) ? 8 : 1, stmt->mask,
				    stmt->negate ? "!=" : "==", value);
	return arena_printf(arena, "%s %s%s", name, stmt->negate ? "!= " : equals, value);
}

/* nft(8) folds the value into the mask: bits that are set need not be kept. */
static const char *mark_format(struct arena *arena, const struct stmt *stmt)
{
	const char *name = fields[stmt->field].name;
	uint32_t kept = ~stmt->mask | stmt->number;

	if (stmt->mask == UINT32_MAX)
		return arena_printf(arena, "%s set 0x%08x", name, stmt->number);
	if (kept == UINT32_MAX)
		return arena_printf(arena, "%s set %s | 0x%08x", name, name, stmt->number);
	if (stmt->number == 0)
		return arena_printf(arena, "%s set %s & 0x%08x", name, name, kept);
	return arena_printf(arena, "%s set %s & 0x%08x | 0x%08x", name, name, kept, stmt->number);
}

static const char *verdict_format(struct arena *arena, const struct stmt *stmt)
{
	if (stmt->verdict == VERDICT_JUMP || stmt->verdict == VERDICT_GOTO)
		return arena_printf(arena, "%s %s", verdicts[stmt->verdict], stmt->name);
	return verdicts[stmt->verdict];
}

static const char *stmt_format(struct arena *arena, const struct stmt *stmt)
{
	switch (stmt->type) {
	case STMT_MATCH:
		return match_format(arena, stmt);
	case STMT_LOOKUP:
		return arena_printf(arena, "%s %s@%s", fields[stmt->field].name,
				    stmt->negate ? "!= " : "", stmt->name);
	case STMT_VMAP:
		return arena_printf(arena, "%s vmap @%s", fields[stmt->field].name, stmt->name);
	case STMT_MARK:
		return mark_format(arena, stmt);
	case STMT_COUNTER:
		return "counter";
	case STMT_VERDICT:
		return verdict_format(arena, stmt);
	case STMT_OTHER:
		return arena_printf(arena, "[ %s ]", stmt->name);
	}
	return "";
}

static bool stmt_has_field(const struct stmt *stmt)
{
	return stmt->type == STMT_MATCH || stmt->type == STMT_LOOKUP || stmt->type == STMT_VMAP;
}

/* nft(8) leaves out a protocol that a later statement of the rule says anyway. */
static bool stmt_is_implied(const struct nft_rule *rule, size_t index)
{
	const struct stmt *stmt = &rule->stmts[index];

	if (stmt->type != STMT_MATCH || stmt->negate || stmt->mask || stmt->bytes[0] == 0)
		return false;
	for (size_t i = index + 1; i < rule->stmt_count; i++)
		if (stmt_has_field(&rule->stmts[i]) &&
		    fields[rule->stmts[i].field].layer == stmt->field &&
		    fields[rule->stmts[i].field].needs == stmt->bytes[0])
			return true;
	return false;
}

const char *nft_rule_format(struct arena *arena, const struct nft_rule *rule)
{
	const char *text = "";

	for (size_t i = 0; i < rule->stmt_count; i++)
		if (!stmt_is_implied(rule, i))
			text = arena_printf(arena, "%s%s%s", text, *text ? " " : "",
					    stmt_format(arena, &rule->stmts[i]));
	return text;
}

static const char *bytes_format(struct arena *arena, const uint8_t *bytes)
{
	return arena_printf(arena, "0x%s", hex_format(arena, bytes, SPAN_BYTES));
}

/* "eth*" is the span from eth\0... to eth\xff...; anything else between two names has no name. */
static const char *ifname_format(struct arena *arena, const struct span *span)
{
	const char *name = (const char *)span->from;
	size_t length = strnlen(name, SPAN_BYTES);
	struct span prefix = *span;

	if (memcmp(span->from, span->to, SPAN_BYTES) == 0)
		return arena_printf(arena, "\"%.16s\"", name);
	memset(prefix.to, 0xff, SPAN_BYTES);
	memcpy(prefix.to, prefix.from, length);
	if (memcmp(prefix.to, span->to, SPAN_BYTES) == 0)
		return arena_printf(arena, "\"%.16s*\"", name);
	return arena_printf(arena, "%s-%s", bytes_format(arena, span->from),
			    bytes_format(arena, span->to));
}

static const char *key_format(struct arena *arena, enum key_type key, const struct span *span)
{
	char text[SPAN_TEXT];

	switch (key) {
	case KEY_IPV4:
		return arena_strdup(arena, span_format(span, FAMILY_IPV4, text));
	case KEY_IPV6:
		return arena_strdup(arena, span_format(span, FAMILY_IPV6, text));
	case KEY_IFNAME:
		return ifname_format(arena, span);
	case KEY_SERVICE:
		return service_key_format(arena, span->from, span->to);
	case KEY_OTHER:
		return bytes_format(arena, span->from);
	}
	return "";
}

const char *element_format(struct arena *arena, enum key_type key, const struct element *element)
{
	const char *text = key_format(arena, key, &element->span);

	if (element->foreign_verdict)
		return arena_printf(arena, "%s : foreign verdict", text);
	if (element->chain)
		return arena_printf(arena, "%s : goto %s", text, element->chain);
	return text;
}

size_t nft_redirect_count(const struct nft_table *table)
{
	size_t count = 0;

	for (size_t i = 0; i < table->chain_count; i++)
		count += !strncmp(table->chains[i].name, "redirect_", 9);
	return count;
}
