/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/notify.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "backends/descriptor.h"

/* The length of the address in NOTIFY_SOCKET; 0 when it is none. '@' is the abstract namespace. */
static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	size_t size = name ? strlen(name) : 0;

	if (size < 2 || size >= sizeof(address->sun_path) || !strchr("/@", *name))
		return 0;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, name, size);
	if (*name == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

/* With a duplicate of the descriptor unless that is negative. */
static void text_send(const char *text, int descriptor)
{
	struct sockaddr_un address;
	socklen_t size = address_of(getenv("NOTIFY_SOCKET"), &address);
	int fd = size ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

	if (fd < 0)
		return;
	descriptor_send(fd, (const struct sockaddr *)&address, size, text, descriptor);
	close(fd);
}

void notify_send(const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_send(text, -1);
}

/* Of a variable that holds a number; 0 when it does not. */
static long long number_in(const char *variable)
{
	const char *text = getenv(variable);

	return text ? strtoll(text, NULL, 10) : 0;
}

/* --- what is kept --------------------------------------------------------- */

void notify_keep(const char *name, int fd)
{
	char text[128];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	text_send(text, fd);
}

/* LISTEN_FDNAMES are those of the descriptors from 3 on, with colons between them. */
int notify_kept(const char *name)
{
	enum { FIRST = 3 };
	long long count = number_in("LISTEN_PID") == getpid() ? number_in("LISTEN_FDS") : 0;
	const char *names = getenv("LISTEN_FDNAMES");

	for (int fd = FIRST; names && fd < FIRST + count; fd++) {
		size_t size = strcspn(names, ":");

		if (size == strlen(name) && !strncmp(names, name, size)) {
			fcntl(fd, F_SETFD, FD_CLOEXEC);
			return fd;
		}
		names = names[size] ? names + size + 1 : NULL;
	}
	return -1;
}

void notify_forget(const char *name)
{
	int fd = notify_kept(name);

	if (fd < 0)
		return;
	close(fd);
	notify_send("FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* --- the time ------------------------------------------------------------- */

int64_t notify_watchdog(void)
{
	long long pid = number_in("WATCHDOG_PID"), period = number_in("WATCHDOG_USEC");

	if (period < 2000 || (pid && pid != getpid()))
		return 0;
	return period / 2000;
}

int64_t notify_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
