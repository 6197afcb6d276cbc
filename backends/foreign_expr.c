/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Native expressions load values into registers and compare them. What each
 * register holds is followed as a description: a field with a mask, or a
 * constant. An expression that is not known makes the rule one that is not
 * understood, whatever it does.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <libnftnl/expr.h>

#include "backends/foreign_parts.h"

enum source { SOURCE_NONE, SOURCE_META, SOURCE_CT, SOURCE_PAYLOAD, SOURCE_CONSTANT, SOURCE_OTHER };

/* (source & mask) ^ flip */
struct value {
	enum source source;
	uint32_t key;            /* of meta and ct; the header of a payload */
	uint32_t offset, length; /* of a payload */
	bool is_masked;
	uint8_t mask[SPAN_BYTES], flip[SPAN_BYTES];
	uint8_t bytes[SPAN_BYTES]; /* of a constant */
};

enum { REGISTERS = 20 };

struct machine {
	struct foreign_reading *reading;
	struct value registers[REGISTERS]; /* of 4 bytes each, at the first of a longer value */
};

/* NFT_REG_1 to NFT_REG_4 are of 16 bytes, over the same 16 registers of 4. */
static struct value *register_of(struct machine *machine, uint32_t number)
{
	static struct value none;
	size_t index = number >= NFT_REG32_00 ? number - NFT_REG32_00 : 4 * (number - NFT_REG_1);

	none = (struct value){ 0 };
	return number >= NFT_REG_1 && index < REGISTERS ? &machine->registers[index] : &none;
}

static void obscure(struct machine *machine, const char *what)
{
	foreign_obscure(machine->reading->arena, machine->reading->rule, "%s", what);
}

static uint32_t value_u32(const uint8_t *bytes)
{
	uint32_t number;

	memcpy(&number, bytes, sizeof(number));
	return number;
}

/* --- loads ------------------------------------------------------------------ */

static void load_meta(struct machine *machine, const struct nftnl_expr *expr)
{
	*register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_META_DREG)) = (struct value){
		.source = SOURCE_META,
		.key = nftnl_expr_get_u32(expr, NFTNL_EXPR_META_KEY),
	};
}

static void load_ct(struct machine *machine, const struct nftnl_expr *expr)
{
	*register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_CT_DREG)) = (struct value){
		/* What is asked of one direction is not what is asked of the connection. */
		.source = nftnl_expr_is_set(expr, NFTNL_EXPR_CT_DIR) ? SOURCE_OTHER : SOURCE_CT,
		.key = nftnl_expr_get_u32(expr, NFTNL_EXPR_CT_KEY),
	};
}

static void load_payload(struct machine *machine, const struct nftnl_expr *expr)
{
	if (nftnl_expr_is_set(expr, NFTNL_EXPR_PAYLOAD_SREG)) {
		foreign_act(machine->reading->arena, machine->reading->rule, FOREIGN_UNKNOWN,
			    (struct mark){ 0 });
		obscure(machine, "writes into packets");
		return;
	}
	*register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_PAYLOAD_DREG)) = (struct value){
		.source = SOURCE_PAYLOAD,
		.key = nftnl_expr_get_u32(expr, NFTNL_EXPR_PAYLOAD_BASE),
		.offset = nftnl_expr_get_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET),
		.length = nftnl_expr_get_u32(expr, NFTNL_EXPR_PAYLOAD_LEN),
	};
}

static void run_bitwise(struct machine *machine, const struct nftnl_expr *expr)
{
	uint32_t size = 0, flip_size = 0;
	const void *mask = nftnl_expr_get(expr, NFTNL_EXPR_BITWISE_MASK, &size);
	const void *flip = nftnl_expr_get(expr, NFTNL_EXPR_BITWISE_XOR, &flip_size);
	struct value value =
		*register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_BITWISE_SREG));
	bool is_plain = nftnl_expr_get_u32(expr, NFTNL_EXPR_BITWISE_OP) == NFT_BITWISE_BOOL &&
			mask && flip && size <= SPAN_BYTES && flip_size == size &&
			!value.is_masked && value.source != SOURCE_CONSTANT;

	if (is_plain) {
		memcpy(value.mask, mask, size);
		memcpy(value.flip, flip, size);
		value.is_masked = true;
	} else {
		value.source = SOURCE_OTHER;
	}
	*register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_BITWISE_DREG)) = value;
}

