/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fields of a document: how each is written, and what it becomes. All are
 * of type decode_fn; the comment names what `out` points to.
 */
#ifndef RECONCILE_DOCUMENT_FIELDS_H
#define RECONCILE_DOCUMENT_FIELDS_H

#include "reconcile/decode.h"
#include "reconcile/document.h"

decode_fn decode_ignored_text;      /* nothing */
decode_fn decode_version;           /* nothing */
decode_fn decode_boolean;           /* bool */
decode_fn decode_description;       /* const char * */
decode_fn decode_name;              /* const char * */
decode_fn decode_gateway_interface; /* const char * */
decode_fn decode_addresses;         /* struct gateway */
decode_fn decode_mark;              /* struct mark */
decode_fn decode_table;             /* uint32_t */
decode_fn decode_priority;          /* uint32_t */
decode_fn decode_rp_filter;         /* enum rp_filter_mode */
decode_fn decode_on_loss;           /* enum on_loss */
decode_fn decode_existing;          /* enum existing */
decode_fn decode_interfaces;        /* struct redirect */
decode_fn decode_networks;          /* struct spans[FAMILY_COUNT] */
decode_fn decode_exceptions;        /* struct spans[FAMILY_COUNT] */
decode_fn decode_services;          /* struct redirect */

enum { PRIORITY_MAX = 32764 };

/* Whether a gateway or a redirect may have that name. */
bool name_is_good(const char *name);

/* Parses "3389/tcp" or "5900-5910/tcp". NULL, or a static sentence that says what is wrong. */
const char *service_parse(const char *text, struct service *out);

/* NULL, or why it cannot be among clients.interfaces. */
const char *pattern_wrong(const char *pattern);

/* The key of an interface's name, or the span of a pattern with a trailing '*'. */
struct span interface_span(const char *name);

/* The reverse, in IFNAME_SIZE + 1 bytes. NULL when no pattern says that. */
const char *interface_format(const struct span *span, char *text);

#endif
