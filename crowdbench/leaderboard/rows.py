"""Leaderboard rows from runs and published results."""

import logging
import math
import os
from pathlib import Path
from typing import Any

import msgspec

from crowdbench.errors import CrowdbenchError
from crowdbench.leaderboard.complexity_cache import FILE as COMPLEXITY
from crowdbench.leaderboard.complexity_cache import stored_complexity
from crowdbench.leaderboard.published import PublishedResult
from crowdbench.leaderboard.published_match import paradigm_of, test_time_averaging
from crowdbench.leaderboard.table import CHANGED, DELTA, DOUBT, DOUBTED, INTERVAL, Column, Row, Value
from crowdbench.run_store.record import Record, extent_of_run
from crowdbench.run_store.run import Run
from crowdbench.system.text import first_line, plain

log = logging.getLogger("crowdbench")
INTERVAL_FILE = "interval.json"

# The statistics shown, in order; others appear in machine-readable formats only.
STATISTICS = {
    "AP50": "AP at an OKS of 0.5",
    "AP75": "AP at an OKS of 0.75",
    "AR": "average recall",
    "AP_easy": "AP on images with a crowdIndex below 0.2",
    "AP_medium": "AP on images with a crowdIndex from 0.2 to 0.8",
    "AP_hard": "AP on images with a crowdIndex of 0.8 and more",
    "AP_medium_area": "AP of persons of 32² to 96² pixels",
    "AP_large_area": "AP of persons of more than 96² pixels",
}


def statistic(name: str, description: str) -> Column:
    """A column of scores in percent."""
    return Column(name, description, decimals=1, better="highest", is_statistic=True)


_METHOD = Column("method", "name in `crowdbench methods`; for published rows, name in the source")
_AP = statistic("AP", "average precision over all OKS thresholds, in percent")
COLUMNS = (
    _METHOD,
    _AP,
    Column(DOUBT, "the predictions are implausible: the reason is below the table"),
    Column(INTERVAL, "of AP, by bootstrap over images"),
    *(statistic(name, description) for name, description in STATISTICS.items()),
    Column(DELTA, "AP less the published AP of this method under this protocol, in points", 1, signed=True),
    Column("params (M)", "parameters of the network, in millions", 1, better="lowest"),
    Column("GFLOPs/person", "of one pass, two for a multiply-add, without flip test", 1, better="lowest"),
    Column("GFLOPs/image", "of one pass, two for a multiply-add, without flip test", 1, better="lowest"),
    Column("GFLOPs as printed", "by the source; most sources print multiply-adds", 1, better="lowest"),
    Column("persons/s", "of the whole run, reading images included", 1, better="highest"),
    Column("images/s", "the same, of methods that find the persons themselves", 1, better="highest"),
    Column("machine", "on which the speed was measured"),
    Column("paradigm", "how persons are found"),
    Column("input", "height x width of the network's input"),
    Column("trained on", "training data"),
    Column("test time", "what was averaged at test time"),
    Column(CHANGED, "settings in which the run differs from the published method"),
    Column("provenance", "complete: all images of the split; else which; published: from a publication"),
    Column("weights", "where the run's weights came from"),
    Column("run", "the run's id"),
    Column("source", "where a published figure was read: the number under the table"),
)
LEVELS = ("AP_easy", "AP_medium", "AP_hard")
# Shown only if there are published rows, or if runs differ in them.
ONLY_WITH_PUBLISHED = frozenset({"paradigm", "trained on", "test time"})


def row_from_run(
    run: Run,
    figure: PublishedResult | None = None,
    *,
    intervals: bool = False,
    complexity: bool = False,
) -> Row:
    """Make a row from a run.

    Args:
        run: a finished and scored run.
        figure: the published row to compare with.
        intervals: compute the AP interval if it is not stored.
        complexity: count the network's parameters and operations if they are not stored.
    """
    record, protocol = run.record, run.record.protocol
    scores = record.scores or {}
    percent = {name: 100 * value if value >= 0 else None for name, value in scores.items()}
    ap = percent.get("AP")
    delta = None if ap is None or figure is None or figure.ap is None else ap - figure.ap
    changed = {k: v for k, v in protocol.changed_settings.items() if k != "input_size"}
    test_time = test_time_averaging(protocol)
    extent = extent_of_run(record)
    values: dict[str, Value] = {
        "method": record.method,
        "AP": ap,
        **_interval(run, intervals),
        **percent,
        DELTA: delta,
        **_cost(run, complexity),
        **_speed(record),
        "paradigm": record.paradigm,
        "input": "x".join(map(str, protocol.input_size)) if protocol.input_size else "",
        "trained on": protocol.training_data,
        "test time": test_time,
        CHANGED: " ".join(f"{name}={_json(value)}" for name, value in sorted(changed.items())),
        "provenance": extent.words or "complete",
        "weights": "random" if record.weights.source == "none" else record.weights.source.rsplit("/", 1)[-1],
        "run": record.id,
        "images": protocol.images,
        "directory": _said(run.directory),
    }
    if record.doubts:
        values |= {DOUBT: DOUBTED, "doubts": "; ".join(record.doubts)}
    compared = None
    if protocol.training_data is not None and test_time is not None:
        compared = (record.paradigm, protocol.training_data, test_time)
    return Row(values, "partial" if extent.is_part else "complete", compared)


