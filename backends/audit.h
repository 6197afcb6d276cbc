/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who changed what, when and why: a line in syslog, and /run/detour/COOKIE/last.json. */
#ifndef BACKENDS_AUDIT_H
#define BACKENDS_AUDIT_H

#include <stddef.h>

#include <jansson.h>

struct audit {
	const char *verb, *who, *reason;
	const char *digest; /* of the document; "" for none */
	size_t steps;
	int exit;
	const char *result; /* in words */
};

void audit_log(const struct audit *audit);

/* Keeps it as the last change. Best effort: the change itself is what counts. */
void audit_keep(const struct audit *audit);

/* The last change, an object, or NULL. The caller owns it. */
json_t *audit_last(void);

#endif
