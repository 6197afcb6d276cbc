/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a rule does to marks and to tracking, told from its expressions as the
 * kernel sends them (linux/netfilter/nf_tables.h) and from the extensions of
 * iptables-nft (linux/netfilter/xt_*.h). An expression that is not known makes
 * the rule conditional, not unreadable: what follows it may still happen.
 */
#include "backends/surround.h"

#include <arpa/inet.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_rpfilter.h>

enum source {
	SOURCE_OTHER,
	SOURCE_CONSTANT,
	SOURCE_PACKET,
	SOURCE_CONNECTION,
	SOURCE_INTERFACE,
	SOURCE_FAMILY,
	SOURCE_REVERSE_PATH
};

/* (source & kept) ^ flip */
struct content {
	enum source source;
	uint32_t kept, flip;
};

enum { SLOTS = 16, ATTRIBUTES = 16 };

struct machine {
	struct rule_reading *reading;
	struct content slots[SLOTS];
	bool is_conditional, leaves, misses_route, drops;
	bool families[FAMILY_COUNT];
	const char *interface;
	const struct nlattr *at[ATTRIBUTES]; /* of the expression that is run */
};

/* --- attributes ---------------------------------------------------------- */

static void attributes(const struct nlattr *nest, const struct nlattr **at)
{
	const struct nlattr *attribute;

	memset(at, 0, ATTRIBUTES * sizeof(*at));
	if (nest)
		mnl_attr_for_each_nested(attribute, nest)
		{
			if (mnl_attr_get_type(attribute) < ATTRIBUTES)
				at[mnl_attr_get_type(attribute)] = attribute;
		}
}

/* Network byte order, as all numbers of nf_tables; UINT32_MAX when it is not there. */
static uint32_t number(const struct machine *machine, uint16_t type)
{
	const struct nlattr *attribute = machine->at[type];

	if (!attribute || mnl_attr_get_payload_len(attribute) < sizeof(uint32_t))
		return UINT32_MAX;
	return ntohl(mnl_attr_get_u32(attribute));
}

/* The bytes in a nest of type NFTA_DATA_VALUE. NULL when there are none. */
static const void *value_bytes(const struct nlattr *data, size_t *size)
{
	const struct nlattr *at[ATTRIBUTES];

	attributes(data, at);
	if (!at[NFTA_DATA_VALUE])
		return NULL;
	*size = mnl_attr_get_payload_len(at[NFTA_DATA_VALUE]);
	return mnl_attr_get_payload(at[NFTA_DATA_VALUE]);
}

static bool value_u32(const struct nlattr *data, uint32_t *value)
{
	size_t size;
	const void *bytes = value_bytes(data, &size);

	if (!bytes || size < sizeof(*value))
		return false;
	memcpy(value, bytes, sizeof(*value));
	return true;
}

/* Registers of 16 bytes and of 4 share their memory. */
static struct content *slot(struct machine *machine, uint32_t reg)
{
	static struct content nowhere;
	uint32_t index = reg >= NFT_REG32_00 ? reg - NFT_REG32_00 : (reg - NFT_REG_1) * 4;

	nowhere = (struct content){ 0 };
	return index < SLOTS ? &machine->slots[index] : &nowhere;
}

/* --- deeds --------------------------------------------------------------- */

static struct other_deed *deed_add(struct machine *machine, enum deed deed)
{
	struct surroundings *out = machine->reading->out;
	const struct other_chain *chain = machine->reading->chain;
	struct other_deed *added =
		ARENA_PUSH(&out->arena, out->deeds, out->deed_count, out->deed_room);

	*added = (struct other_deed){
		.chain = chain,
		.rule = chain->rule_count,
		.handle = machine->reading->handle,
		.deed = deed,
		.interface = machine->interface,
		.is_certain = chain->is_base && !chain->is_nat && !machine->is_conditional &&
			      !machine->reading->may_be_left,
	};
	memcpy(added->families, machine->families, sizeof(added->families));
	return added;
}

static void deed_sets(struct machine *machine, enum deed deed, uint32_t bits, bool is_constant,
		      uint32_t value)
{
	struct other_deed *added = deed_add(machine, deed);

	added->bits = bits;
	added->is_constant = is_constant;
	added->value = value;
}

