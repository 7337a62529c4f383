"""Matplotlib figures; matplotlib is imported when something is drawn.

A figure depends on what is drawn alone: equal input gives equal bytes, and nothing outside changes, neither
matplotlib's settings nor its list of open figures.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdbench.errors import ShapeError
from crowdbench.system.files.writing import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]

WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 8, 5, 100
# Okabe and Ito's colors (jfly.uni-koeln.de/color), distinguishable with most color vision deficiencies,
# without the yellow, which is faint on white. With eight markers, 56 lines differ in color or marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^DvPX*"
# More markers than this on a line would hide it.
MOST_MARKERS = 12
LEGEND_COLUMNS = 3


def line_figure(
    path: Path,
    series: Series,
    *,
    x_label: str,
    y_label: str,
    title: str,
    second: Series | None = None,
    second_label: str | None = None,
    y_range: tuple[float, float] | None = None,
) -> None:
    """Draw lines and write them as a PNG of 800×500 pixels, whole or not at all.

    Args:
        path: the file.
        series: x and y by name, of equal length; a NaN in y leaves a gap. Names stand in the legend if there
            is more than one line.
        x_label, y_label, title: what stands there.
        second: lines on an axis of their own, on the right, dashed.
        second_label: what stands at that axis.
        y_range: of the axis on the left; None takes what the lines need.

    Raises:
        ShapeError: a line has not as many x as y.
        OSError: the disk is full or not writable.
    """
    second = second or {}
    for name, (x, y) in (*series.items(), *second.items()):
        if len(x) != len(y):
            raise ShapeError(f"{path.name}: the line {name!r} has {len(x)} x and {len(y)} y.")
    write_whole(path, _png(series, second, (x_label, y_label, second_label or "", title), y_range))


def _png(
    series: Series, second: Series, texts: tuple[str, str, str, str], y_range: tuple[float, float] | None
) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    x_label, y_label, second_label, title = texts
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, parse_math=False)
    axes.set_xlabel(x_label, parse_math=False)
    axes.set_ylabel(y_label, parse_math=False)
    axes.grid(alpha=0.3)
    numbers = count()
    lines = list(_lines(axes, series, numbers, "-"))
    if y_range is not None:
        axes.set_ylim(*y_range)
    if second:
        right = axes.twinx()
        right.set_ylabel(second_label, parse_math=False)
        lines += _lines(right, second, numbers, "--")
    if len(lines) > 1:
        legend = figure.legend(lines, [*series, *second], loc="outside lower center", ncols=LEGEND_COLUMNS)
        for text in legend.get_texts():
            text.set_parse_math(False)
    png = io.BytesIO()
    # Without the name and version of the program, which PNG files carry otherwise.
    FigureCanvasAgg(figure)
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _lines(axes: "Axes", series: Series, numbers: Iterator[int], style: str) -> "Iterator[Line2D]":
    for x, y in series.values():
        number = next(numbers)
        drawn: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[number % len(MARKERS)],
            "markevery": max(1, len(x) // MOST_MARKERS),
            "linestyle": style,
        }
        yield from axes.plot(x, y, **drawn)
