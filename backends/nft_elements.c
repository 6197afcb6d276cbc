/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Elements come and go by the hundred thousand, so they are translated
 * attribute by attribute, between the message and one array.
 *
 * The kernel keeps the spans of a one-field set as pairs of elements: the first
 * key, and an INTERVAL_END at the first key behind the span, absent when there
 * is none behind. Where spans touch, an END and a start share a key. A set of
 * concatenations has elements with a KEY and an inclusive KEY_END instead.
 */
#include "backends/nft_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "reconcile/sort.h"

const struct key_wire key_wires[KEY_OTHER] = {
	[KEY_IPV4] = { .datatype = 7, .bytes = 4, .byte_order = 2 },
	[KEY_IPV6] = { .datatype = 8, .bytes = 16, .byte_order = 2 },
	[KEY_IFNAME] = { .datatype = 41, .bytes = 16, .byte_order = 1 },
	[KEY_SERVICE] = { .datatype = 13 << 6 | 12, .bytes = 8, .fields = { 2, 1 } },
};

uint32_t set_flags(const struct nft_set *set)
{
	return NFT_SET_INTERVAL | (set->is_map ? NFT_SET_MAP : 0u) |
	       (set->key == KEY_SERVICE ? NFT_SET_CONCAT : 0u);
}

enum {
	/* An attribute's length has 16 bits; no element is longer than ELEMENT_ROOM. */
	LIST_ROOM = UINT16_MAX,
	ELEMENT_ROOM = 1024,
};

struct item {
	uint8_t from[SPAN_BYTES], to[SPAN_BYTES];
	const char *chain;
	bool is_end, has_to, foreign_verdict;
};

/* Attributes by type; what has no place in the array is ignored. */
struct attributes {
	const struct nlattr **at;
	uint16_t max;
};

static int attribute_take(const struct nlattr *attribute, void *context)
{
	const struct attributes *attributes = context;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type <= attributes->max)
		attributes->at[type] = attribute;
	return MNL_CB_OK;
}

static void nested_parse(const struct nlattr *nest, const struct nlattr **at, uint16_t max)
{
	struct attributes attributes = { at, max };

	mnl_attr_parse_nested(nest, attribute_take, &attributes);
}

/* NFTA_DATA_VALUE of the key's size, or false. */
static bool key_read(const struct nlattr *nest, size_t bytes, uint8_t *out)
{
	const struct nlattr *at[NFTA_DATA_MAX + 1] = { 0 };

	nested_parse(nest, at, NFTA_DATA_MAX);
	if (!at[NFTA_DATA_VALUE] || mnl_attr_get_payload_len(at[NFTA_DATA_VALUE]) != bytes)
		return false;
	memcpy(out, mnl_attr_get_payload(at[NFTA_DATA_VALUE]), bytes);
	return true;
}

/* The table's own string, so that equal names are one pointer; NULL: no such chain. */
static const char *chain_share(struct element_reader *reader, const char *name)
{
	const struct nft_chain *chain;

	if (reader->last_chain && strcmp(reader->last_chain, name) == 0)
		return reader->last_chain;
	chain = nft_chain_find(reader->table, name);
	reader->last_chain = chain ? chain->name : NULL;
	return reader->last_chain;
}

static void verdict_read(struct element_reader *reader, const struct nlattr *data,
			 struct item *item)
{
	const struct nlattr *outer[NFTA_DATA_MAX + 1] = { 0 };
	const struct nlattr *inner[NFTA_VERDICT_MAX + 1] = { 0 };

	item->foreign_verdict = true;
	nested_parse(data, outer, NFTA_DATA_MAX);
	if (!outer[NFTA_DATA_VERDICT])
		return;
	nested_parse(outer[NFTA_DATA_VERDICT], inner, NFTA_VERDICT_MAX);
	if (!inner[NFTA_VERDICT_CODE] || !inner[NFTA_VERDICT_CHAIN] ||
	    (int)ntohl(mnl_attr_get_u32(inner[NFTA_VERDICT_CODE])) != NFT_GOTO)
		return;
	item->chain = chain_share(reader, mnl_attr_get_str(inner[NFTA_VERDICT_CHAIN]));
	item->foreign_verdict = !item->chain;
}

