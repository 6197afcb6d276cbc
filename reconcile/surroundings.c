/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/surroundings.h"

#include <string.h>

#include "reconcile/document_fields.h"

void surroundings_free(struct surroundings *around)
{
	arena_free(&around->arena);
	*around = (struct surroundings){ 0 };
}

bool redirect_covers(const struct redirect *redirect, const char *interface)
{
	struct span key = interface_span(interface);

	return spans_contain(&redirect->interface_spans, key.from);
}

bool surroundings_concern(const struct document *document, const char *interface)
{
	for (size_t i = 0; i < document->gateway_count; i++)
		if (!strcmp(document->gateways[i].interface, interface))
			return true;
	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled &&
		    redirect_covers(&document->redirects[i], interface))
			return true;
	return false;
}

const struct device *surroundings_device(const struct surroundings *around, const char *name)
{
	for (size_t i = 0; i < around->device_count; i++)
		if (!strcmp(around->devices[i].name, name))
			return &around->devices[i];
	return NULL;
}

/* --- policy rules -------------------------------------------------------- */

static bool service_meets(const struct redirect *redirect, const struct fib_rule *rule)
{
	for (size_t i = 0; i < redirect->service_count; i++) {
		const struct service *service = &redirect->services[i];

		if ((!rule->ip_protocol || rule->ip_protocol == service->protocol) &&
		    (!rule->dports.to || rule->dports.mask ||
		     (service->from <= rule->dports.to && rule->dports.from <= service->to)))
			return true;
	}
	return false;
}

static bool is_in(const struct spans *spans, bool narrowed, const struct span *span)
{
	struct spans one = { (struct span *)span, 1, 1 };

	return !narrowed || spans_intersect(spans, &one);
}

/* The client's packets, or those that a spoofing gateway sends in its name: its own are unmarked.
 */
static bool ends_meet(const struct selection *selection, const struct fib_rule *rule)
{
	enum family family = rule->family;

	if (is_in(&selection->clients[family], rule->has_src, &rule->src) &&
	    is_in(&selection->servers[family], rule->has_dst, &rule->dst))
		return true;
	return selection->redirect->gateway->spoofs_clients &&
	       is_in(&selection->servers[family], rule->has_src, &rule->src) &&
	       is_in(&selection->clients[family], rule->has_dst, &rule->dst);
}

static bool interface_meets(const struct redirect *redirect, const struct fib_rule *rule)
{
	/* Answers to a spoofing gateway come in by whatever leads to the servers. */
	return !rule->iif || redirect->gateway->spoofs_clients ||
	       redirect_covers(redirect, rule->iif);
}

/* Such a rule is only asked for packets of a VRF. */
static bool vrf_meets(const struct surroundings *around, const struct redirect *redirect)
{
	for (size_t i = 0; i < around->device_count; i++)
		if (around->devices[i].master && !strcmp(around->devices[i].master_kind, "vrf") &&
		    redirect_covers(redirect, around->devices[i].name))
			return true;
	return false;
}

static bool mark_meets(const struct mark *ours, const struct mark *theirs)
{
	return !((ours->value ^ theirs->value) & ours->mask & theirs->mask);
}

bool fib_rule_meets(const struct surroundings *around, const struct fib_rule *rule,
		    const struct selection *selection)
{
	const struct redirect *redirect = selection->redirect;
	const struct gateway *gateway = redirect->gateway;

	if (!redirect->enabled || !redirect_works_in(redirect, rule->family) ||
	    rule->priority >= gateway->priority)
		return false;
	/* Inverted, it matches as soon as one of its conditions does not hold. */
	if (rule->invert)
		return true;
	return !rule->oif && !rule->never && mark_meets(&gateway->mark, &rule->mark) &&
	       interface_meets(redirect, rule) && ends_meet(selection, rule) &&
	       service_meets(redirect, rule) && (!rule->l3mdev || vrf_meets(around, redirect));
}

/* --- sysctls ------------------------------------------------------------- */

static const struct {
	const char *family, *name;
} sysctls[SYSCTL_COUNT] = {
	[SYSCTL_FORWARDING4] = { "ipv4", "forwarding" },
	[SYSCTL_RP_FILTER] = { "ipv4", "rp_filter" },
	[SYSCTL_SRC_VALID_MARK] = { "ipv4", "src_valid_mark" },
	[SYSCTL_SEND_REDIRECTS] = { "ipv4", "send_redirects" },
	[SYSCTL_FORWARDING6] = { "ipv6", "forwarding" },
	[SYSCTL_FORCE_FORWARDING6] = { "ipv6", "force_forwarding" },
};

const char *sysctl_name(struct arena *arena, enum sysctl sysctl, const char *interface)
{
	char *part = arena_strdup(arena, interface);

	for (char *dot = strchr(part, '.'); dot; dot = strchr(dot, '.'))
		*dot = '/';
	return arena_printf(arena, "net.%s.conf.%s.%s", sysctls[sysctl].family, part,
			    sysctls[sysctl].name);
}

const char *sysctl_path(struct arena *arena, enum sysctl sysctl, const char *interface)
{
	return arena_printf(arena, "/proc/sys/net/%s/conf/%s/%s", sysctls[sysctl].family, interface,
			    sysctls[sysctl].name);
}
