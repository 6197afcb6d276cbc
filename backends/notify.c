/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backends/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

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

void notify_send(const char *format, ...)
{
	struct sockaddr_un address;
	socklen_t size = address_of(getenv("NOTIFY_SOCKET"), &address);
	char text[1024];
	va_list args;
	int fd = size ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

	if (fd < 0)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
	       (const struct sockaddr *)&address, size);
	close(fd);
}

/* Of a variable that holds a number; 0 when it does not. */
static long long number_in(const char *variable)
{
	const char *text = getenv(variable);

	return text ? strtoll(text, NULL, 10) : 0;
}

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
