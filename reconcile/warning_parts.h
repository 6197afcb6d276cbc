/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the warnings: one file for each sort of cause. Each appends what it
 * has to say, in the order of the document and then in that of the kernel.
 */
#ifndef RECONCILE_WARNING_PARTS_H
#define RECONCILE_WARNING_PARTS_H

#include "reconcile/surroundings.h"
#include "reconcile/warning.h"

struct judgement {
	const struct document *document;
	const struct state *observed;
	const struct surroundings *around;
	struct plan *plan;
};

/*
 * Appends a warning that is not fatal. Control characters in either text are
 * made visible: names come from strangers. What is returned is good until the
 * next warning.
 */
struct warning *warn(struct plan *plan, const char *code, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* "IPv4" or "IPv6". */
const char *family_title(enum family family);

/* warning_device.c: what interfaces and their sysctls do. */
void warnings_of_devices(const struct judgement *judgement);

/* warning_nft.c: what the chains of others do. */
void warnings_of_nft(const struct judgement *judgement);

/* warning_policy.c: policy rules that come before ours, or go by our bits. */
void warnings_of_policy(const struct judgement *judgement);

/* warning_mark.c: programs that are known to use marks. */
void warnings_of_marks(const struct judgement *judgement);

/* warning_way.c: routes to servers, and IPsec. */
void warnings_of_ways(const struct judgement *judgement);

/*
 * Whether some redirect's servers, as far as asked, are routed by another
 * interface than the gateway's: to a strict interface its answers are strange.
 */
bool answers_are_strange(const struct surroundings *around, const struct gateway *gateway);

/* warning_host.c: rules of iptables-legacy. */
void warn_legacy(const struct legacy_rule *rules, size_t count, struct plan *plan);

/* warning_host.c: connections that began before, and programs that remove what is ours. */
void warnings_of_host(const struct judgement *judgement);

#endif
