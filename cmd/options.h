/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: `detour [OPTIONS] VERB [FILE]`. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdbool.h>

#include "reconcile/error.h"

/* Those that belong to some verbs only: bits of a set. They are getopt's keys, too. */
enum option_bit {
	OPTION_ONLY = 1 << 9,
	OPTION_AGAIN = 1 << 10,
	OPTION_ALLOW_EMPTY = 1 << 11,
	OPTION_CHECK = 1 << 12,
	OPTION_CONFIRM = 1 << 13,
	OPTION_LOCK_TIMEOUT = 1 << 14,
	OPTION_OUT = 1 << 15,
	OPTION_REASON = 1 << 16,
	OPTION_FULL = 1 << 17,
	OPTION_STRICT = 1 << 18,
	OPTION_REPAIR = 1 << 19,
	OPTION_LAST_CONFIRMED = 1 << 20,
	OPTION_CLIENT = 1 << 21,
	OPTION_SERVER = 1 << 22,
	OPTION_SERVICE = 1 << 23,
	OPTION_IN = 1 << 24,
	OPTION_PROMETHEUS = 1 << 25,
	OPTION_PROTECT = 1 << 26,
	OPTION_WATCH = 1 << 27,
	OPTION_SVG = 1 << 28,
	OPTION_NAGIOS = 1 << 29,
	OPTION_TAKE_OVER = 1 << 30,
};

struct options {
	const char *verb;
	const char *file;  /* NULL: the default */
	const char *netns; /* NULL: the current one */
	bool json, quiet, colour, help, version;
	bool again, allow_empty, check, last_confirmed;
	bool full;              /* drift: with all warnings */
	bool nagios;            /* drift: as a monitoring plugin */
	bool strict;            /* apply: a fatal warning is refused */
	bool take_over;         /* what was made by hand is replaced */
	bool repair;            /* watch: what is found different */
	bool protect;           /* watch: the table, from everybody else */
	bool watch;             /* show: again each second */
	int confirm;            /* seconds; 0: not asked for */
	int lock_timeout;       /* seconds */
	const char *only;       /* show: a name; NULL: all */
	const char *out;        /* plan --out; NULL: none */
	const char *prometheus; /* drift --prometheus; NULL: none */
	const char *svg;        /* show --svg; NULL: none */
	const char *reason;     /* "" when none is given */
	/* trace: NULL when not given */
	const char *client, *server, *service, *interface;
	unsigned int given; /* a set of enum option_bit */
};

/* 0, or -1 with *error (code "usage"); what was recognised until then is in *options. */
int options_parse(int argc, char **argv, struct options *options, struct error *error);

/* Of the set: the first option's name, such as "check". NULL for the empty set. */
const char *options_name(unsigned int set);

#endif
