/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The picture in a terminal: for each gateway a box in the middle, redirects
 * lead into it from the left and out of it, to their servers, on the right.
 */
#include "reconcile/report.h"

#include <string.h>

#include "reconcile/cells.h"
#include "reconcile/utf8.h"

#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define RED    "\033[31m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

enum {
	COLUMNS_MIN = 60,
	LEFT_MAX = 44,
	BOX_MIN = 20, /* inside the frame */
	BOX_MAX = 34,
	ARROW = 5,     /* right of the box */
	MANY = 12,     /* redirects of one gateway; beyond it those that are well take a line */
	LEAD_MIN = 10, /* of the arrow into the box, with the redirect's name on it */
};

struct glyphs {
	const char *line, *wall, *corners[4], *head, *cross, *cut;
};

static const struct glyphs box_drawing = { "─", "│", { "┌", "┐", "└", "┘" }, "▶", "✗", "…" };
static const struct glyphs ascii = { "-", "|", { "+", "+", "+", "+" }, ">", "x", "~" };

/* One line beside a box: text, or an arrow with a name on it. */
struct side {
	const char *left, *right;
	const char *label; /* NULL: no arrow */
	const char *colour;
	bool is_broken;
};

struct cell {
	const char *text, *colour;
};

struct drawing {
	struct arena arena;
	const struct report *report;
	const struct picture *picture;
	const struct glyphs *glyphs;
	bool colour;
	size_t left, box, right; /* columns */
	FILE *out;
	struct side *sides;
	size_t side_count, side_room;
	struct cell *cells;
	size_t cell_count, cell_room;
};

/* --- text in cells -------------------------------------------------------- */

static const char *cut(struct drawing *drawing, const char *text, size_t width)
{
	return text_cut(&drawing->arena, text, width, drawing->glyphs->cut);
}

static void repeat(struct drawing *drawing, const char *glyph, size_t count)
{
	while (count-- > 0)
		fputs(glyph, drawing->out);
}

static void put(struct drawing *drawing, const char *text, const char *colour)
{
	bool paints = drawing->colour && colour && *text;

	fprintf(drawing->out, "%s%s%s", paints ? colour : "", text, paints ? PLAIN : "");
}

/* Padded to the width. */
static void put_cell(struct drawing *drawing, const char *text, const char *colour, size_t width)
{
	text = cut(drawing, text, width);
	put(drawing, text, colour);
	repeat(drawing, " ", width - utf8_length(text));
}

/* --- beside the box ------------------------------------------------------- */

static struct side *side_add(struct drawing *drawing, const char *left, const char *right)
{
	struct side *side = ARENA_PUSH(&drawing->arena, drawing->sides, drawing->side_count,
				       drawing->side_room);

	*side = (struct side){ .left = left, .right = right };
	return side;
}

static void sides_wrap(struct drawing *drawing, const char *text, const char *colour)
{
	while (*text) {
		size_t bytes = text_line_bytes(text, drawing->left);

		side_add(drawing, arena_printf(&drawing->arena, "%.*s", (int)bytes, text), "")
			->colour = colour;
		text += bytes + (text[bytes] == ' ');
	}
}

static const char *colour_of(const struct picture_redirect *redirect)
{
	if (picture_is_well(redirect))
		return GREEN;
	return picture_goes_elsewhere(redirect) ? BOLD RED : YELLOW;
}

static void sides_of_flaws(struct drawing *drawing, const struct picture_redirect *redirect)
{
	if (!picture_is_well(redirect))
		sides_wrap(drawing,
			   arena_printf(&drawing->arena, "%s %s", drawing->glyphs->cross,
					picture_redirect_words(&drawing->arena, redirect)),
			   colour_of(redirect));
	for (size_t i = 0; i < redirect->flaws.count && i < 3; i++)
		sides_wrap(drawing, redirect->flaws.items[i], YELLOW);
	if (redirect->flaws.count > 3)
		sides_wrap(drawing,
			   arena_printf(&drawing->arena, "and %zu more", redirect->flaws.count - 3),
			   YELLOW);
}

