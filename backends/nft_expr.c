/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A statement is a short, fixed sequence of expressions: one or two that load
 * a field into the first register, and one or two that use it. Decoding
 * guesses the statement, encodes that, and compares: so a statement that looks
 * like ours is ours to the bit, and every other expression is STMT_OTHER.
 *
 * The sequences are those of nft(8), so that it lists our rules in its own
 * words. One is shorter: where nft(8) converts the byte order of a single byte,
 * which does nothing, we have no expression. Decoding accepts either, for
 * tables that were saved and restored by nft(8).
 */
#include "backends/nft_parts.h"

#include <assert.h>
#include <string.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <libnftnl/expr.h>

enum {
	ATTRS_MAX = 6,
	EXPRS_MAX = 5,    /* of one statement */
	RULE_EXPRS = 128, /* the kernel's own limit */
	FIRST_ATTR = NFTNL_EXPR_BASE,
	LAST_ATTR = NFTNL_EXPR_BASE + 10, /* no expression that we use has more */
};

/* An expression as data: what libnftnl has to be told, and what it has to answer. */
struct attr {
	uint16_t type;
	uint32_t size;
	uint8_t bytes[SPAN_BYTES];
	const char *name; /* instead of bytes */
};

struct expr {
	const char *name;
	size_t attr_count;
	struct attr attrs[ATTRS_MAX];
};

struct exprs {
	size_t count;
	struct expr items[EXPRS_MAX];
};

enum source { SOURCE_META, SOURCE_CT, SOURCE_PAYLOAD, SOURCE_SERVICE };

static const struct {
	enum source source;
	uint32_t key;    /* of meta and ct; the header that offset counts from */
	uint32_t offset; /* in bytes */
	bool is_number;  /* in host order in the register */
} loads[FIELD_COUNT] = {
	[FIELD_NFPROTO] = { SOURCE_META, NFT_META_NFPROTO, 0, false },
	[FIELD_L4PROTO] = { SOURCE_META, NFT_META_L4PROTO, 0, false },
	[FIELD_IIFNAME] = { SOURCE_META, NFT_META_IIFNAME, 0, false },
	[FIELD_OIFNAME] = { SOURCE_META, NFT_META_OIFNAME, 0, false },
	[FIELD_META_MARK] = { SOURCE_META, NFT_META_MARK, 0, true },
	[FIELD_CT_STATE] = { SOURCE_CT, NFT_CT_STATE, 0, true },
	[FIELD_CT_STATUS] = { SOURCE_CT, NFT_CT_STATUS, 0, true },
	[FIELD_CT_DIRECTION] = { SOURCE_CT, NFT_CT_DIRECTION, 0, false },
	[FIELD_CT_MARK] = { SOURCE_CT, NFT_CT_MARK, 0, true },
	[FIELD_IP_SADDR] = { SOURCE_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 12, false },
	[FIELD_IP_DADDR] = { SOURCE_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 16, false },
	[FIELD_IP6_SADDR] = { SOURCE_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 8, false },
	[FIELD_IP6_DADDR] = { SOURCE_PAYLOAD, NFT_PAYLOAD_NETWORK_HEADER, 24, false },
	[FIELD_TCP_FLAGS] = { SOURCE_PAYLOAD, NFT_PAYLOAD_TRANSPORT_HEADER, 13, false },
	[FIELD_SCTP_CHUNK] = { SOURCE_PAYLOAD, NFT_PAYLOAD_TRANSPORT_HEADER, 12, false },
	[FIELD_SERVICE] = { SOURCE_SERVICE, 0, 0, false },
};

/*
 * A port and a protocol in neighbouring registers are the key of a
 * concatenation. The port comes first: the kernel narrows the elements down
 * field by field, and all share few protocols.
 */
enum { PORT_OFFSET = 2, PORT_BYTES = 2, PROTOCOL_REGISTER = NFT_REG32_01 };

static const int verdict_codes[] = {
	[VERDICT_ACCEPT] = NF_ACCEPT, [VERDICT_DROP] = NF_DROP,  [VERDICT_RETURN] = NFT_RETURN,
	[VERDICT_JUMP] = NFT_JUMP,    [VERDICT_GOTO] = NFT_GOTO,
};

enum { VERDICT_COUNT = sizeof(verdict_codes) / sizeof(*verdict_codes) };

static struct expr *expr_push(struct exprs *exprs, const char *name)
{
	assert(exprs->count < EXPRS_MAX);
	exprs->items[exprs->count].name = name;
	return &exprs->items[exprs->count++];
}

