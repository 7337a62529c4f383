"""A leaderboard table: columns, rows, best values and notes, independent of the output format.

`crowdbench.leaderboard.formats` turns it into text.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from crowdbench.system.text import sentence

if TYPE_CHECKING:
    import pandas as pd

Value = str | float | int | None
Provenance = Literal["complete", "partial", "published"]

CHANGED = "not as published"
INTERVAL = "95 % interval"
DELTA = "vs published"
DOUBT = "in doubt"
DOUBTED = "!"
BOX_SOURCES = {"gt": "ground-truth boxes", "none": "no boxes"}
# The most names listed in a sentence.
MOST_NAMED = 5


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: the heading, and the key in `Row.values`.
        description: what the column contains.
        decimals: decimal places of numbers; None for text.
        signed: whether positive numbers get a plus sign.
        better: which numbers are better, for sorting; None if neither.
        is_statistic: whether it is a score in percent, whose best value is marked.
    """

    name: str
    description: str
    decimals: int | None = None
    signed: bool = False
    better: Literal["highest", "lowest"] | None = None
    is_statistic: bool = False

    @property
    def is_text(self) -> bool:
        """Whether the values are text."""
        return self.decimals is None


@dataclass(frozen=True)
class Row:
    """A run or a published result.

    Attributes:
        values: all values by name; statistics and intervals in percent, None if missing. Tables show some of
            them, machine-readable formats all.
        provenance: a run of the whole split, a run of other images, or a published result.
        compared: paradigm, training data and test-time averaging, which a published row must share with
            another row to be compared with it. None if the source does not state one of them.
        footnote: the number of a published row's source under the table.
    """

    values: dict[str, Value]
    provenance: Provenance
    compared: tuple[str, ...] | None = None
    footnote: int | None = None

    @property
    def is_published(self) -> bool:
        """Whether this is a published result."""
        return self.provenance == "published"

    def number(self, name: str) -> float | None:
        """A value as a number; None if missing or text."""
        value = self.values.get(name)
        return value if isinstance(value, int | float) else None

    @property
    def title(self) -> str:
        """The name to use in sentences."""
        run = self.values.get("run")
        return f"{self.values['method']} ({run})" if run else str(self.values["method"])


