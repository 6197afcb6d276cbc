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

/* How often WATCHDOG=1 is expected of us, in milliseconds, with time to spare; 0: not at all. */
int64_t notify_watchdog(void);

/* CLOCK_MONOTONIC in microseconds, as RELOADING=1 wants it. */
int64_t notify_clock(void);

#endif