def row_from_published(row: PublishedResult, footnote: int) -> Row:
    """Make a row from a published result; `footnote` is the number of its source."""
    values: dict[str, Value] = {
        "method": _called(row),
        "AP": row.ap,
        "AP50": row.ap50,
        "AP75": row.ap75,
        "AR": row.ar,
        "AP_easy": row.ap_easy,
        "AP_medium": row.ap_medium,
        "AP_hard": row.ap_hard,
        "AP_medium_area": row.apm,
        "AP_large_area": row.apl,
        "params (M)": row.params_m,
        "GFLOPs as printed": row.gflops,
        "paradigm": paradigm_of(row),
        "input": row.input or "",
        "trained on": row.train,
        "test time": row.tta,
        "provenance": "published",
        "name": row.name,
        "backbone": row.backbone,
        "protocol": row.protocol,
        "detector": row.detector,
        "year": row.year,
        "source": row.source,
        "note": row.note,
    }
    # None would mean a statistic without persons, so values not stated are dropped; AP is always shown.
    values = {name: value for name, value in values.items() if value is not None or name == "AP"}
    compared = None
    if row.train is not None and row.tta is not None:
        compared = (paradigm_of(row), row.train, row.tta)
    return Row(values, "published", compared, footnote)


def _called(row: PublishedResult) -> str:
    """The method and its backbone, without repetition."""
    if row.backbone is None or row.backbone in row.method:
        return row.method
    return row.backbone if row.backbone.startswith(row.method) else f"{row.method} {row.backbone}"


def _interval(run: Run, compute: bool) -> dict[str, Value]:
    if not compute and not os.path.exists(f"{run.directory}/{INTERVAL_FILE}"):  # noqa: PTH110  (ten thousand)
        return {}
    from crowdbench.analysis.bootstrap import LEVEL, stored_interval

    try:
        found = stored_interval(run, compute=compute)
    except CrowdbenchError as error:
        log.warning("%s", plain(f"{run.directory}: no interval: {first_line(error)}"))
        return {}
    if found is None or found.level != LEVEL or found.low < 0:
        return {}
    low, high = 100 * found.low, 100 * found.high
    return {INTERVAL: f"{low:.1f} to {high:.1f}", "AP_low": low, "AP_high": high}


def _cost(run: Run, compute: bool) -> dict[str, Value]:
    if not compute and not os.path.exists(f"{run.directory}/{COMPLEXITY}"):  # noqa: PTH110  (ten thousand)
        return {}
    found = stored_complexity(run, compute=compute)
    if found is None:
        return {}
    return {"params (M)": found.parameters / 1e6, f"GFLOPs/{found.per}": found.flops / 1e9}


def _speed(record: Record) -> dict[str, Value]:
    # Not all that a method finds by itself are persons, so its speed is in images.
    unit = "persons" if record.paradigm == "top-down" else "images"
    speed = record.timings.get(f"{unit}_per_s")
    return {} if speed is None else {f"{unit}/s": speed, "machine": _machine(record)}


def _machine(record: Record) -> str:
    """The device, their number, and what else determines the speed."""
    host = record.host
    processes = record.timings.get("processes", 1.0)
    many = f"{processes:.0f} x " if math.isfinite(processes) and processes > 1 else ""
    threads = host.get("threads")
    name = host.get("gpu") or f"{host.get('name', 'unknown')}, {threads} thread{'' if threads == 1 else 's'}"
    manner = (record.precision if record.precision != "fp32" else "", "compiled" if record.compiled else "")
    return ", ".join((f"{many}{name}", *filter(None, manner)))


def _said(path: Path) -> str:
    """A path as ASCII; file names need not be valid text."""
    text = str(path)
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