@dataclass(frozen=True)
class LeaderboardTable:
    """Rows of one comparable protocol, best first.

    Attributes:
        title: what the rows have in common.
        columns: the columns shown; empty ones are left out.
        entries: the rows.
        dataset, split, boxes: what the rows have in common; boxes are ``"gt"``, ``"none"``,
            ``"detector:<name>"`` or another source as published.
        annotations: SHA-256 of the annotation file; None if all rows are published results.
        is_ranked: whether the order is a ranking. Rows whose source does not state the boxes or the detector
            are listed by name.
        best: (row from 0, column name) of the values to mark.
        notes: sentences below the table.
        sources: the footnotes of published rows, numbered from 1.
    """

    title: str
    columns: tuple[Column, ...]
    entries: tuple[Row, ...]
    dataset: str
    split: str
    boxes: str
    annotations: str | None = None
    is_ranked: bool = True
    best: frozenset[tuple[int, str]] = frozenset()
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = field(default=())

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all values, as in machine-readable formats; those of the columns first."""
        names = dict.fromkeys(column.name for column in self.columns)
        for entry in self.entries:
            names |= dict.fromkeys(entry.values)
        names.pop(INTERVAL, None)  # AP_low and AP_high have it as numbers
        return tuple(names)

    @property
    def rows(self) -> "pd.DataFrame":
        """The rows as a data frame; statistics in percent, NaN if missing."""
        import pandas as pd

        data = {}
        for name in self.fields:
            values = [entry.values.get(name) for entry in self.entries]
            if all(value is None or isinstance(value, int | float) for value in values):
                data[name] = pd.Series([math.nan if v is None else v for v in values], dtype=float)
            else:
                data[name] = pd.Series(["" if v is None else v for v in values], dtype=object)
        return pd.DataFrame(data)

    @property
    def bold_note(self) -> str:
        """What marked values mean, for formats that can mark them; empty if none is marked."""
        if not self.best:
            return ""
        if not any(entry.is_published for entry in self.entries):
            return "Bold: the best of a column."
        return (
            "Bold: no row that it may be compared with is better. A published row may be compared with rows "
            "of the same kind of method, training data and test-time averaging, if its source states them."
        )


def cell(column: Column, entry: Row) -> str:
    """The text of a cell; empty if there is no value."""
    value = entry.values.get(column.name)
    if value is None:
        return ""
    if column.decimals is None:
        return f"[{entry.footnote}]" if column.name == "source" else str(value)
    text = f"{float(value):{'+' if column.signed else ''}.{column.decimals}f}"
    return text[1:] if column.signed and not text.strip("+-0.") else text


def nonempty_columns(columns: Iterable[Column], entries: Sequence[Row]) -> tuple[Column, ...]:
    """Drop columns without values; a statistic stays even if no image has persons for it."""
    return tuple(
        column
        for column in columns
        if any(
            entry.values.get(column.name) not in (None, "")
            or (column.is_statistic and column.name in entry.values)
            for entry in entries
        )
    )


def best_cells(
    columns: Iterable[Column], entries: Sequence[Row], *, is_ranked: bool
) -> frozenset[tuple[int, str]]:
    """The best values of every statistic.

    A run is best if no other run and no comparable published row is better. A published row is best if no
    comparable row is better. A row that is comparable with no other is never marked.
    """
    if not is_ranked:
        return frozenset()
    found: set[tuple[int, str]] = set()
    for column in columns:
        if column.is_statistic:
            found |= {(index, column.name) for index in _best_of(column.name, entries)}
    return frozenset(found)


def _best_of(name: str, entries: Sequence[Row]) -> list[int]:
    # What is printed decides: figures are published with one decimal.
    numbered = [
        (index, entry, round(number, 1))
        for index, entry in enumerate(entries)
        if (number := entry.number(name)) is not None
    ]
    runs = [number for _, entry, number in numbered if not entry.is_published]
    best_run = max(runs, default=-math.inf)
    if len(runs) == len(numbered):
        return [index for index, _, number in numbered if number == best_run] if len(runs) > 1 else []
    of_kind: dict[tuple[str, ...], list[float]] = {}
    published_of_kind: dict[tuple[str, ...], float] = {}
    for _, entry, number in numbered:
        kind = entry.compared
        if kind is None:
            continue
        of_kind.setdefault(kind, []).append(number)
        if entry.is_published:
            published_of_kind[kind] = max(number, published_of_kind.get(kind, -math.inf))
    best_of_kind = {kind: max(numbers) for kind, numbers in of_kind.items()}
    best = []
    for index, entry, number in numbered:
        kind = entry.compared
        rivals = of_kind[kind] if kind is not None else []
        if entry.is_published:
            is_best = len(rivals) > 1 and number == best_of_kind[kind or ()]
        else:
            beaten = kind is not None and number < published_of_kind.get(kind, -math.inf)
            is_best = number == best_run and not beaten and (len(runs) > 1 or len(rivals) > 1)
        if is_best:
            best.append(index)
    return best


def overlap_note(entries: Sequence[Row]) -> str | None:
    """A sentence about the runs whose intervals overlap the best run's; None if there are none."""
    measured = [s for s in entries if not s.is_published and s.number("AP") is not None]
    if not measured:
        return None
    best = max(measured, key=lambda entry: entry.number("AP") or 0.0)
    low = best.number("AP_low")
    if low is None:
        return None
    ties = [s.title for s in measured if s is not best and (s.number("AP_high") or -math.inf) >= low]
    if not ties:
        return None
    return (
        f"Not distinguishable from {best.title} by AP, because their 95 % intervals overlap: "
        f"{listing(ties)}. `crowdbench compare` tests the difference of two runs."
    )


def doubt_notes(entries: Sequence[Row]) -> list[str]:
    """Why the scores of marked rows are in doubt, one sentence per row."""
    doubted = [entry for entry in entries if entry.values.get(DOUBT)]
    notes = [
        f"{DOUBTED} {entry.title}: {sentence(str(entry.values.get('doubts')))}"
        for entry in doubted[:MOST_NAMED]
    ]
    if len(doubted) > MOST_NAMED:
        notes.append(f"{DOUBTED} {len(doubted) - MOST_NAMED} more rows are in doubt; --format csv says why.")
    return notes


def listing(names: Sequence[str]) -> str:
    """Join names for a sentence, at most `MOST_NAMED` of them."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def sorted_by(table: LeaderboardTable, name: str) -> LeaderboardTable:
    """Sort the rows by a column: best numbers first, text alphabetically, missing values last; stable."""
    column = next((column for column in table.columns if column.name == name), None)
    if column is None:
        return table

    def key(index: int) -> tuple[bool, float, str]:
        entry = table.entries[index]
        number = entry.number(name)
        if column.is_text:
            text = cell(column, entry)
            return not text, 0.0, text.casefold()
        if number is None:
            return True, 0.0, ""
        return False, number if column.better == "lowest" else -number, ""

    order = sorted(range(len(table.entries)), key=key)
    place = {old: new for new, old in enumerate(order)}
    return replace(
        table,
        entries=tuple(table.entries[index] for index in order),
        best=frozenset((place[index], column_name) for index, column_name in table.best),
    )