/* Counters, timeouts and objects on elements: our sets have none. */
static bool is_plain(const struct nlattr **at)
{
	return !at[NFTA_SET_ELEM_TIMEOUT] && !at[NFTA_SET_ELEM_EXPIRATION] &&
	       !at[NFTA_SET_ELEM_EXPR] && !at[NFTA_SET_ELEM_EXPRESSIONS] &&
	       !at[NFTA_SET_ELEM_OBJREF];
}

static struct item *item_push(struct element_reader *reader)
{
	if (reader->count == reader->room) {
		size_t room = reader->room ? 2 * reader->room : 64;
		struct item *items = realloc(reader->items, room * sizeof(*items));

		if (!items)
			return NULL;
		reader->items = items;
		reader->room = room;
	}
	memset(&reader->items[reader->count], 0, sizeof(struct item));
	return &reader->items[reader->count++];
}

static int element_read(struct element_reader *reader, const struct nlattr *nest)
{
	const struct nlattr *at[NFTA_SET_ELEM_MAX + 1] = { 0 };
	struct item *item;

	nested_parse(nest, at, NFTA_SET_ELEM_MAX);
	if (!is_plain(at))
		reader->set->foreign_flags = true;
	/* "*", which stands for every other key */
	if (!at[NFTA_SET_ELEM_KEY]) {
		reader->set->foreign_flags = true;
		return 0;
	}
	item = item_push(reader);
	if (!item)
		return -ENOMEM;
	if (!key_read(at[NFTA_SET_ELEM_KEY], reader->bytes, item->from))
		return -EBADMSG;
	if (at[NFTA_SET_ELEM_KEY_END])
		item->has_to = key_read(at[NFTA_SET_ELEM_KEY_END], reader->bytes, item->to);
	if (at[NFTA_SET_ELEM_FLAGS])
		item->is_end = ntohl(mnl_attr_get_u32(at[NFTA_SET_ELEM_FLAGS])) &
			       NFT_SET_ELEM_INTERVAL_END;
	if (reader->set->is_map && !item->is_end) {
		if (at[NFTA_SET_ELEM_DATA])
			verdict_read(reader, at[NFTA_SET_ELEM_DATA], item);
		else
			item->foreign_verdict = true;
	}
	return 0;
}

void elements_begin(void *context)
{
	struct element_reader *reader = context;

	reader->count = 0;
}

int elements_message(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute, *element;

	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attribute) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, attribute)
		{
			int code = element_read(context, element);

			if (code)
				return code;
		}
	}
	return 0;
}

/* By key; of a touching pair, the end of the one before the start of the other. */
static int item_compare(const void *a, const void *b)
{
	const struct item *left = a, *right = b;
	int order = memcmp(left->from, right->from, SPAN_BYTES);

	return order ? order : right->is_end - left->is_end;
}

static void element_add(struct element_reader *reader, const struct item *item, const uint8_t *to)
{
	struct nft_set *set = reader->set;
	struct element *element = &set->elements[set->element_count++];

	memcpy(element->span.from, item->from, SPAN_BYTES);
	memcpy(element->span.to, to, SPAN_BYTES);
	element->chain = item->chain;
	element->foreign_verdict = item->foreign_verdict;
}

/*
 * As the kernel looks keys up: a start reaches to the next element of either
 * sort. An end that ends nothing, like the one that nft(8) puts before the
 * first span, means nothing.
 */
static void pairs_join(struct element_reader *reader)
{
	const struct item *open = NULL;
	uint8_t to[SPAN_BYTES];

	for (size_t i = 0; i < reader->count; i++) {
		const struct item *item = &reader->items[i];

		if (open) {
			memcpy(to, item->from, SPAN_BYTES);
			key_decrement(to, reader->bytes);
			element_add(reader, open, to);
		}
		open = item->is_end ? NULL : item;
	}
	if (!open)
		return;
	memset(to, 0, sizeof(to));
	memset(to, 0xff, reader->bytes);
	element_add(reader, open, to);
}

