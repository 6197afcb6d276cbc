/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs: one small file each. Each fills the report's members and its exit. */
#ifndef CMD_VERBS_H
#define CMD_VERBS_H

#include <jansson.h>

#include "backends/journal.h"
#include "backends/paths.h"
#include "backends/user.h"
#include "cmd/options.h"
#include "cmd/progress.h"
#include "reconcile/document.h"
#include "reconcile/import.h"
#include "reconcile/kernel.h"
#include "reconcile/reconcile.h"
#include "reconcile/report.h"
#include "reconcile/trace.h"

/* What a verb works with, and what its report points to until it is printed. */
struct context {
	const struct options *options;
	char path[PATHS_MAX]; /* of the default document */
	struct document document;
	json_t *source;           /* the document as it was given; NULL: destroy, or not decoded */
	json_t *saved;            /* the saved plan that it came in; NULL: none */
	struct state seen;        /* what the saved plan saw, when that no longer holds */
	struct plan differences;  /* between that and what there is */
	const char *canonical;    /* context_canonical() */
	char digest[DIGEST_TEXT]; /* context_digest() */
	struct faults faults;
	struct error error;
	struct comparison comparison;
	struct trace trace;
	struct picture picture; /* of show */
	struct apply_result applied;
	int lock;           /* negative: not held */
	bool has_leftover;  /* the journal of an interrupted change that could not be undone */
	bool is_unattended; /* what is done by hand goes first */
	bool has_printed;   /* the verb has told everything itself */
	struct progress_line progress;
	const struct scope *scope;
	struct journal journal; /* of the change that is made; phase none: nothing was written */
	char user[USER_TEXT];   /* context_user() */
	struct arena arena;     /* owns the notices */
	struct warning *notices;
	size_t notice_count, notice_room;
	json_t *pending, *last; /* for the report */
	json_t *known;          /* watch: the last change that it knows of; NULL: none */
	struct import import;   /* of import */
	struct report report;
};

void verb_validate(struct context *context);
void verb_plan(struct context *context);
void verb_apply(struct context *context);
void verb_drift(struct context *context);
void verb_destroy(struct context *context);
void verb_confirm(struct context *context);
void verb_revert(struct context *context);
void verb_recover(struct context *context);
void verb_trace(struct context *context);
void verb_status(struct context *context);
void verb_import(struct context *context);
void verb_show(struct context *context);
void verb_watch(struct context *context);

/* One look of show at the document that is loaded. */
void show_look(struct context *context);

/* show --watch: one look after another until it is asked to end. */
void show_watch(struct context *context);

/* Reads and decodes the document that the options name. False: the report says why. */
bool context_load(struct context *context);

/* The same, or a saved plan with the document in it. */
bool context_load_either(struct context *context);

/* The last confirmed document instead, unless none was ever confirmed. */
bool context_load_confirmed(struct context *context);

/* Releases what one run has found out; the document stays, for the next run. */
void context_reset(struct context *context);

/* Releases all of it. */
void context_free(struct context *context);

/* Opens the kernel. NULL: the report says why. live_close() is due otherwise. */
struct kernel *context_kernel(struct context *context);

enum look {
	LOOK_OWN,       /* at our own objects and interfaces */
	LOOK_AROUND,    /* and at what else warnings tell of */
	LOOK_AND_COUNT, /* and at the connections through each gateway */
};

/* Of the document and the options. */
struct scope context_scope(const struct context *context, enum look look);

/* plan, drift, show and --check: one comparison, nothing written. */
void context_compare(struct context *context, enum look look);

/*
 * Puts what is rendered into a file, atomically; a failure is the report's.
 * render: 0, or -1 when memory is short.
 */
void context_save(struct context *context, const char *path,
		  int (*render)(const struct context *context, FILE *out));

/* apply and destroy. */
void context_apply(struct context *context, const struct scope *scope, bool allow_empty);

/* A warning of the run itself. hint must be static. */
void context_note(struct context *context, const char *code, const char *hint, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));

/* The warning not-remembered, when the error says that /var/lib/detour was not written. */
void context_note_forgotten(struct context *context, const struct error *error);

/* Completes the report with what the run has to say about itself. */
void context_report(struct context *context);

/* Who runs us; asked only once, since it may cost a look into a directory service. */
const char *context_user(struct context *context);

/* The source's canonical text, made only once between two resets; "" for none. */
const char *context_canonical(struct context *context);

/* Of the source, "" for none; computed only once. */
const char *context_digest(struct context *context);

#endif
