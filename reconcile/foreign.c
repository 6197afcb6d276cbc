/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/foreign.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 16 };

size_t foreign_bytes(enum foreign_field field, enum family family)
{
	/* 0: an address */
	static const size_t bytes[FOREIGN_FIELD_COUNT] = {
		[FOREIGN_PROTOCOL] = 1,
		[FOREIGN_SPORT] = 2,
		[FOREIGN_DPORT] = 2,
	};

	return bytes[field] ? bytes[field] : family_bytes(family);
}

/* Every key of the field. */
static struct spans field_all(struct arena *arena, enum foreign_field field, enum family family)
{
	struct span *all = arena_alloc(arena, sizeof(*all));

	memset(all->to, 0xff, foreign_bytes(field, family));
	return (struct spans){ all, 1, 1 };
}

static struct spans *field_spans(struct foreign_rule *rule, enum foreign_field field,
				 enum family family)
{
	bool is_address = field == FOREIGN_SOURCE || field == FOREIGN_DESTINATION;

	return is_address ? &rule->addresses[field][family] : &rule->numbers[field];
}

void foreign_narrow(struct arena *arena, struct foreign_rule *rule, enum foreign_field field,
		    enum family family, struct spans *spans, bool negate)
{
	struct spans *now = field_spans(rule, field, family);
	struct spans all = field_all(arena, field, family);
	size_t bytes = foreign_bytes(field, family);

	spans_normalize(spans);
	if (!rule->narrowed[field])
		*now = all;
	if (negate)
		spans_subtract(arena, now, spans, bytes, now);
	else
		spans_common(arena, now, spans, bytes, now);
	rule->narrowed[field] = true;
}

void foreign_narrow_interfaces(struct arena *arena, struct foreign_rule *rule, struct spans *names,
			       bool negate)
{
	if (rule->among != AMONG_ANY) {
		foreign_obscure(arena, rule, "a second condition on the interface");
		return;
	}
	rule->among = negate ? AMONG_OTHERS : AMONG_THESE;
	spans_normalize(names);
	rule->interfaces = *names;
}

void foreign_test(struct arena *arena, struct foreign_rule *rule, struct foreign_test *test,
		  struct foreign_test wanted)
{
	if (test->mark.mask)
		foreign_obscure(arena, rule, "a second condition on the mark");
	*test = wanted;
}

void foreign_act(struct arena *arena, struct foreign_rule *rule, enum foreign_action action,
		 struct mark mark)
{
	if (action == FOREIGN_NOTHING)
		return;
	if (rule->action != FOREIGN_NOTHING)
		foreign_obscure(arena, rule, "more than one action");
	rule->action = action;
	rule->mark = mark;
}

void foreign_obscure(struct arena *arena, struct foreign_rule *rule, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	rule->obscure = arena_printf(arena, "%s%s%s", rule->obscure, *rule->obscure ? ", " : "",
				     arena_printable(arena, text));
}

/* --- disjoint ------------------------------------------------------------- */

static bool interfaces_disjoint(const struct foreign_rule *a, const struct foreign_rule *b)
{
	struct arena arena = { 0 };
	struct spans rest;

	if (a->among == AMONG_THESE && b->among == AMONG_THESE)
		return !spans_intersect(&a->interfaces, &b->interfaces);
	if (a->among == AMONG_OTHERS && b->among == AMONG_THESE)
		return interfaces_disjoint(b, a);
	if (a->among != AMONG_THESE || b->among != AMONG_OTHERS)
		return false;
	spans_subtract(&arena, &a->interfaces, &b->interfaces, NAME_BYTES, &rest);
	arena_free(&arena);
	return !rest.count;
}

static bool family_disjoint(const struct foreign_rule *a, const struct foreign_rule *b,
			    enum family family)
{
	for (enum foreign_field field = 0; field <= FOREIGN_DESTINATION; field++)
		if (a->narrowed[field] && b->narrowed[field] &&
		    !spans_intersect(&a->addresses[field][family], &b->addresses[field][family]))
			return true;
	return !a->families[family] || !b->families[family];
}

bool foreign_disjoint(const struct foreign_rule *a, const struct foreign_rule *b)
{
	for (enum foreign_field field = FOREIGN_PROTOCOL; field < FOREIGN_FIELD_COUNT; field++)
		if (a->narrowed[field] && b->narrowed[field] &&
		    !spans_intersect(&a->numbers[field], &b->numbers[field]))
			return true;
	return interfaces_disjoint(a, b) ||
	       (family_disjoint(a, b, FAMILY_IPV4) && family_disjoint(a, b, FAMILY_IPV6));
}

