/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections that began before, and programs that will remove what is ours. */
#include "reconcile/warning_parts.h"

static const char *connections_text(struct arena *arena, size_t count)
{
	return arena_printf(arena, "%zu connection%s", count, count == 1 ? "" : "s");
}

static void warn_sessions(const struct judgement *judgement, const struct redirect *redirect,
			  size_t count)
{
	const char *connections = connections_text(&judgement->plan->arena, count);

	switch (redirect->existing) {
	case EXISTING_KEEP:
	case EXISTING_TRACKED:
		warn(judgement->plan, "sessions-unaudited",
		     "let them end, or end them where they were opened; \"existing_connections\": "
		     "\"redirect\" would cut them",
		     "redirect %s: %s to its servers began without it, and will go on unaudited",
		     redirect->name, connections);
		return;
	case EXISTING_REDIRECT:
		warn(judgement->plan, "sessions-cut", "choose a time at which they may end",
		     "redirect %s: %s to its servers began without it, and will be cut: the "
		     "gateway does not know them",
		     redirect->name, connections);
		return;
	}
}

static void warn_managers(const struct judgement *judgement)
{
	const struct surroundings *around = judgement->around;

	if (around->networkd_removes_rules || around->networkd_removes_routes)
		warn(judgement->plan, "manager-removes",
		     "in [Network] of a file in /etc/systemd/networkd.conf.d: "
		     "ManageForeignRoutingPolicyRules=no, ManageForeignRoutes=no",
		     "systemd-networkd manages interfaces here and is set to remove foreign %s%s%s "
		     "when it starts",
		     around->networkd_removes_rules ? "policy rules" : "",
		     around->networkd_removes_rules && around->networkd_removes_routes ? " and "
										       : "",
		     around->networkd_removes_routes ? "routes" : "");
	for (size_t i = 0; i < judgement->document->gateway_count; i++) {
		const struct gateway *gateway = &judgement->document->gateways[i];
		const struct device *device = surroundings_device(around, gateway->interface);

		if (device && device->has_manager)
			warn(judgement->plan, "manager-removes",
			     arena_printf(
				     &judgement->plan->arena,
				     "nmcli device set %s managed no; or run detour apply from "
				     "a dispatcher script",
				     device->name),
			     "NetworkManager manages %s, the interface of gateway %s, and removes "
			     "its foreign routes when it reactivates it",
			     device->name, gateway->name);
	}
}

void warn_legacy(const struct legacy_rule *rules, size_t count, struct plan *plan)
{
	for (size_t i = 0; i < count; i++)
		warn(plan, "iptables-legacy", rules[i].remedy,
		     "%s writes marks (%s), and nft does not show it", rules[i].place,
		     rules[i].found);
}

void warnings_of_host(const struct judgement *judgement)
{
	const struct surroundings *around = judgement->around;
	const struct document *document = judgement->document;

	for (size_t i = 0; around->sessions && i < document->redirect_count; i++)
		if (around->sessions[i])
			warn_sessions(judgement, &document->redirects[i], around->sessions[i]);
	warn_legacy(around->legacy, around->legacy_count, judgement->plan);
	warn_managers(judgement);
	if (around->flush_file)
		warn(judgement->plan, "ruleset-flushed",
		     "let it delete its own tables instead: add table inet filter; delete table "
		     "inet filter",
		     "%s:%zu: flush ruleset; whenever it is loaded the table inet detour goes, too",
		     around->flush_file, around->flush_line);
}
