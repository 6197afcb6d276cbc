/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saved plans: plan --out writes one, apply takes one instead of a document. */
#ifndef CMD_PLAN_FILE_H
#define CMD_PLAN_FILE_H

#include "cmd/verbs.h"

/* Writes the comparison to options->out. False: the report says why not. */
bool plan_file_save(struct context *context);

/* Decodes the text of a saved plan, and its document. False: the report says why it is refused. */
bool plan_file_open(struct context *context, const char *text, size_t size);

/* apply_options.accept, the context is ours. True without a saved plan. */
bool plan_file_accepts(void *context, const struct comparison *look, bool wrote);

/* What has changed since the plan was made becomes what is reported. */
void plan_file_report_stale(struct context *context, const struct comparison *look);

#endif