static const char *interfaces_of(struct drawing *drawing, const struct redirect *redirect)
{
	return arena_printable(&drawing->arena, meaning_of_interfaces(&drawing->arena, redirect));
}

static void sides_of(struct drawing *drawing, const struct picture_redirect *redirect,
		     bool is_short)
{
	const char *servers = meaning_of_servers(&drawing->arena, redirect->redirect);
	const char *services = meaning_of_services(&drawing->arena, redirect->redirect);
	struct side *side;

	if (is_short)
		servers = arena_printf(&drawing->arena, "%s %s", servers, services);
	side = side_add(drawing, interfaces_of(drawing, redirect->redirect), servers);
	side->label = redirect->name;
	side->colour = colour_of(redirect);
	side->is_broken = picture_goes_elsewhere(redirect);
	if (is_short)
		return;
	side_add(drawing, meaning_of_clients(&drawing->arena, redirect->redirect), services);
	side_add(drawing,
		 arena_printf(&drawing->arena, "%s so far",
			      text_number(&drawing->arena, redirect->tally.taken.packets,
					  "connections")),
		 "");
	sides_of_flaws(drawing, redirect);
	side_add(drawing, "", "");
}

/* Where there are many, what is broken comes first. */
static void sides_of_gateway(struct drawing *drawing, const struct picture_gateway *gateway)
{
	bool many = gateway->redirect_count > MANY;

	for (size_t i = 0; i < gateway->redirect_count; i++) {
		const struct picture_redirect *redirect =
			&drawing->picture->redirects[gateway->redirects[i]];

		if (!many || !picture_is_well(redirect))
			sides_of(drawing, redirect, false);
	}
	for (size_t i = 0; many && i < gateway->redirect_count; i++) {
		const struct picture_redirect *redirect =
			&drawing->picture->redirects[gateway->redirects[i]];

		if (picture_is_well(redirect))
			sides_of(drawing, redirect, true);
	}
	if (!gateway->redirect_count)
		side_add(drawing, "no redirect uses it", "");
}

/* --- in the box ----------------------------------------------------------- */

static void cell_add(struct drawing *drawing, const char *text, const char *colour)
{
	*ARENA_PUSH(&drawing->arena, drawing->cells, drawing->cell_count, drawing->cell_room) =
		(struct cell){ text, colour };
}

static void cells_wrap(struct drawing *drawing, const char *text, const char *colour)
{
	while (*text) {
		size_t bytes = text_line_bytes(text, drawing->box);

		cell_add(drawing, arena_printf(&drawing->arena, "%.*s", (int)bytes, text), colour);
		text += bytes + (text[bytes] == ' ');
	}
}

static const char *between(struct drawing *drawing, const char *from, const char *to)
{
	size_t taken = utf8_length(from) + utf8_length(to);
	size_t gap = taken < drawing->box ? drawing->box - taken : 1;

	return arena_printf(&drawing->arena, "%s%*s%s", from, (int)gap, "", to);
}

static void cells_of_hop(struct drawing *drawing, const struct picture_hop *hop)
{
	cell_add(drawing, between(drawing, hop->address, picture_hop_words(hop)),
		 hop->is_silent ? BOLD RED : NULL);
	if (hop->hop && hop->hop->obstacle)
		cells_wrap(drawing,
			   arena_printf(&drawing->arena, "%s %s", drawing->glyphs->cross,
					hop->hop->obstacle),
			   RED);
}