/* --- conditions --------------------------------------------------------------- */

static bool flips(const struct value *value)
{
	static const uint8_t zero[SPAN_BYTES];

	return memcmp(value->flip, zero, sizeof(zero)) != 0;
}

/* A comparison: the range of values that pass, or those outside of it. */
struct comparison {
	uint8_t from[SPAN_BYTES], to[SPAN_BYTES];
	uint32_t size;
	bool is_exact, negate;
};

static bool compare_interface(struct machine *machine, const struct comparison *comparison)
{
	struct spans spans = { 0 };
	uint8_t from[SPAN_BYTES] = { 0 }, to[SPAN_BYTES] = { 0 };
	size_t length = strnlen((const char *)comparison->from, comparison->size);

	if (!comparison->is_exact || comparison->size > SPAN_BYTES || !length)
		return false;
	memcpy(from, comparison->from, length);
	memcpy(to, comparison->from, length);
	/* Without the zero byte at its end it is the beginning of a name. */
	if (length == comparison->size && length < SPAN_BYTES)
		memset(to + length, 0xff, SPAN_BYTES - length);
	foreign_span_add(machine->reading->arena, &spans, from, to, SPAN_BYTES);
	foreign_narrow_interfaces(machine->reading->arena, machine->reading->rule, &spans,
				  comparison->negate);
	return true;
}

/* By number: what matters is the name, which a document has. */
static bool compare_index(struct machine *machine, const struct comparison *comparison)
{
	struct comparison named = *comparison;
	char name[IF_NAMESIZE] = "";

	if (!comparison->is_exact || comparison->size != sizeof(uint32_t) ||
	    !if_indextoname(value_u32(comparison->from), name))
		return false;
	memset(named.from, 0, sizeof(named.from));
	memcpy(named.from, name, strlen(name));
	named.size = SPAN_BYTES;
	return compare_interface(machine, &named);
}

static bool compare_family(struct machine *machine, const struct comparison *comparison,
			   const uint8_t *ipv4, const uint8_t *ipv6)
{
	bool *families = machine->reading->rule->families;

	if (!comparison->is_exact)
		return false;
	families[FAMILY_IPV4] &=
		!memcmp(comparison->from, ipv4, comparison->size) != comparison->negate;
	families[FAMILY_IPV6] &=
		!memcmp(comparison->from, ipv6, comparison->size) != comparison->negate;
	return true;
}

static bool compare_mark(struct machine *machine, const struct value *value,
			 const struct comparison *comparison, struct foreign_test *test)
{
	uint32_t mask = value->is_masked ? value_u32(value->mask) : UINT32_MAX;

	if (!comparison->is_exact || flips(value) || !mask)
		return false;
	foreign_test(
		machine->reading->arena, machine->reading->rule, test,
		(struct foreign_test){ { value_u32(comparison->from), mask }, comparison->negate });
	return true;
}

static bool compare_numbers(struct machine *machine, enum foreign_field field,
			    const struct comparison *comparison)
{
	if (comparison->size != foreign_bytes(field, FAMILY_IPV4))
		return false;
	foreign_narrow_range(machine->reading, field, FAMILY_IPV4, comparison->from, comparison->to,
			     comparison->negate);
	return true;
}

/* "ct state new" is state & new != 0. */
static bool compare_state(struct machine *machine, const struct value *value,
			  const struct comparison *comparison)
{
	if (!comparison->is_exact || !comparison->negate || value_u32(comparison->from) ||
	    !value->is_masked || flips(value) || value_u32(value->mask) != CT_STATE_NEW)
		return false;
	machine->reading->rule->is_new = true;
	return true;
}

