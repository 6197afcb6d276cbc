#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures and draws what detour costs, by how much is selected: `make bench-plot`.

    plot.py FILE.svg
"""

import math
import statistics
import sys
from dataclasses import dataclass

from bench import (
    LOOK, Contestant, Routers, detour, json, lab, packets_beside_procedure, procedure, take_turns)
from cases import MARK, MASK, case_networks, case_redirects, wanted
from routers import GATEWAY

OURS, BESIDE, INK, SOFT, FAINT, PAPER = (
    "#0b6e4f", "#c8553d", "#26323a", "#5f6f7a", "#e3e8eb", "#ffffff")
WIDTH, MARGIN, TOP, FOOT = 900, 24, 86, 52
PANEL_WIDTH, PANEL_HEIGHT, ROW_HEIGHT = 250, 130, 212
LEFTS = 76, 520  # of the two columns
TURNS, SECONDS = 3, 6  # of commands, for each size


# -- What is measured ----------------------------------------------------------------------------


def first_packets(case):
    """Seconds of processor time: ours, and the procedure's."""
    return [[1 / rate for rate in side] for side in packets_beside_procedure(case)]


def seconds_of(*contestants):
    samples = take_turns(*contestants, least=TURNS, patience=SECONDS)
    return [[sample.seconds for sample in side] for side in samples]


SET_UP = """
iptables-restore < {rules}
ip route add default via {gateway} table 103
ip rule add fwmark {mark} lookup 103 priority 100
"""
TAKE_DOWN = """
iptables -t mangle -F
ip route flush table 103
ip rule delete priority 100
"""


class ByHand:
    """The procedure, with all rules of step 1 in one go."""

    def __init__(self, routers, case):
        self.router = routers.add()
        words = {"rules": routers.file("rules", procedure(case)), "gateway": GATEWAY[4],
                 "mark": f"{MARK:#x}/{MASK:#x}"}
        self.set_up = ["sh", "-e", routers.file("set-up", SET_UP.format(**words))]
        self.look = ["sh", "-e", routers.file("look", LOOK)]

    def take_down(self):
        self.router.execute("sh", "-e", stdin=TAKE_DOWN)


def first_applies(case):
    with Routers() as routers:
        router, path = routers.add(), routers.file("document.json", json.dumps(wanted(case)))
        by_hand = ByHand(routers, case)
        by_hand.router.execute(*by_hand.set_up)

        def destroy():
            router.execute(lab.DETOUR, "destroy", "--quiet")

        return seconds_of(detour(router, "apply", path, destroy),
                          Contestant(by_hand.router, by_hand.set_up, by_hand.take_down))


def looks(case):
    with Routers() as routers:
        router, path = routers.add(), routers.file("document.json", json.dumps(wanted(case)))
        router.execute(lab.DETOUR, "apply", "--quiet", path)
        by_hand = ByHand(routers, case)
        by_hand.router.execute(*by_hand.set_up)
        return seconds_of(detour(router, "drift", path), Contestant(by_hand.router, by_hand.look))


# -- How it is drawn -----------------------------------------------------------------------------


@dataclass
class Scale:
    """A row of panels has one y axis: powers of ten of seconds."""

    title: str
    words: str
    low: int
    high: int
    measure: object  # seconds of a case: ours, beside


@dataclass
class Sizes:
    """A column has one x axis."""

    title: str
    values: list
    make_case: object


SCALES = [
    Scale("A connection's first packet", "processor time of the router", -6, -2, first_packets),
    Scale("To set it up", "detour apply; iptables-restore, ip route, ip rule", -3, 1, first_applies),
    Scale("To check it", "detour drift; iptables-save, ip rule, ip route, sysctl", -3, 1, looks),
]
SIZES = [
    Sizes("Networks of one redirect", [10, 100, 1000, 10_000, 100_000],
          lambda size: case_networks(4, size)[1]),
    Sizes("Redirects of one network each", [1, 10, 100, 1000],
          lambda size: case_redirects(4, size, "servers")[1]),
]


