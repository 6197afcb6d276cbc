/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum option_key {
	KEY_ALLOW_EMPTY = 256,
	KEY_CHECK,
	KEY_COLOUR,
	KEY_HELP,
	KEY_JSON,
	KEY_NETNS,
	KEY_QUIET,
	KEY_VERSION,
};

static const struct option longs[] = {
	{ "allow-empty", no_argument, NULL, KEY_ALLOW_EMPTY },
	{ "check", no_argument, NULL, KEY_CHECK },
	{ "color", required_argument, NULL, KEY_COLOUR },
	{ "help", no_argument, NULL, KEY_HELP },
	{ "json", no_argument, NULL, KEY_JSON },
	{ "netns", required_argument, NULL, KEY_NETNS },
	{ "quiet", no_argument, NULL, KEY_QUIET },
	{ "version", no_argument, NULL, KEY_VERSION },
	{ 0 },
};

static int set_colour(struct options *options, const char *when, struct error *error)
{
	if (!strcmp(when, "always"))
		options->colour = true;
	else if (!strcmp(when, "never"))
		options->colour = false;
	else if (strcmp(when, "auto") != 0)
		return error_set(error, "usage", "--color %s: it is auto, always or never", when);
	return 0;
}

static int set_option(struct options *options, int key, char **argv, struct error *error)
{
	switch (key) {
	case KEY_ALLOW_EMPTY:
		options->allow_empty = true;
		return 0;
	case KEY_CHECK:
		options->check = true;
		return 0;
	case KEY_COLOUR:
		return set_colour(options, optarg, error);
	case 'h':
	case KEY_HELP:
		options->help = true;
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	case KEY_NETNS:
		options->netns = optarg;
		return 0;
	case 'q':
	case KEY_QUIET:
		options->quiet = true;
		return 0;
	case KEY_VERSION:
		options->version = true;
		return 0;
	case ':':
		return error_set(error, "usage", "%s needs a value", argv[optind - 1]);
	default:
		return error_set(error, "usage", "%s: no such option; see detour --help",
				 argv[optind - 1]);
	}
}

static int set_words(struct options *options, int argc, char **argv, struct error *error)
{
	if (optind < argc)
		options->verb = argv[optind++];
	if (optind < argc)
		options->file = argv[optind++];
	if (optind < argc)
		return error_set(error, "usage", "%s: one file at a time", argv[optind]);
	return 0;
}

int options_parse(int argc, char **argv, struct options *options, struct error *error)
{
	int key, result = 0;

	*options = (struct options){ .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") };
	opterr = 0;
	/* All of them, so that a --json behind the mistake still shapes the answer. */
	while ((key = getopt_long(argc, argv, ":hq", longs, NULL)) != -1)
		if (set_option(options, key, argv, result < 0 ? &(struct error){ 0 } : error) < 0)
			result = -1;
	return result < 0 ? -1 : set_words(options, argc, argv, error);
}
