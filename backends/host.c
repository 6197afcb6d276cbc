/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/paths.h"

static void line_read(const char *path, char text[64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, 63);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

void host_boot_id(char text[64])
{
	line_read("/proc/sys/kernel/random/boot_id", text);
}

int host_read(struct host *host, struct error *error)
{
	char run[PATHS_MAX];

	host_boot_id(host->boot_id);
	line_read("/etc/machine-id", host->machine_id);
	if (paths_run(run, error) < 0)
		return -1;
	/* The directory is named after the namespace. */
	snprintf(host->netns, sizeof(host->netns), "%.31s", strrchr(run, '/') + 1);
	return 0;
}
