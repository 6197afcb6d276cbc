/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The picture as SVG 1.1: four columns from the clients to the servers, a row
 * for each redirect. It needs nothing beside itself, and its text is text.
 */
#include "reconcile/report.h"

#include <stdlib.h>
#include <string.h>

#include "reconcile/cells.h"
#include "reconcile/utf8.h"

enum {
	LINE = 18, /* pixels from one line of text to the next */
	PAD = 10,  /* between a box and what is in it */
	GAP = 14,  /* between boxes */
	TOP = 76,  /* where the first box begins */
	MARGIN = 16,
	CHARACTER = 8, /* pixels: 12 pixel fonts of fixed width need about 7.2 */
	FLAWS_SHOWN = 3,
};

/* Each begins, and is as wide, as said here; lines fill what is between. */
static const struct column {
	const char *name;
	int x, width;
} columns[] = {
	{ "CLIENTS", 16, 240 },
	{ "ROUTER", 296, 272 },
	{ "GATEWAY", 608, 256 },
	{ "SERVERS", 904, 272 },
};

enum { CLIENTS, ROUTER, GATEWAY, SERVERS, COLUMNS, WIDTH = 904 + 272 + MARGIN };

static const char style[] =
	"text{font:12px ui-monospace,\"DejaVu Sans Mono\",monospace;fill:#1b1f24;white-space:pre}"
	"rect{fill:#f6f8fa;stroke:#8c959f}path{fill:none;stroke-width:1.5}"
	".page{fill:#fff;stroke:none}.head{font-weight:bold}"
	"text.well{fill:#116329}path.well{stroke:#116329}"
	"text.warn{fill:#7d4e00}path.warn{stroke:#7d4e00}"
	"text.bad{fill:#b3121d;font-weight:bold}path.bad,rect.bad{stroke:#b3121d}"
	"@media(prefers-color-scheme:dark){"
	"text{fill:#e6edf3}rect{fill:#161b22;stroke:#6e7681}.page{fill:#0d1117}"
	"text.well{fill:#56d364}path.well{stroke:#56d364}"
	"text.warn{fill:#e3b341}path.warn{stroke:#e3b341}"
	"text.bad{fill:#ff7b72}path.bad,rect.bad{stroke:#ff7b72}}";

struct line {
	const char *text, *class;
};

struct lines {
	struct line *items;
	size_t count, room;
};

struct sheet {
	struct arena arena;
	const struct report *report;
	const struct picture *picture;
	FILE *out;
	int y; /* of what is drawn next */
};

/* --- text ----------------------------------------------------------------- */

/* The bytes of a character that XML does not allow though it is UTF-8: U+FFFE, U+FFFF. Else 0. */
static size_t no_character(const char *at)
{
	return !strncmp(at, "\xef\xbf\xbe", 3) || !strncmp(at, "\xef\xbf\xbf", 3) ? 3 : 0;
}

static void put_byte(FILE *out, char byte)
{
	switch (byte) {
	case '&':
		fputs("&amp;", out);
		break;
	case '<':
		fputs("&lt;", out);
		break;
	case '>':
		fputs("&gt;", out);
		break;
	default:
		fputc(byte, out);
	}
}

/* Names come from live rules, too, so they may hold anything. */
static void put_escaped(struct sheet *sheet, const char *text)
{
	const char *at = arena_printable(&sheet->arena, text);

	while (*at) {
		size_t skipped = no_character(at);

		put_byte(sheet->out, skipped ? '?' : *at);
		at += skipped ? skipped : 1;
	}
}

