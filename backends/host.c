/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends/file.h"
#include "backends/paths.h"

/* "" when there is no such file. 0, or -1 with errno. */
static int line_read(const char *path, char text[64])
{
	if (file_peek(path, text, 64) < 0 && errno != ENOENT)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

int host_boot_id(char text[64], struct error *error)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";

	if (line_read(path, text) == 0)
		return 0;
	return error_set(error, "not-readable",
			 "%s: cannot be read: %s; it tells whether notes are of this boot", path,
			 strerror(errno));
}

int host_read(struct host *host, struct error *error)
{
	char run[PATHS_MAX];

	if (host_boot_id(host->boot_id, error) < 0)
		return -1;
	line_read("/etc/machine-id", host->machine_id);
	if (paths_run(run, error) < 0)
		return -1;
	/* The directory is named after the namespace. */
	snprintf(host->netns, sizeof(host->netns), "%.31s", strrchr(run, '/') + 1);
	return 0;
}