static void put_data(struct expr *expr, uint16_t type, const void *data, size_t size)
{
	struct attr *attr = &expr->attrs[expr->attr_count++];

	assert(expr->attr_count <= ATTRS_MAX);
	attr->type = type;
	attr->size = (uint32_t)size;
	memcpy(attr->bytes, data, size);
}

static void put_u32(struct expr *expr, uint16_t type, uint32_t number)
{
	put_data(expr, type, &number, sizeof(number));
}

static void put_name(struct expr *expr, uint16_t type, const char *name)
{
	struct attr *attr = &expr->attrs[expr->attr_count++];

	assert(expr->attr_count <= ATTRS_MAX);
	attr->type = type;
	attr->name = name;
}

static void encode_meta(struct exprs *out, uint32_t key, uint32_t reg)
{
	struct expr *expr = expr_push(out, "meta");

	put_u32(expr, NFTNL_EXPR_META_KEY, key);
	put_u32(expr, NFTNL_EXPR_META_DREG, reg);
}

static void encode_ct(struct exprs *out, uint32_t key)
{
	struct expr *expr = expr_push(out, "ct");

	put_u32(expr, NFTNL_EXPR_CT_KEY, key);
	put_u32(expr, NFTNL_EXPR_CT_DREG, NFT_REG_1);
}

