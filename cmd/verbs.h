/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs: one small file each. Each fills the report's members and its exit. */
#ifndef CMD_VERBS_H
#define CMD_VERBS_H

#include "backends/paths.h"
#include "cmd/options.h"
#include "reconcile/document.h"
#include "reconcile/kernel.h"
#include "reconcile/reconcile.h"
#include "reconcile/report.h"

/* What a verb works with, and what its report points to until it is printed. */
struct context {
	const struct options *options;
	char path[PATHS_MAX]; /* of the default document */
	struct document document;
	struct faults faults;
	struct error error;
	struct comparison comparison;
	struct apply_result applied;
	struct report report;
};

void verb_validate(struct context *context);
void verb_plan(struct context *context);
void verb_apply(struct context *context);
void verb_drift(struct context *context);
void verb_destroy(struct context *context);

/* Reads and decodes the document that the options name. False: the report says why. */
bool context_load(struct context *context);

/* Opens the kernel. NULL: the report says why. live_close() is due otherwise. */
struct kernel *context_kernel(struct context *context);

/* plan and drift: one comparison, nothing written. */
void context_compare(struct context *context);

/* apply and destroy. */
void context_apply(struct context *context, const struct scope *scope, bool allow_empty);

#endif
