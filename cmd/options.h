/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: `detour [OPTIONS] VERB [FILE]`. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdbool.h>

#include "reconcile/error.h"

struct options {
	const char *verb;
	const char *file;  /* NULL: the default */
	const char *netns; /* NULL: the current one */
	bool json, quiet, colour, help, version;
	bool check, allow_empty;
};

/* 0, or -1 with *error (code "usage"); what was recognised until then is in *options. */
int options_parse(int argc, char **argv, struct options *options, struct error *error);

#endif
