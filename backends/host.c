/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/paths.h"

/* "" when there is no such file. 0, or -1 with errno. */
static int line_read(const char *path, char text[64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;

	text[0] = '\0';
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	do
		got = read(fd, text, 63);
	while (got < 0 && errno == EINTR);
	close(fd);
	if (got < 0)
		return -1;
	text[got] = '\0';
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
