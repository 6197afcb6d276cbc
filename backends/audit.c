/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/audit.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "backends/file.h"
#include "backends/paths.h"
#include "reconcile/digest.h"
#include "reconcile/report.h"

void audit_log(const struct audit *audit)
{
	bool is_good = audit->exit == 0 || audit->exit == 2;

	openlog("detour", LOG_PID, LOG_AUTHPRIV);
	syslog(is_good ? LOG_NOTICE : LOG_ERR,
	       "%s by %s: %s, exit %d, %zu steps, document %.12s, reason: %s", audit->verb,
	       audit->who, audit->result, audit->exit, audit->steps,
	       *audit->digest ? audit->digest : "none",
	       *audit->reason ? audit->reason : "none given");
	closelog();
}

static int last_path(char *path)
{
	struct error ignored;

	if (paths_run(path, &ignored))
		return -1;
	strncat(path, "/last.json", PATHS_MAX - strlen(path) - 1);
	return 0;
}

void audit_keep(const struct audit *audit)
{
	struct error ignored;
	char path[PATHS_MAX];
	json_t *root;
	char *text;

	if (last_path(path))
		return;
	root = json_pack("{s:s,s:o,s:I,s:o,s:o,s:I,s:i,s:s}", "verb", audit->verb, "who",
			 text_json(audit->who), "when", (json_int_t)time(NULL), "digest",
			 digest_or_null(audit->digest), "reason", text_json(audit->reason), "steps",
			 (json_int_t)audit->steps, "exit", audit->exit, "result", audit->result);
	text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (text)
		file_replace(path, text, strlen(text), &ignored);
	free(text);
}

json_t *audit_last(void)
{
	char path[PATHS_MAX];
	json_t *last;

	if (last_path(path))
		return NULL;
	last = json_load_file(path, 0, NULL);
	if (json_is_object(last))
		return last;
	json_decref(last);
	return NULL;
}