static bool compare_meta(struct machine *machine, const struct value *value,
			 const struct comparison *comparison)
{
	static const uint8_t nfproto[] = { NFPROTO_IPV4, NFPROTO_IPV6 };
	static const uint8_t ipv4[] = { ETH_P_IP >> 8, ETH_P_IP & 0xff };
	static const uint8_t ipv6[] = { ETH_P_IPV6 >> 8, ETH_P_IPV6 & 0xff };

	if (value->key == NFT_META_MARK)
		return compare_mark(machine, value, comparison, &machine->reading->rule->packet);
	if (value->is_masked)
		return false;
	switch (value->key) {
	case NFT_META_IIFNAME:
		return compare_interface(machine, comparison);
	case NFT_META_IIF:
		return compare_index(machine, comparison);
	case NFT_META_L4PROTO:
		return compare_numbers(machine, FOREIGN_PROTOCOL, comparison);
	case NFT_META_NFPROTO:
		return comparison->size == 1 &&
		       compare_family(machine, comparison, &nfproto[0], &nfproto[1]);
	case NFT_META_PROTOCOL:
		return comparison->size == 2 && compare_family(machine, comparison, ipv4, ipv6);
	default:
		return false;
	}
}

static bool compare_ct(struct machine *machine, const struct value *value,
		       const struct comparison *comparison)
{
	switch (value->key) {
	case NFT_CT_MARK:
		return compare_mark(machine, value, comparison,
				    &machine->reading->rule->connection);
	case NFT_CT_STATE:
		return compare_state(machine, value, comparison);
	default:
		return false;
	}
}

/* Where the addresses stand in the headers. */
static bool address_field(uint32_t offset, enum family family, enum foreign_field *field)
{
	static const uint32_t offsets[FAMILY_COUNT][2] = { { 12, 16 }, { 8, 24 } };

	for (enum foreign_field i = FOREIGN_SOURCE; i <= FOREIGN_DESTINATION; i++)
		if (offsets[family][i] == offset) {
			*field = i;
			return true;
		}
	return false;
}

