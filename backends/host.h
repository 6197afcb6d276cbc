/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which machine, boot and network namespace this is. */
#ifndef BACKENDS_HOST_H
#define BACKENDS_HOST_H

#include "reconcile/error.h"
#include "reconcile/saved_plan.h"

/* The kernel's boot id; "" when it has none. text has 64 bytes. 0, or -1 with *error. */
int host_boot_id(char text[64], struct error *error);

/* 0, or -1 with *error. A machine without /etc/machine-id has the id "". */
int host_read(struct host *host, struct error *error);

#endif
