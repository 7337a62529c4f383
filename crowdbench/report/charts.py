"""Charts as numbers: positions of lines, grid and labels, which the template draws."""

import math
from dataclasses import dataclass

from crowdbench.report.data import KINDS, Chart, Line

# Small, so that its words can still be read when a phone shrinks it.
WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 46
COLOURS, DASHES = 7, 8
"""How many ``k…`` and ``d…`` classes page.css has; together they tell 56 runs apart."""


@dataclass(frozen=True)
class DrawnLine:
    """One run's line: its ``d``, where its points are if they are shown, and the run's classes."""

    run: int
    path: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class DrawnChart:
    """A chart in the units of its SVG.

    Attributes:
        chart: the chart.
        lines: the runs' lines.
        x_ticks, y_ticks: position and label.
        table: the same as numbers, for those who cannot see it: x, then y of every run.
    """

    chart: Chart
    lines: tuple[DrawnLine, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


def run_classes(run: int) -> str:
    """The classes that give a run's lines and marks their color and dashes."""
    return f"k{run % COLOURS} d{run // COLOURS % DASHES}"


def drawn(chart: Chart) -> DrawnChart:
    """Lay a chart out."""
    step = next(
        s for s in (0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 25, 50, 100) if chart.y_top / s <= 5.5
    )
    values = [n * step for n in range(int(chart.y_top / step + 1e-9) + 1)]
    return DrawnChart(
        chart,
        tuple(_drawn_line(line, chart) for line in chart.lines),
        tuple((_x(value, chart), label) for value, label in chart.x_ticks),
        tuple((_y(value, chart), f"{value:g}") for value in values),
    )


def _x(value: float, chart: Chart) -> float:
    low, high = chart.x_range
    return round(LEFT + (value - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, chart: Chart) -> float:
    return round(HEIGHT - BOTTOM - value / (chart.y_top or 1) * (HEIGHT - TOP - BOTTOM), 1)


def _drawn_line(line: Line, chart: Chart) -> DrawnLine:
    places = [
        None if math.isnan(y) else (_x(x, chart), _y(y, chart)) for x, y in zip(line.x, line.y, strict=True)
    ]
    path, open_line = [], False
    for place in places:
        if place is not None:
            path.append(f"{'L' if open_line else 'M'}{place[0]:g} {place[1]:g}")
        open_line = place is not None
    dots = tuple(place for place in places if place is not None) if chart.dots else ()
    return DrawnLine(line.run, "".join(path), dots)


@dataclass(frozen=True)
class Slice:
    """A part of a bar: its kind, where it begins and how long it is, in percent."""

    kind: str
    start: float
    length: float


def slices(counts: dict[str, int]) -> list[Slice]:
    """Counts by kind as parts of one bar of 100."""
    total = sum(counts.get(kind, 0) for kind in KINDS)
    found, start = [], 0.0
    for kind in KINDS:
        length = 100 * counts.get(kind, 0) / total if total else 0.0
        if length:
            found.append(Slice(kind, round(start, 2), round(length, 2)))
        start += length
    return found
