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
