/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text format of Prometheus: prometheus.io/docs/instrumenting/exposition_formats. */
#include "reconcile/report.h"

#include <inttypes.h>
#include <string.h>

#include "reconcile/tally.h"

enum { DRIFTS = DRIFT_EXTRA + 1, EFFECTS = EFFECT_LEAK + 1 };

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
	head(out, name, "gauge", help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

/* Names come from live rules, too, so they may hold anything. */
static void label(FILE *out, const char *key, const char *value)
{
	struct arena arena = { 0 };

	fprintf(out, "%s=\"", key);
	for (const char *at = arena_printable(&arena, value); *at; at++)
		fprintf(out, *at == '\\' || *at == '"' ? "\\%c" : "%c", *at);
	fputc('"', out);
	arena_free(&arena);
}

static void print_steps(const struct plan *plan, FILE *out)
{
	size_t count[KIND_COUNT][DRIFTS][EFFECTS] = { 0 };

	for (size_t i = 0; i < plan->step_count; i++)
		count[plan->steps[i].kind][plan->steps[i].drift][plan->steps[i].effect]++;
	head(out, "detour_drift_steps", "gauge",
	     "Differences between the document and the router, by kind, class and effect.");
	for (int kind = 0; kind < KIND_COUNT; kind++)
		for (int drift = 0; drift < DRIFTS; drift++)
			for (int effect = 0; effect < EFFECTS; effect++)
				if (count[kind][drift][effect])
					fprintf(out,
						"detour_drift_steps{kind=\"%s\",class=\"%s\","
						"effect=\"%s\"} %zu\n",
						kind_name((enum kind)kind),
						drift_name((enum drift)drift),
						effect_name((enum effect)effect),
						count[kind][drift][effect]);
}

static size_t count_code(const struct warning *items, size_t count, const char *code)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += !strcmp(items[i].code, code);
	return found;
}

/* A code once, where it stands first. */
static void print_warnings(const struct warning *items, size_t count, FILE *out)
{
	head(out, "detour_warnings", "gauge", "Warnings, by code.");
	for (size_t i = 0; i < count; i++) {
		if (count_code(items, i, items[i].code))
			continue;
		fputs("detour_warnings{", out);
		label(out, "code", items[i].code);
		fprintf(out, "} %zu\n", count_code(items, count, items[i].code));
	}
}

static uint64_t taken_packets(const struct tally *tally)
{
	return tally->taken.packets;
}

static uint64_t taken_bytes(const struct tally *tally)
{
	return tally->taken.bytes;
}

static uint64_t refused_packets(const struct tally *tally)
{
	return tally->refused.packets;
}

static uint64_t connections(const struct tally *tally)
{
	return tally->connections;
}

/* One sample for each gateway, or each redirect. */
struct metric {
	const char *name, *type, *help;
	uint64_t (*value)(const struct tally *tally);
};

static const struct metric of_gateways[] = {
	{ "detour_gateway_packets_total", "counter", "Packets sent to the gateway.",
	  taken_packets },
	{ "detour_gateway_bytes_total", "counter", "Bytes of the packets sent to the gateway.",
	  taken_bytes },
	{ "detour_gateway_refused_packets_total", "counter",
	  "Packets refused because they would have passed the gateway by.", refused_packets },
	{ "detour_gateway_connections", "gauge",
	  "Tracked connections that bear the gateway's mark.", connections },
};

static const struct metric of_redirects[] = {
	{ "detour_redirect_connections_total", "counter",
	  "Connections that the redirect selected, by their first packets.", taken_packets },
	{ "detour_redirect_refused_packets_total", "counter",
	  "Invalid and untracked packets that were refused.", refused_packets },
};

static void print_metric(const struct metric *metric, const char *key,
			 const struct tallies *tallies, FILE *out)
{
	head(out, metric->name, metric->type, metric->help);
	for (size_t i = 0; i < tallies->count; i++) {
		fprintf(out, "%s{", metric->name);
		label(out, key, tallies->items[i].name);
		fprintf(out, "} %" PRIu64 "\n", metric->value(&tallies->items[i]));
	}
}

void report_metrics(const struct report *report, const struct state *observed, int64_t when,
		    FILE *out)
{
	const struct plan *plan = report->plan;
	struct arena arena = { 0 };
	struct tallies tallies;

	gauge(out, "detour_in_sync", "Whether the router is as the document says.",
	      plan_in_sync(plan));
	gauge(out, "detour_last_success_timestamp_seconds",
	      "When detour last compared the two, in seconds since 1970.", (uint64_t)when);
	gauge(out, "detour_conflicts", "Foreign objects in the way.", plan->conflict_count);
	print_steps(plan, out);
	print_warnings(plan->warnings, plan->warning_count, out);
	tally_gateways(&arena, observed, &tallies);
	for (size_t i = 0; i < sizeof(of_gateways) / sizeof(*of_gateways); i++)
		print_metric(&of_gateways[i], "gateway", &tallies, out);
	tally_redirects(&arena, observed, &tallies);
	for (size_t i = 0; i < sizeof(of_redirects) / sizeof(*of_redirects); i++)
		print_metric(&of_redirects[i], "redirect", &tallies, out);
	arena_free(&arena);
}
