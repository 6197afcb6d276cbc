/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For loops that are asked to end by a signal: it is read when nothing is half done. */
#ifndef CMD_SIGNALS_H
#define CMD_SIGNALS_H

#include "reconcile/error.h"

/*
 * From now on SIGINT, SIGTERM and SIGHUP wait to be read. 0 with *fd to poll, which the caller
 * closes; -1 with *error (code "no-events").
 */
int signals_open(int *fd, struct error *error);

/* The next one that came, 0 for none. */
int signals_next(int fd);

#endif
