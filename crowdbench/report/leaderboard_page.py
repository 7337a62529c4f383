"""The leaderboard as a page: tables that can be sorted and searched."""

from collections.abc import Sequence
from dataclasses import dataclass

from crowdbench.leaderboard.table import Column, LeaderboardTable, Row, cell
from crowdbench.report.html import rendered
from crowdbench.system.version import package_version


@dataclass(frozen=True)
class _Head:
    name: str
    description: str
    classes: str


@dataclass(frozen=True)
class _Cell:
    """A cell: its words, its classes, what it is sorted by (None: its words)."""

    text: str
    classes: str
    value: float | str | None


@dataclass(frozen=True)
class _Board:
    title: str
    is_ranked: bool
    heads: tuple[_Head, ...]
    rows: tuple[tuple[_Cell, ...], ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]


def leaderboard_html(tables: Sequence[LeaderboardTable]) -> str:
    """The page with all tables of `build_leaderboard`; works offline, and without scripts."""
    boards = [_board(table) for table in tables]
    page = rendered(
        "board.html", title="Leaderboard", tables=boards, made_by=f"Made by crowdbench {package_version()}."
    )
    return page.decode()


def _board(table: LeaderboardTable) -> _Board:
    notes = (table.bold_note, *table.notes) if table.bold_note else table.notes
    return _Board(
        table.title,
        table.is_ranked,
        tuple(_Head(column.name, column.description, _head_classes(column)) for column in table.columns),
        tuple(
            tuple(
                _cell(column, entry, is_best=(index, column.name) in table.best) for column in table.columns
            )
            for index, entry in enumerate(table.entries)
        ),
        notes,
        table.sources,
    )


def _head_classes(column: Column) -> str:
    if column.is_text:
        return ""
    # A first click shows the better end on top.
    return "n low" if column.better == "lowest" else "n"


def _cell(column: Column, entry: Row, *, is_best: bool) -> _Cell:
    text = cell(column, entry)
    classes = " ".join(filter(None, ("" if column.is_text else "n", "best" if is_best else "")))
    if column.is_text:
        return _Cell(text, classes, None)
    value = entry.number(column.name)
    return _Cell(text or "–", classes, "" if value is None else value)