static void cells_of_gateway(struct drawing *drawing, const struct picture_gateway *gateway)
{
	const struct tally *tally = &gateway->tally;
	bool is_up = !strcmp(gateway->interface, "up");

	cell_add(drawing, gateway->name, BOLD);
	cell_add(drawing,
		 between(drawing, arena_printable(&drawing->arena, gateway->gateway->interface),
			 gateway->interface),
		 is_up ? NULL : BOLD RED);
	for (size_t i = 0; i < gateway->hop_count; i++)
		cells_of_hop(drawing, &gateway->hops[i]);
	cell_add(drawing, text_number(&drawing->arena, tally->connections, "connections now"),
		 NULL);
	cell_add(drawing,
		 arena_printf(&drawing->arena, "%s, %s",
			      text_number(&drawing->arena, tally->taken.packets, "packets"),
			      text_number(&drawing->arena, tally->taken.bytes, "B")),
		 NULL);
	if (tally->refused.packets)
		cell_add(drawing,
			 text_number(&drawing->arena, tally->refused.packets, "packets refused"),
			 YELLOW);
	for (size_t i = 0; i < gateway->flaws.count; i++)
		cells_wrap(drawing,
			   arena_printf(&drawing->arena, "%s %s", drawing->glyphs->cross,
					gateway->flaws.items[i]),
			   gateway->effect > EFFECT_EXPOSED ? RED : YELLOW);
}

/* --- lines ---------------------------------------------------------------- */

/* "eth0 --- rdp ----->", as wide as the left column. */
static void put_lead(struct drawing *drawing, const struct side *side)
{
	const char *label = cut(drawing, side->label, drawing->left / 2);
	size_t room = drawing->left - utf8_length(label) - 6;
	const char *left = cut(drawing, side->left, room);
	size_t line = room - utf8_length(left);

	put(drawing, left, NULL);
	fputc(' ', drawing->out);
	repeat(drawing, drawing->glyphs->line, line / 2 + 1);
	fprintf(drawing->out, " ");
	put(drawing, label, side->colour);
	fprintf(drawing->out, " ");
	repeat(drawing, drawing->glyphs->line, line - line / 2 + 1);
	put(drawing, side->is_broken ? drawing->glyphs->cross : drawing->glyphs->head,
	    side->colour);
}

static void put_right(struct drawing *drawing, const struct side *side)
{
	if (!*side->right)
		return;
	fputc(' ', drawing->out);
	if (side->label && !side->is_broken) {
		repeat(drawing, drawing->glyphs->line, 2);
		put(drawing, drawing->glyphs->head, side->colour);
	} else {
		fputs("   ", drawing->out);
	}
	fputc(' ', drawing->out);
	put(drawing, cut(drawing, side->right, drawing->right), NULL);
}

static void put_frame(struct drawing *drawing, size_t corner)
{
	repeat(drawing, " ", drawing->left + 1);
	fputs(drawing->glyphs->corners[corner], drawing->out);
	repeat(drawing, drawing->glyphs->line, drawing->box + 2);
	fprintf(drawing->out, "%s\n", drawing->glyphs->corners[corner + 1]);
}

static void put_line(struct drawing *drawing, const struct side *side, const struct cell *cell)
{
	if (side->label)
		put_lead(drawing, side);
	else
		put_cell(drawing, side->left, side->colour, drawing->left);
	fprintf(drawing->out, " %s ", drawing->glyphs->wall);
	put_cell(drawing, cell->text, cell->colour, drawing->box);
	fprintf(drawing->out, " %s", drawing->glyphs->wall);
	put_right(drawing, side);
	fputc('\n', drawing->out);
}

static void put_gateway(struct drawing *drawing, const struct picture_gateway *gateway)
{
	static const struct side no_side = { .left = "", .right = "" };
	static const struct cell no_cell = { "", NULL };

	drawing->side_count = drawing->cell_count = 0;
	sides_of_gateway(drawing, gateway);
	cells_of_gateway(drawing, gateway);
	/* What parts one redirect from the next is not needed at the end. */
	if (!*drawing->sides[drawing->side_count - 1].left)
		drawing->side_count--;
	put_frame(drawing, 0);
	for (size_t i = 0; i < drawing->side_count || i < drawing->cell_count; i++)
		put_line(drawing, i < drawing->side_count ? &drawing->sides[i] : &no_side,
			 i < drawing->cell_count ? &drawing->cells[i] : &no_cell);
	put_frame(drawing, 2);
}

