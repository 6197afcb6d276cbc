/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reconcile/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/utf8.h"

/* Most arenas of a run hold a text or two: the first block of each is small, then they double. */
enum { BLOCK_LEAST = 1024, BLOCK_MOST = 64 * 1024 };

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t bytes[];
};

/*
 * A router that cannot give us a few megabytes cannot be reconciled either, and
 * code that tries to go on is code that nobody tests. All memory is taken
 * before the first write, except for the second observation, whose loss the
 * journal covers like that of the process.
 */
static void *or_exit(void *memory)
{
	if (memory)
		return memory;
	fputs("detour: out of memory\n", stderr);
	exit(1);
}

static struct arena_block *block_new(struct arena *arena, size_t size)
{
	struct arena_block *block = or_exit(calloc(1, sizeof(*block) + size));

	block->size = size;
	block->next = arena->blocks;
	arena->blocks = block;
	return block;
}

/* Of the block that comes after this one, and has to hold that much. */
static size_t block_size(const struct arena_block *last, size_t least)
{
	size_t size = last ? 2 * last->size : BLOCK_LEAST;

	if (size > BLOCK_MOST)
		size = BLOCK_MOST;
	return size < least ? least : size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t aligned = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	struct arena_block *block = arena->blocks;
	void *memory;

	if (size > SIZE_MAX / 2)
		or_exit(NULL);
	if (!block || block->size - block->used < aligned)
		block = block_new(arena, block_size(block, aligned));
	memory = (char *)block->bytes + block->used;
	block->used += aligned;
	return memory;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	char *text;
	int length;

	va_start(args, format);
	va_copy(again, args);
	length = vsnprintf(&(char){ 0 }, 1, format, args);
	text = arena_alloc(arena, (size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(arena_alloc(arena, size), text, size);
}

const char *arena_printable(struct arena *arena, const char *text)
{
	char *copy, *to;

	if (utf8_is_valid(text) && !utf8_has_control(text))
		return text;
	copy = to = arena_alloc(arena, 4 * strlen(text) + 1);
	while (*text) {
		size_t bytes = utf8_bytes(text);
		bool plain = bytes && !utf8_is_control(text);

		for (size_t left = bytes ? bytes : 1; left; left--, text++)
			to += sprintf(to, plain ? "%c" : "\\x%02x", (unsigned char)*text);
	}
	return copy;
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t *room, size_t size)
{
	void *grown;

	if (count < *room)
		return items;
	*room = *room ? *room * 2 : 8;
	grown = arena_alloc(arena, *room * size);
	if (count)
		memcpy(grown, items, count * size);
	return grown;
}

void arena_free(struct arena *arena)
{
	struct arena_block *block = arena->blocks;

	while (block) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
	arena->blocks = NULL;
}
