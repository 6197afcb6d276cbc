/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the clients' and gateways' interfaces do to redirects. It is certain
 * that a redirect does not work only where each of its interfaces keeps it from
 * working: with a pattern such as "eth*" another may serve it.
 */
#include <string.h>

#include "reconcile/listing.h"
#include "reconcile/warning_parts.h"

typedef bool device_fn(const struct judgement *judgement, const struct device *device);
typedef bool redirect_fn(const struct redirect *redirect);

static bool takes_ipv4(const struct redirect *redirect)
{
	return redirect_works_in(redirect, FAMILY_IPV4);
}

static bool takes_ipv6(const struct redirect *redirect)
{
	return redirect_works_in(redirect, FAMILY_IPV6);
}

static bool takes_ipv4_only(const struct redirect *redirect)
{
	return takes_ipv4(redirect) && !takes_ipv6(redirect);
}

static bool takes_any(const struct redirect *redirect)
{
	return takes_ipv4(redirect) || takes_ipv6(redirect);
}

static redirect_fn *const takes[FAMILY_COUNT] = { takes_ipv4, takes_ipv6 };

static bool is_client(const struct redirect *redirect, const struct device *device,
		      redirect_fn *wanted)
{
	return redirect->enabled && wanted(redirect) && redirect_covers(redirect, device->name);
}

/* "redirect rdp" or "redirects a, b and 5 more": those whose clients come in by it; NULL: none. */
static const char *redirects_of(const struct judgement *judgement, const struct device *device,
				redirect_fn *wanted)
{
	const struct document *document = judgement->document;
	struct listing listing = { &judgement->plan->arena, "", 0 };

	for (size_t i = 0; i < document->redirect_count; i++)
		if (is_client(&document->redirects[i], device, wanted))
			listing_add(&listing, document->redirects[i].name);
	if (!listing.count)
		return NULL;
	return arena_printf(listing.arena, "redirect%s %s", listing.count > 1 ? "s" : "",
			    listing_text(&listing));
}

/* Whether clients come in by interfaces that all are bad; false when none of them is there. */
static bool is_stranded(const struct judgement *judgement, const struct redirect *redirect,
			device_fn *bad)
{
	const struct surroundings *around = judgement->around;
	bool stranded = false;

	for (size_t i = 0; i < around->device_count; i++) {
		if (!redirect_covers(redirect, around->devices[i].name))
			continue;
		if (!bad(judgement, &around->devices[i]))
			return false;
		stranded = true;
	}
	return stranded;
}

static bool strands(const struct judgement *judgement, const struct device *device,
		    redirect_fn *wanted, device_fn *bad)
{
	const struct document *document = judgement->document;

	for (size_t i = 0; i < document->redirect_count; i++)
		if (is_client(&document->redirects[i], device, wanted) &&
		    is_stranded(judgement, &document->redirects[i], bad))
			return true;
	return false;
}

/* --- forwarding ---------------------------------------------------------- */

/* The kernel asks the interface that an IPv4 packet comes in by, not `all`. */
static bool refuses_ipv4(const struct judgement *judgement, const struct device *device)
{
	(void)judgement;
	return device->sysctls.value[SYSCTL_FORWARDING4] == 0;
}

static bool refuses_ipv6(const struct judgement *judgement, const struct device *device)
{
	return judgement->around->all.value[SYSCTL_FORWARDING6] == 0 &&
	       device->sysctls.value[SYSCTL_FORCE_FORWARDING6] != 1;
}

static device_fn *const refuses[FAMILY_COUNT] = { refuses_ipv4, refuses_ipv6 };

static bool serves_in(const struct judgement *judgement, const struct device *device,
		      enum family family)
{
	const struct document *document = judgement->document;

	for (size_t i = 0; i < document->redirect_count; i++) {
		const struct redirect *redirect = &document->redirects[i];

		if (redirect->enabled && takes[family](redirect) &&
		    !strcmp(redirect->gateway->interface, device->name))
			return true;
	}
	return false;
}

