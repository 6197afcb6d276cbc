/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/suspect.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/file.h"

/* "" when there is no such process. */
static void name_of(long pid, char name[SUSPECT_NAME])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	file_peek(path, name, SUSPECT_NAME);
	name[strcspn(name, "\n")] = '\0';
}

void suspect_of_port(unsigned int portid, struct suspect *suspect)
{
	*suspect = (struct suspect){ 0 };
	/* A second socket of a process has a number from the upper half. */
	if (!portid || portid > 1U << 22)
		return;
	suspect->pid = portid;
	name_of(suspect->pid, suspect->name);
}

/* As /proc/PID/comm has them, which is cut at 15 characters. */
static bool is_known(const char *name)
{
	static const char *const daemons[] = {
		"systemd-network", "NetworkManager", "dhcpcd", "connmand",    "wickedd",
		"keepalived",      "zebra",          "bird",   "ifupdown-ng", "netifd",
	};

	for (size_t i = 0; i < sizeof(daemons) / sizeof(*daemons); i++)
		if (!strcmp(daemons[i], name))
			return true;
	return false;
}

void suspect_among_daemons(struct suspect *suspect)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;

	*suspect = (struct suspect){ 0 };
	while (processes && (entry = readdir(processes))) {
		long pid = strtol(entry->d_name, NULL, 10);
		char name[SUSPECT_NAME];

		if (pid <= 0)
			continue;
		name_of(pid, name);
		if (!is_known(name))
			continue;
		suspect->pid = pid;
		memcpy(suspect->name, name, sizeof(name));
		break;
	}
	if (processes)
		closedir(processes);
}