/* --- words ---------------------------------------------------------------- */

static void put_interfaces(FILE *out, const struct foreign_rule *rule)
{
	if (rule->among == AMONG_ANY)
		return;
	fprintf(out, "iifname %s", rule->among == AMONG_OTHERS ? "!= " : "");
	for (size_t i = 0; i < rule->interfaces.count; i++) {
		const struct span *name = &rule->interfaces.items[i];
		bool is_prefix = memcmp(name->from, name->to, sizeof(name->from)) != 0;

		fprintf(out, "%s\"%.16s%s\"", i ? ", " : "", (const char *)name->from,
			is_prefix ? "*" : "");
	}
	fputc(' ', out);
}

static void put_addresses(FILE *out, const struct foreign_rule *rule, enum foreign_field field)
{
	static const char *const words[] = { "saddr", "daddr" };
	char text[SPAN_TEXT];

	for (enum family family = 0; rule->narrowed[field] && family < FAMILY_COUNT; family++) {
		const struct spans *spans = &rule->addresses[field][family];

		if (!rule->families[family])
			continue;
		fprintf(out, "%s %s ", family == FAMILY_IPV4 ? "ip" : "ip6", words[field]);
		for (size_t i = 0; i < spans->count; i++)
			fprintf(out, "%s%s", i ? "," : "",
				span_format(&spans->items[i], family, text));
		fputc(' ', out);
	}
}

static unsigned int number_of(const uint8_t *key, enum foreign_field field)
{
	return field == FOREIGN_PROTOCOL ? key[0] : (unsigned int)(key[0] << 8 | key[1]);
}

static void put_numbers(FILE *out, const struct foreign_rule *rule, enum foreign_field field)
{
	static const char *const words[FOREIGN_FIELD_COUNT] = {
		[FOREIGN_PROTOCOL] = "l4proto",
		[FOREIGN_SPORT] = "sport",
		[FOREIGN_DPORT] = "dport",
	};
	const struct spans *spans = &rule->numbers[field];

	if (!rule->narrowed[field])
		return;
	fprintf(out, "%s ", words[field]);
	for (size_t i = 0; i < spans->count; i++) {
		unsigned int from = number_of(spans->items[i].from, field);
		unsigned int to = number_of(spans->items[i].to, field);

		fputs(i ? "," : "", out);
		if (field == FOREIGN_PROTOCOL && from == to && *protocol_name((uint8_t)from) != '?')
			fputs(protocol_name((uint8_t)from), out);
		else
			fprintf(out, from == to ? "%u" : "%u-%u", from, to);
	}
	fputc(' ', out);
}

static void put_test(FILE *out, const char *name, const struct foreign_test *test)
{
	if (test->mark.mask)
		fprintf(out, "%s mark %s0x%x/0x%x ", name, test->negate ? "!= " : "",
			test->mark.value, test->mark.mask);
}

static void put_action(FILE *out, const struct foreign_rule *rule)
{
	switch (rule->action) {
	case FOREIGN_NOTHING:
	case FOREIGN_UNKNOWN:
		return;
	case FOREIGN_LEAVES:
		fputs("leave ", out);
		return;
	case FOREIGN_MARKS_CONNECTION:
	case FOREIGN_MARKS_PACKET:
		fprintf(out, "%s mark set 0x%x/0x%x ",
			rule->action == FOREIGN_MARKS_PACKET ? "meta" : "ct", rule->mark.value,
			rule->mark.mask);
		return;
	case FOREIGN_RESTORES:
		fputs("meta mark set ct mark ", out);
		return;
	}
}

const char *foreign_words(struct arena *arena, const struct foreign_rule *rule)
{
	char *text = NULL;
	const char *kept;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return "";
	put_interfaces(out, rule);
	put_addresses(out, rule, FOREIGN_SOURCE);
	put_addresses(out, rule, FOREIGN_DESTINATION);
	put_numbers(out, rule, FOREIGN_PROTOCOL);
	put_numbers(out, rule, FOREIGN_SPORT);
	put_numbers(out, rule, FOREIGN_DPORT);
	put_test(out, "ct", &rule->connection);
	put_test(out, "meta", &rule->packet);
	fputs(rule->is_new ? "ct state new " : "", out);
	put_action(out, rule);
	fclose(out);
	if (size)
		text[size - 1] = '\0';
	kept = arena_printable(arena, arena_strdup(arena, text));
	free(text);
	return kept;
}