static void singles_take(struct element_reader *reader)
{
	for (size_t i = 0; i < reader->count; i++) {
		const struct item *item = &reader->items[i];

		element_add(reader, item, item->has_to ? item->to : item->from);
	}
}

static size_t starts_count(const struct element_reader *reader)
{
	size_t count = 0;

	for (size_t i = 0; i < reader->count; i++)
		count += !reader->items[i].is_end;
	return count;
}

void elements_finish(struct element_reader *reader)
{
	struct nft_set *set = reader->set;

	set->element_count = 0;
	set->element_room = starts_count(reader);
	set->elements = arena_alloc(reader->arena, set->element_room * sizeof(*set->elements));
	sort(reader->items, reader->count, sizeof(*reader->items), item_compare);
	if (reader->has_ends)
		pairs_join(reader);
	else
		singles_take(reader);
	free(reader->items);
	reader->items = NULL;
	reader->count = reader->room = 0;
}

static void key_put(struct nlmsghdr *message, uint16_t type, const uint8_t *key, size_t bytes)
{
	struct nlattr *nest = mnl_attr_nest_start(message, type);

	mnl_attr_put(message, NFTA_DATA_VALUE, bytes, key);
	mnl_attr_nest_end(message, nest);
}

static void verdict_put(struct nlmsghdr *message, const char *chain)
{
	struct nlattr *data = mnl_attr_nest_start(message, NFTA_SET_ELEM_DATA);
	struct nlattr *verdict = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);

	mnl_attr_put_u32(message, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_GOTO));
	mnl_attr_put_strz(message, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(message, verdict);
	mnl_attr_nest_end(message, data);
}

static void end_put(struct nlmsghdr *message, const struct span *span, size_t bytes)
{
	uint8_t behind[SPAN_BYTES];
	struct nlattr *nest;

	memcpy(behind, span->to, sizeof(behind));
	if (!key_increment(behind, bytes))
		return;
	nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	key_put(message, NFTA_SET_ELEM_KEY, behind, bytes);
	mnl_attr_put_u32(message, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
	mnl_attr_nest_end(message, nest);
}

static void element_put(struct nlmsghdr *message, int type, const struct nft_set *set,
			const struct element *element)
{
	struct nlattr *nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	size_t bytes = key_bytes(set->key);

	key_put(message, NFTA_SET_ELEM_KEY, element->span.from, bytes);
	if (set->key == KEY_SERVICE)
		key_put(message, NFTA_SET_ELEM_KEY_END, element->span.to, bytes);
	if (element->chain && type == NFT_MSG_NEWSETELEM)
		verdict_put(message, element->chain);
	mnl_attr_nest_end(message, nest);
	if (set->key != KEY_SERVICE)
		end_put(message, &element->span, bytes);
}

/* As many elements as fit in one message: how many that were. */
static size_t elements_put(struct nlmsghdr *message, int type, const struct nft_set *set,
			   const struct element *elements, size_t count)
{
	struct nlattr *list;
	uint32_t start;
	size_t done = 0;

	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set->name);
	start = message->nlmsg_len;
	list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	while (done < count && message->nlmsg_len - start <= LIST_ROOM - ELEMENT_ROOM)
		element_put(message, type, set, &elements[done++]);
	mnl_attr_nest_end(message, list);
	return done;
}

int elements_write(struct batch *batch, int type, const struct nft_set *set,
		   const struct element *elements, size_t count)
{
	uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE | NLM_F_EXCL : 0;

	while (count) {
		struct nlmsghdr *message = batch_add(batch, type, flags);
		size_t done;

		if (!message)
			return -1;
		done = elements_put(message, type, set, elements, count);
		batch_close(batch, message);
		elements += done;
		count -= done;
	}
	return 0;
}
