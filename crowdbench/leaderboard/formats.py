"""Tables as text: for terminals, Markdown, LaTeX, CSV and JSON.

Names come from plugins, files and records of others. Each format escapes what would be a control sequence,
markup or a formula in it.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from crowdbench.leaderboard.table import Column, LeaderboardTable, Value, cell
from crowdbench.system.text import plain, plain_json, spreadsheet_cell

BOLD, ROMAN = "\x1b[1m", "\x1b[0m"
MISSING = "-"
# Dropped in this order where a terminal is too narrow; --format csv has all columns.
_NARROW = (
    *("weights", "machine", "provenance", "GFLOPs as printed", "GFLOPs/image", "GFLOPs/person", "params (M)"),
    *("trained on", "test time", "paradigm", "persons/s", "images/s", "input", "AR", "AP75", "AP50"),
    *("AP_medium_area", "AP_large_area", "AP_easy", "AP_medium", "AP_hard", "95 % interval"),
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # the character itself depends on the font's encoding
    "`": "{`}",  # two of them, or one after ? or !, would be another character
    "[": "{[}",  # after \\ it would begin an optional argument
    "]": "{]}",
    "²": r"\textsuperscript{2}",
}


def to_text(tables: Sequence[LeaderboardTable], *, styled: bool = False, width: int | None = None) -> str:
    """Tables for a terminal.

    Args:
        tables: in the order in which they are printed.
        styled: mark the best with the terminal's bold.
        width: of the terminal, in characters; the least important columns are dropped from wider
            tables, and named below. None keeps all.
    """
    return "\n\n".join(_text(table, styled, width) for table in tables)


def _text(table: LeaderboardTable, styled: bool, width: int | None) -> str:
    grid = [[plain(cell(column, entry)) for column in table.columns] for entry in table.entries]
    heads = [plain(column.name) for column in table.columns]
    widths = [max(map(_width, (head, MISSING, *column))) for head, *column in zip(heads, *grid, strict=True)]
    shown = _fitting(table.columns, widths, width)
    lines = [plain(table.title), ""]
    aligned = [[_aligned(heads[p], widths[p], table.columns[p]) for p in shown]]
    aligned.append(["-" * widths[p] for p in shown])
    for index, row in enumerate(grid):
        cells = []
        for place in shown:
            column = table.columns[place]
            text = _aligned(row[place] or ("" if column.is_text else MISSING), widths[place], column)
            is_best = styled and (index, column.name) in table.best
            cells.append(f"{BOLD}{text}{ROMAN}" if is_best else text)
        aligned.append(cells)
    lines += ["  ".join(row).rstrip() for row in aligned]
    hidden = [head for place, head in enumerate(heads) if place not in shown]
    remarks = list(map(plain, _remarks(table, styled)))
    if hidden:
        remarks.append(f"Too wide for this terminal: {', '.join(hidden)}. --format csv has them.")
    return "\n".join([*lines, *(["", *remarks] if remarks else [])])


def _aligned(text: str, width: int, column: Column) -> str:
    padding = " " * (width - _width(text))
    return text + padding if column.is_text else padding + text


def _width(text: str) -> int:
    """The number of terminal cells that a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int | None) -> list[int]:
    shown = list(range(len(columns)))
    for name in _NARROW:
        if width is None or sum(widths[place] + 2 for place in shown) - 2 <= width:
            break
        shown = [place for place in shown if columns[place].name != name]
    return shown


def _remarks(table: LeaderboardTable, has_bold: bool) -> list[str]:
    """The lines below a table."""
    first = [table.bold_note] if has_bold and table.bold_note else []
    sources = [f"[{number}] {source}" for number, source in enumerate(table.sources, 1)]
    return [*first, *table.notes, *sources]


def to_markdown(tables: Sequence[LeaderboardTable]) -> str:
    """Tables in GitHub-flavored Markdown."""
    return "\n\n".join(map(_markdown, tables))


def _markdown(table: LeaderboardTable) -> str:
    def text(index: int, column: Column) -> str:
        content = _for_markdown(cell(column, table.entries[index]))
        if not content:
            return "" if column.is_text else MISSING
        return f"**{content}**" if (index, column.name) in table.best else content

    lines = [
        f"**{_for_markdown(table.title)}**",
        "",
        _markdown_row(_for_markdown(column.name) for column in table.columns),
        _markdown_row("---" if column.is_text else "--:" for column in table.columns),
        *(
            _markdown_row(text(index, column) for column in table.columns)
            for index in range(len(table.entries))
        ),
    ]
    for remark in _remarks(table, has_bold=True):
        lines += ["", _for_markdown(remark)]
    return "\n".join(lines)


def _markdown_row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _for_markdown(text: str) -> str:
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~#!])", r"\\\1", text)
    # Underscores inside words are not markup, and are frequent in names.
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


def to_latex(tables: Sequence[LeaderboardTable]) -> str:
    """Tables in LaTeX, using the package booktabs."""
    return "\n\n".join(["% Needs \\usepackage{booktabs}.", *map(_latex, tables)])


def _latex(table: LeaderboardTable) -> str:
    def text(index: int, column: Column) -> str:
        content = _for_latex(cell(column, table.entries[index]))
        if not content:
            return "" if column.is_text else "--"
        if not column.is_text:
            content = content.replace("-", "$-$")  # a minus, not a hyphen
        return rf"\textbf{{{content}}}" if (index, column.name) in table.best else content

    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_for_latex(table.title)}}}",
        rf"  \begin{{tabular}}{{{''.join('l' if column.is_text else 'r' for column in table.columns)}}}",
        r"    \toprule",
        _latex_row([_for_latex(column.name) for column in table.columns]),
        r"    \midrule",
        *(
            _latex_row([text(index, column) for column in table.columns])
            for index in range(len(table.entries))
        ),
        r"    \bottomrule",
        r"  \end{tabular}",
    ]
    lines += [rf"  \par\smallskip {_for_latex(remark)}" for remark in _remarks(table, has_bold=True)]
    return "\n".join([*lines, r"\end{table}"])


def _latex_row(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _for_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in plain(text))
    return re.sub(r"-(?=-)", "-{}", escaped)  # two of them would be a dash


def to_csv(tables: Sequence[LeaderboardTable]) -> str:
    """All tables as one CSV, their fields first; full precision, statistics in percent, formulas escaped."""
    names = list(dict.fromkeys(name for table in tables for name in table.fields))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*("table", "dataset", "split", "boxes", "annotations"), *map(_for_csv, names)])
    for table in tables:
        place = (table.title, table.dataset, table.split, table.boxes, table.annotations)
        first = [_for_csv(value) for value in place]
        for entry in table.entries:
            writer.writerow([*first, *(_for_csv(entry.values.get(name)) for name in names)])
    return file.getvalue().rstrip("\n")


def _for_csv(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    return spreadsheet_cell(value)


def to_json(tables: Sequence[LeaderboardTable]) -> str:
    """A JSON list of tables with all values of their rows; numbers in full precision."""
    return plain_json(msgspec.json.encode([_for_json(table) for table in tables]).decode())


def _for_json(table: LeaderboardTable) -> dict[str, Any]:
    fields = table.fields
    return {
        "title": table.title,
        "dataset": table.dataset,
        "split": table.split,
        "boxes": table.boxes,
        "annotations": table.annotations,
        "ranked": table.is_ranked,
        "rows": [{name: entry.values.get(name) for name in fields} for entry in table.entries],
        "notes": table.notes,
    }


FORMATS: dict[str, Callable[[Sequence[LeaderboardTable]], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
