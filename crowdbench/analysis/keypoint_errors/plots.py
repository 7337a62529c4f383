"""An analysis, or several side by side, as figures; matplotlib is imported when something is drawn."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from crowdbench.analysis.keypoint_errors.corrections import CORRECTIONS
from crowdbench.analysis.keypoint_errors.error_types import ERRORS
from crowdbench.analysis.keypoint_errors.result import Analysis, ErrorSummary
from crowdbench.system.files.writing import write_whole
from crowdbench.visualization.plots import COLOURS, DOTS_PER_INCH, HEIGHT_INCHES, WIDTH_INCHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND_COLOURS = dict(
    zip(
        ("jitter", "inversion", "swap", "miss"), (COLOURS[5], COLOURS[2], COLOURS[1], COLOURS[6]), strict=True
    )
)
_PANELS_IN_A_ROW = 3
# More of them beside each other need a taller figure, or their numbers stand in each other's way.
_MOST_BARS = 3


def write_figures(folder: Path, analyses: Mapping[str, Analysis]) -> list[Path]:
    """Draw what could be gained, and the kinds of errors over crowding, each as SVG and as PNG.

    Args:
        folder: is made if need be.
        analyses: by title.

    Returns:
        The files.
    """
    drawn: dict[str, Callable[[Figure, Mapping[str, Analysis]], None]] = {
        "gains": _draw_gains,
        "kinds": _draw_kinds,
    }
    return [path for name, draw in drawn.items() for path in _write(folder / name, draw, analyses)]


def _write(
    stem: Path, draw: "Callable[[Figure, Mapping[str, Analysis]], None]", analyses: Mapping[str, Analysis]
) -> list[Path]:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # What a program and a clock would add to the files is left out: equal input gives equal bytes.
    nameless = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    paths = []
    with rc_context({"svg.hashsalt": stem.name, "axes.titlesize": "medium"}):
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, analyses)
        for kind, metadata in nameless.items():
            content = io.BytesIO()
            figure.savefig(content, format=kind, metadata=metadata)
            paths.append(stem.with_suffix(f".{kind}"))
            write_whole(paths[-1], content.getvalue())
    return paths


def _draw_gains(figure: "Figure", analyses: Mapping[str, Analysis]) -> None:
    figure.set_size_inches(WIDTH_INCHES, HEIGHT_INCHES * max(1, len(analyses) / _MOST_BARS))
    axes = figure.add_subplot()
    height = 0.8 / len(analyses)
    for number, (title, analysis) in enumerate(analyses.items()):
        places = [place + (number + 0.5) * height - 0.4 for place in range(len(CORRECTIONS))]
        gains = [100 * (analysis.whole.gain(name) or 0.0) for name in CORRECTIONS]
        bars = axes.barh(places, gains, height, color=COLOURS[number % len(COLOURS)], label=_plain(title))
        axes.bar_label(bars, [f"{gain:+.1f}" for gain in gains], padding=2, fontsize="small")
    axes.set_yticks(range(len(CORRECTIONS)), CORRECTIONS)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel("AP gained if it were corrected alone")
    if len(analyses) == 1:
        axes.set_title(next(iter(analyses)), parse_math=False)
    else:
        legend = figure.legend(loc="outside lower center", ncols=_PANELS_IN_A_ROW)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _draw_kinds(figure: "Figure", analyses: Mapping[str, Analysis]) -> None:
    columns = min(_PANELS_IN_A_ROW, len(analyses))
    rows = -(-len(analyses) // columns)
    figure.set_size_inches(WIDTH_INCHES * max(1, columns / 1.5), HEIGHT_INCHES * max(1, rows / 1.5))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in panels[len(analyses) :]:
        axes.set_visible(False)
    for axes, (title, analysis) in zip(panels, analyses.items(), strict=False):
        _draw_stack(axes, analysis)
        axes.set_title(title, parse_math=False)
    for axes in panels[::columns]:
        axes.set_ylabel("% of labelled keypoints")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(ERRORS))


def _draw_stack(axes: "Axes", analysis: Analysis) -> None:
    parts: list[ErrorSummary] = analysis.bins
    below = [0.0] * len(parts)
    for kind in reversed(ERRORS):
        heights = [100 * (part.share(kind) or 0.0) for part in parts]
        axes.bar(range(len(parts)), heights, 0.85, below, color=KIND_COLOURS[kind], label=kind)
        below = [low + height for low, height in zip(below, heights, strict=True)]
    # Names as "0.1 to 0.2" would stand in each other's way.
    axes.set_xticks(range(len(parts)), [f"{part.low or 0:g}" for part in parts])
    axes.set_xlabel(f"{analysis.measure} of the image, from")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _plain(title: str) -> str:
    # A label that begins with an underscore is left out of matplotlib's legends.
    return f" {title}" if title.startswith("_") else title
