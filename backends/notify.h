/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service tells systemd: the protocol of sd_notify(3), without its library. */
#ifndef BACKENDS_NOTIFY_H
#define BACKENDS_NOTIFY_H

#include <stdint.h>

/*
 * Sends assignments, one a line, such as "READY=1\nSTATUS=..."; to nobody when we
 * are no service. Best effort: who does not hear it cannot be told so.
 */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Has the service manager keep a duplicate of the descriptor, whatever is the
 * matter with it, until the service is stopped (FileDescriptorStoreMax=), and
 * give it to the next process of the service by that name.
 */
void notify_keep(const char *name, int fd);

/* What was kept by that name for this process; -1 for nothing. The caller closes it. */
int notify_kept(const char *name);

/* Closes that, and has it kept no longer. */
void notify_forget(const char *name);

/* How often WATCHDOG=1 is expected of us, in milliseconds, with time to spare; 0: not at all. */
int64_t notify_watchdog(void);

/* CLOCK_MONOTONIC in microseconds, as RELOADING=1 wants it. */
int64_t notify_clock(void);

#endif
