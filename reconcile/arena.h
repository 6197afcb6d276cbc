/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that lives as long as one document, state or plan: allocate, never
 * free one by one, release all at once. Running out of memory ends the
 * program (exit 1 before anything is written; see arena.c for why).
 */
#ifndef RECONCILE_ARENA_H
#define RECONCILE_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_block *blocks;
};

/* Zeroed memory, aligned for any type. The arena owns it. Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);

/* A printf-formatted string. The arena owns it. */
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

char *arena_strdup(struct arena *arena, const char *text);

/* The text itself, or a copy in which the bytes of control characters, and those that are no
 * UTF-8, read \xNN: names come from strangers. */
const char *arena_printable(struct arena *arena, const char *text);

/*
 * Room for one more item at the end of an array that grows by doubling:
 *     struct route *route = ARENA_PUSH(arena, routes, route_count, route_room);
 * The array, its count and its room are the caller's; the
 * returned item is zeroed. Earlier pointers into the
 * array are stale afterwards.
 */
#define ARENA_PUSH(arena, items, count, room)                                                      \
	((items) = arena_grow((arena), (items), (count), &(room), sizeof(*(items))),               \
	 &(items)[(count)++])

/* The array, with room for at least count + 1 items of the given size. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t *room, size_t size);

/* Releases everything; the arena can be used again. */
void arena_free(struct arena *arena);

#endif
