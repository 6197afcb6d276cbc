/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/journal.h"
#include "reconcile/utf8.h"

enum { CONFIRM_MAX = 86400, LOCK_TIMEOUT_DEFAULT = 10, LOCK_TIMEOUT_MAX = 86400 };

/* Below those of enum option_bit. */
enum option_key {
	KEY_COLOUR = 256,
	KEY_HELP,
	KEY_JSON,
	KEY_NETNS,
	KEY_QUIET,
	KEY_VERSION,
};

static const struct option longs[] = {
	{ "again", no_argument, NULL, OPTION_AGAIN },
	{ "allow-empty", no_argument, NULL, OPTION_ALLOW_EMPTY },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "client", required_argument, NULL, OPTION_CLIENT },
	{ "color", required_argument, NULL, KEY_COLOUR },
	{ "confirm", required_argument, NULL, OPTION_CONFIRM },
	{ "full", no_argument, NULL, OPTION_FULL },
	{ "help", no_argument, NULL, KEY_HELP },
	{ "in", required_argument, NULL, OPTION_IN },
	{ "json", no_argument, NULL, KEY_JSON },
	{ "last-confirmed", no_argument, NULL, OPTION_LAST_CONFIRMED },
	{ "lock-timeout", required_argument, NULL, OPTION_LOCK_TIMEOUT },
	{ "nagios", no_argument, NULL, OPTION_NAGIOS },
	{ "netns", required_argument, NULL, KEY_NETNS },
	{ "only", required_argument, NULL, OPTION_ONLY },
	{ "out", required_argument, NULL, OPTION_OUT },
	{ "prometheus", required_argument, NULL, OPTION_PROMETHEUS },
	{ "protect", no_argument, NULL, OPTION_PROTECT },
	{ "quiet", no_argument, NULL, KEY_QUIET },
	{ "reason", required_argument, NULL, OPTION_REASON },
	{ "repair", no_argument, NULL, OPTION_REPAIR },
	{ "server", required_argument, NULL, OPTION_SERVER },
	{ "service", required_argument, NULL, OPTION_SERVICE },
	{ "strict", no_argument, NULL, OPTION_STRICT },
	{ "svg", required_argument, NULL, OPTION_SVG },
	{ "take-over", no_argument, NULL, OPTION_TAKE_OVER },
	{ "version", no_argument, NULL, KEY_VERSION },
	{ "watch", no_argument, NULL, OPTION_WATCH },
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

static int set_seconds(int *seconds, int least, int most, struct error *error)
{
	char *end;
	long value = strtol(optarg, &end, 10);

	/* strtol() would take blanks and signs. */
	if (*optarg < '0' || *optarg > '9' || *end || value < least || value > most)
		return error_set(error, "usage", "\"%s\": it is a number of seconds, %d to %d",
				 optarg, least, most);
	*seconds = (int)value;
	return 0;
}

/* It goes into logs line by line. */
static int set_reason(struct options *options, struct error *error)
{
	if (!utf8_is_valid(optarg) || utf8_has_control(optarg) ||
	    utf8_length(optarg) > REASON_CHARACTERS)
		return error_set(error, "usage",
				 "--reason: it is a text of at most %d characters, without control "
				 "characters",
				 REASON_CHARACTERS);
	options->reason = optarg;
	return 0;
}

/* The collector reads no other files. */
static int set_prometheus(struct options *options, struct error *error)
{
	const char *end = strrchr(optarg, '.');

	if (optarg[0] != '/' || !end || strcmp(end, ".prom") != 0)
		return error_set(error, "usage",
				 "--prometheus %s: it is a path that begins with / and ends in "
				 ".prom",
				 optarg);
	options->prometheus = optarg;
	return 0;
}

/* Those that are there or not, and those that are taken as they are. */
static const struct member {
	enum option_bit option;
	size_t offset; /* in struct options */
} flags[] = {
	{ OPTION_AGAIN, offsetof(struct options, again) },
	{ OPTION_ALLOW_EMPTY, offsetof(struct options, allow_empty) },
	{ OPTION_CHECK, offsetof(struct options, check) },
	{ OPTION_FULL, offsetof(struct options, full) },
	{ OPTION_LAST_CONFIRMED, offsetof(struct options, last_confirmed) },
	{ OPTION_NAGIOS, offsetof(struct options, nagios) },
	{ OPTION_PROTECT, offsetof(struct options, protect) },
	{ OPTION_REPAIR, offsetof(struct options, repair) },
	{ OPTION_STRICT, offsetof(struct options, strict) },
	{ OPTION_TAKE_OVER, offsetof(struct options, take_over) },
	{ OPTION_WATCH, offsetof(struct options, watch) },
}, texts[] = {
	{ OPTION_CLIENT, offsetof(struct options, client) },
	{ OPTION_IN, offsetof(struct options, interface) },
	{ OPTION_ONLY, offsetof(struct options, only) },
	{ OPTION_OUT, offsetof(struct options, out) },
	{ OPTION_SERVER, offsetof(struct options, server) },
	{ OPTION_SERVICE, offsetof(struct options, service) },
	{ OPTION_SVG, offsetof(struct options, svg) },
};

/* Its place in the options, or NULL. */
static void *find_member(struct options *options, const struct member *members, size_t count,
			 enum option_bit option)
{
	for (size_t i = 0; i < count; i++)
		if (members[i].option == option)
			return (char *)options + members[i].offset;
	return NULL;
}

static int set_verb_option(struct options *options, enum option_bit option, struct error *error)
{
	bool *flag = find_member(options, flags, sizeof(flags) / sizeof(*flags), option);
	const char **text = find_member(options, texts, sizeof(texts) / sizeof(*texts), option);

	options->given |= option;
	if (flag)
		*flag = true;
	else if (text)
		*text = optarg;
	else if (option == OPTION_CONFIRM)
		return set_seconds(&options->confirm, 1, CONFIRM_MAX, error);
	else if (option == OPTION_LOCK_TIMEOUT)
		return set_seconds(&options->lock_timeout, 0, LOCK_TIMEOUT_MAX, error);
	else if (option == OPTION_PROMETHEUS)
		return set_prometheus(options, error);
	else if (option == OPTION_REASON)
		return set_reason(options, error);
	return 0;
}

static int set_option(struct options *options, int key, char **argv, struct error *error)
{
	if (key > KEY_VERSION)
		return set_verb_option(options, (enum option_bit)key, error);
	switch (key) {
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

/* An empty NO_COLOR does not count: no-color.org. */
static bool wants_colour(void)
{
	const char *refused = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(refused && *refused) &&
	       !(terminal && !strcmp(terminal, "dumb"));
}

int options_parse(int argc, char **argv, struct options *options, struct error *error)
{
	struct error later; /* of all mistakes the first is told */
	int key, result = 0;

	*options = (struct options){
		.colour = wants_colour(),
		.lock_timeout = LOCK_TIMEOUT_DEFAULT,
		.reason = "",
	};
	opterr = 0;
	/* All of them, so that a --json behind the mistake still shapes the answer. */
	while ((key = getopt_long(argc, argv, ":hq", longs, NULL)) != -1)
		if (set_option(options, key, argv, result < 0 ? &later : error) < 0)
			result = -1;
	return result < 0 ? -1 : set_words(options, argc, argv, error);
}

const char *options_name(unsigned int set)
{
	for (size_t i = 0; longs[i].name; i++)
		if (longs[i].val > KEY_VERSION && set & (unsigned int)longs[i].val)
			return longs[i].name;
	return NULL;
}