/* Ones, then zeros. */
static bool mask_is_prefix(const uint8_t *mask, size_t bytes)
{
	size_t bit = 0;

	while (bit < bytes * 8 && mask[bit / 8] & 0x80 >> bit % 8)
		bit++;
	for (; bit < bytes * 8; bit++)
		if (mask[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

/* Either the whole address is looked at, or its first bytes or bits. */
static bool compare_address(struct machine *machine, const struct value *value,
			    const struct comparison *comparison)
{
	uint8_t from[SPAN_BYTES] = { 0 }, to[SPAN_BYTES] = { 0 };
	enum foreign_field field;
	enum family family;
	size_t bytes;

	if (!foreign_family(machine->reading->rule, &family) ||
	    !address_field(value->offset, family, &field) || flips(value))
		return false;
	bytes = family_bytes(family);
	if (comparison->size != value->length || value->length > bytes ||
	    (value->is_masked &&
	     (!comparison->is_exact || !mask_is_prefix(value->mask, value->length))))
		return false;
	memset(to, 0xff, bytes);
	memcpy(from, comparison->from, comparison->size);
	memcpy(to, comparison->to, comparison->size);
	for (size_t i = 0; value->is_masked && i < value->length; i++)
		to[i] |= (uint8_t)~value->mask[i];
	foreign_narrow_range(machine->reading, field, family, from, to, comparison->negate);
	return true;
}

static bool compare_payload(struct machine *machine, const struct value *value,
			    const struct comparison *comparison)
{
	enum family family;

	if (value->key == NFT_PAYLOAD_NETWORK_HEADER) {
		/* IPv4's protocol; of IPv6's next headers the first is not always the transport. */
		if (value->offset == 9 && value->length == 1 && !value->is_masked &&
		    foreign_family(machine->reading->rule, &family) && family == FAMILY_IPV4)
			return compare_numbers(machine, FOREIGN_PROTOCOL, comparison);
		return compare_address(machine, value, comparison);
	}
	if (value->key != NFT_PAYLOAD_TRANSPORT_HEADER || value->is_masked ||
	    value->length != sizeof(uint16_t) || value->offset > 2 || value->offset % 2)
		return false;
	return compare_numbers(machine, value->offset ? FOREIGN_DPORT : FOREIGN_SPORT, comparison);
}

static void compare(struct machine *machine, uint32_t sreg, const struct comparison *comparison)
{
	const struct value *value = register_of(machine, sreg);
	bool understood = false;

	switch (value->source) {
	case SOURCE_META:
		understood = compare_meta(machine, value, comparison);
		break;
	case SOURCE_CT:
		understood = compare_ct(machine, value, comparison);
		break;
	case SOURCE_PAYLOAD:
		understood = compare_payload(machine, value, comparison);
		break;
	case SOURCE_NONE:
	case SOURCE_CONSTANT:
	case SOURCE_OTHER:
		break;
	}
	if (!understood)
		obscure(machine, value->source == SOURCE_CT        ? "a condition on the connection"
				 : value->source == SOURCE_PAYLOAD ? "a condition on a header field"
								   : "a condition on the packet");
}

/* The data of a comparison, as bytes in the order of the packet. */
static bool data_get(const struct nftnl_expr *expr, uint16_t type, uint8_t *out, uint32_t *size)
{
	const void *data = nftnl_expr_get(expr, type, size);

	memset(out, 0, SPAN_BYTES);
	if (!data || !*size || *size > SPAN_BYTES)
		return false;
	memcpy(out, data, *size);
	return true;
}

static void run_cmp(struct machine *machine, const struct nftnl_expr *expr)
{
	uint32_t op = nftnl_expr_get_u32(expr, NFTNL_EXPR_CMP_OP);
	struct comparison comparison = {
		.is_exact = op == NFT_CMP_EQ || op == NFT_CMP_NEQ,
		/* What is outside of from to the end, or of the beginning to `to`. */
		.negate = op == NFT_CMP_NEQ || op == NFT_CMP_LT || op == NFT_CMP_GT,
	};
	uint8_t data[SPAN_BYTES];

	if (!data_get(expr, NFTNL_EXPR_CMP_DATA, data, &comparison.size)) {
		obscure(machine, "a comparison");
		return;
	}
	memset(comparison.to, 0xff, comparison.size);
	if (comparison.is_exact || op == NFT_CMP_GTE || op == NFT_CMP_LT)
		memcpy(comparison.from, data, comparison.size);
	if (comparison.is_exact || op == NFT_CMP_LTE || op == NFT_CMP_GT)
		memcpy(comparison.to, data, comparison.size);
	compare(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_CMP_SREG), &comparison);
}

static void run_range(struct machine *machine, const struct nftnl_expr *expr)
{
	struct comparison comparison = {
		.negate = nftnl_expr_get_u32(expr, NFTNL_EXPR_RANGE_OP) == NFT_RANGE_NEQ,
	};
	uint32_t size = 0;

	if (data_get(expr, NFTNL_EXPR_RANGE_FROM_DATA, comparison.from, &comparison.size) &&
	    data_get(expr, NFTNL_EXPR_RANGE_TO_DATA, comparison.to, &size) &&
	    size == comparison.size)
		compare(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_RANGE_SREG), &comparison);
	else
		obscure(machine, "a range");
}

/* --- sets ----------------------------------------------------------------------- */

/* The field that a set is looked up for, where one of its values is one whole key. */
static bool lookup_field(struct machine *machine, const struct value *value,
			 enum foreign_field *field, enum family *family)
{
	*family = FAMILY_IPV4;
	if (value->is_masked)
		return false;
	if (value->source == SOURCE_META && value->key == NFT_META_L4PROTO) {
		*field = FOREIGN_PROTOCOL;
		return true;
	}
	if (value->source != SOURCE_PAYLOAD)
		return false;
	if (value->key == NFT_PAYLOAD_TRANSPORT_HEADER) {
		*field = value->offset ? FOREIGN_DPORT : FOREIGN_SPORT;
		return value->length == sizeof(uint16_t) && value->offset <= 2 &&
		       value->offset % 2 == 0;
	}
	return value->key == NFT_PAYLOAD_NETWORK_HEADER &&
	       foreign_family(machine->reading->rule, family) &&
	       value->length == family_bytes(*family) &&
	       address_field(value->offset, *family, field);
}

static bool lookup(struct machine *machine, const struct value *value, const char *name,
		   bool negate)
{
	struct foreign_reading *reading = machine->reading;
	struct spans spans = { 0 };
	enum foreign_field field;
	enum family family;

	if (value->source == SOURCE_META && value->key == NFT_META_IIFNAME) {
		if (!foreign_set_read(reading, name, SPAN_BYTES, &spans))
			return false;
		foreign_narrow_interfaces(reading->arena, reading->rule, &spans, negate);
		return true;
	}
	if (!lookup_field(machine, value, &field, &family) ||
	    !foreign_set_read(reading, name, foreign_bytes(field, family), &spans))
		return false;
	foreign_narrow(reading->arena, reading->rule, field, family, &spans, negate);
	return true;
}

static void run_lookup(struct machine *machine, const struct nftnl_expr *expr)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_LOOKUP_SET);
	bool negate = nftnl_expr_get_u32(expr, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV;
	const struct value *value =
		register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_LOOKUP_SREG));

	if (nftnl_expr_is_set(expr, NFTNL_EXPR_LOOKUP_DREG)) {
		foreign_act(machine->reading->arena, machine->reading->rule, FOREIGN_UNKNOWN,
			    (struct mark){ 0 });
		obscure(machine, "a map");
	} else if (!lookup(machine, value, name, negate)) {
		foreign_obscure(machine->reading->arena, machine->reading->rule, "the set %s",
				name);
	}
}

