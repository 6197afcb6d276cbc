/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RECONCILE_SORT_H
#define RECONCILE_SORT_H

#include <stddef.h>

/*
 * qsort(), but that one pass is enough for what is in order already, as the
 * kernel's dumps and most documents are, and that an empty array may be NULL.
 */
void sort(void *items, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif
