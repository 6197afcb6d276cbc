/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all renderers of the picture say of it. */
#include "reconcile/picture.h"

bool picture_is_well(const struct picture_redirect *redirect)
{
	return redirect->life == LIFE_LIVE && !*redirect->fate;
}

bool picture_goes_elsewhere(const struct picture_redirect *redirect)
{
	return *redirect->fate && redirect->effect != EFFECT_EXPOSED;
}

const char *picture_redirect_words(struct arena *arena, const struct picture_redirect *redirect)
{
	const char *life = redirect->life == LIFE_MISSING   ? "not live"
			   : redirect->life == LIFE_DIFFERS ? "differs from the document"
							    : "live";

	return arena_printf(arena, "%s%s%s", life, *redirect->fate ? ": " : "", redirect->fate);
}

const char *picture_hop_words(const struct picture_hop *hop)
{
	if (!hop->hop)
		return "";
	if (hop->is_silent)
		return "no answer";
	return hop->hop->neighbour.state == NEIGHBOUR_NONE
		       ? "idle"
		       : neighbour_name(hop->hop->neighbour.state);
}

const char *picture_summary(const struct picture *picture, const struct plan *plan)
{
	if (plan->conflict_count)
		return "Conflict: foreign objects are in the way; see detour plan.";
	if (plan->step_count)
		return "The live state differs from the document; see detour plan.";
	return picture->is_broken ? "All is in place, but a gateway does not answer."
				  : "In sync: live is what the document says.";
}
