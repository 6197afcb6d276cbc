/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which process is behind a change that somebody else has made. */
#ifndef BACKENDS_SUSPECT_H
#define BACKENDS_SUSPECT_H

#include <stdbool.h>

enum { SUSPECT_NAME = 32 };

struct suspect {
	long pid;                /* 0: nobody is suspected */
	char name[SUSPECT_NAME]; /* "" when it has ended since */
	bool is_certain;         /* the kernel itself said so */
};

/*
 * Whoever has a netlink socket of that port id: of a process's first socket it is
 * the process's number, by custom, so this is never certain.
 */
void suspect_of_port(unsigned int portid, struct suspect *suspect);

/* A running program that is known to remove routes and rules of others. */
void suspect_among_daemons(struct suspect *suspect);

#endif
