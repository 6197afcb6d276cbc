/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saved plans: plan --out writes one, apply takes one instead of a document. */
#ifndef CMD_PLAN_FILE_H
#define CMD_PLAN_FILE_H

#include "cmd/verbs.h"

/* Writes the comparison to options->out. False: the report says why not. */
bool plan_file_save(struct context *context);

/*
 * context->source is a saved plan: checks it, and puts its document in its
 * place. False: the report says why it is refused.
 */
bool plan_file_open(struct context *context);

/* apply_options.accept, the context is ours. True without a saved plan. */
bool plan_file_accepts(void *context, const struct comparison *look, bool wrote);

/* What has changed since the plan was made becomes what is reported. */
void plan_file_report_stale(struct context *context, const struct comparison *look);

#endif
