/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/saved_plan.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "reconcile/digest.h"
#include "reconcile/report.h"
#include "reconcile/state_json.h"

enum { FORMAT_VERSION = 1 };

bool saved_plan_is(const char *text, size_t size)
{
	static const char key[] = "\"format_version\"", blanks[] = " \t\r\n";
	const char *end = text + size, *at = text;

	/* Within a string its quotes would be escaped, and behind one no colon stands. */
	while ((at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1))) {
		at += sizeof(key) - 1;
		while (at < end && memchr(blanks, *at, sizeof(blanks) - 1))
			at++;
		if (at < end && *at == ':')
			return true;
	}
	return false;
}

static json_t *plan_damaged(struct error *error, const char *place)
{
	error_set(error, "edited",
		  "the plan is not as detour plan --out wrote it, %s: it was edited or damaged; "
		  "change the document and make a new plan",
		  place);
	return NULL;
}

json_t *saved_plan_parse(const char *text, size_t size, struct error *error)
{
	const char *nul;
	char place[64];
	json_error_t where;
	json_t *plan;

	if (size > PLAN_MAX_BYTES) {
		error_set(error, "too-large", "the plan has more than the %d bytes that are read",
			  PLAN_MAX_BYTES);
		return NULL;
	}
	/* What a crash leaves of a file; jansson would take it for the end. */
	nul = memchr(text, '\0', size);
	if (nul) {
		snprintf(place, sizeof(place), "byte %td", nul - text);
		return plan_damaged(error, place);
	}
	plan = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	if (plan)
		return plan;
	snprintf(place, sizeof(place), "line %d, column %d", where.line, where.column);
	return plan_damaged(error, place);
}

/* What the plan read of the state that it manages, and what decided whether a step can be done. */
static void fingerprint(const struct state *observed, char hex[DIGEST_TEXT])
{
	json_t *json = state_to_json(observed, NULL);
	json_t *obstacles = json_array();

	for (size_t i = 0; i < observed->next_hop_count; i++)
		json_array_append_new(obstacles,
				      observed->next_hops[i].obstacle
					      ? text_json(observed->next_hops[i].obstacle)
					      : json_null());
	json_object_set_new(json, "obstacles", obstacles);
	digest_json(json, hex);
	json_decref(json);
}

static json_t *host_json(const struct host *host)
{
	return json_pack("{s:s,s:s,s:s}", "boot_id", host->boot_id, "machine_id", host->machine_id,
			 "netns", host->netns);
}

/* Of all but the digest itself. */
static void plan_digest(const json_t *plan, char hex[DIGEST_TEXT])
{
	json_t *copy = json_copy((json_t *)plan);

	json_object_del(copy, "digest");
	digest_json(copy, hex);
	json_decref(copy);
}

json_t *saved_plan_make(const json_t *document, const struct comparison *comparison,
			const struct host *host)
{
	char document_digest[DIGEST_TEXT], seen[DIGEST_TEXT], whole[DIGEST_TEXT];
	json_t *plan;

	digest_json(document, document_digest);
	fingerprint(&comparison->observed, seen);
	plan = json_pack("{s:i,s:s,s:s,s:o,s:s,s:s,s:s,s:b,s:O,s:o,s:o}", "format_version",
			 FORMAT_VERSION, "kind", "plan", "detour", VERSION, "host", host_json(host),
			 "document_digest", document_digest, "fingerprint", seen, "effect",
			 effect_name(comparison->plan.effect), "take_over",
			 (int)comparison->takes_over, "document", (json_t *)document, "observed",
			 state_to_json(&comparison->observed, &comparison->plan), "steps",
			 steps_json(&comparison->plan, SIZE_MAX));
	plan_digest(plan, whole);
	json_object_set_new(plan, "digest", json_string(whole));
	return plan;
}

static const char *text_at(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

static int host_check(const json_t *saved, const struct host *host, struct error *error)
{
	if (strcmp(text_at(saved, "machine_id"), host->machine_id) != 0)
		return error_set(error, "other-machine",
				 "the plan was made on another machine; make one here");
	if (strcmp(text_at(saved, "boot_id"), host->boot_id) != 0)
		return error_set(error, "other-boot",
				 "the plan was made before the last boot; make a new one");
	if (strcmp(text_at(saved, "netns"), host->netns) != 0)
		return error_set(error, "other-namespace",
				 "the plan was made in another network namespace; make one here");
	return 0;
}

int saved_plan_check(const json_t *plan, const struct host *host, struct error *error)
{
	char whole[DIGEST_TEXT];

	if (json_integer_value(json_object_get(plan, "format_version")) != FORMAT_VERSION ||
	    strcmp(text_at(plan, "kind"), "plan") != 0)
		return error_set(error, "not-a-plan",
				 "the file has a format_version but is no plan of version %d that "
				 "detour plan --out wrote",
				 FORMAT_VERSION);
	if (strcmp(text_at(plan, "detour"), VERSION) != 0)
		return error_set(error, "other-version",
				 "the plan was made by another version of detour; make a new one");
	plan_digest(plan, whole);
	if (strcmp(text_at(plan, "digest"), whole) != 0)
		return error_set(error, "edited",
				 "the plan's digest is not that of its content: it was edited or "
				 "damaged; change the document and make a new plan");
	return host_check(json_object_get(plan, "host"), host, error);
}

bool saved_plan_takes_over(const json_t *plan)
{
	return json_is_true(json_object_get(plan, "take_over"));
}

const json_t *saved_plan_document(const json_t *plan)
{
	return json_object_get(plan, "document");
}

bool saved_plan_holds(const json_t *plan, const struct comparison *now)
{
	json_t *steps = steps_json(&now->plan, SIZE_MAX);
	char seen[DIGEST_TEXT];
	bool holds;

	fingerprint(&now->observed, seen);
	holds = !strcmp(text_at(plan, "fingerprint"), seen) &&
		json_equal(json_object_get(plan, "steps"), steps);
	json_decref(steps);
	return holds;
}

static bool is_step(const json_t *saved, const struct step *step)
{
	return !strcmp(text_at(saved, "action"), action_name(step->action)) &&
	       !strcmp(text_at(saved, "kind"), kind_name(step->kind)) &&
	       !strcmp(text_at(saved, "object"), step->object);
}

bool saved_plan_covers(const json_t *plan, const struct plan *remaining)
{
	const json_t *steps = json_object_get(plan, "steps");

	for (size_t i = 0; i < remaining->step_count; i++) {
		size_t s = 0;

		while (s < json_array_size(steps) &&
		       !is_step(json_array_get(steps, s), &remaining->steps[i]))
			s++;
		if (!remaining->steps[i].waits && s == json_array_size(steps))
			return false;
	}
	return true;
}

void saved_plan_differences(const json_t *plan, const struct state *now, struct state *seen,
			    struct plan *differences)
{
	static const struct document nothing;
	struct error ignored;

	*differences = (struct plan){ 0 };
	if (state_from_json(json_object_get(plan, "observed"), now, seen, &ignored) == 0)
		plan_build(&nothing, seen, now, differences);
}
