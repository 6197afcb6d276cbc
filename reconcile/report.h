/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people and scripts are told. The only module beside cmd/ that prints.
 * The JSON object's shape is schemas/report.schema.json.
 */
#ifndef RECONCILE_REPORT_H
#define RECONCILE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "reconcile/error.h"
#include "reconcile/import.h"
#include "reconcile/picture.h"
#include "reconcile/reconcile.h"
#include "reconcile/trace.h"

/* Everything that one run of a verb found out. Members that do not apply are NULL. */
struct report {
	const char *verb;
	enum exit_code exit;
	const char *file; /* the document's name, for messages about it */
	const struct document *document;
	const struct plan *plan;      /* what there is, or was, to do */
	const struct plan *remaining; /* after an apply: what is left */
	const struct faults *faults;  /* of the document */
	const struct error *error;    /* code is "" when there is none */
	const struct apply_result *applied;
	const struct warning *notices; /* of the run itself, beside the plan's */
	size_t notice_count;
	bool changed;          /* of verbs that do not apply */
	const char *said;      /* the one sentence of a verb that has no plan to show */
	const json_t *pending; /* the change that awaits confirmation */
	bool shows_status;     /* status: what is not there is said, too */
	const json_t *last;    /* status: the last change */
	const struct import *import;
	const struct trace *trace;
	const struct picture *picture; /* show */
};

/* All of it as one object. The caller owns it. */
json_t *report_object(const struct report *report);

/* That object and a newline. */
void report_json(const struct report *report, FILE *out);

/* That object on one line. */
void report_json_line(const struct report *report, FILE *out);

/*
 * Of drift, for the textfile collector of node_exporter: differences, warnings
 * of the plan, and what our live rules counted. when: seconds since 1970.
 */
void report_metrics(const struct report *report, const struct state *observed, int64_t when,
		    FILE *out);

/* Of a monitoring plugin; the values are its exit codes. */
enum plugin_state { PLUGIN_OK, PLUGIN_WARNING, PLUGIN_CRITICAL, PLUGIN_UNKNOWN };

/*
 * Of drift, for Nagios and its kin: one line with the state that is returned,
 * the worst that was found or the error, and numbers unless nothing could be
 * compared.
 */
enum plugin_state report_nagios(const struct report *report, FILE *out);

/* Meaning, steps, summary, warnings. colour: escape sequences are welcome. */
void report_text(const struct report *report, bool colour, FILE *out);

struct canvas {
	size_t columns;
	bool is_ascii; /* the terminal knows no box-drawing characters */
	bool colour;
};

/* The picture, one line of summary, warnings. */
void report_show(const struct report *report, const struct canvas *canvas, FILE *out);

/* The same as one SVG document. 0, or -1 when memory is short. */
int report_svg(const struct report *report, FILE *out);

/* Those of the run and of the plan. */
void report_warnings(const struct report *report, bool colour, FILE *out);

/* Of verbs without a plan: what was done, what is pending, what was done last, warnings. */
void report_change(const struct report *report, bool colour, FILE *out);

/* The document that import made, and apart from it what is not in it. */
void report_import(const struct report *report, bool colour, FILE *document, FILE *findings);

/* What becomes of one connection, stage by stage; then warnings. */
void report_trace(const struct report *report, bool colour, FILE *out);

/* validate's line for a good document, then warnings. */
void report_valid(const struct report *report, bool colour, FILE *out);

/* Faults and the error, one a line, for standard error. */
void report_errors(const struct report *report, FILE *out);

/* A step's `before` or `after` with the keys of ip -j and nft -j; null for NULL. At most
 * `limit` elements are listed. The caller owns the value. */
json_t *object_json(const struct step *step, const void *object, size_t limit);

/* The plan's steps, an empty array for NULL; of elements at most `limit`. The caller owns it. */
json_t *steps_json(const struct plan *plan, size_t limit);

/* What is no UTF-8 (arguments, file names, the kernel's words) becomes arena_printable(). The
 * caller owns the value. */
json_t *text_json(const char *text);

/*
 * "rdp: 10.1.0.0/24 3389/tcp from eth0 will go through scb"; the verb is "will go" or "goes".
 * The arena owns it.
 */
const char *meaning_of_redirect(struct arena *arena, const struct redirect *redirect,
				const char *verb);

/* Its parts, long lists shortened. The arena owns them. */
const char *meaning_of_interfaces(struct arena *arena, const struct redirect *redirect);
const char *meaning_of_clients(struct arena *arena, const struct redirect *redirect);
const char *meaning_of_servers(struct arena *arena, const struct redirect *redirect);
const char *meaning_of_services(struct arena *arena, const struct redirect *redirect);

#endif