/* --- actions ---------------------------------------------------------------------- */

static void act(struct machine *machine, enum foreign_action action)
{
	foreign_act(machine->reading->arena, machine->reading->rule, action, (struct mark){ 0 });
}

static void run_immediate(struct machine *machine, const struct nftnl_expr *expr)
{
	struct value value = { .source = SOURCE_CONSTANT };
	uint32_t size = 0;

	if (!nftnl_expr_is_set(expr, NFTNL_EXPR_IMM_VERDICT)) {
		if (!data_get(expr, NFTNL_EXPR_IMM_DATA, value.bytes, &size))
			value.source = SOURCE_OTHER;
		*register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_IMM_DREG)) = value;
		return;
	}
	switch ((int)nftnl_expr_get_u32(expr, NFTNL_EXPR_IMM_VERDICT)) {
	case NF_DROP:
	case NFT_CONTINUE:
		return;
	default:
		act(machine, FOREIGN_LEAVES);
	}
}

/* own: the mark itself; a bit that is neither kept nor a constant comes from somewhere else. */
static void write_mark(struct machine *machine, const struct value *value, enum source source,
		       uint32_t own, enum foreign_action action)
{
	uint32_t mask = value->is_masked ? value_u32(value->mask) : UINT32_MAX;

	if (value->source == SOURCE_CONSTANT) {
		foreign_mark(machine->reading, action, 0, value_u32(value->bytes));
	} else if (value->source == source && value->key == own) {
		foreign_mark(machine->reading, action, mask, value_u32(value->flip));
	} else if (action == FOREIGN_MARKS_PACKET && value->source == SOURCE_CT &&
		   value->key == NFT_CT_MARK && !flips(value)) {
		foreign_act(machine->reading->arena, machine->reading->rule, FOREIGN_RESTORES,
			    (struct mark){ mask, UINT32_MAX });
	} else {
		act(machine, action);
		obscure(machine, "a mark that is computed");
	}
}