static void deed_tests(struct machine *machine, const struct content *content)
{
	if (content->source == SOURCE_PACKET || content->source == SOURCE_CONNECTION)
		deed_add(machine, content->source == SOURCE_PACKET ? DEED_TESTS_PACKET_MARK
								   : DEED_TESTS_CONNECTION_MARK)
			->bits = content->kept;
}

static void mark_set(struct machine *machine, enum source own, uint32_t reg)
{
	const struct content *content = slot(machine, reg);
	enum deed deed = own == SOURCE_PACKET ? DEED_SETS_PACKET_MARK : DEED_SETS_CONNECTION_MARK;

	if (content->source == SOURCE_CONSTANT)
		deed_sets(machine, deed, UINT32_MAX, true, content->flip);
	else if (content->source == own)
		deed_sets(machine, deed, ~content->kept | content->flip,
			  !(content->kept & content->flip), content->flip);
	else
		deed_sets(machine, deed, UINT32_MAX, false, 0);
}

/* --- expressions --------------------------------------------------------- */

static void load(struct machine *machine, uint32_t reg, enum source source)
{
	*slot(machine, reg) = (struct content){ source, UINT32_MAX, 0 };
}

static void run_meta(struct machine *machine)
{
	static const enum source sources[NFT_META_NFPROTO + 1] = {
		[NFT_META_MARK] = SOURCE_PACKET,
		[NFT_META_IIFNAME] = SOURCE_INTERFACE,
		[NFT_META_NFPROTO] = SOURCE_FAMILY,
	};
	uint32_t key = number(machine, NFTA_META_KEY);

	if (machine->at[NFTA_META_DREG])
		load(machine, number(machine, NFTA_META_DREG),
		     key <= NFT_META_NFPROTO ? sources[key] : SOURCE_OTHER);
	else if (machine->at[NFTA_META_SREG] && key == NFT_META_MARK)
		mark_set(machine, SOURCE_PACKET, number(machine, NFTA_META_SREG));
}

static void run_ct(struct machine *machine)
{
	bool is_mark = number(machine, NFTA_CT_KEY) == NFT_CT_MARK;

	if (machine->at[NFTA_CT_DREG])
		load(machine, number(machine, NFTA_CT_DREG),
		     is_mark ? SOURCE_CONNECTION : SOURCE_OTHER);
	else if (machine->at[NFTA_CT_SREG] && is_mark)
		mark_set(machine, SOURCE_CONNECTION, number(machine, NFTA_CT_SREG));
}

static void run_bitwise(struct machine *machine)
{
	struct content content = *slot(machine, number(machine, NFTA_BITWISE_SREG));
	uint32_t mask, flip;

	if (value_u32(machine->at[NFTA_BITWISE_MASK], &mask) &&
	    value_u32(machine->at[NFTA_BITWISE_XOR], &flip)) {
		content.kept &= mask;
		content.flip = (content.flip & mask) ^ flip;
	} else if (content.source == SOURCE_CONSTANT) {
		content.source = SOURCE_OTHER;
	}
	*slot(machine, number(machine, NFTA_BITWISE_DREG)) = content;
}

static void compare_interface(struct machine *machine, const struct nlattr *data)
{
	size_t size;
	const char *name = value_bytes(data, &size);

	/* A shorter one is a prefix. */
	if (name && size == IFNAME_SIZE && !name[IFNAME_SIZE - 1])
		machine->interface = arena_strdup(&machine->reading->out->arena, name);
}

static void compare_family(struct machine *machine, const struct nlattr *data)
{
	size_t size;
	const uint8_t *nfproto = value_bytes(data, &size);

	if (!nfproto || !size)
		return;
	machine->families[FAMILY_IPV4] &= *nfproto == NFPROTO_IPV4;
	machine->families[FAMILY_IPV6] &= *nfproto == NFPROTO_IPV6;
}

static bool is_zero(const struct nlattr *data)
{
	size_t size;
	const uint8_t *bytes = value_bytes(data, &size);

	for (size_t i = 0; bytes && i < size; i++)
		if (bytes[i])
			return false;
	return bytes != NULL;
}

static void run_cmp(struct machine *machine)
{
	const struct content *content = slot(machine, number(machine, NFTA_CMP_SREG));
	bool equals = number(machine, NFTA_CMP_OP) == NFT_CMP_EQ;

	deed_tests(machine, content);
	if (equals && content->source == SOURCE_FAMILY) {
		compare_family(machine, machine->at[NFTA_CMP_DATA]);
		return;
	}
	if (equals && content->source == SOURCE_INTERFACE)
		compare_interface(machine, machine->at[NFTA_CMP_DATA]);
	if (equals && content->source == SOURCE_REVERSE_PATH)
		machine->misses_route |= is_zero(machine->at[NFTA_CMP_DATA]);
	machine->is_conditional = true;
}

