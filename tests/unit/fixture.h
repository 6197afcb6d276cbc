/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Documents, routers and golden texts for tests without a kernel. */
#ifndef TESTS_UNIT_FIXTURE_H
#define TESTS_UNIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends/fake.h"
#include "reconcile/document.h"

/* The contract's example, less what a test says in these arguments. */
#define GATEWAY(more)                                                                              \
	"{'name':'scb','interface':'eth2','addresses':['10.2.0.10','2001:db8:2::10'],"             \
	"'mark':'0x10/0xf0','table':103,'priority':100" more "}"
#define REDIRECT(name, more)                                                                       \
	"{'name':'" name "','gateway':'scb','clients':{'interfaces':['eth0']},"                    \
	"'servers':{'networks':['10.1.0.0/24','2001:db8:1::/64']},'services':['3389/tcp']" more    \
	"}"
#define DOCUMENT(gateways, redirects)                                                              \
	"{'version':1,'gateways':[" gateways "],'redirects':[" redirects "]}"

/* Decodes JSON, in which ' may stand for ". Faults fail the test. */
void fixture_document(const char *json, struct document *document);

/* Interfaces eth0 to eth3 with 10.N.0.0/24 and 2001:db8:N::/64, forwarding between them. */
struct fake *fixture_router(int rp_filter);

/* Applies the document, as JSON like above, and nothing remains. */
void fixture_apply(struct fake *fake, const char *json);

/* A file's content; the caller frees it. */
char *fixture_read(const char *path);

/*
 * Compares with tests/unit/golden/NAME.txt, from the root of the sources. With
 * GOLDEN_UPDATE in the environment it writes that file instead.
 */
void golden_check(const char *name, const char *text);

#endif
