/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/boot.h"

#include <time.h>

int64_t boot_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