static void run_meta(struct machine *machine, const struct nftnl_expr *expr)
{
	uint32_t key = nftnl_expr_get_u32(expr, NFTNL_EXPR_META_KEY);

	if (!nftnl_expr_is_set(expr, NFTNL_EXPR_META_SREG))
		load_meta(machine, expr);
	else if (key == NFT_META_MARK)
		write_mark(machine,
			   register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_META_SREG)),
			   SOURCE_META, NFT_META_MARK, FOREIGN_MARKS_PACKET);
}

static void run_ct(struct machine *machine, const struct nftnl_expr *expr)
{
	uint32_t key = nftnl_expr_get_u32(expr, NFTNL_EXPR_CT_KEY);

	if (!nftnl_expr_is_set(expr, NFTNL_EXPR_CT_SREG))
		load_ct(machine, expr);
	else if (key == NFT_CT_MARK)
		write_mark(machine,
			   register_of(machine, nftnl_expr_get_u32(expr, NFTNL_EXPR_CT_SREG)),
			   SOURCE_CT, NFT_CT_MARK, FOREIGN_MARKS_CONNECTION);
	else if (key == NFT_CT_ZONE) {
		act(machine, FOREIGN_UNKNOWN);
		obscure(machine, "a zone of connections");
	}
}

static void run_match(struct machine *machine, const struct nftnl_expr *expr)
{
	foreign_xt_match(machine->reading, expr);
}

static void run_target(struct machine *machine, const struct nftnl_expr *expr)
{
	foreign_xt_target(machine->reading, expr);
}

static void run_nothing(struct machine *machine, const struct nftnl_expr *expr)
{
	(void)machine;
	(void)expr;
}

static void run_leave(struct machine *machine, const struct nftnl_expr *expr)
{
	(void)expr;
	act(machine, FOREIGN_LEAVES);
}

/* reject drops; the translations of addresses, and queues, end the chain for the packet. */
static const struct {
	const char *name;
	void (*run)(struct machine *machine, const struct nftnl_expr *expr);
} runs[] = {
	{ "bitwise", run_bitwise },     { "cmp", run_cmp },
	{ "counter", run_nothing },     { "ct", run_ct },
	{ "immediate", run_immediate }, { "last", run_nothing },
	{ "log", run_nothing },         { "lookup", run_lookup },
	{ "masq", run_leave },          { "match", run_match },
	{ "meta", run_meta },           { "nat", run_leave },
	{ "payload", load_payload },    { "queue", run_leave },
	{ "range", run_range },         { "redir", run_leave },
	{ "reject", run_nothing },      { "target", run_target },
};

/* What neither marks nor ends anything: it decides, loads what is then decided by, or counts. */
static bool is_condition(const char *name)
{
	static const char *const names[] = {
		"byteorder", "connlimit", "dynset", "exthdr", "fib", "hash",   "inner",  "limit",
		"numgen",    "objref",    "osf",    "quota",  "rt",  "socket", "tunnel", "xfrm",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

static int expr_run(struct nftnl_expr *expr, void *context)
{
	struct machine *machine = context;
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);

	for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++)
		if (!strcmp(runs[i].name, name)) {
			runs[i].run(machine, expr);
			return 0;
		}
	if (!is_condition(name))
		act(machine, FOREIGN_UNKNOWN);
	foreign_obscure(machine->reading->arena, machine->reading->rule, "expression %s", name);
	return 0;
}

void foreign_expr_read(struct foreign_reading *reading, struct nftnl_rule *in)
{
	struct machine machine = { .reading = reading };

	nftnl_expr_foreach(in, expr_run, &machine);
}
