/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/span.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "reconcile/sort.h"

const char *family_name(enum family family)
{
	return family == FAMILY_IPV4 ? "ipv4" : "ipv6";
}

const struct span *family_span(enum family family)
{
	static const struct span all[FAMILY_COUNT] = {
		[FAMILY_IPV4] = { .to = { 0xff, 0xff, 0xff, 0xff } },
		[FAMILY_IPV6] = { .to = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
	};

	return &all[family];
}

static int address_family(enum family family)
{
	return family == FAMILY_IPV4 ? AF_INET : AF_INET6;
}

static int key_compare(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, SPAN_BYTES);
}

bool key_increment(uint8_t *key, size_t bytes)
{
	while (bytes--)
		if (++key[bytes])
			return true;
	return false;
}

bool key_decrement(uint8_t *key, size_t bytes)
{
	while (bytes--)
		if (key[bytes]--)
			return true;
	return false;
}

static __attribute__((format(printf, 1, 2))) const char *sentence(const char *format, ...)
{
	static _Thread_local char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return text;
}

static bool address_parse(const char *text, size_t length, enum family *family, uint8_t *key)
{
	char copy[INET6_ADDRSTRLEN];

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	memset(key, 0, SPAN_BYTES);
	*family = strchr(copy, ':') ? FAMILY_IPV6 : FAMILY_IPV4;
	return inet_pton(address_family(*family), copy, key) == 1;
}

static const char *malformed(const char *text)
{
	if (strchr(text, '%'))
		return "must stand without a zone (the part from % on)";
	for (const char *c = text; *c; c++)
		if (isspace((unsigned char)*c))
			return "must be written without spaces";
	return "must be an address, a network such as 10.1.0.0/24 "
	       "or a range such as 10.1.0.1-10.1.0.9";
}

/* The decimal number that is all of the text, or -1. */
static int prefix_parse(const char *text, int most)
{
	int prefix = 0;

	if (!isdigit((unsigned char)text[0]) || (text[0] == '0' && text[1]))
		return -1;
	for (; isdigit((unsigned char)*text) && prefix <= most; text++)
		prefix = prefix * 10 + (*text - '0');
	return *text || prefix > most ? -1 : prefix;
}

/* Widens the address to its network; returns whether host bits were set. */
static bool network_of(struct span *span, enum family family, int prefix)
{
	bool set = false;

	for (int i = 0; i < (int)family_bytes(family); i++) {
		int kept = prefix - i * 8;
		uint8_t host = kept >= 8 ? 0 : kept <= 0 ? 0xff : 0xff >> kept;

		set |= span->from[i] & host;
		span->to[i] = span->from[i] | host;
		span->from[i] &= (uint8_t)~host;
	}
	return set;
}

static const char *network_parse(const char *text, const char *slash, enum family *family,
				 struct span *span)
{
	char network[SPAN_TEXT];
	int most, prefix;

	if (strchr(slash, '-'))
		return "must be either a network or a range of plain addresses";
	if (!address_parse(text, (size_t)(slash - text), family, span->from))
		return malformed(text);
	most = (int)family_bytes(*family) * 8;
	prefix = prefix_parse(slash + 1, most);
	if (prefix < 0)
		return sentence("must have a prefix length of 0-%d behind the slash", most);
	if (!network_of(span, *family, prefix))
		return NULL;
	return sentence("has host bits set; the network is %s",
			span_format(span, *family, network));
}

static const char *range_parse(const char *text, const char *dash, enum family *family,
			       struct span *span)
{
	enum family family_to;

	if (!address_parse(text, (size_t)(dash - text), family, span->from) ||
	    !address_parse(dash + 1, strlen(dash + 1), &family_to, span->to))
		return malformed(text);
	if (*family != family_to)
		return "must have both ends in one family, IPv4 or IPv6";
	if (key_compare(span->from, span->to) <= 0)
		return NULL;
	return sentence("has its ends in reverse; the range is %s-%.*s", dash + 1,
			(int)(dash - text), text);
}

static const char *address_alone(const char *text, enum family *family, struct span *span)
{
	if (!address_parse(text, strlen(text), family, span->from))
		return malformed(text);
	memcpy(span->to, span->from, sizeof(span->to));
	return NULL;
}

/* Such addresses stand for IPv4 in a program's socket; no packet bears one. */
static const char *refuse_mapped(enum family family, const struct span *span)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	struct span plain = { 0 };
	char text[SPAN_TEXT];

	if (family != FAMILY_IPV6 || memcmp(span->from, prefix, sizeof(prefix)) != 0 ||
	    memcmp(span->to, prefix, sizeof(prefix)) != 0)
		return NULL;
	memcpy(plain.from, span->from + sizeof(prefix), 4);
	memcpy(plain.to, span->to + sizeof(prefix), 4);
	return sentence("is IPv4 mapped into IPv6, which no packet bears; write %s",
			span_format(&plain, FAMILY_IPV4, text));
}

