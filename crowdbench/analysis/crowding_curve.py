"""AP over crowding: one method at several crowding levels of a synthetic dataset.

Every level is a separate run on a separate split (`crowdbench.jobs.request.EvaluationRequest.crowding`),
which is resumed, recorded and ranked like any other. This module combines them.
"""

import io
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdbench.api.boxes import box_source
from crowdbench.api.dataset import dataset_class
from crowdbench.errors import DataError, SettingsError
from crowdbench.run_store.run import Run
from crowdbench.system.files.reading import read_bytes
from crowdbench.system.files.writing import write_whole
from crowdbench.system.text import spreadsheet_cell
from crowdbench.visualization.plots import line_figure

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("crowdbench")
STATISTICS = ("AP", "AP50", "AP75", "AR")
# Columns that must agree at every level for two curves to share a figure.
COMPARED = ["level", "annotations", "boxes", "images"]


@dataclass(frozen=True)
class Curve:
    """A method's curve on disk.

    Attributes:
        table: a row a level, from the lowest: ``level``, ``crowd_index`` (the mean of what is measured in the
            images), ``images``, ``persons``, the statistics in [0, 1] (NaN where there was nothing to find),
            ``run``, and what it takes to compare.
        csv, png: the table and its figure.
        together: the figure with all curves beside it that can be compared.
    """

    table: "pd.DataFrame"
    csv: Path
    png: Path
    together: Path


def parse_levels(text: str) -> list[float]:
    """Parse levels separated by commas; raises SettingsError unless they are distinct numbers from 0 to 1."""
    try:
        levels = [float(level) for level in text.split(",")]
    except ValueError:
        raise SettingsError(f"crowding: {text!r} is not a list of numbers, as in 0,0.25,0.5.") from None
    wrong = [level for level in levels if not 0 <= level <= 1]
    if wrong:
        raise SettingsError(f"crowding: levels lie in 0..1, got {', '.join(map(str, wrong))}.")
    if len(set(levels)) < len(levels):
        raise SettingsError(f"crowding: a level appears twice in {text}.")
    return sorted(levels)


def write_curve(out: Path, split: str, boxes: str, levels: Sequence[float], runs: Sequence[Run]) -> Curve:
    """Write a method's curve as a table and a figure to ``<out>/<dataset>-<split>-crowding/``.

    Comparable curves of other methods in that folder are drawn in a common figure.

    Args:
        out: the directory for runs.
        split: the split that the levels are derived from.
        boxes: the source of boxes of the runs.
        levels: the level of each run.
        runs: finished and scored runs.
    """
    import pandas as pd

    first = runs[0].record
    table = pd.DataFrame(
        [_row(level, run, split, boxes, out) for level, run in zip(levels, runs, strict=True)]
    )
    folder = out / f"{first.protocol.dataset}-{split}-crowding"
    name = _name(runs[0])
    curve = Curve(table, folder / f"{name}.csv", folder / f"{name}.png", folder / "curve.png")
    cells = table.assign(**{name: table[name].map(spreadsheet_cell) for name in ("boxes", "run")})
    write_whole(curve.csv, cells.to_csv(index=False).encode())
    title = f"{first.protocol.dataset} {split}"
    _draw(curve.png, {name: table}, title)
    _draw(curve.together, _comparable(folder, name, table), title)
    return curve


def _name(run: Run) -> str:
    """The method's name; with the first run's id if it is not run as published."""
    record = run.record
    as_published = not record.protocol.changed_settings and record.precision == "fp32"
    ordinary = as_published and record.weights.source.startswith(f"{record.method}/")
    return record.method if ordinary else f"{record.method}-{record.id}"


def _row(level: float, run: Run, split: str, boxes: str, out: Path) -> dict[str, Any]:
    record = run.record
    dataset = dataset_class(record.protocol.dataset).at_crowding(level, split, box_source(boxes))
    samples = [dataset[index] for index in range(record.protocol.images)]
    measured = [sample.crowd_index for sample in samples if sample.crowd_index is not None]
    scores = record.scores or {}
    return {
        "level": level,
        "crowd_index": sum(measured) / len(measured) if measured else math.nan,
        "images": record.protocol.images,
        "persons": sum(len(sample.instances) for sample in samples),
        **{name: scores[name] if scores.get(name, -1) >= 0 else math.nan for name in STATISTICS},
        "boxes": record.protocol.boxes,
        "annotations": record.protocol.annotations,
        "run": run.directory.absolute().relative_to(out.absolute()).as_posix(),
    }


def _comparable(folder: Path, name: str, table: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """This curve and those of other methods on the same scenes, by name."""
    import pandas as pd

    found = {name: table}
    own = {row[0]: row for row in table[COMPARED].itertuples(index=False, name=None)}
    for path in sorted(folder.glob("*.csv")):
        if path.stem == name:
            continue
        try:
            content = io.BytesIO(read_bytes(path, "a curve"))
            other = pd.read_csv(content, dtype={"annotations": str, "boxes": str})
            rows = list(other[COMPARED].itertuples(index=False, name=None))
            other["AP"].astype(float)
        except (DataError, ValueError, KeyError) as error:
            log.warning("%s: not drawn: it is not a curve (%s)", path, error)
            continue
        if any(row != own.get(row[0], row) for row in rows):
            log.warning("%s: not drawn with %s: other images, annotations or boxes", path, name)
            continue
        found[path.stem] = other
    return dict(sorted(found.items()))


def _draw(path: Path, tables: "dict[str, pd.DataFrame]", title: str) -> None:
    series = {
        name: (table["level"].tolist(), (100 * table["AP"].astype(float)).tolist())
        for name, table in tables.items()
    }
    line_figure(
        path,
        series,
        x_label="crowding",
        y_label="AP",
        title=title if len(series) > 1 else f"{next(iter(series))}, {title}",
        y_range=(0, 100),
    )
