/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/document_fields.h"

#include <ctype.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/utf8.h"

enum { DESCRIPTION_MAX = 200 };

/* A word of a document, and the enumerator or protocol number that it stands for. */
struct word {
	const char *text;
	int value;
};

static const struct word rp_filter_words[] = {
	{ "loose", RP_FILTER_LOOSE },
	{ "off", RP_FILTER_OFF },
	{ "keep", RP_FILTER_KEEP },
	{ NULL, 0 },
};

static const struct word on_loss_words[] = {
	{ "block", ON_LOSS_BLOCK },
	{ "bypass", ON_LOSS_BYPASS },
	{ NULL, 0 },
};

static const struct word existing_words[] = {
	{ "keep", EXISTING_KEEP },
	{ "tracked", EXISTING_TRACKED },
	{ "redirect", EXISTING_REDIRECT },
	{ NULL, 0 },
};

static const struct word protocol_words[] = {
	{ "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
	{ "sctp", IPPROTO_SCTP },
	{ NULL, 0 },
};

static const struct word *word_find(const struct word *words, const char *text)
{
	for (; words->text; words++)
		if (strcmp(words->text, text) == 0)
			return words;
	return NULL;
}

static const char *word_of(const struct word *words, int value)
{
	for (; words->text; words++)
		if (words->value == value)
			return words->text;
	return "unknown";
}

const char *protocol_name(uint8_t protocol)
{
	return word_of(protocol_words, protocol);
}

const char *existing_name(enum existing existing)
{
	return word_of(existing_words, (int)existing);
}

static int decode_word(struct decoder *decoder, const struct value *value, const struct word *words)
{
	const char *text = decode_text(decoder, value);
	const struct word *word = text ? word_find(words, text) : words;

	if (!word)
		value_fault_kind(decoder, value);
	return word ? word->value : words->value;
}

void decode_rp_filter(struct decoder *decoder, const struct value *value, void *out)
{
	*(enum rp_filter_mode *)out =
		(enum rp_filter_mode)decode_word(decoder, value, rp_filter_words);
}

void decode_on_loss(struct decoder *decoder, const struct value *value, void *out)
{
	*(enum on_loss *)out = (enum on_loss)decode_word(decoder, value, on_loss_words);
}

void decode_existing(struct decoder *decoder, const struct value *value, void *out)
{
	*(enum existing *)out = (enum existing)decode_word(decoder, value, existing_words);
}

void decode_ignored_text(struct decoder *decoder, const struct value *value, void *out)
{
	(void)out;
	decode_text(decoder, value);
}

void decode_version(struct decoder *decoder, const struct value *value, void *out)
{
	(void)out;
	if (!json_is_integer(value->json))
		value_fault_kind(decoder, value);
	else if (json_integer_value(value->json) != 1)
		value_fault(decoder, value, "this detour reads version 1");
}

void decode_boolean(struct decoder *decoder, const struct value *value, void *out)
{
	if (json_is_boolean(value->json))
		*(bool *)out = json_is_true(value->json);
	else
		value_fault_kind(decoder, value);
}

void decode_description(struct decoder *decoder, const struct value *value, void *out)
{
	const char *text = decode_text(decoder, value);

	if (!text)
		return;
	if (utf8_has_control(text)) {
		value_fault(decoder, value, "must not contain control characters or line breaks");
		return;
	}
	if (utf8_length(text) > DESCRIPTION_MAX)
		value_fault(decoder, value, "has %zu characters; at most %d are allowed",
			    utf8_length(text), DESCRIPTION_MAX);
	*(const char **)out = arena_strdup(decoder->arena, text);
}

static bool name_has_form(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return !name[length] && length < NAME_SIZE && islower((unsigned char)name[0]);
}

/* What iproute2, and this tool's own options, understand as something else. */
static bool name_is_reserved(const char *name)
{
	static const char *const reserved[] = {
		"main", "local", "default", "unspec", "all", "cache"
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

bool name_is_good(const char *name)
{
	return name_has_form(name) && !name_is_reserved(name);
}

void decode_name(struct decoder *decoder, const struct value *value, void *out)
{
	const char *text = decode_text(decoder, value);

	if (!text)
		return;
	/* Even a faulty name is a name that others may refer to. */
	*(const char **)out = arena_strdup(decoder->arena, text);
	if (!name_has_form(text))
		value_fault_kind(decoder, value);
	if (name_is_reserved(text))
		value_fault(decoder, value,
			    "is reserved (main, local, default, unspec, all, cache); choose "
			    "another name");
}

/*
 * What the kernel's dev_valid_name() refuses, and control characters. Its
 * isspace() knows the no-break space of Latin-1, which is a byte of some
 * letters in UTF-8.
 */
static const char *interface_wrong(const char *name)
{
	if (!name[0] || strlen(name) >= IFNAME_SIZE)
		return "an interface name has 1 to 15 bytes";
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "no interface can have this name";
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c == '/' || *c == ':' || *c == ' ' || *c == 0xa0 ||
		    utf8_is_control((const char *)c))
			return "an interface name has no slash, colon, space or control character";
	return NULL;
}

void decode_gateway_interface(struct decoder *decoder, const struct value *value, void *out)
{
	const char *text = decode_text(decoder, value);
	const char *wrong = text ? interface_wrong(text) : NULL;

	if (!text)
		return;
	if (wrong)
		value_fault(decoder, value, "%s", wrong);
	else if (strchr(text, '*'))
		value_fault(decoder, value, "must name one interface; '*' is for clients only");
	else if (strcmp(text, "all") == 0 || strcmp(text, "default") == 0)
		value_fault(decoder, value, "is no interface but a sysctl for all of them");
	else
		*(const char **)out = arena_strdup(decoder->arena, text);
}

const char *pattern_wrong(const char *pattern)
{
	const char *star = strchr(pattern, '*');

	if (star && star[1])
		return "'*' can only stand at the end of a name";
	return interface_wrong(pattern);
}

struct span interface_span(const char *name)
{
	struct span span = { 0 };
	size_t length = strcspn(name, "*");

	memcpy(span.from, name, length);
	memcpy(span.to, name, length);
	if (name[length] == '*')
		memset(span.to + length, 0xff, sizeof(span.to) - length);
	return span;
}

const char *interface_format(const struct span *span, char *text)
{
	bool is_exact = !memcmp(span->from, span->to, sizeof(span->from));
	struct span again;

	snprintf(text, IFNAME_SIZE + 1, "%.*s%s", IFNAME_SIZE - 1, (const char *)span->from,
		 is_exact ? "" : "*");
	if (!utf8_is_valid(text) || pattern_wrong(text) || (is_exact && strchr(text, '*')))
		return NULL;
	again = interface_span(text);
	return memcmp(&again, span, sizeof(again)) == 0 ? text : NULL;
}

static void decode_interface(struct decoder *decoder, const struct value *value, void *out)
{
	struct redirect *redirect = out;
	const char *text = decode_text(decoder, value);
	const char *wrong = text ? pattern_wrong(text) : NULL;

	if (wrong)
		value_fault(decoder, value, "%s", wrong);
	if (!text || wrong)
		return;
	redirect->interface_spans.items[redirect->interface_spans.count++] = interface_span(text);
	redirect->interfaces[redirect->interface_count++] = arena_strdup(decoder->arena, text);
}

void decode_interfaces(struct decoder *decoder, const struct value *value, void *out)
{
	static const struct list list = { 1, "an interface name such as \"eth0\" or \"vlan*\"",
					  decode_interface };
	size_t room = json_array_size(value->json) + 1;
	struct redirect *redirect = out;

	redirect->interfaces = arena_alloc(decoder->arena, room * sizeof(*redirect->interfaces));
	redirect->interface_spans.items = arena_alloc(decoder->arena, room * sizeof(struct span));
	decode_list(decoder, value, &list, redirect);
	spans_normalize(&redirect->interface_spans);
}

/* No next hop can have such an address. */
static const struct {
	const char *network, *kind;
} unusable_addresses[] = {
	{ "255.255.255.255", "the broadcast address" },
	{ "0.0.0.0/8", "an address of \"this network\"" },
	{ "127.0.0.0/8", "a loopback address" },
	{ "224.0.0.0/4", "a multicast address" },
	{ "::", "the unspecified address" },
	{ "::1", "the loopback address" },
	{ "ff00::/8", "a multicast address" },
};

static const char *address_kind(enum family family, const uint8_t *address)
{
	for (size_t i = 0; i < sizeof(unusable_addresses) / sizeof(unusable_addresses[0]); i++) {
		enum family of;
		struct span span;
		struct spans spans = { &span, 1, 1 };

		span_parse(unusable_addresses[i].network, &of, &span);
		if (of == family && spans_contain(&spans, address))
			return unusable_addresses[i].kind;
	}
	return NULL;
}

static void decode_address(struct decoder *decoder, const struct value *value, void *out)
{
	struct gateway *gateway = out;
	const char *text = decode_text(decoder, value);
	const char *wrong, *kind;
	enum family family;
	struct span span;

	if (!text)
		return;
	wrong = strpbrk(text, "/-") ? "must be one address, without prefix length or range"
				    : span_parse(text, &family, &span);
	if (wrong) {
		value_fault(decoder, value, "%s", wrong);
		return;
	}
	kind = address_kind(family, span.from);
	if (kind)
		value_fault(decoder, value, "is %s, which no gateway can have", kind);
	else if (gateway->has_address[family])
		value_fault(decoder, value, "is a second IPv%c address; a gateway has one",
			    family == FAMILY_IPV4 ? '4' : '6');
	gateway->has_address[family] = true;
	memcpy(gateway->address[family], span.from, sizeof(span.from));
}

void decode_addresses(struct decoder *decoder, const struct value *value, void *out)
{
	static const struct list list = { 1, "an address such as \"10.2.0.10\" or \"2001:db8::10\"",
					  decode_address };

	decode_list(decoder, value, &list, out);
}

static bool decode_number(struct decoder *decoder, const struct value *value, json_int_t most,
			  uint32_t *number)
{
	json_int_t seen = json_integer_value(value->json);

	if (json_is_integer(value->json) && seen >= 1 && seen <= most) {
		*number = (uint32_t)seen;
		return true;
	}
	value_fault_kind(decoder, value);
	return false;
}

void decode_table(struct decoder *decoder, const struct value *value, void *out)
{
	uint32_t table;

	if (!decode_number(decoder, value, UINT32_MAX - 1, &table))
		return;
	if (table >= TABLE_DEFAULT && table <= TABLE_LOCAL)
		value_fault(decoder, value, "is the kernel's own table; must be %s", value->what);
	else
		*(uint32_t *)out = table;
}

void decode_priority(struct decoder *decoder, const struct value *value, void *out)
{
	decode_number(decoder, value, PRIORITY_MAX, out);
}

/* A number of 32 bits, decimal or hex, up to the end character. Leading zeros might mean octal. */
static bool mark_number(const char **text, char end, uint32_t *number)
{
	bool hex = (*text)[0] == '0' && ((*text)[1] == 'x' || (*text)[1] == 'X');
	const char *digits = *text + (hex ? 2 : 0);
	size_t length = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
	unsigned long long seen;

	if (!length || length > (hex ? 8 : 10) || digits[length] != end)
		return false;
	if (!hex && digits[0] == '0' && length > 1)
		return false;
	seen = strtoull(digits, NULL, hex ? 16 : 10);
	if (seen > UINT32_MAX)
		return false;
	*number = (uint32_t)seen;
	*text = digits + length + 1;
	return true;
}

/* The hex digits that the value uses: a mask to propose. */
static uint32_t mask_around(uint32_t value)
{
	uint32_t mask = 0;

	for (uint32_t digit = 0xf; digit; digit <<= 4)
		if (value & digit)
			mask |= digit;
	return mask;
}

static void mark_check(struct decoder *decoder, const struct value *value, struct mark mark,
		       struct mark *out)
{
	if (!mark.value)
		value_fault(decoder, value, "the value must not be 0, which unmarked packets bear");
	else if (mark.value & ~mark.mask)
		value_fault(decoder, value,
			    "the value has bits outside of the mask; 0x%" PRIx32 "/0x%" PRIx32
			    " would be a mark",
			    mark.value, mark.mask | mask_around(mark.value));
	else
		*out = mark;
}

static void decode_mark_text(struct decoder *decoder, const struct value *value, struct mark *out)
{
	const char *text = decode_text(decoder, value);
	const char *rest = text;
	struct mark mark = { 0, 0 };

	if (!text)
		return;
	if (mark_number(&rest, '/', &mark.value) && mark_number(&rest, '\0', &mark.mask))
		mark_check(decoder, value, mark, out);
	else if (rest == text && mark_number(&rest, '\0', &mark.value) && mark.value)
		value_fault(decoder, value,
			    "a mask is missing; write \"%s/0x%" PRIx32 "\", or the number %" PRIu32
			    " for all 32 bits",
			    text, mask_around(mark.value), mark.value);
	else
		value_fault_kind(decoder, value);
}

void decode_mark(struct decoder *decoder, const struct value *value, void *out)
{
	struct mark full = { 0, UINT32_MAX };

	if (!json_is_integer(value->json))
		decode_mark_text(decoder, value, out);
	else if (decode_number(decoder, value, UINT32_MAX, &full.value))
		*(struct mark *)out = full;
}

static void decode_network(struct decoder *decoder, const struct value *value, void *out)
{
	struct spans *networks = out;
	const char *text = decode_text(decoder, value);
	enum family family;
	struct span span;
	const char *wrong;

	if (!text)
		return;
	wrong = span_parse(text, &family, &span);
	if (wrong)
		value_fault(decoder, value, "%s", wrong);
	else
		*ARENA_PUSH(decoder->arena, networks[family].items, networks[family].count,
			    networks[family].room) = span;
}

static void networks_decode(struct decoder *decoder, const struct value *value, size_t least,
			    struct spans *networks)
{
	const struct list list = { least,
				   "an address, a network such as \"10.1.0.0/24\" or a range such "
				   "as \"10.1.0.1-10.1.0.9\"",
				   decode_network };

	decode_list(decoder, value, &list, networks);
	for (int family = 0; family < FAMILY_COUNT; family++)
		spans_normalize(&networks[family]);
}

void decode_networks(struct decoder *decoder, const struct value *value, void *out)
{
	networks_decode(decoder, value, 1, out);
}

void decode_exceptions(struct decoder *decoder, const struct value *value, void *out)
{
	networks_decode(decoder, value, 0, out);
}

/* A port of 1-65535 in decimal digits up to the end character, or 0. */
static uint16_t port_parse(const char *text, const char *end)
{
	long port = 0;

	if (text == end || *text == '0' || end - text > 5)
		return 0;
	for (; text < end; text++) {
		if (!isdigit((unsigned char)*text))
			return 0;
		port = port * 10 + (*text - '0');
	}
	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

const char *service_parse(const char *text, struct service *out)
{
	const char *slash = strchr(text, '/');
	const char *dash = slash ? memchr(text, '-', (size_t)(slash - text)) : NULL;
	const struct word *protocol = slash ? word_find(protocol_words, slash + 1) : NULL;
	static _Thread_local char sentence[64];

	if (!slash)
		return "must be a port and a protocol";
	out->from = port_parse(text, dash ? dash : slash);
	out->to = dash ? port_parse(dash + 1, slash) : out->from;
	out->protocol = protocol ? (uint8_t)protocol->value : 0;
	if (!out->from || !out->to)
		return "port must be 1-65535";
	if (!protocol)
		return "protocol must be tcp, udp or sctp";
	if (out->from <= out->to)
		return NULL;
	snprintf(sentence, sizeof(sentence), "has its ends in reverse; the range is %u-%u/%s",
		 out->to, out->from, protocol->text);
	return sentence;
}

static void decode_service(struct decoder *decoder, const struct value *value, void *out)
{
	struct redirect *redirect = out;
	const char *text = decode_text(decoder, value);
	struct service service;
	const char *wrong;

	if (!text)
		return;
	if (!strchr(text, '/')) {
		value_fault_kind(decoder, value);
		return;
	}
	wrong = service_parse(text, &service);
	if (wrong)
		value_fault(decoder, value, "%s", wrong);
	else
		redirect->services[redirect->service_count++] = service;
}

static int service_compare(const void *a, const void *b)
{
	const struct service *left = a, *right = b;

	if (left->protocol != right->protocol)
		return left->protocol < right->protocol ? -1 : 1;
	return (left->from > right->from) - (left->from < right->from);
}

/* Overlapping ranges become one, so that each is one element of a set. */
static void services_normalize(struct redirect *redirect)
{
	struct service *services = redirect->services;
	size_t kept = 0;

	if (!redirect->service_count)
		return;
	qsort(services, redirect->service_count, sizeof(*services), service_compare);
	for (size_t i = 1; i < redirect->service_count; i++) {
		struct service *last = &services[kept];

		if (services[i].protocol != last->protocol || services[i].from > last->to)
			services[++kept] = services[i];
		else if (services[i].to > last->to)
			last->to = services[i].to;
	}
	redirect->service_count = kept + 1;
}

void decode_services(struct decoder *decoder, const struct value *value, void *out)
{
	static const struct list list = { 1, "a service such as \"3389/tcp\" or \"5900-5910/tcp\"",
					  decode_service };
	struct redirect *redirect = out;
	size_t room = json_array_size(value->json) + 1;

	redirect->services = arena_alloc(decoder->arena, room * sizeof(*redirect->services));
	decode_list(decoder, value, &list, redirect);
	services_normalize(redirect);
}
