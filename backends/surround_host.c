/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs that remove what is ours: the ruleset that nftables.service loads,
 * systemd-networkd (networkd.conf(5)) and NetworkManager. The latter two work
 * in the network namespace of process 1; in another one they remove nothing.
 */
#include "backends/surround.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "backends/foreign.h"
#include "backends/paths.h"

enum { LINE_MAX_BYTES = 1024 };

static const char *skip_blanks(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* --- nftables.conf ------------------------------------------------------- */

static bool is_flush(const char *line)
{
	line = skip_blanks(line);
	if (strncmp(line, "flush", 5) != 0 || !isspace((unsigned char)line[5]))
		return false;
	line = skip_blanks(line + 5);
	return !strncmp(line, "ruleset", 7) && !isalnum((unsigned char)line[7]);
}

static void nftables_read(struct surroundings *out)
{
	static const char path[] = "/etc/nftables.conf";
	char buffer[PATHS_MAX], line[LINE_MAX_BYTES];
	FILE *file = fopen(paths_resolve(path, buffer), "re");

	for (size_t number = 1; file && fgets(line, sizeof(line), file); number++)
		if (is_flush(line) && !out->flush_line) {
			out->flush_file = path;
			out->flush_line = number;
		}
	if (file)
		fclose(file);
}

/* --- network managers ---------------------------------------------------- */

/* When it cannot be told, as in a container or a hardened service, it is. */
static bool is_where_services_run(void)
{
	char own[64], first[64];
	ssize_t own_size = readlink("/proc/self/ns/net", own, sizeof(own));
	ssize_t first_size = readlink("/proc/1/ns/net", first, sizeof(first));

	return own_size < 0 || first_size < 0 ||
	       (own_size == first_size && !memcmp(own, first, (size_t)own_size));
}

/* The value of KEY=VALUE, without what is around it, or NULL. It is in the line. */
static const char *value_of(char *line, const char *key)
{
	char *value = (char *)skip_blanks(line);
	size_t length = strlen(key);

	if (strncmp(value, key, length) != 0)
		return NULL;
	value = (char *)skip_blanks(value + length);
	if (*value++ != '=')
		return NULL;
	value = (char *)skip_blanks(value);
	value[strcspn(value, " \t\r\n")] = '\0';
	return value;
}

/* The last line of that key in the file decides. */
static void value_read(const char *path, const char *key, char value[16])
{
	char line[LINE_MAX_BYTES];
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		const char *found = value_of(line, key);

		if (found)
			snprintf(value, 16, "%s", found);
	}
	if (file)
		fclose(file);
}

/* Drop-ins count after the main file, by their names alone; the same name in /etc masks others. */
static bool networkd_is_off(const char *key)
{
	static const char *const files[] = {
		"/usr/lib/systemd/networkd.conf",      "/run/systemd/networkd.conf",
		"/etc/systemd/networkd.conf",          "/usr/lib/systemd/networkd.conf.d/*.conf",
		"/run/systemd/networkd.conf.d/*.conf", "/etc/systemd/networkd.conf.d/*.conf",
	};
	char value[16] = "yes";

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		glob_t found = { 0 };

		glob(files[i], 0, NULL, &found);
		for (size_t j = 0; j < found.gl_pathc; j++)
			value_read(found.gl_pathv[j], key, value);
		globfree(&found);
	}
	return !strcasecmp(value, "no") || !strcasecmp(value, "false") ||
	       !strcasecmp(value, "off") || !strcmp(value, "0");
}

/* It keeps a file for each link; one of state "unmanaged" is none of its own. */
static bool networkd_runs(void)
{
	glob_t found = { 0 };
	bool runs = false;

	glob("/run/systemd/netif/links/*", 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc && !runs; i++) {
		char value[16] = "unmanaged";

		value_read(found.gl_pathv[i], "ADMIN_STATE", value);
		runs = strcmp(value, "unmanaged") != 0;
	}
	globfree(&found);
	return runs;
}

static bool networkmanager_manages(const struct device *device)
{
	char path[64], value[16] = "";

	snprintf(path, sizeof(path), "/run/NetworkManager/devices/%u", device->index);
	value_read(path, "managed", value);
	return !strcmp(value, "true");
}

static void managers_read(const struct document *document, struct surroundings *out)
{
	if (!is_where_services_run())
		return;
	if (networkd_runs()) {
		out->networkd_removes_rules = !networkd_is_off("ManageForeignRoutingPolicyRules");
		out->networkd_removes_routes = !networkd_is_off("ManageForeignRoutes");
	}
	for (size_t i = 0; i < out->device_count; i++)
		if (surroundings_concern(document, out->devices[i].name))
			out->devices[i].has_manager = networkmanager_manages(&out->devices[i]);
}

/* --- iptables-legacy ----------------------------------------------------- */

static void legacy_read(struct surroundings *out)
{
	struct foreign foreign = { .arena = &out->arena };

	foreign_read_legacy(&foreign);
	out->legacy = foreign.legacy;
	out->legacy_count = foreign.legacy_count;
	out->legacy_room = foreign.legacy_room;
}

void surround_host(const struct document *document, struct surroundings *out)
{
	nftables_read(out);
	managers_read(document, out);
	legacy_read(out);
}
