#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures and draws what a new packet costs, by how much is selected: `make bench-plot`.

    plot.py FILE.svg
"""

import math
import statistics
import sys
from dataclasses import dataclass

from bench import lab, packets_beside_procedure
from cases import case_networks, case_redirects

OURS, BESIDE, INK, FAINT, PAPER = "#0b6e4f", "#c8553d", "#26323a", "#d9dfe3", "#ffffff"
WIDTH, HEIGHT, TOP, BOTTOM = 860, 400, 74, 336
LOW, HIGH = 0, 4  # the y axis, powers of ten of microseconds


@dataclass
class Panel:
    title: str
    left: int
    right: int
    sizes: list
    ours: list  # microseconds for each size
    beside: list

    def point(self, size, cost):
        """Where it stands, on two logarithmic axes."""
        share = math.log10(size / self.sizes[0]) / math.log10(self.sizes[-1] / self.sizes[0])
        return self.left + share * (self.right - self.left), level(cost)


def level(cost):
    return BOTTOM - (math.log10(cost) - LOW) / (HIGH - LOW) * (BOTTOM - TOP)


def text(x, y, words, color=INK, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}" {extra}>{words}</text>'


def duration(microseconds):
    if microseconds >= 1000:
        return f"{microseconds / 1000:.2g} ms"
    return f"{microseconds:.2g} µs" if microseconds < 100 else f"{microseconds:.0f} µs"


def draw_axes(panel):
    yield text(panel.left, TOP - 16, panel.title, extra='font-weight="600"')
    for power in range(LOW, HIGH + 1):
        y = level(10**power)
        yield f'<path d="M{panel.left} {y:.1f}H{panel.right}" stroke="{FAINT}"/>'
        yield text(panel.left - 8, y + 4, duration(10**power), anchor="end", extra='font-size="11"')
    for size in panel.sizes:
        x, _ = panel.point(size, 1)
        yield text(x, BOTTOM + 18, f"{size:,}", anchor="middle", extra='font-size="11"')


def draw_line(panel, costs, name, color, below):
    points = [panel.point(*pair) for pair in zip(panel.sizes, costs)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2.5"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}" stroke="{PAPER}"/>'
    x, y = points[-1]
    shift = 24 if below else -12
    label = f"{name}: {duration(costs[-1])}"
    yield text(x, y + shift, label, color, "end", 'font-weight="600"')


def draw(panels):
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="Helvetica, Arial, sans-serif" font-size="13">')
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>'
    yield text(24, 28, "What the first packet of a connection costs the router", extra='font-size="17"')
    for panel in panels:
        yield from draw_axes(panel)
        yield from draw_line(panel, panel.beside, "the procedure", BESIDE, False)
        yield from draw_line(panel, panel.ours, "detour", OURS, True)
    yield text(24, HEIGHT - 20, "Processor time, IPv4, each packet to a random selected server, "
               "medians; both axes are logarithmic.", extra='font-size="11"')
    yield "</svg>\n"


def measure(title, left, sizes, make_case):
    panel = Panel(title, left, left + 330, sizes, [], [])
    for size in sizes:
        rates = packets_beside_procedure(make_case(size))
        for costs, side in zip((panel.ours, panel.beside), rates):
            costs.append(1e6 / statistics.median(side))
        print(f"{title} {size:,}: {duration(panel.ours[-1])}, {duration(panel.beside[-1])}", flush=True)
    return panel


def main(path):
    lab.enter_private_files()
    panels = [
        measure("Networks of one redirect", 72, [10, 100, 1000, 10_000, 100_000],
                lambda size: case_networks(4, size)[1]),
        measure("Redirects of one network each", 494, [1, 10, 100, 1000],
                lambda size: case_redirects(4, size, "servers")[1]),
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(draw(panels)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    main(sys.argv[1])
