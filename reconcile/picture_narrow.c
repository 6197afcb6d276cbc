/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a picture is narrowed to, for who asks about one of a thousand redirects. */
#include "reconcile/picture.h"

#include <stdint.h>
#include <string.h>

#include "reconcile/listing.h"

static const size_t GONE = SIZE_MAX;

static bool is_meant(const struct picture_redirect *redirect, const char *name)
{
	return !strcmp(redirect->name, name) ||
	       (redirect->redirect && !strcmp(redirect->redirect->gateway->name, name));
}

static bool has_name(const struct picture *picture, const char *name)
{
	for (size_t i = 0; i < picture->gateway_count; i++)
		if (!strcmp(picture->gateways[i].name, name))
			return true;
	for (size_t i = 0; i < picture->redirect_count; i++)
		if (!strcmp(picture->redirects[i].name, name))
			return true;
	return false;
}

static int no_such_name(struct picture *picture, const char *name, struct error *error)
{
	struct listing gateways = { &picture->arena, "", 0 };
	struct listing redirects = { &picture->arena, "", 0 };

	for (size_t i = 0; i < picture->gateway_count; i++)
		listing_add(&gateways, picture->gateways[i].name);
	for (size_t i = 0; i < picture->redirect_count; i++)
		listing_add(&redirects, picture->redirects[i].name);
	return error_set(error, "usage",
			 "--only %s: no gateway and no enabled redirect has that name, in the "
			 "document or live; gateways: %s; redirects: %s",
			 name, gateways.count ? listing_text(&gateways) : "none",
			 redirects.count ? listing_text(&redirects) : "none");
}

/* The new index of each, or GONE. */
static size_t *redirects_narrow(struct picture *picture, const char *name)
{
	size_t *places =
		arena_alloc(&picture->arena, (picture->redirect_count + 1) * sizeof(*places));
	size_t kept = 0;

	for (size_t i = 0; i < picture->redirect_count; i++) {
		places[i] = GONE;
		if (is_meant(&picture->redirects[i], name)) {
			places[i] = kept;
			picture->redirects[kept++] = picture->redirects[i];
		}
	}
	picture->redirect_count = kept;
	return places;
}

static void gateway_narrow(struct picture_gateway *gateway, const size_t *places)
{
	size_t kept = 0;

	for (size_t i = 0; i < gateway->redirect_count; i++)
		if (places[gateway->redirects[i]] != GONE)
			gateway->redirects[kept++] = places[gateway->redirects[i]];
	gateway->redirect_count = kept;
}

int picture_narrow(struct picture *picture, const char *name, struct error *error)
{
	const size_t *places;
	size_t kept = 0;

	if (!has_name(picture, name))
		return no_such_name(picture, name, error);
	places = redirects_narrow(picture, name);
	for (size_t i = 0; i < picture->gateway_count; i++) {
		struct picture_gateway *gateway = &picture->gateways[i];

		gateway_narrow(gateway, places);
		if (gateway->redirect_count || !strcmp(gateway->name, name))
			picture->gateways[kept++] = *gateway;
	}
	picture->gateway_count = kept;
	return 0;
}