static void put_text(struct sheet *sheet, int x, int y, const char *text, const char *class)
{
	fprintf(sheet->out, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
	put_escaped(sheet, text);
	fputs("</text>\n", sheet->out);
}

/* What is cut off is in the tooltip. */
static void put_line(struct sheet *sheet, const struct line *line, int x, int y, int width)
{
	const char *text = arena_printable(&sheet->arena, line->text);
	size_t room = (size_t)width / CHARACTER;

	fprintf(sheet->out, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, line->class);
	put_escaped(sheet, text_cut(&sheet->arena, text, room, "…"));
	if (utf8_length(text) > room) {
		fputs("<title>", sheet->out);
		put_escaped(sheet, text);
		fputs("</title>", sheet->out);
	}
	fputs("</text>\n", sheet->out);
}

static void line_add(struct sheet *sheet, struct lines *lines, const char *text, const char *class)
{
	*ARENA_PUSH(&sheet->arena, lines->items, lines->count, lines->room) =
		(struct line){ text, class };
}

static void lines_wrap(struct sheet *sheet, struct lines *lines, const char *text,
		       const char *class, int width)
{
	while (*text) {
		size_t bytes = text_line_bytes(text, (size_t)width / CHARACTER);

		line_add(sheet, lines, arena_printf(&sheet->arena, "%.*s", (int)bytes, text),
			 class);
		text += bytes + (text[bytes] == ' ');
	}
}

static void lines_wrap_cell(struct sheet *sheet, struct lines *lines, const char *text,
			    const char *class, int column)
{
	lines_wrap(sheet, lines, arena_printf(&sheet->arena, "✗ %s", text), class,
		   columns[column].width - 2 * PAD);
}

static void put_lines(struct sheet *sheet, const struct lines *lines, int column, int y)
{
	for (size_t i = 0; i < lines->count; i++)
		put_line(sheet, &lines->items[i], columns[column].x + PAD,
			 y + PAD + LINE * (int)i + 12, columns[column].width - 2 * PAD);
}

static int height_of(const struct lines *lines)
{
	return LINE * (int)lines->count + 2 * PAD;
}

static int larger(int a, int b)
{
	return a > b ? a : b;
}

static void put_box(struct sheet *sheet, int column, int y, int height, const char *class)
{
	fprintf(sheet->out,
		"<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" class=\"%s\"/>\n",
		columns[column].x, y, columns[column].width, height, class);
}

/* From the column to the next. What is broken ends in a cross. */
static void put_arrow(struct sheet *sheet, int column, int y, const char *class, bool is_broken)
{
	int from = columns[column].x + columns[column].width, to = columns[column + 1].x;

	fprintf(sheet->out, "<path d=\"M%d %dH%d%s\" class=\"%s\"/>\n", from, y,
		is_broken ? to - 10 : to, is_broken ? "m-5-5l10 10m0-10l-10 10" : "m-7-5l7 5l-7 5",
		class);
}

/* --- redirects ------------------------------------------------------------ */

static const char *class_of(const struct picture_redirect *redirect)
{
	if (picture_is_well(redirect))
		return "well";
	return picture_goes_elsewhere(redirect) ? "bad" : "warn";
}

static void lines_of_redirect(struct sheet *sheet, const struct picture_redirect *redirect,
			      struct lines *lines)
{
	const struct flaws *flaws = &redirect->flaws;
	const char *total =
		text_number(&sheet->arena, redirect->tally.taken.packets, "connections");

	line_add(sheet, lines, redirect->name, "head");
	line_add(sheet, lines, arena_printf(&sheet->arena, "%s so far", total), "");
	if (!picture_is_well(redirect))
		lines_wrap_cell(sheet, lines, picture_redirect_words(&sheet->arena, redirect),
				class_of(redirect), ROUTER);
	for (size_t i = 0; i < flaws->count && i < FLAWS_SHOWN; i++)
		lines_wrap_cell(sheet, lines, flaws->items[i], "warn", ROUTER);
	if (flaws->count > FLAWS_SHOWN)
		line_add(sheet, lines,
			 arena_printf(&sheet->arena, "and %zu more", flaws->count - FLAWS_SHOWN),
			 "warn");
}

static void put_ends(struct sheet *sheet, const struct redirect *redirect)
{
	struct lines clients = { 0 }, servers = { 0 };

	line_add(sheet, &clients, meaning_of_interfaces(&sheet->arena, redirect), "head");
	line_add(sheet, &clients, meaning_of_clients(&sheet->arena, redirect), "");
	line_add(sheet, &servers, meaning_of_servers(&sheet->arena, redirect), "head");
	line_add(sheet, &servers, meaning_of_services(&sheet->arena, redirect), "");
	put_box(sheet, CLIENTS, sheet->y, height_of(&clients), "");
	put_box(sheet, SERVERS, sheet->y, height_of(&servers), "");
	put_lines(sheet, &clients, CLIENTS, sheet->y);
	put_lines(sheet, &servers, SERVERS, sheet->y);
}

static void put_redirect(struct sheet *sheet, const struct picture_redirect *redirect)
{
	const char *class = class_of(redirect);
	bool is_broken = picture_goes_elsewhere(redirect);
	struct lines lines = { 0 };
	int arrow = sheet->y + PAD + LINE;

	lines_of_redirect(sheet, redirect, &lines);
	fputs("<g>\n<title>", sheet->out);
	put_escaped(sheet, meaning_of_redirect(&sheet->arena, redirect->redirect,
					       picture_is_well(redirect) ? "goes" : "should go"));
	if (*redirect->redirect->description) {
		fputs("; ", sheet->out);
		put_escaped(sheet, redirect->redirect->description);
	}
	fputs("</title>\n", sheet->out);
	put_ends(sheet, redirect->redirect);
	put_box(sheet, ROUTER, sheet->y, height_of(&lines), is_broken ? "bad" : "");
	put_lines(sheet, &lines, ROUTER, sheet->y);
	put_arrow(sheet, CLIENTS, arrow, class, false);
	put_arrow(sheet, ROUTER, arrow, class, is_broken);
	if (!is_broken)
		put_arrow(sheet, GATEWAY, arrow, class, false);
	fputs("</g>\n", sheet->out);
	sheet->y += height_of(&lines) + GAP;
}

/* --- gateways ------------------------------------------------------------- */

static void lines_of_hop(struct sheet *sheet, const struct picture_hop *hop, struct lines *lines)
{
	line_add(sheet, lines,
		 arena_printf(&sheet->arena, "%s %s", hop->address, picture_hop_words(hop)),
		 hop->is_silent ? "bad" : "");
	if (hop->hop && hop->hop->obstacle)
		lines_wrap_cell(sheet, lines, hop->hop->obstacle, "bad", GATEWAY);
}

static void lines_of_gateway(struct sheet *sheet, const struct picture_gateway *gateway,
			     struct lines *lines)
{
	const struct tally *tally = &gateway->tally;
	struct arena *arena = &sheet->arena;

	line_add(sheet, lines, gateway->name, "head");
	line_add(sheet, lines,
		 arena_printf(arena, "%s %s", gateway->gateway->interface, gateway->interface),
		 strcmp(gateway->interface, "up") != 0 ? "bad" : "");
	for (size_t i = 0; i < gateway->hop_count; i++)
		lines_of_hop(sheet, &gateway->hops[i], lines);
	line_add(sheet, lines, text_number(arena, tally->connections, "connections now"), "");
	line_add(sheet, lines,
		 arena_printf(arena, "%s, %s", text_number(arena, tally->taken.packets, "packets"),
			      text_number(arena, tally->taken.bytes, "B")),
		 "");
	if (tally->refused.packets)
		line_add(sheet, lines,
			 text_number(arena, tally->refused.packets, "packets refused"), "warn");
	for (size_t i = 0; i < gateway->flaws.count; i++)
		lines_wrap_cell(sheet, lines, gateway->flaws.items[i],
				gateway->effect > EFFECT_EXPOSED ? "bad" : "warn", GATEWAY);
}

static void put_gateway(struct sheet *sheet, const struct picture_gateway *gateway)
{
	bool is_bad = gateway->is_silent || gateway->effect > EFFECT_EXPOSED ||
		      strcmp(gateway->interface, "up") != 0;
	struct lines lines = { 0 };
	int top = sheet->y;

	lines_of_gateway(sheet, gateway, &lines);
	for (size_t i = 0; i < gateway->redirect_count; i++)
		put_redirect(sheet, &sheet->picture->redirects[gateway->redirects[i]]);
	if (!gateway->redirect_count)
		put_text(sheet, columns[ROUTER].x + PAD, top + PAD + 12, "no redirect uses it", "");
	sheet->y = larger(sheet->y, top + height_of(&lines) + GAP);
	fputs("<g>\n", sheet->out);
	if (*gateway->gateway->description) {
		fputs("<title>", sheet->out);
		put_escaped(sheet, gateway->gateway->description);
		fputs("</title>\n", sheet->out);
	}
	put_box(sheet, GATEWAY, top, sheet->y - GAP - top, is_bad ? "bad" : "");
	put_lines(sheet, &lines, GATEWAY, top);
	fputs("</g>\n", sheet->out);
	sheet->y += GAP;
}

/* --- all of it ------------------------------------------------------------ */

static void footnote(struct sheet *sheet, const char *class, const char *text)
{
	struct lines lines = { 0 };

	lines_wrap(sheet, &lines, text, class, WIDTH - 2 * MARGIN);
	for (size_t i = 0; i < lines.count; i++, sheet->y += LINE)
		put_line(sheet, &lines.items[i], MARGIN, sheet->y, WIDTH - 2 * MARGIN);
}

static void note_extra(struct sheet *sheet, const char *what, const char *name)
{
	footnote(sheet, "warn",
		 arena_printf(&sheet->arena, "✗ %s %s is live, but not in the document", what,
			      name));
}

static void put_notes(struct sheet *sheet)
{
	const struct picture *picture = sheet->picture;
	const struct plan *plan = sheet->report->plan;

	for (size_t i = 0; i < picture->redirect_count; i++)
		if (picture->redirects[i].life == LIFE_EXTRA)
			note_extra(sheet, "redirect", picture->redirects[i].name);
	for (size_t i = 0; i < picture->gateway_count; i++)
		if (picture->gateways[i].life == LIFE_EXTRA)
			note_extra(sheet, "gateway", picture->gateways[i].name);
	for (size_t i = 0; i < picture->flaws.count; i++)
		footnote(sheet, "warn",
			 arena_printf(&sheet->arena, "✗ %s", picture->flaws.items[i]));
	for (size_t i = 0; i < plan->warning_count; i++)
		footnote(sheet, plan->warnings[i].fatal ? "bad" : "warn",
			 arena_printf(&sheet->arena, "warning [%s%s] %s", plan->warnings[i].code,
				      plan->warnings[i].fatal ? ", fatal" : "",
				      plan->warnings[i].message));
}

static void put_body(struct sheet *sheet)
{
	const struct picture *picture = sheet->picture;
	bool is_well = !sheet->report->plan->step_count && !picture->is_broken;

	put_text(sheet, MARGIN, 30, picture_summary(picture, sheet->report->plan),
		 is_well ? "well" : "bad");
	for (size_t i = 0; i < COLUMNS; i++)
		put_text(sheet, columns[i].x, TOP - 12, columns[i].name, "head");
	sheet->y = TOP;
	for (size_t i = 0; i < picture->gateway_count; i++)
		if (picture->gateways[i].gateway)
			put_gateway(sheet, &picture->gateways[i]);
	sheet->y += LINE;
	put_notes(sheet);
}

/* The height is known only when all is drawn. */
int report_svg(const struct report *report, FILE *out)
{
	struct sheet sheet = { .report = report, .picture = report->picture };
	char *body = NULL;
	size_t size;

	sheet.out = open_memstream(&body, &size);
	if (!sheet.out)
		return -1;
	put_body(&sheet);
	if (fclose(sheet.out) != 0) {
		free(body);
		arena_free(&sheet.arena);
		return -1;
	}
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" role=\"graphics-document\" aria-labelledby=\"title\" "
		"aria-describedby=\"desc\">\n"
		"<title id=\"title\">detour: who goes where</title>\n"
		"<desc id=\"desc\">%s</desc>\n<style>%s</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" class=\"page\"/>\n%s</svg>\n",
		WIDTH, sheet.y, WIDTH, sheet.y, picture_summary(report->picture, report->plan),
		style, body);
	free(body);
	arena_free(&sheet.arena);
	return 0;
}
