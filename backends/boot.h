/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKENDS_BOOT_H
#define BACKENDS_BOOT_H

#include <stdint.h>

/* Milliseconds of CLOCK_BOOTTIME: nobody sets it, and it goes on in a suspended machine. */
int64_t boot_clock(void);

#endif
