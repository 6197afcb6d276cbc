/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A redirect in the words of the people who use it. */
#include <stdarg.h>
#include <string.h>

#include "reconcile/listing.h"
#include "reconcile/report.h"

static void list_spans(struct listing *listing, const struct spans *spans, enum family family)
{
	char text[SPAN_TEXT];

	for (size_t i = 0; i < spans->count && i < LISTING_SHOWN; i++)
		listing_add(listing, span_format(&spans->items[i], family, text));
	if (spans->count > LISTING_SHOWN)
		listing->count += spans->count - LISTING_SHOWN;
}

static const char *networks(struct arena *arena, const struct spans *spans,
			    const struct redirect *redirect)
{
	struct listing listing = { arena, "", 0 };

	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (redirect_works_in(redirect, family))
			list_spans(&listing, &spans[family], family);
	return listing_text(&listing);
}

const char *meaning_of_services(struct arena *arena, const struct redirect *redirect)
{
	struct listing listing = { arena, "", 0 };
	char text[SPAN_TEXT];

	for (size_t i = 0; i < redirect->service_count; i++)
		listing_add(&listing, service_format(&redirect->services[i], text));
	return listing_text(&listing);
}

const char *meaning_of_interfaces(struct arena *arena, const struct redirect *redirect)
{
	struct listing listing = { arena, "", 0 };

	for (size_t i = 0; i < redirect->interface_count; i++)
		listing_add(&listing, redirect->interfaces[i]);
	return listing_text(&listing);
}

const char *meaning_of_clients(struct arena *arena, const struct redirect *redirect)
{
	return redirect->any_client ? "any address"
				    : networks(arena, redirect->clients.networks, redirect);
}

const char *meaning_of_servers(struct arena *arena, const struct redirect *redirect)
{
	return networks(arena, redirect->servers.networks, redirect);
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
		from = arena_printf(arena, " (%s)", meaning_of_clients(arena, redirect));
	return arena_printf(arena, "%s: %s %s from %s%s %s through %s%s", redirect->name,
			    meaning_of_servers(arena, redirect),
			    meaning_of_services(arena, redirect),
			    meaning_of_interfaces(arena, redirect), from, verb,
			    redirect->gateway->name, except(arena, redirect));
}
