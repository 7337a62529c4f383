"""The leaderboard by crowding: AP by crowding level in place of the other columns.

For images with a crowdIndex, the levels are those of AP_easy, AP_medium and AP_hard. For synthetic scenes
(`crowdbench.analysis.crowding_curve`), each level is a split, and a method's runs on several levels make
a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from crowdbench.api.dataset import parse_crowding_split
from crowdbench.leaderboard.rows import COLUMNS, LEVELS, row_from_run, statistic
from crowdbench.leaderboard.table import (
    BOX_SOURCES,
    DOUBT,
    DOUBTED,
    Column,
    LeaderboardTable,
    Row,
    Value,
    best_cells,
    doubt_notes,
    nonempty_columns,
)
from crowdbench.run_store.record import Record, extent_of_run
from crowdbench.run_store.run import Run

DROP = "hard - easy"
_KEPT = (
    "method",
    "AP",
    DOUBT,
    "95 % interval",
    *LEVELS,
    DROP,
    "input",
    "not as published",
    "provenance",
    "weights",
)
_DROP_COLUMN = Column(DROP, "AP_hard less AP_easy, in points", 1, signed=True, better="highest")


def by_crowding(tables: Sequence[LeaderboardTable], runs: Sequence[Run]) -> list[LeaderboardTable]:
    """Show AP by level; tables without levels are dropped, and synthetic scenes come last.

    Args:
        tables: the tables of the leaderboard.
        runs: their runs, or more.
    """
    found = []
    for table in tables:
        if parse_crowding_split(table.split):
            continue
        entries = tuple(_with_drop(s) for s in table.entries if any(s.number(n) is not None for n in LEVELS))
        if not entries:
            continue
        known = {column.name: column for column in (*COLUMNS, _DROP_COLUMN)}
        columns = nonempty_columns((known[name] for name in (*_KEPT, "run")), entries)
        best = best_cells(columns, entries, is_ranked=table.is_ranked)
        found.append(replace(table, columns=columns, entries=entries, best=best))
    return found + _drawn(runs)


def _with_drop(entry: Row) -> Row:
    easy, hard = entry.number("AP_easy"), entry.number("AP_hard")
    drop = None if easy is None or hard is None else hard - easy
    return replace(entry, values={**entry.values, DROP: drop})


@dataclass
class _Curve:
    """The runs of one method by level."""

    first: Record
    runs: dict[float, Run] = field(default_factory=dict)


def _drawn(runs: Sequence[Run]) -> list[LeaderboardTable]:
    """Tables of synthetic scenes, one per split, source of boxes and number of images."""
    places: dict[tuple[str, str, str, str], dict[tuple[str, ...], _Curve]] = {}
    for run in sorted(runs, key=lambda run: run.record.finished or ""):
        record, protocol = run.record, run.record.protocol
        found = parse_crowding_split(protocol.split)
        if found is None or record.state != "done" or not record.scores:
            continue
        extent = extent_of_run(record)
        part = f", {extent.words}" if extent.is_part else ""
        place = (protocol.dataset, found[0], protocol.boxes, part)
        curve = places.setdefault(place, {}).setdefault(_variant(record), _Curve(record))
        # Of several runs of one level, on other machines or versions, the latest is shown.
        curve.runs[found[1]] = run
    return [
        _curve_table(place, group)
        for place, curves in sorted(places.items())
        for group in _on_the_same_scenes(list(curves.values()))
    ]


def _variant(record: Record) -> tuple[str, ...]:
    """What the runs of one row have in common."""
    settings = msgspec.json.encode(record.settings, order="deterministic").decode()
    weights = record.weights.sha256 or f"{record.weights.source} {record.seed}"
    return (record.method, settings, weights, record.precision)


def _on_the_same_scenes(curves: Sequence[_Curve]) -> list[list[_Curve]]:
    """Group curves measured on the same annotation file at every level that they share."""
    groups: list[tuple[dict[float, str], list[_Curve]]] = []
    for curve in curves:
        files = {level: run.record.protocol.annotations for level, run in curve.runs.items()}
        for known, group in groups:
            if all(known.get(level, digest) == digest for level, digest in files.items()):
                known.update(files)
                group.append(curve)
                break
        else:
            groups.append((files, [curve]))
    return [group for _, group in groups]


def _curve_table(place: tuple[str, str, str, str], curves: Sequence[_Curve]) -> LeaderboardTable:
    dataset, split, boxes, part = place
    levels = sorted({level for curve in curves for level in curve.runs})
    names = {level: f"AP at {level:g}" for level in levels}
    entries = [_curve_entry(curve, names) for curve in curves]
    entries.sort(key=lambda s: (-_mean(s, list(names.values())), str(s.values["method"])))
    known = {column.name: column for column in COLUMNS}
    kept = ("input", "not as published", "provenance", "weights")
    columns = nonempty_columns(
        (
            known["method"],
            *(statistic(name, f"AP on scenes drawn at crowding {level:g}") for level, name in names.items()),
            known[DOUBT],
            *(known[name] for name in kept),
        ),
        entries,
    )
    return LeaderboardTable(
        title=f"{dataset} {split} by crowding, {BOX_SOURCES.get(boxes, f'boxes of {boxes}')}{part}",
        columns=columns,
        entries=tuple(entries),
        dataset=dataset,
        split=split,
        boxes=boxes,
        best=best_cells(columns, entries, is_ranked=True),
        notes=tuple(doubt_notes(entries)),
    )


def _curve_entry(curve: _Curve, names: dict[float, str]) -> Row:
    whole = row_from_run(next(iter(curve.runs.values())))
    values: dict[str, Value] = {"method": curve.first.method}
    for level, name in names.items():
        run = curve.runs.get(level)
        ap = (run.record.scores or {}).get("AP", -1.0) if run is not None else -1.0
        values[name] = 100 * ap if ap >= 0 else None
    values |= {
        n: whole.values[n] for n in ("input", "not as published", "provenance", "weights", "trained on")
    }
    doubts = dict.fromkeys(doubt for run in curve.runs.values() for doubt in run.record.doubts)
    if doubts:
        values |= {DOUBT: DOUBTED, "doubts": "; ".join(doubts)}
    values["runs"] = " ".join(run.record.id for _, run in sorted(curve.runs.items()))
    return Row(values, whole.provenance)


def _mean(entry: Row, names: Sequence[str]) -> float:
    numbers = [number for name in names if (number := entry.number(name)) is not None]
    return sum(numbers) / len(numbers) if numbers else -1.0