static void warn_forwarding(const struct judgement *judgement, enum family family)
{
	static const char *const hints[FAMILY_COUNT] = {
		"sysctl -w net.ipv4.ip_forward=1, and keep it in /etc/sysctl.d",
		"sysctl -w net.ipv6.conf.all.forwarding=1, and keep it in /etc/sysctl.d",
	};
	const struct surroundings *around = judgement->around;
	struct arena *arena = &judgement->plan->arena;
	struct listing listing = { arena, "", 0 };
	const char *found = sysctl_name(arena, SYSCTL_FORWARDING6, "all");
	bool is_certain = false;

	for (size_t i = 0; i < around->device_count; i++) {
		const struct device *device = &around->devices[i];
		bool serves = serves_in(judgement, device, family);

		if (!refuses[family](judgement, device) ||
		    !(serves || redirects_of(judgement, device, takes[family])))
			continue;
		if (family == FAMILY_IPV4 && !listing.count)
			found = sysctl_name(arena, SYSCTL_FORWARDING4, device->name);
		listing_add(&listing, device->name);
		is_certain |= serves || strands(judgement, device, takes[family], refuses[family]);
	}
	if (listing.count)
		warn(judgement->plan, "forwarding-off", hints[family],
		     "%s packets that come in by %s are not forwarded: %s is 0",
		     family_title(family), listing_text(&listing), found)
			->fatal = is_certain;
}

/* --- one interface ------------------------------------------------------- */

static int sysctl_max(const struct judgement *judgement, const struct device *device,
		      enum sysctl sysctl)
{
	int all = judgement->around->all.value[sysctl], own = device->sysctls.value[sysctl];

	return all > own ? all : own;
}

/* The reverse look-up of a marked packet finds the gateway's interface. */
static bool refuses_marked(const struct judgement *judgement, const struct device *device)
{
	return sysctl_max(judgement, device, SYSCTL_SRC_VALID_MARK) > 0 &&
	       sysctl_max(judgement, device, SYSCTL_RP_FILTER) == 1;
}

/* An earlier rule may lead the reverse look-up to the clients all the same. */
static bool has_way_back(const struct judgement *judgement)
{
	const struct surroundings *around = judgement->around;

	for (size_t i = 0; i < around->rule_count; i++) {
		const struct fib_rule *rule = &around->rules[i].rule;

		for (size_t j = 0; j < judgement->document->gateway_count; j++)
			if (rule->family == FAMILY_IPV4 && rule->table != TABLE_LOCAL &&
			    rule->priority < judgement->document->gateways[j].priority)
				return true;
	}
	return !around->has_rules;
}

static void warn_src_valid_mark(const struct judgement *judgement, const struct device *device)
{
	const struct sysctls *all = &judgement->around->all, *own = &device->sysctls;
	const char *redirects = redirects_of(judgement, device, takes_ipv4);

	if (!redirects || !refuses_marked(judgement, device))
		return;
	warn(judgement->plan, "src-valid-mark",
	     arena_printf(&judgement->plan->arena,
			  "sysctl -w %s=2 makes it loose; or set src_valid_mark to 0 on all and %s",
			  sysctl_name(&judgement->plan->arena, SYSCTL_RP_FILTER, device->name),
			  device->name),
	     "%s: %s looks its clients' packets up by mark (src_valid_mark: all=%d, %s=%d) and is "
	     "strict (rp_filter: all=%d, %s=%d); it drops them once they bear the gateway's mark",
	     redirects, device->name, all->value[SYSCTL_SRC_VALID_MARK], device->name,
	     own->value[SYSCTL_SRC_VALID_MARK], all->value[SYSCTL_RP_FILTER], device->name,
	     own->value[SYSCTL_RP_FILTER])
		->fatal =
		!has_way_back(judgement) && strands(judgement, device, takes_ipv4, refuses_marked);
}

