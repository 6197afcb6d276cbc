/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold between the objects of a document, each of them sound by itself:
 * names refer to something, and nothing is claimed twice.
 */
#ifndef RECONCILE_DOCUMENT_CHECK_H
#define RECONCILE_DOCUMENT_CHECK_H

#include "reconcile/decode.h"
#include "reconcile/document.h"

/*
 * Adds the faults that it finds. Fills in the redirects' gateways. What a fault
 * of decoding has left incomplete is not held against other objects.
 */
void document_check(struct decoder *decoder, const json_t *root, struct document *document);

#endif
