/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "backends/audit.h"
#include "backends/boot.h"
#include "backends/notify.h"
#include "cmd/watch.h"

/* Whoever writes it may be writing the next piece. */
enum { SETTLE_MS = 50 };

void watch_document_touch(struct watch *watch, int64_t now)
{
	watch->document_due = now + SETTLE_MS;
}

void watch_document_begin(struct watch *watch)
{
	json_decref(watch->context->known);
	watch->context->known = audit_last();
	watch->told[0] = '\0';
	pace_init(&watch->pace, boot_clock());
}

static bool has_redirect(const struct document *document)
{
	for (size_t i = 0; i < document->redirect_count; i++)
		if (document->redirects[i].enabled)
			return true;
	return false;
}

/* A template that came out empty must not open everything. */
static bool is_emptying(const struct watch *watch, struct context *fresh)
{
	if (!watch->options.repair || has_redirect(&fresh->document) ||
	    !has_redirect(&watch->context->document))
		return false;
	fresh->report.exit = EXIT_ERROR;
	error_set(&fresh->error, "would-be-empty",
		  "%s: has no enabled redirect any more, and is not taken; if that is meant, run "
		  "detour destroy",
		  fresh->report.file);
	return true;
}

static bool load(struct watch *watch, struct context *fresh)
{
	fresh->report.exit = EXIT_ERROR;
	return stamp_read(fresh->report.file, &watch->stamp, &fresh->error) == 0 &&
	       context_load(fresh) && !is_emptying(watch, fresh);
}

/* The old one is left in *fresh. */
static void exchange(struct context *context, struct context *fresh)
{
	const struct document document = context->document;
	json_t *source = context->source;

	context->document = fresh->document;
	context->source = fresh->source;
	context->canonical = NULL;
	memcpy(context->digest, context_digest(fresh), sizeof(context->digest));
	fresh->document = document;
	fresh->source = source;
}

static void take(struct watch *watch, struct context *fresh, bool is_asked)
{
	struct context *context = watch->context;
	bool is_same = !strcmp(context_digest(context), context_digest(fresh));

	/* A touch, or other white space. */
	if (is_same && !is_asked && !watch->is_refused)
		return;
	exchange(context, fresh);
	watch->is_refused = false;
	context->report.exit = EXIT_DONE;
	watch_tell(watch, EVENT_DOCUMENT);
	context_reset(context);
	watch_document_begin(watch);
}

static void refuse(struct watch *watch, struct context *fresh)
{
	struct context *context = watch->context;

	watch->is_refused = true;
	memcpy(fresh->digest, context_digest(context), sizeof(fresh->digest));
	watch->context = fresh;
	watch_tell(watch, EVENT_DOCUMENT_REFUSED);
	watch->context = context;
	watch->told[0] = '\0';
}

void watch_document_read(struct watch *watch, bool is_asked)
{
	struct context fresh = { .options = &watch->options, .lock = -1 };
	struct error ignored;
	struct stamp stamp;

	watch->document_due = 0;
	fresh.report = (struct report){
		.verb = watch->context->report.verb,
		.file = watch->context->report.file,
		.faults = &fresh.faults,
		.error = &fresh.error,
	};
	stamp_read(fresh.report.file, &stamp, &ignored);
	if (!is_asked && stamp_equal(&stamp, &watch->stamp))
		return;
	notify_send("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)notify_clock());
	if (load(watch, &fresh))
		take(watch, &fresh, is_asked);
	else
		refuse(watch, &fresh);
	notify_send("READY=1");
	context_free(&fresh);
}