const char *span_parse(const char *text, enum family *family, struct span *span)
{
	const char *mark = strpbrk(text, "/-");
	const char *wrong;

	*span = (struct span){ 0 };
	if (!mark)
		wrong = address_alone(text, family, span);
	else if (*mark == '/')
		wrong = network_parse(text, mark, family, span);
	else
		wrong = range_parse(text, mark, family, span);
	return wrong ? wrong : refuse_mapped(*family, span);
}

int span_prefix(const struct span *span, enum family family)
{
	int bits = (int)family_bytes(family) * 8;
	int prefix = 0;
	struct span network = *span;

	while (prefix < bits &&
	       !((span->from[prefix / 8] ^ span->to[prefix / 8]) & (0x80 >> prefix % 8)))
		prefix++;
	network_of(&network, family, prefix);
	return memcmp(&network, span, sizeof(network)) == 0 ? prefix : -1;
}

const char *span_format(const struct span *span, enum family family, char *text)
{
	int prefix = span_prefix(span, family);
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	inet_ntop(address_family(family), span->from, from, sizeof(from));
	inet_ntop(address_family(family), span->to, to, sizeof(to));
	if (prefix == (int)family_bytes(family) * 8)
		snprintf(text, SPAN_TEXT, "%s", from);
	else if (prefix >= 0)
		snprintf(text, SPAN_TEXT, "%s/%d", from, prefix);
	else
		snprintf(text, SPAN_TEXT, "%s-%s", from, to);
	return text;
}

const char *address_format(const uint8_t *address, enum family family, char *text)
{
	inet_ntop(address_family(family), address, text, SPAN_TEXT);
	return text;
}

static int span_compare(const void *a, const void *b)
{
	const struct span *left = a, *right = b;

	return key_compare(left->from, right->from);
}

void spans_normalize(struct spans *spans)
{
	size_t kept = 0;

	if (!spans->count)
		return;
	sort(spans->items, spans->count, sizeof(*spans->items), span_compare);
	for (size_t i = 1; i < spans->count; i++) {
		struct span *last = &spans->items[kept];
		const struct span *next = &spans->items[i];

		if (key_compare(next->from, last->to) > 0)
			spans->items[++kept] = *next;
		else if (key_compare(next->to, last->to) > 0)
			memcpy(last->to, next->to, sizeof(last->to));
	}
	spans->count = kept + 1;
}

/* The index of the first span that does not end before the key. */
static size_t spans_seek(const struct spans *spans, size_t first, const uint8_t *key)
{
	size_t last = spans->count;

	while (first < last) {
		size_t middle = first + (last - first) / 2;

		if (key_compare(spans->items[middle].to, key) < 0)
			first = middle + 1;
		else
			last = middle;
	}
	return first;
}

/* Adds what the holes leave of one span; `hole` is the first that does not end before it. */
static void span_cut(struct arena *arena, struct span rest, const struct spans *holes, size_t hole,
		     size_t bytes, struct spans *out)
{
	for (; hole < holes->count; hole++) {
		const struct span *cut = &holes->items[hole];
		struct span *piece;

		if (key_compare(cut->from, rest.to) > 0)
			break;
		if (key_compare(rest.from, cut->from) < 0) {
			piece = ARENA_PUSH(arena, out->items, out->count, out->room);
			*piece = (struct span){ 0 };
			memcpy(piece->from, rest.from, sizeof(piece->from));
			memcpy(piece->to, cut->from, sizeof(piece->to));
			key_decrement(piece->to, bytes);
		}
		if (key_compare(cut->to, rest.to) >= 0)
			return;
		memcpy(rest.from, cut->to, sizeof(rest.from));
		key_increment(rest.from, bytes);
	}
	*ARENA_PUSH(arena, out->items, out->count, out->room) = rest;
}

void spans_subtract(struct arena *arena, const struct spans *a, const struct spans *b, size_t bytes,
		    struct spans *out)
{
	struct spans rest = { 0 };
	size_t hole = 0;

	for (size_t i = 0; i < a->count && b->count; i++) {
		hole = spans_seek(b, hole, a->items[i].from);
		span_cut(arena, a->items[i], b, hole, bytes, &rest);
	}
	*out = b->count ? rest : *a;
}

void spans_common(struct arena *arena, const struct spans *a, const struct spans *b, size_t bytes,
		  struct spans *out)
{
	struct spans rest;

	spans_subtract(arena, a, b, bytes, &rest);
	spans_subtract(arena, a, &rest, bytes, out);
}

/* n log n in the smaller one, so that one redirect can be held against a huge one. */
bool spans_intersect(const struct spans *a, const struct spans *b)
{
	const struct spans *few = a->count < b->count ? a : b;
	const struct spans *many = few == a ? b : a;
	size_t at = 0;

	for (size_t i = 0; i < few->count; i++) {
		at = spans_seek(many, at, few->items[i].from);
		if (at == many->count)
			return false;
		if (key_compare(many->items[at].from, few->items[i].to) <= 0)
			return true;
	}
	return false;
}

bool spans_contain(const struct spans *spans, const uint8_t key[SPAN_BYTES])
{
	size_t at = spans_seek(spans, 0, key);

	return at < spans->count && key_compare(spans->items[at].from, key) <= 0;
}