@dataclass
class Panel:
    scale: Scale
    sizes: Sizes
    left: int
    top: int
    ours: list
    beside: list

    def x(self, size):
        values = self.sizes.values
        share = math.log10(size / values[0]) / math.log10(values[-1] / values[0])
        return self.left + share * PANEL_WIDTH

    def y(self, seconds):
        share = (math.log10(seconds) - self.scale.low) / (self.scale.high - self.scale.low)
        return self.top + (1 - share) * PANEL_HEIGHT


def text(x, y, words, color=INK, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}" {extra}>{words}</text>'


def duration(seconds):
    """Two digits and a unit."""
    for size, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= 0.995 * size or unit == "µs":
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.2g} {unit}"


def draw_axes(panel):
    right, bottom = panel.left + PANEL_WIDTH, panel.top + PANEL_HEIGHT
    for power in range(panel.scale.low, panel.scale.high + 1):
        y = panel.y(10**power)
        yield f'<path d="M{panel.left} {y:.1f}H{right}" stroke="{FAINT}"/>'
        yield text(panel.left - 10, y + 4, duration(10**power), SOFT, "end", 'font-size="11"')
    for size in panel.sizes.values:
        x = panel.x(size)
        yield f'<path d="M{x:.1f} {bottom}v4" stroke="{SOFT}"/>'
        yield text(x, bottom + 18, f"{size:,}", SOFT, "middle", 'font-size="11"')


def draw_line(panel, costs, color):
    points = [(panel.x(size), panel.y(cost)) for size, cost in zip(panel.sizes.values, costs)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2.5" stroke-linejoin="round"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}" stroke="{PAPER}"/>'


def draw_labels(panel):
    """Behind the ends of the lines, and never one upon the other."""
    ends = sorted([(panel.y(panel.beside[-1]), "the procedure", panel.beside[-1], BESIDE),
                   (panel.y(panel.ours[-1]), "detour", panel.ours[-1], OURS)])
    lack = max(0, 32 - (ends[1][0] - ends[0][0])) / 2
    for (y, name, seconds, color), shift in zip(ends, (-lack, lack)):
        x = panel.left + PANEL_WIDTH + 12
        yield text(x, y + shift - 2, name, color, extra='font-weight="600"')
        yield text(x, y + shift + 12, duration(seconds), color, extra='font-size="12"')


def draw(panels):
    height = TOP + len(SCALES) * ROW_HEIGHT + FOOT
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           'font-family="Helvetica, Arial, sans-serif" font-size="13">')
    yield f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>'
    yield text(MARGIN, 34, "What it costs, by how much is selected", extra='font-size="19"')
    for sizes, left in zip(SIZES, LEFTS):
        yield text(left, 66, sizes.title, extra='font-size="14" font-weight="600"')
    for number, scale in enumerate(SCALES):
        title = f'<tspan fill="{INK}" font-weight="600">{scale.title}</tspan>: {scale.words}'
        yield text(LEFTS[0], TOP + number * ROW_HEIGHT + 14, title, SOFT)
    for panel in panels:
        yield from draw_axes(panel)
        yield from draw_line(panel, panel.beside, BESIDE)
        yield from draw_line(panel, panel.ours, OURS)
        yield from draw_labels(panel)
    yield text(MARGIN, height - 36, "IPv4, medians, in turns. Each packet goes to a random selected "
               "server. A redirect of detour has three services, the procedure one rule for a network.",
               SOFT, extra='font-size="11"')
    yield text(MARGIN, height - 20, "All axes are logarithmic.", SOFT, extra='font-size="11"')
    yield "</svg>\n"


def measure(number, scale, column):
    sizes = SIZES[column]
    panel = Panel(scale, sizes, LEFTS[column], TOP + number * ROW_HEIGHT + 36, [], [])
    for size in sizes.values:
        for costs, side in zip((panel.ours, panel.beside), scale.measure(sizes.make_case(size))):
            costs.append(statistics.median(side))
        print(f"{scale.title} / {size:,} {sizes.title}: {duration(panel.ours[-1])}, "
              f"{duration(panel.beside[-1])}", flush=True)
    return panel


def main(path):
    lab.enter_private_files()
    panels = [measure(number, scale, column)
              for number, scale in enumerate(SCALES) for column in range(len(SIZES))]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(draw(panels)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    main(sys.argv[1])