/* What a packet comes in by is then the master; the members of a VRF keep their names. */
static bool is_enslaved(const struct judgement *judgement, const struct device *device)
{
	static const char *const kinds[] = { "bridge", "bond", "team", "openvswitch" };

	(void)judgement;
	for (size_t i = 0; device->master && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(device->master_kind, kinds[i]))
			return true;
	return false;
}

static void warn_enslaved(const struct judgement *judgement, const struct device *device)
{
	const char *redirects = redirects_of(judgement, device, takes_any);

	if (!is_enslaved(judgement, device))
		return;
	if (redirects)
		warn(judgement->plan, "interface-enslaved",
		     arena_printf(&judgement->plan->arena, "name %s among the clients' interfaces",
				  device->master),
		     "%s: %s belongs to the %s %s, and what it receives comes in by that",
		     redirects, device->name, device->master_kind, device->master)
			->fatal = strands(judgement, device, takes_any, is_enslaved);
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		if (!serves_in(judgement, device, family))
			continue;
		warn(judgement->plan, "interface-enslaved",
		     arena_printf(&judgement->plan->arena, "name %s as the gateway's interface",
				  device->master),
		     "%s belongs to the %s %s, and what the gateway sends comes in by that",
		     device->name, device->master_kind, device->master)
			->fatal = true;
		return;
	}
}

static void warn_ipv6(const struct judgement *judgement, const struct device *device)
{
	const char *redirects = redirects_of(judgement, device, takes_ipv4_only);

	if (redirects && device->has_ipv6 && !refuses_ipv6(judgement, device) &&
	    judgement->around->all.value[SYSCTL_FORWARDING6] != SYSCTL_UNREAD)
		warn(judgement->plan, "ipv6-not-redirected",
		     "name the servers' IPv6 addresses and the gateway's, or refuse their services "
		     "over IPv6",
		     "%s: only IPv4 is redirected, and %s forwards IPv6, too", redirects,
		     device->name);
}

/* --- two interfaces ------------------------------------------------------ */

static bool is_client_of(const struct judgement *judgement, const struct gateway *gateway,
			 const struct device *device)
{
	const struct document *document = judgement->document;

	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].gateway == gateway &&
		    is_client(&document->redirects[i], device, takes_any))
			return true;
	return false;
}

/* The gateway answers as the server: "fragmentation needed" goes to the server, not to it. */
static void warn_mtu(const struct judgement *judgement, const struct gateway *gateway)
{
	const struct surroundings *around = judgement->around;
	const struct device *far = surroundings_device(around, gateway->interface);

	for (size_t i = 0; far && i < around->device_count; i++) {
		const struct device *near = &around->devices[i];

		if (near->mtu >= far->mtu || !is_client_of(judgement, gateway, near))
			continue;
		warn(judgement->plan, "client-mtu",
		     arena_printf(&judgement->plan->arena,
				  "ip link set %s mtu %u, there and on the gateway, or clamp the "
				  "MSS to the path's MTU",
				  far->name, near->mtu),
		     "gateway %s: the MTU of %s is %u, that of its clients' interface %s is %u; "
		     "what it sends in the servers' name may be too large, and it is not told",
		     gateway->name, far->name, far->mtu, near->name, near->mtu);
	}
}

void warnings_of_devices(const struct judgement *judgement)
{
	const struct surroundings *around = judgement->around;

	for (enum family family = 0; family < FAMILY_COUNT; family++)
		warn_forwarding(judgement, family);
	for (size_t i = 0; i < around->device_count; i++) {
		warn_enslaved(judgement, &around->devices[i]);
		warn_src_valid_mark(judgement, &around->devices[i]);
		warn_ipv6(judgement, &around->devices[i]);
	}
	for (size_t i = 0; i < judgement->document->gateway_count; i++)
		warn_mtu(judgement, &judgement->document->gateways[i]);
}
