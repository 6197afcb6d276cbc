/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where packets go beside the gateway: to servers by routing, or into IPsec. */
#include <string.h>

#include "reconcile/warning_parts.h"

static bool leaves_by_gateway(const struct way *way)
{
	return !strcmp(way->interface, way->redirect->gateway->interface);
}

static bool sends_redirects(const struct judgement *judgement, const char *interface)
{
	const struct device *device = surroundings_device(judgement->around, interface);

	return device && (judgement->around->all.value[SYSCTL_SEND_REDIRECTS] > 0 ||
			  device->sysctls.value[SYSCTL_SEND_REDIRECTS] > 0);
}

/* What comes and goes by one interface under a client's address has that client told. */
static void warn_icmp_redirects(const struct judgement *judgement, const struct way *way)
{
	const char *interface = way->redirect->gateway->interface;
	struct arena *arena = &judgement->plan->arena;

	if (way->family != FAMILY_IPV4 || !sends_redirects(judgement, interface))
		return;
	warn(judgement->plan, "icmp-redirects",
	     arena_printf(arena, "sysctl -w %s=0 %s=0",
			  sysctl_name(arena, SYSCTL_SEND_REDIRECTS, "all"),
			  sysctl_name(arena, SYSCTL_SEND_REDIRECTS, interface)),
	     "redirect %s: what gateway %s sends under its clients' addresses comes and goes by "
	     "%s, so clients will be sent ICMP redirects (send_redirects: all=%d, %s=%d)",
	     way->redirect->name, way->redirect->gateway->name, interface,
	     judgement->around->all.value[SYSCTL_SEND_REDIRECTS], interface,
	     surroundings_device(judgement->around, interface)
		     ->sysctls.value[SYSCTL_SEND_REDIRECTS]);
}

/* True when it was warned of: one example of a redirect is enough. */
static bool warn_way(const struct judgement *judgement, const struct way *way)
{
	const struct gateway *gateway = way->redirect->gateway;

	if (!gateway->spoofs_clients || !leaves_by_gateway(way))
		return false;
	warn(judgement->plan, "servers-by-gateway-interface",
	     "connect the servers by another interface than the gateway, or let the gateway use "
	     "its own address (\"spoofs_clients\": false)",
	     "redirect %s: server %s is routed by %s, the interface of gateway %s, which spoofs "
	     "clients: the server's answers come in by that, too, and go to the client, not to the "
	     "gateway",
	     way->redirect->name, way->example, gateway->interface, gateway->name);
	warn_icmp_redirects(judgement, way);
	return true;
}

bool answers_are_strange(const struct surroundings *around, const struct gateway *gateway)
{
	const struct redirect *redirect = NULL;
	bool is_strange = false;

	/* Those of one redirect come one after another. */
	for (size_t i = 0; i < around->way_count; i++) {
		const struct way *way = &around->ways[i];

		if (way->redirect->gateway != gateway || way->family != FAMILY_IPV4)
			continue;
		if (way->redirect != redirect && is_strange)
			return true;
		is_strange = (way->redirect != redirect || is_strange) && !leaves_by_gateway(way);
		redirect = way->redirect;
	}
	return is_strange;
}

/* --- IPsec --------------------------------------------------------------- */

static bool has_port(const struct redirect *redirect, const struct xfrm_rule *policy)
{
	for (size_t i = 0; i < redirect->service_count; i++) {
		const struct service *service = &redirect->services[i];

		if (policy->ip_protocol && policy->ip_protocol != service->protocol)
			continue;
		if (policy->dport_mask != UINT16_MAX ||
		    (service->from <= policy->dport && policy->dport <= service->to))
			return true;
	}
	return false;
}

static bool xfrm_meets(const struct judgement *judgement, const struct xfrm_rule *policy,
		       const struct selection *selection)
{
	const struct gateway *gateway = selection->redirect->gateway;
	const struct device *out = surroundings_device(judgement->around, gateway->interface);
	struct spans from = { (struct span *)&policy->from, 1, 1 };
	struct spans to = { (struct span *)&policy->to, 1, 1 };

	return spans_intersect(&selection->clients[policy->family], &from) &&
	       spans_intersect(&selection->servers[policy->family], &to) &&
	       has_port(selection->redirect, policy) &&
	       !((policy->mark.value ^ gateway->mark.value) & policy->mark.mask &
		 gateway->mark.mask) &&
	       (!policy->out_index || (out && out->index == policy->out_index));
}

static void warn_xfrm(const struct judgement *judgement, const struct xfrm_rule *policy,
		      const struct selection *selection)
{
	struct arena *arena = &judgement->plan->arena;
	char from[SPAN_TEXT], to[SPAN_TEXT];

	if (!xfrm_meets(judgement, policy, selection))
		return;
	span_format(&policy->from, policy->family, from);
	span_format(&policy->to, policy->family, to);
	warn(judgement->plan, "xfrm-policy",
	     arena_printf(arena,
			  "leave the redirect's clients and servers out of it: ip xfrm policy, dir "
			  "%s",
			  policy->is_out ? "out" : "fwd"),
	     "redirect %s: the IPsec policy src %s dst %s dir %s %s its packets",
	     selection->redirect->name, from, to, policy->is_out ? "out" : "fwd",
	     policy->is_out && !policy->is_block ? "takes" : "refuses");
}

void warnings_of_ways(const struct judgement *judgement)
{
	const struct surroundings *around = judgement->around;
	const struct redirect *warned = NULL;
	const struct selection *selections;
	size_t count;

	for (size_t i = 0; i < around->way_count; i++)
		if (around->ways[i].redirect != warned && warn_way(judgement, &around->ways[i]))
			warned = around->ways[i].redirect;
	if (!around->xfrm_count)
		return;
	count = selections_build(&judgement->plan->arena, judgement->document, &selections);
	for (size_t i = 0; i < around->xfrm_count; i++)
		for (size_t j = 0; j < count; j++)
			warn_xfrm(judgement, &around->xfrm[i], &selections[j]);
}
