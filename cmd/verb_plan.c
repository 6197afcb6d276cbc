/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/verbs.h"

void verb_plan(struct context *context)
{
	if (context_load(context))
		context_compare(context);
}
