/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A redirect in the words of the people who use it. */
#include <stdarg.h>
#include <string.h>

#include "reconcile/report.h"

enum { SHOWN = 3 };

/* "a, b, c and 17 more" */
struct listing {
	struct arena *arena;
	const char *text;
	size_t count;
};

static void list(struct listing *listing, const char *item)
{
	if (listing->count++ < SHOWN)
		listing->text = arena_printf(listing->arena, "%s%s%s", listing->text,
					     listing->count > 1 ? ", " : "", item);
}

static const char *listed(const struct listing *listing)
{
	if (listing->count <= SHOWN)
		return listing->text;
	return arena_printf(listing->arena, "%s and %zu more", listing->text,
			    listing->count - SHOWN);
}

static void list_spans(struct listing *listing, const struct spans *spans, enum family family)
{
	char text[SPAN_TEXT];

	for (size_t i = 0; i < spans->count && i < SHOWN; i++)
		list(listing, span_format(&spans->items[i], family, text));
	if (spans->count > SHOWN)
		listing->count += spans->count - SHOWN;
}

static const char *networks(struct arena *arena, const struct spans *spans,
			    const struct redirect *redirect)
{
	struct listing listing = { arena, "", 0 };

	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (redirect_works_in(redirect, family))
			list_spans(&listing, &spans[family], family);
	return listed(&listing);
}

static const char *services(struct arena *arena, const struct redirect *redirect)
{
	struct listing listing = { arena, "", 0 };
	char text[SPAN_TEXT];

	for (size_t i = 0; i < redirect->service_count; i++)
		list(&listing, service_format(&redirect->services[i], text));
	return listed(&listing);
}

static const char *interfaces(struct arena *arena, const struct redirect *redirect)
{
	struct listing listing = { arena, "", 0 };

	for (size_t i = 0; i < redirect->interface_count; i++)
		list(&listing, redirect->interfaces[i]);
	return listed(&listing);
}

static const char *except(struct arena *arena, const struct redirect *redirect)
{
	const char *clients = networks(arena, redirect->clients.except, redirect);
	const char *servers = networks(arena, redirect->servers.except, redirect);

	if (!*clients && !*servers)
		return "";
	return arena_printf(arena, ", except %s%s%s%s%s", *clients ? "clients " : "", clients,
			    *clients && *servers ? " and " : "", *servers ? "servers " : "",
			    servers);
}

const char *meaning_of_redirect(struct arena *arena, const struct redirect *redirect,
				const char *verb)
{
	const char *from = "";

	if (!redirect->any_client)
		from = arena_printf(arena, " (%s)",
				    networks(arena, redirect->clients.networks, redirect));
	return arena_printf(arena, "%s: %s %s from %s%s %s through %s%s", redirect->name,
			    networks(arena, redirect->servers.networks, redirect),
			    services(arena, redirect), interfaces(arena, redirect), from, verb,
			    redirect->gateway->name, except(arena, redirect));
}