/* --- all of it ------------------------------------------------------------ */

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void columns_divide(struct drawing *drawing, size_t columns)
{
	const struct picture *picture = drawing->picture;
	size_t rest, left = 24;

	drawing->box = BOX_MIN;
	for (size_t i = 0; i < picture->gateway_count; i++)
		for (size_t h = 0; h < picture->gateways[i].hop_count; h++)
			drawing->box =
				larger(drawing->box,
				       utf8_length(picture->gateways[i].hops[h].address) + 11);
	for (size_t i = 0; i < picture->redirect_count; i++) {
		const struct picture_redirect *redirect = &picture->redirects[i];

		if (!redirect->redirect)
			continue;
		left = larger(left,
			      utf8_length(redirect->name) + LEAD_MIN +
				      utf8_length(interfaces_of(drawing, redirect->redirect)));
		left = larger(left,
			      utf8_length(meaning_of_clients(&drawing->arena, redirect->redirect)));
	}
	columns = larger(columns, COLUMNS_MIN);
	drawing->box = smaller(drawing->box, smaller(BOX_MAX, columns / 3));
	rest = columns - drawing->box - 5 - ARROW;
	drawing->left = smaller(left, smaller(LEFT_MAX, rest - rest / 2));
	drawing->right = rest - drawing->left;
}

static void put_extra(struct drawing *drawing)
{
	const struct picture *picture = drawing->picture;

	for (size_t i = 0; i < picture->redirect_count; i++)
		if (picture->redirects[i].life == LIFE_EXTRA)
			fprintf(drawing->out,
				"%s redirect %s is live, but not in the document: %s so far\n",
				drawing->glyphs->cross,
				arena_printable(&drawing->arena, picture->redirects[i].name),
				text_number(&drawing->arena,
					    picture->redirects[i].tally.taken.packets,
					    "connections"));
	for (size_t i = 0; i < picture->gateway_count; i++)
		if (picture->gateways[i].life == LIFE_EXTRA)
			fprintf(drawing->out, "%s gateway %s is live, but not in the document\n",
				drawing->glyphs->cross,
				arena_printable(&drawing->arena, picture->gateways[i].name));
	for (size_t i = 0; i < picture->flaws.count && i < 5; i++)
		fprintf(drawing->out, "%s %s\n", drawing->glyphs->cross,
			arena_printable(&drawing->arena, picture->flaws.items[i]));
	if (picture->flaws.count > 5)
		fprintf(drawing->out, "  and %zu more; see detour plan\n",
			picture->flaws.count - 5);
}

void report_show(const struct report *report, const struct canvas *canvas, FILE *out)
{
	struct drawing drawing = {
		.report = report,
		.picture = report->picture,
		.glyphs = canvas->is_ascii ? &ascii : &box_drawing,
		.colour = canvas->colour,
		.out = out,
	};
	bool has_gateway = false;

	columns_divide(&drawing, canvas->columns);
	for (size_t i = 0; i < drawing.picture->gateway_count; i++) {
		if (!drawing.picture->gateways[i].gateway)
			continue;
		if (!has_gateway) {
			put_cell(&drawing, "CLIENTS", BOLD, drawing.left + 3);
			put_cell(&drawing, "GATEWAY", BOLD, drawing.box + 2 + ARROW);
			put(&drawing, "SERVERS", BOLD);
			fputc('\n', out);
		}
		has_gateway = true;
		put_gateway(&drawing, &drawing.picture->gateways[i]);
	}
	put_extra(&drawing);
	put(&drawing, picture_summary(report->picture, report->plan), BOLD);
	fputc('\n', out);
	report_warnings(report, canvas->colour, out);
	arena_free(&drawing.arena);
}
