/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the fake kernel. */
#ifndef BACKENDS_FAKE_PARTS_H
#define BACKENDS_FAKE_PARTS_H

#include <string.h>

#include "backends/fake.h"

#define FAKE_REMOVE(items, count, index)                                                           \
	memmove(&(items)[index], &(items)[(index) + 1], (--(count) - (index)) * sizeof(*(items)))

/* Everything is copied, texts included. */
void nft_table_copy(struct arena *arena, const struct nft_table *from, struct nft_table *to);

/* -1, with the step's object and the errno's text. */
int fake_refuse(const struct step *step, int code, struct error *error);

/* NULL, or why the route cannot be created now. The arena owns it. */
const char *fake_obstacle(const struct fake *fake, struct arena *arena, enum family family,
			  const char *link, const uint8_t *address);

/* NULL: there is no entry. */
struct fake_neighbour *fake_neighbour_find(const struct fake *fake, enum family family,
					   const char *link, const uint8_t *address);

/*
 * fake_route.c: the rules of a family between those that every kernel has, and
 * where a packet would go by them. The arena owns what is found.
 */
void fake_read_policy(const struct fake *fake, enum family family, struct arena *arena,
		      struct policy *out);
void fake_read_course(const struct fake *fake, const struct flow *flow, struct arena *arena,
		      struct course *out);

/* fake_write.c, fake_nft.c: kernel_ops without faults. */
int fake_write(struct fake *fake, const struct step *step, struct error *error);
int fake_commit(struct fake *fake, const struct step *steps, size_t count, uint32_t generation,
		struct error *error);

#endif
