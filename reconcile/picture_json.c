/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/picture.h"

#include "reconcile/report.h"

static json_t *flaws_json(const struct flaws *flaws)
{
	json_t *list = json_array();

	for (size_t i = 0; i < flaws->count; i++)
		json_array_append_new(list, text_json(flaws->items[i]));
	return list;
}

static json_t *hop_json(const struct picture_hop *hop)
{
	const struct next_hop *seen = hop->hop;
	json_t *object = json_pack(
		"{s:s,s:s,s:s}", "family", family_name(hop->family), "address", hop->address,
		"neighbour", neighbour_name(seen ? seen->neighbour.state : NEIGHBOUR_UNKNOWN));

	json_object_set_new(object, "link_address",
			    seen && seen->neighbour.link_address
				    ? json_string(seen->neighbour.link_address)
				    : json_null());
	json_object_set_new(object, "obstacle",
			    seen && seen->obstacle ? text_json(seen->obstacle) : json_null());
	return object;
}

static void count_json(json_t *object, const char *packets, const char *bytes,
		       const struct count *count)
{
	json_object_set_new(object, packets, json_integer((json_int_t)count->packets));
	json_object_set_new(object, bytes, json_integer((json_int_t)count->bytes));
}

static json_t *gateway_json(const struct picture_gateway *gateway)
{
	const struct gateway *wanted = gateway->gateway;
	json_t *object =
		json_pack("{s:o,s:s,s:s}", "name", text_json(gateway->name), "state",
			  life_name(gateway->life), "effect", effect_name(gateway->effect));
	json_t *hops = json_array();

	for (size_t i = 0; i < gateway->hop_count; i++)
		json_array_append_new(hops, hop_json(&gateway->hops[i]));
	json_object_set_new(object, "interface",
			    wanted ? text_json(wanted->interface) : json_null());
	json_object_set_new(object, "link", wanted ? json_string(gateway->interface) : json_null());
	json_object_set_new(object, "next_hops", hops);
	json_object_set_new(object, "connections",
			    json_integer((json_int_t)gateway->tally.connections));
	count_json(object, "packets", "bytes", &gateway->tally.taken);
	count_json(object, "refused_packets", "refused_bytes", &gateway->tally.refused);
	json_object_set_new(object, "flaws", flaws_json(&gateway->flaws));
	return object;
}

static json_t *redirect_json(const struct picture_redirect *redirect)
{
	json_t *object = json_pack("{s:o,s:s,s:s,s:s}", "name", text_json(redirect->name), "state",
				   life_name(redirect->life), "effect",
				   effect_name(redirect->effect), "fate", redirect->fate);

	json_object_set_new(object, "gateway",
			    redirect->redirect ? text_json(redirect->redirect->gateway->name)
					       : json_null());
	json_object_set_new(object, "connections_total",
			    json_integer((json_int_t)redirect->tally.taken.packets));
	count_json(object, "refused_packets", "refused_bytes", &redirect->tally.refused);
	json_object_set_new(object, "flaws", flaws_json(&redirect->flaws));
	return object;
}

void picture_json(const struct picture *picture, json_t *report)
{
	json_t *gateways = json_array(), *redirects = json_array();

	for (size_t i = 0; i < picture->gateway_count; i++)
		json_array_append_new(gateways, gateway_json(&picture->gateways[i]));
	for (size_t i = 0; i < picture->redirect_count; i++)
		json_array_append_new(redirects, redirect_json(&picture->redirects[i]));
	json_object_set_new(report, "gateways", gateways);
	json_object_set_new(report, "redirects", redirects);
}
