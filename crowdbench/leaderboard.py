"""Runs → tables. Runs are ranked against each other only where their protocols allow it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from crowdbench.record import Protocol
from crowdbench.run_directory import Run

if TYPE_CHECKING:
    import pandas as pd

CHANGED = "not as published"


@dataclass(frozen=True)
class Table:
    """Runs that may be compared, best first.

    Attributes:
        title: says what the rows have in common.
        rows: one a run; statistics in percent, NaN where there was nothing to count. There is a column for
            settings that are not as published if any run has some.
    """

    title: str
    rows: "pd.DataFrame"


def comparable(protocol: Protocol) -> tuple[object, ...]:
    """What two runs must share to stand in one ranking.

    The ground truth must be the same to the byte, over the same images, and the boxes must come from the same
    place: a method that is given people cannot be ranked against one that has to find them. Input size and
    other settings are choices of a method; they are shown, not separated.
    """
    return (
        protocol.dataset,
        protocol.split,
        protocol.annotations,
        protocol.boxes,
        protocol.images if not protocol.complete else None,
    )


def board(runs: Sequence[Run]) -> list[Table]:
    """Group finished, scored runs by comparable protocol and sort each group by AP."""
    import pandas as pd

    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        if run.record.state == "done" and run.record.scores:
            groups.setdefault(comparable(run.record.protocol), []).append(run)
    tables = []
    for _, members in sorted(groups.items(), key=lambda item: [str(part) for part in item[0]]):
        members.sort(
            key=lambda run: (-(run.record.scores or {}).get("AP", -1.0), run.record.method, run.record.id)
        )
        rows = pd.DataFrame([_row(run) for run in members])
        if not rows[CHANGED].any():
            rows = rows.drop(columns=CHANGED)
        tables.append(Table(_title(members[0].record.protocol), rows))
    return tables


def _title(protocol: Protocol) -> str:
    told = {"gt": "ground-truth boxes", "none": "no boxes"}
    # "unknown (<who>)" is a source of boxes like no other.
    of = "boxes" if protocol.boxes.startswith("unknown") else "boxes of"
    boxes = told.get(protocol.boxes, f"{of} {protocol.boxes}")
    part = "" if protocol.complete else f", first {protocol.images} images only"
    return f"{protocol.dataset} {protocol.split}, {boxes}{part} (annotations {protocol.annotations[:8]})"


def _row(run: Run) -> dict[str, Any]:
    record = run.record
    size = record.protocol.input_size
    changed = {k: v for k, v in record.protocol.changed_settings.items() if k != "input_size"}
    row: dict[str, Any] = {"method": record.method}
    row |= {name: 100 * value if value >= 0 else math.nan for name, value in (record.scores or {}).items()}
    return row | {
        "input": "x".join(map(str, size)) if size else "",
        CHANGED: " ".join(f"{name}={_value(value)}" for name, value in sorted(changed.items())),
        "weights": "random" if record.weights.source == "none" else record.weights.source.rsplit("/", 1)[-1],
        "run": record.id,
    }


def _value(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def to_text(tables: Sequence[Table]) -> str:
    """Tables for a terminal."""
    return _formatted(tables, "simple", "{}\n")


def to_markdown(tables: Sequence[Table]) -> str:
    """Tables in GitHub's Markdown."""
    return _formatted(tables, "github", "**{}**\n")


def _formatted(tables: Sequence[Table], style: str, heading: str) -> str:
    from tabulate import tabulate

    return "\n\n".join(
        heading.format(table.title)
        + "\n"
        + tabulate(
            table.rows.astype(object).where(table.rows.notna(), None).to_dict("list"),
            headers="keys",
            tablefmt=style,
            showindex=False,
            missingval="-",
            floatfmt=".1f",
            disable_numparse=_text_columns(table),
        )
        for table in tables
    )


def _text_columns(table: Table) -> list[int]:
    # A run's id may look like a number (3e10...) and must not be printed as one.
    return [index for index, kind in enumerate(table.rows.dtypes) if kind.kind not in "fi"]
