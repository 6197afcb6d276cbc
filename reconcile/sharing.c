/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/sharing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/digest.h"

#define INTERFACES "interfaces_"
#define SERVICES   "services_"
#define MARK       "mark-"

/* So many items stand in a name, or so many digits of their digest. */
enum { NAME_ITEMS = 3, NAME_DIGITS = 16 };

static const char *digest_name(struct arena *arena, const char *prefix, const struct spans *spans)
{
	char hex[DIGEST_TEXT];

	digest_text((const char *)spans->items, spans->count * sizeof(*spans->items), hex);
	return arena_printf(arena, "%s%.*s", prefix, NAME_DIGITS, hex);
}

/* Neither a pattern nor what nft(8) does not take in the name of a set. */
static bool is_plain(const struct span *interface)
{
	if (memcmp(interface->from, interface->to, SPAN_BYTES) != 0)
		return false;
	for (const uint8_t *c = interface->from; *c; c++)
		if (!isalnum(*c) && !strchr("_-.", *c))
			return false;
	return true;
}

/* No interface has a slash in its name. */
const char *interfaces_name(struct arena *arena, const struct spans *interfaces)
{
	const char *name = INTERFACES;

	for (size_t i = 0; i < interfaces->count; i++) {
		if (i == NAME_ITEMS || !is_plain(&interfaces->items[i]))
			return digest_name(arena, INTERFACES, interfaces);
		name = arena_printf(arena, "%s%s%s", name, i ? "/" : "",
				    (const char *)interfaces->items[i].from);
	}
	return name;
}

const char *services_name(struct arena *arena, const struct redirect *redirect,
			  const struct spans *services)
{
	const char *name = SERVICES;
	char text[SPAN_TEXT];

	if (redirect->service_count > NAME_ITEMS)
		return digest_name(arena, SERVICES, services);
	for (size_t i = 0; i < redirect->service_count; i++)
		name = arena_printf(arena, "%s%s%s", name, i ? "_" : "",
				    service_format(&redirect->services[i], text));
	return name;
}

const char *mark_chain_name(struct arena *arena, const struct gateway *gateway,
			    enum existing existing)
{
	return arena_printf(arena, MARK "%s_%s", existing_name(existing), gateway->name);
}

bool is_shared(const char *name)
{
	static const char *const prefixes[] = { INTERFACES, SERVICES, MARK };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* --- who shares them ------------------------------------------------------ */

static int sharer_compare(const void *a, const void *b)
{
	const struct sharer *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : strcmp(left->redirect, right->redirect);
}

static void rule_add(struct arena *arena, const struct nft_rule *rule, const char *redirect,
		     struct sharers *sharers)
{
	for (size_t i = 0; i < rule->stmt_count; i++) {
		const struct stmt *stmt = &rule->stmts[i];

		if (stmt->name && is_shared(stmt->name))
			*ARENA_PUSH(arena, sharers->items, sharers->count, sharers->room) =
				(struct sharer){ stmt->name, redirect };
	}
}

static void sharers_unique(struct sharers *sharers)
{
	size_t kept = 0;

	if (sharers->count)
		qsort(sharers->items, sharers->count, sizeof(*sharers->items), sharer_compare);
	for (size_t i = 0; i < sharers->count; i++)
		if (!kept || sharer_compare(&sharers->items[i], &sharers->items[kept - 1]) != 0)
			sharers->items[kept++] = sharers->items[i];
	sharers->count = kept;
}

void sharers_add(struct arena *arena, const struct nft_table *table, struct sharers *sharers)
{
	for (size_t c = 0; c < table->chain_count; c++) {
		const struct nft_chain *chain = &table->chains[c];

		for (size_t i = 0; i < chain->rule_count; i++)
			if (!strncmp(chain->name, "redirect_", 9))
				rule_add(arena, &chain->rules[i], chain->name + 9, sharers);
	}
	sharers_unique(sharers);
}

const struct sharer *sharers_find(const struct sharers *sharers, const char *name, size_t *count)
{
	struct sharer key = { .name = name, .redirect = "" };
	size_t low = 0, high = sharers->count;

	/* Every redirect's name comes behind the empty one. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sharer_compare(&sharers->items[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < sharers->count; ++*count)
		if (strcmp(sharers->items[low + *count].name, name) != 0)
			break;
	return *count ? &sharers->items[low] : NULL;
}
