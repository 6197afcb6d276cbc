/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which network namespace the process is in, and where that namespace's files
 * are. Like the namespace itself this belongs to the whole process.
 */
#ifndef BACKENDS_PATHS_H
#define BACKENDS_PATHS_H

#include "reconcile/error.h"

enum { PATHS_MAX = 1024 };

/*
 * Enters /run/netns/NAME for good. From then on what stands in /etc/netns/NAME
 * shadows /etc, as under `ip netns exec`. 0, or -1 with *error.
 */
int paths_enter(const char *name, struct error *error);

/*
 * Where "/etc/..." is: an entry directly below /etc/netns/NAME shadows the one
 * below /etc as a whole. Other paths are returned as they are. The path or
 * the buffer (PATHS_MAX bytes).
 */
const char *paths_resolve(const char *path, char *buffer);

/* What outlives a boot: /var/lib/detour, or /var/lib/detour/NAME, in PATHS_MAX bytes. */
void paths_lib(char *buffer);

/* /run/detour/COOKIE, by SO_NETNS_COOKIE (kernel 5.14), in PATHS_MAX bytes. 0, or -1 with *error.
 */
int paths_run(char *buffer, struct error *error);

#endif
