/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The desired-state document, version 1: what a user writes. decode() checks
 * all that can be known without a kernel and reports every fault at once.
 */
#ifndef RECONCILE_DOCUMENT_H
#define RECONCILE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "reconcile/arena.h"
#include "reconcile/error.h"
#include "reconcile/span.h"

enum {
	NAME_SIZE = 32,
	IFNAME_SIZE = 16,
	/* Routing tables default, main and local: no gateway's. */
	TABLE_DEFAULT = 253,
	TABLE_LOCAL = 255,
};

struct mark {
	uint32_t value, mask;
};

enum rp_filter_mode { RP_FILTER_LOOSE, RP_FILTER_OFF, RP_FILTER_KEEP };
enum on_loss { ON_LOSS_BLOCK, ON_LOSS_BYPASS };
enum existing { EXISTING_KEEP, EXISTING_TRACKED, EXISTING_REDIRECT };

struct gateway {
	const char *name;
	const char *description; /* "" when absent */
	const char *interface;
	bool has_address[FAMILY_COUNT];
	uint8_t address[FAMILY_COUNT][SPAN_BYTES];
	struct mark mark;
	uint32_t table, priority;
	bool spoofs_clients;
	enum rp_filter_mode rp_filter;
	enum on_loss on_loss;
};

struct service {
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _SCTP */
	uint16_t from, to;
};

/* One side of a redirect. Spans are normalized. */
struct endpoints {
	struct spans networks[FAMILY_COUNT];
	struct spans except[FAMILY_COUNT];
};

struct redirect {
	const char *name;
	const char *description; /* "" when absent */
	bool enabled;
	const struct gateway *gateway;
	const char **interfaces; /* as written, a trailing '*' matches a prefix */
	size_t interface_count;
	/* Normalized, 16 byte keys: see span.h. Covers `interfaces`. */
	struct spans interface_spans;
	struct endpoints clients, servers;
	bool any_client;          /* every address: clients.networks is left out, or says so */
	struct service *services; /* sorted by protocol and port, disjoint */
	size_t service_count;
	enum existing existing;
};

struct document {
	struct arena arena;
	struct gateway *gateways;
	size_t gateway_count;
	struct redirect *redirects; /* in the document's order, disabled ones included */
	size_t redirect_count;
};

enum { DOCUMENT_MAX_BYTES = 32 * 1024 * 1024 };

/*
 * Parses JSON text of `size` bytes. Returns any JSON value, for json_decref(), or
 * NULL with at least one fault: of the text, and of what it holds as far as that
 * can be told.
 */
json_t *document_parse(const char *text, size_t size, struct faults *faults);

/*
 * Decodes a JSON value, of which the document keeps nothing. Returns 0, or -1
 * with at least one fault. document_free() is due in either case.
 */
int document_decode_json(const json_t *json, struct document *document, struct faults *faults);

/* Both in one: decodes JSON text of `size` bytes. */
int document_decode(const char *text, size_t size, struct document *document,
		    struct faults *faults);

/* The document that names nothing: what destroy reconciles with. */
void document_empty(struct document *document);
void document_free(struct document *document);

/* A redirect works in a family in which its gateway has an address and it names servers. */
bool redirect_works_in(const struct redirect *redirect, enum family family);

/* True for 0xffffffff: any foreign bit defeats such a mark (warning mark-full-mask). */
bool mark_is_full(const struct mark *mark);

const char *protocol_name(uint8_t protocol);
const char *existing_name(enum existing existing);

/* "3389/tcp" or "5900-5910/tcp". text has SPAN_TEXT bytes. */
const char *service_format(const struct service *service, char *text);

#endif
