/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *error, const char *code, const char *format, ...)
{
	va_list args;

	snprintf(error->code, sizeof(error->code), "%s", code);
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return -1;
}

void faults_add(struct faults *faults, const char *pointer, const char *format, ...)
{
	struct fault *fault =
		ARENA_PUSH(&faults->arena, faults->items, faults->count, faults->room);
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	fault->pointer = arena_strdup(&faults->arena, pointer);
	fault->message = arena_strdup(&faults->arena, message);
}

void faults_free(struct faults *faults)
{
	arena_free(&faults->arena);
	faults->items = NULL;
	faults->count = faults->room = 0;
}