static void run_range(struct machine *machine)
{
	deed_tests(machine, slot(machine, number(machine, NFTA_RANGE_SREG)));
	machine->is_conditional = true;
}

static void run_lookup(struct machine *machine)
{
	deed_tests(machine, slot(machine, number(machine, NFTA_LOOKUP_SREG)));
	machine->is_conditional = true;
	if (!machine->at[NFTA_LOOKUP_DREG])
		return;
	if (number(machine, NFTA_LOOKUP_DREG) == NFT_REG_VERDICT) {
		machine->leaves = true;
		machine->reading->jumps_anywhere = true;
	} else {
		load(machine, number(machine, NFTA_LOOKUP_DREG), SOURCE_OTHER);
	}
}

static void run_verdict(struct machine *machine, const struct nlattr *verdict)
{
	struct rule_reading *reading = machine->reading;
	const struct nlattr *at[ATTRIBUTES];

	attributes(verdict, at);
	machine->leaves = true;
	if (at[NFTA_VERDICT_CODE])
		machine->drops |= ntohl(mnl_attr_get_u32(at[NFTA_VERDICT_CODE])) == NF_DROP;
	if (at[NFTA_VERDICT_CHAIN])
		*ARENA_PUSH(&reading->out->arena, reading->jumps, reading->jump_count,
			    reading->jump_room) = (struct other_jump){
			reading->chain,
			arena_strdup(&reading->out->arena,
				     mnl_attr_get_str(at[NFTA_VERDICT_CHAIN])),
		};
}

static void run_immediate(struct machine *machine)
{
	const struct nlattr *data = machine->at[NFTA_IMMEDIATE_DATA];
	struct content content = { .source = SOURCE_CONSTANT };
	const struct nlattr *at[ATTRIBUTES];

	attributes(data, at);
	if (at[NFTA_DATA_VERDICT])
		run_verdict(machine, at[NFTA_DATA_VERDICT]);
	else if (value_u32(data, &content.flip))
		*slot(machine, number(machine, NFTA_IMMEDIATE_DREG)) = content;
}

static void run_fib(struct machine *machine)
{
	const uint32_t reverse = NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF;
	bool is_reverse = (number(machine, NFTA_FIB_FLAGS) & reverse) == reverse;
	uint32_t result = number(machine, NFTA_FIB_RESULT);

	load(machine, number(machine, NFTA_FIB_DREG),
	     is_reverse && (result == NFT_FIB_RESULT_OIF || result == NFT_FIB_RESULT_OIFNAME)
		     ? SOURCE_REVERSE_PATH
		     : SOURCE_OTHER);
}

static void run_notrack(struct machine *machine)
{
	deed_add(machine, DEED_NOTRACK);
}

static void run_offload(struct machine *machine)
{
	enum { FLOW_TABLE_NAME = 1 }; /* NFTA_FLOW_TABLE_NAME, not in every uapi header */
	const struct nlattr *name = machine->at[FLOW_TABLE_NAME];

	deed_add(machine, DEED_OFFLOAD)->flowtable =
		name ? arena_strdup(&machine->reading->out->arena, mnl_attr_get_str(name)) : "";
}

static void run_nothing(struct machine *machine)
{
	(void)machine;
}

/* --- extensions of iptables ---------------------------------------------- */

/* The extension's data, of at least that size, and its name; NULL when it is another one. */
static const void *extension(const struct machine *machine, const char *name, uint32_t revision,
			     size_t size)
{
	const struct nlattr *named = machine->at[NFTA_TARGET_NAME];
	const struct nlattr *info = machine->at[NFTA_TARGET_INFO];

	if (!named || !info || strcmp(mnl_attr_get_str(named), name) != 0 ||
	    number(machine, NFTA_TARGET_REV) != revision || mnl_attr_get_payload_len(info) < size)
		return NULL;
	return mnl_attr_get_payload(info);
}