static void encode_payload(struct exprs *out, uint32_t base, uint32_t offset, size_t bytes,
			   uint32_t reg)
{
	struct expr *expr = expr_push(out, "payload");

	put_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
	put_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	put_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, (uint32_t)bytes);
	put_u32(expr, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void encode_load(struct exprs *out, enum field field)
{
	switch (loads[field].source) {
	case SOURCE_META:
		encode_meta(out, loads[field].key, NFT_REG_1);
		break;
	case SOURCE_CT:
		encode_ct(out, loads[field].key);
		break;
	case SOURCE_PAYLOAD:
		encode_payload(out, loads[field].key, loads[field].offset, field_bytes(field),
			       NFT_REG_1);
		break;
	case SOURCE_SERVICE:
		encode_payload(out, NFT_PAYLOAD_TRANSPORT_HEADER, PORT_OFFSET, PORT_BYTES,
			       NFT_REG_1);
		encode_meta(out, NFT_META_L4PROTO, PROTOCOL_REGISTER);
		break;
	}
}

/* reg = reg & mask ^ flip. Both have the field's bytes. */
static void encode_bitwise(struct exprs *out, const void *mask, const void *flip, size_t bytes)
{
	struct expr *expr = expr_push(out, "bitwise");

	put_u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	put_u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	put_u32(expr, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	put_u32(expr, NFTNL_EXPR_BITWISE_LEN, (uint32_t)bytes);
	put_data(expr, NFTNL_EXPR_BITWISE_MASK, mask, bytes);
	put_data(expr, NFTNL_EXPR_BITWISE_XOR, flip, bytes);
}

static void encode_match(struct exprs *out, const struct stmt *stmt)
{
	static const uint8_t zero[SPAN_BYTES];
	bool is_number = loads[stmt->field].is_number;
	size_t bytes = field_bytes(stmt->field);
	uint8_t low = (uint8_t)stmt->mask;
	struct expr *expr;

	encode_load(out, stmt->field);
	if (stmt->mask)
		encode_bitwise(out, is_number ? (const void *)&stmt->mask : &low, zero,
			       is_number ? bytes : sizeof(low));
	expr = expr_push(out, "cmp");
	put_u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	put_u32(expr, NFTNL_EXPR_CMP_OP, stmt->negate ? NFT_CMP_NEQ : NFT_CMP_EQ);
	put_data(expr, NFTNL_EXPR_CMP_DATA, is_number ? (const void *)&stmt->number : stmt->bytes,
		 bytes);
}

static void encode_lookup(struct exprs *out, const struct stmt *stmt)
{
	struct expr *expr;

	encode_load(out, stmt->field);
	expr = expr_push(out, "lookup");
	put_u32(expr, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	put_name(expr, NFTNL_EXPR_LOOKUP_SET, stmt->name);
	put_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, stmt->negate ? NFT_LOOKUP_F_INV : 0);
	if (stmt->type == STMT_VMAP)
		put_u32(expr, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
}

/* A mark that is written whole needs not be read. */
static void encode_mark(struct exprs *out, const struct stmt *stmt)
{
	bool is_meta = stmt->field == FIELD_META_MARK;
	uint32_t kept = ~stmt->mask;
	struct expr *expr;

	if (stmt->mask == UINT32_MAX) {
		expr = expr_push(out, "immediate");
		put_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
		put_u32(expr, NFTNL_EXPR_IMM_DATA, stmt->number);
	} else {
		encode_load(out, stmt->field);
		encode_bitwise(out, &kept, &stmt->number, sizeof(kept));
	}
	expr = expr_push(out, is_meta ? "meta" : "ct");
	put_u32(expr, is_meta ? NFTNL_EXPR_META_KEY : NFTNL_EXPR_CT_KEY, loads[stmt->field].key);
	put_u32(expr, is_meta ? NFTNL_EXPR_META_SREG : NFTNL_EXPR_CT_SREG, NFT_REG_1);
}

static void encode_counter(struct exprs *out, const struct stmt *stmt)
{
	struct expr *expr = expr_push(out, "counter");

	put_data(expr, NFTNL_EXPR_CTR_PACKETS, &stmt->packet_count, sizeof(stmt->packet_count));
	put_data(expr, NFTNL_EXPR_CTR_BYTES, &stmt->byte_count, sizeof(stmt->byte_count));
}

static void encode_verdict(struct exprs *out, const struct stmt *stmt)
{
	struct expr *expr = expr_push(out, "immediate");

	put_u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	put_u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict_codes[stmt->verdict]);
	if (stmt->verdict == VERDICT_JUMP || stmt->verdict == VERDICT_GOTO)
		put_name(expr, NFTNL_EXPR_IMM_CHAIN, stmt->name);
}

static void stmt_encode(struct exprs *out, const struct stmt *stmt)
{
	out->count = 0;
	memset(out->items, 0, sizeof(out->items));
	switch (stmt->type) {
	case STMT_MATCH:
		encode_match(out, stmt);
		break;
	case STMT_LOOKUP:
	case STMT_VMAP:
		encode_lookup(out, stmt);
		break;
	case STMT_MARK:
		encode_mark(out, stmt);
		break;
	case STMT_COUNTER:
		encode_counter(out, stmt);
		break;
	case STMT_VERDICT:
		encode_verdict(out, stmt);
		break;
	case STMT_OTHER:
		break; /* its rule is sent as it was received */
	}
}

static int attrs_set(struct nftnl_expr *expr, const struct expr *from)
{
	for (size_t i = 0; i < from->attr_count; i++) {
		const struct attr *attr = &from->attrs[i];
		int code = attr->name ? nftnl_expr_set_str(expr, attr->type, attr->name)
				      : nftnl_expr_set(expr, attr->type, attr->bytes, attr->size);

		if (code < 0)
			return -1;
	}
	return 0;
}

static int expr_put(struct nlmsghdr *message, const struct expr *from)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(from->name);
	int code = expr ? attrs_set(expr, from) : -1;

	if (code == 0) {
		struct nlattr *nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
		nftnl_expr_build_payload(message, expr);
		mnl_attr_nest_end(message, nest);
	}
	if (expr)
		nftnl_expr_free(expr);
	return code;
}

int expr_encode(struct nlmsghdr *message, const struct nft_rule *rule, const struct stmt *counter)
{
	struct nlattr *list = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
	struct exprs exprs;

	for (size_t i = 0; i < rule->stmt_count; i++) {
		const struct stmt *stmt = &rule->stmts[i];

		stmt_encode(&exprs, stmt->type == STMT_COUNTER && counter ? counter : stmt);
		for (size_t j = 0; j < exprs.count; j++)
			if (expr_put(message, &exprs.items[j]) < 0)
				return -1;
	}
	mnl_attr_nest_end(message, list);
	return 0;
}

/* The expressions of an observed rule that are not decoded yet. */
struct cursor {
	const struct nftnl_expr **at;
	size_t left;
};

static bool is(const struct cursor *cursor, size_t index, const char *name)
{
	return index < cursor->left &&
	       strcmp(nftnl_expr_get_str(cursor->at[index], NFTNL_EXPR_NAME), name) == 0;
}

static bool attr_equal(const struct nftnl_expr *expr, const struct attr *attr)
{
	const void *data;
	uint32_t size;

	if (attr->name)
		return strcmp(nftnl_expr_get_str(expr, attr->type), attr->name) == 0;
	data = nftnl_expr_get(expr, attr->type, &size);
	return size == attr->size && memcmp(data, attr->bytes, size) == 0;
}

/* The same attributes, neither more nor fewer. */
static bool expr_equal(const struct cursor *cursor, size_t index, const struct expr *want)
{
	const struct nftnl_expr *expr;
	size_t found = 0;

	if (!is(cursor, index, want->name))
		return false;
	expr = cursor->at[index];
	for (unsigned type = FIRST_ATTR; type <= LAST_ATTR; type++)
		found += nftnl_expr_is_set(expr, (uint16_t)type);
	for (size_t i = 0; i < want->attr_count; i++)
		if (!nftnl_expr_is_set(expr, want->attrs[i].type) ||
		    !attr_equal(expr, &want->attrs[i]))
			return false;
	return found == want->attr_count;
}

/* nft(8)'s conversion of one byte, see above. */
static bool converts_nothing(const struct cursor *cursor, size_t index)
{
	struct expr want = { .name = "byteorder" };

	put_u32(&want, NFTNL_EXPR_BYTEORDER_SREG, PROTOCOL_REGISTER);
	put_u32(&want, NFTNL_EXPR_BYTEORDER_DREG, PROTOCOL_REGISTER);
	put_u32(&want, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	put_u32(&want, NFTNL_EXPR_BYTEORDER_LEN, 1);
	put_u32(&want, NFTNL_EXPR_BYTEORDER_SIZE, 2);
	return expr_equal(cursor, index, &want);
}

/* How many expressions of the rule are those wanted: 0 when they are not. */
static size_t exprs_match(const struct cursor *cursor, const struct exprs *want)
{
	size_t at = 0;

	for (size_t i = 0; i < want->count; i++, at++) {
		if (!expr_equal(cursor, at, &want->items[i]))
			return 0;
		if (i == 1 && converts_nothing(cursor, at + 1))
			at++;
	}
	return at;
}

/* How many expressions load the field: 0 when they load none that we know. */
static size_t guess_field(const struct cursor *cursor, enum field *field)
{
	/* From the last on: what loads one register may begin what loads two. */
	for (size_t i = FIELD_COUNT; i-- > 0;) {
		struct exprs want = { 0 };
		size_t length;

		encode_load(&want, (enum field)i);
		length = exprs_match(cursor, &want);
		if (length) {
			*field = (enum field)i;
			return length;
		}
	}
	return 0;
}

/* Copies at most `room` bytes; the comparison that follows finds wrong sizes. */
static void get_data(const struct nftnl_expr *expr, uint16_t type, void *out, size_t room)
{
	uint32_t size;
	const void *data = nftnl_expr_get(expr, type, &size);

	if (data)
		memcpy(out, data, size < room ? size : room);
}

static void guess_match(const struct nftnl_expr *cmp, struct stmt *stmt)
{
	stmt->type = STMT_MATCH;
	stmt->negate = nftnl_expr_get_u32(cmp, NFTNL_EXPR_CMP_OP) == NFT_CMP_NEQ;
	if (loads[stmt->field].is_number)
		get_data(cmp, NFTNL_EXPR_CMP_DATA, &stmt->number, sizeof(stmt->number));
	else
		get_data(cmp, NFTNL_EXPR_CMP_DATA, stmt->bytes, field_bytes(stmt->field));
}

/* nft(8)'s "__set0" and the like die with their rule, which is no rule of ours. */
static bool is_anonymous(const char *name)
{
	return strncmp(name, "__", 2) == 0;
}

static bool guess_lookup(const struct nftnl_expr *lookup, struct stmt *stmt)
{
	bool is_map = nftnl_expr_is_set(lookup, NFTNL_EXPR_LOOKUP_DREG);

	stmt->type = is_map ? STMT_VMAP : STMT_LOOKUP;
	stmt->negate = nftnl_expr_get_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV;
	stmt->name = nftnl_expr_get_str(lookup, NFTNL_EXPR_LOOKUP_SET);
	return stmt->name && !is_anonymous(stmt->name);
}

static bool field_is_mark(enum field field)
{
	return field == FIELD_META_MARK || field == FIELD_CT_MARK;
}

/* What follows a load. */
static bool guess_use(const struct cursor *cursor, size_t at, struct stmt *stmt)
{
	const struct nftnl_expr *bitwise = is(cursor, at, "bitwise") ? cursor->at[at++] : NULL;

	if (bitwise)
		get_data(bitwise, NFTNL_EXPR_BITWISE_MASK, &stmt->mask, sizeof(stmt->mask));
	if (is(cursor, at, "cmp")) {
		guess_match(cursor->at[at], stmt);
		return true;
	}
	if (bitwise && field_is_mark(stmt->field)) {
		stmt->type = STMT_MARK;
		stmt->mask = ~stmt->mask;
		get_data(bitwise, NFTNL_EXPR_BITWISE_XOR, &stmt->number, sizeof(stmt->number));
		return true;
	}
	return !bitwise && is(cursor, at, "lookup") && guess_lookup(cursor->at[at], stmt);
}

static bool guess_verdict(const struct nftnl_expr *immediate, struct stmt *stmt)
{
	int code = (int)nftnl_expr_get_u32(immediate, NFTNL_EXPR_IMM_VERDICT);

	stmt->type = STMT_VERDICT;
	stmt->name = nftnl_expr_get_str(immediate, NFTNL_EXPR_IMM_CHAIN);
	for (size_t i = 0; i < VERDICT_COUNT; i++) {
		stmt->verdict = (enum verdict)i;
		if (verdict_codes[i] == code)
			return !stmt->name || !is_anonymous(stmt->name);
	}
	return false;
}

static bool guess_immediate(const struct cursor *cursor, struct stmt *stmt)
{
	const struct nftnl_expr *immediate = cursor->at[0];

	if (nftnl_expr_is_set(immediate, NFTNL_EXPR_IMM_VERDICT))
		return guess_verdict(immediate, stmt);
	stmt->type = STMT_MARK;
	stmt->field = is(cursor, 1, "ct") ? FIELD_CT_MARK : FIELD_META_MARK;
	stmt->mask = UINT32_MAX;
	get_data(immediate, NFTNL_EXPR_IMM_DATA, &stmt->number, sizeof(stmt->number));
	return true;
}

static bool stmt_guess(const struct cursor *cursor, struct stmt *stmt)
{
	size_t length;

	if (is(cursor, 0, "counter")) {
		stmt->type = STMT_COUNTER;
		stmt->packet_count = nftnl_expr_get_u64(cursor->at[0], NFTNL_EXPR_CTR_PACKETS);
		stmt->byte_count = nftnl_expr_get_u64(cursor->at[0], NFTNL_EXPR_CTR_BYTES);
		return true;
	}
	if (is(cursor, 0, "immediate"))
		return guess_immediate(cursor, stmt);
	length = guess_field(cursor, &stmt->field);
	return length && guess_use(cursor, length, stmt);
}

/* How many expressions the next statement takes: at least 1. */
static size_t stmt_decode(struct arena *arena, const struct cursor *cursor, struct stmt *out)
{
	struct stmt stmt = { 0 };
	struct exprs want;
	size_t length = 0;

	if (stmt_guess(cursor, &stmt)) {
		stmt_encode(&want, &stmt);
		length = exprs_match(cursor, &want);
	}
	if (!length)
		stmt = (struct stmt){
			.type = STMT_OTHER,
			.name = nftnl_expr_get_str(cursor->at[0], NFTNL_EXPR_NAME),
		};
	*out = stmt;
	out->name = stmt.name ? arena_strdup(arena, stmt.name) : NULL;
	return length ? length : 1;
}

struct list {
	const struct nftnl_expr *items[RULE_EXPRS];
	size_t count;
};

static int list_add(struct nftnl_expr *expr, void *context)
{
	struct list *list = context;

	if (list->count == RULE_EXPRS)
		return -1;
	list->items[list->count++] = expr;
	return 0;
}

static struct stmt *stmt_push(struct arena *arena, struct nft_rule *rule)
{
	return ARENA_PUSH(arena, rule->stmts, rule->stmt_count, rule->stmt_room);
}

bool expr_decode(struct arena *arena, struct nftnl_rule *in, struct nft_rule *rule)
{
	struct list list = { 0 };
	struct cursor cursor;
	bool ours = true;

	nftnl_expr_foreach(in, list_add, &list);
	cursor = (struct cursor){ list.items, list.count };
	while (cursor.left) {
		struct stmt *stmt = stmt_push(arena, rule);
		size_t length = stmt_decode(arena, &cursor, stmt);

		ours &= stmt->type != STMT_OTHER;
		cursor.at += length;
		cursor.left -= length;
	}
	return ours;
}

void expr_other(struct arena *arena, struct nft_rule *rule, const char *name)
{
	struct stmt *stmt = stmt_push(arena, rule);

	stmt->type = STMT_OTHER;
	stmt->name = name;
}