static void connmark_target(struct machine *machine, uint8_t mode, uint32_t ctmark, uint32_t ctmask,
			    uint32_t nfmask)
{
	if (mode == XT_CONNMARK_SET)
		deed_sets(machine, DEED_SETS_CONNECTION_MARK, ctmask | ctmark, true, ctmark);
	else if (mode == XT_CONNMARK_SAVE)
		deed_sets(machine, DEED_SETS_CONNECTION_MARK, ctmask | nfmask, false, 0);
	else
		deed_sets(machine, DEED_SETS_PACKET_MARK, ctmask | nfmask, false, 0);
}

/* All revisions of struct xt_ct_target_info begin with the flags. */
static bool is_notrack(const struct machine *machine)
{
	const void *info = NULL;
	uint16_t flags = 0;

	for (uint32_t revision = 0; revision <= 2 && !info; revision++)
		info = extension(machine, "CT", revision, sizeof(flags));
	if (info)
		memcpy(&flags, info, sizeof(flags));
	return flags & XT_CT_NOTRACK;
}

static void run_target(struct machine *machine)
{
	const struct xt_mark_tginfo2 *mark = extension(machine, "MARK", 2, sizeof(*mark));
	const struct xt_connmark_tginfo1 *one = extension(machine, "CONNMARK", 1, sizeof(*one));
	const struct xt_connmark_tginfo2 *two = extension(machine, "CONNMARK", 2, sizeof(*two));

	if (mark)
		deed_sets(machine, DEED_SETS_PACKET_MARK, mark->mask | mark->mark, true,
			  mark->mark);
	else if (one)
		connmark_target(machine, one->mode, one->ctmark, one->ctmask, one->nfmask);
	else if (two)
		connmark_target(machine, two->mode, two->ctmark, two->ctmask, two->nfmask);
	else if (is_notrack(machine))
		deed_add(machine, DEED_NOTRACK);
	else
		machine->leaves = true;
}

static void run_match(struct machine *machine)
{
	const struct xt_mark_mtinfo1 *mark = extension(machine, "mark", 1, sizeof(*mark));
	const struct xt_connmark_mtinfo1 *connection =
		extension(machine, "connmark", 1, sizeof(*connection));
	const struct xt_rpfilter_info *path = extension(machine, "rpfilter", 0, sizeof(*path));

	if (mark)
		deed_tests(machine, &(struct content){ SOURCE_PACKET, mark->mask, 0 });
	if (connection)
		deed_tests(machine, &(struct content){ SOURCE_CONNECTION, connection->mask, 0 });
	if (path)
		machine->misses_route |= (path->flags & (XT_RPFILTER_INVERT | XT_RPFILTER_LOOSE)) ==
					 XT_RPFILTER_INVERT;
	machine->is_conditional = true;
}

/* --- the rule ------------------------------------------------------------ */

static void expression_run(struct machine *machine, const char *name, const struct nlattr *data)
{
	static const struct {
		const char *name;
		void (*run)(struct machine *machine);
	} expressions[] = {
		{ "meta", run_meta },       { "ct", run_ct },
		{ "bitwise", run_bitwise }, { "cmp", run_cmp },
		{ "range", run_range },     { "lookup", run_lookup },
		{ "fib", run_fib },         { "immediate", run_immediate },
		{ "notrack", run_notrack }, { "flow_offload", run_offload },
		{ "target", run_target },   { "match", run_match },
		{ "counter", run_nothing }, { "log", run_nothing },
	};

	attributes(data, machine->at);
	for (size_t i = 0; i < sizeof(expressions) / sizeof(*expressions); i++)
		if (!strcmp(expressions[i].name, name)) {
			expressions[i].run(machine);
			return;
		}
	machine->is_conditional = true;
	machine->leaves = true;
}

void surround_rule(struct rule_reading *reading, const struct nlattr *expressions)
{
	struct machine machine = { .reading = reading };
	const struct nlattr *at[ATTRIBUTES];
	const struct nlattr *expression;

	memcpy(machine.families, reading->chain->families, sizeof(machine.families));
	mnl_attr_for_each_nested(expression, expressions)
	{
		attributes(expression, at);
		if (at[NFTA_EXPR_NAME])
			expression_run(&machine, mnl_attr_get_str(at[NFTA_EXPR_NAME]),
				       at[NFTA_EXPR_DATA]);
	}
	if (machine.misses_route && machine.drops)
		deed_add(&machine, DEED_REVERSE_PATH);
	reading->may_be_left |= machine.leaves;
}
