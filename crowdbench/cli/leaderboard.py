"""``crowdbench leaderboard [RUNS]``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowdbench.cli.echo import say
from crowdbench.cli.options import runs_option

if TYPE_CHECKING:
    from crowdbench.leaderboard.table import LeaderboardTable
    from crowdbench.run_store.run import Run
    from crowdbench.run_store.scan import UnreadableRun

STYLES = ("text", "markdown", "csv", "json", "latex", "html")


@click.command()
@click.argument("names", nargs=-1, metavar="[RUNS]...")
@runs_option
@click.option("--published", is_flag=True, help="Also show published results, each with its source.")
@click.option(
    "--method",
    multiple=True,
    metavar="PATTERN",
    help="Show only methods whose name matches, as in 'i2rnet-*'.",
)
@click.option("--dataset", multiple=True, metavar="PATTERN", help="Show only this dataset.")
@click.option("--split", multiple=True, metavar="PATTERN", help="Show only this split.")
@click.option(
    "--boxes", multiple=True, metavar="PATTERN", help="Show only these boxes: gt, none, or 'detector:*'."
)
@click.option(
    "--complete/--partial", default=None, help="Show only runs on all images of a split, or only on a part."
)
@click.option("--sort", metavar="COLUMN", help="Sort by a column, best first. Default: AP.")
@click.option("--by-crowding", is_flag=True, help="Show AP by level of crowding.")
@click.option("--intervals", is_flag=True, help="Compute missing 95 % intervals of AP.")
@click.option("--complexity", is_flag=True, help="Count missing parameters and GFLOPs.")
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    metavar="HASH=NAME",
    help="Treat the boxes of detector:HASH as those of a published detector; NAME may be a pattern.",
)
@click.option("--format", "style", type=click.Choice(STYLES), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
def leaderboard(
    names: tuple[str, ...],
    runs: Path,
    published: bool,
    method: tuple[str, ...],
    dataset: tuple[str, ...],
    split: tuple[str, ...],
    boxes: tuple[str, ...],
    complete: bool | None,
    sort: str | None,
    by_crowding: bool,
    intervals: bool,
    complexity: bool,
    detectors: tuple[str, ...],
    style: str,
    as_json: bool,
) -> None:
    """Show finished runs as tables: all of them, or RUNS.

    RUNS are a folder of runs, or runs by folder, id, job, method/dataset or method.
    Only what may be compared shares a table; statistics are in percent. Patterns are a shell's; options that
    take them may be given several times. Directories that are no runs are named on standard error.
    """
    from crowdbench.leaderboard import by_crowding as crowd_levels
    from crowdbench.leaderboard.board import build_leaderboard
    from crowdbench.leaderboard.filters import RunFilter
    from crowdbench.leaderboard.published import all_published
    from crowdbench.leaderboard.published_match import DetectorAliases
    from crowdbench.run_store.integrity import believed
    from crowdbench.system.text import plain

    style = "json" if as_json else style
    found = _found(names, runs, needed=not published)
    selection = RunFilter(method, dataset, split, boxes, complete)
    chosen, doubts = believed(run for run in found if selection.matches(run))
    for doubt in doubts:
        say(plain(doubt), err=True)
    claims = DetectorAliases.read(detectors, all_published()) if detectors else DetectorAliases()
    figures = [row for row in all_published() if selection.matches_published(row)] if published else []
    tables = build_leaderboard(chosen, figures, claims=claims, intervals=intervals, complexity=complexity)
    if by_crowding:
        tables = crowd_levels.by_crowding(tables, chosen)
    tables = _sorted(tables, sort)
    if not tables and style in ("text", "markdown"):
        shown = names[0] if len(names) == 1 else str(runs)
        say(_nothing(shown, len(found) - len(doubts), len(chosen)))
    else:
        click.echo(_formatted(tables, style))  # each format has escapes of its own


def _found(names: tuple[str, ...], root: Path, *, needed: bool) -> "list[Run]":
    """The runs that were named; those of a whole folder of runs in any state."""
    from crowdbench.errors import MissingDataError
    from crowdbench.run_store.find import runs_of
    from crowdbench.run_store.scan import scan_runs

    if not names and not root.is_dir():
        if needed:
            raise MissingDataError(
                f"{root}: no such folder. `crowdbench run` makes it; or name the folder of your runs."
            )
        return []
    found: list[Run] = []
    for name in names or (root,):
        folder = Path(name)
        # A folder of all runs: what is not a run there is reported.
        if folder.is_dir() and not any(folder.glob("run.json")) and not any(folder.glob("*/run.json")):
            inside, oddities = scan_runs(folder)
            if inside or not any(folder.glob("*/*/run.json")):
                _report(oddities)
                found += inside
                continue
        found += runs_of([name], root)
    if len(names) < 2:
        return found
    return list({run.directory.resolve(): run for run in found}.values())


def _report(oddities: "Sequence[UnreadableRun]") -> None:
    from crowdbench.system.text import plain

    for oddity in oddities:
        say(plain(f"{oddity.path}: {oddity.reason}"), err=True)


def _sorted(tables: "list[LeaderboardTable]", name: str | None) -> "list[LeaderboardTable]":
    """Each table by a column, which at least one of them must have."""
    from crowdbench.errors import UnknownNameError
    from crowdbench.leaderboard.table import sorted_by

    if name is None or not tables:
        return tables
    known = {column.name.casefold(): column.name for table in tables for column in table.columns}
    if name.casefold() not in known:
        raise UnknownNameError("column", name, known.values())
    return [sorted_by(table, known[name.casefold()]) for table in tables]


def _nothing(root: str, found: int, chosen: int) -> str:
    if found > chosen:
        return f"None of the {found} runs under {root} is finished and meets the conditions."
    return f"No finished run under {root} ({found} unfinished)."


def _formatted(tables: "Sequence[LeaderboardTable]", style: str) -> str:
    import shutil
    import sys

    from crowdbench.leaderboard.formats import FORMATS, to_text

    if style == "html":
        from crowdbench.report.leaderboard_page import leaderboard_html

        return leaderboard_html(tables)
    if style == "text" and sys.stdout.isatty():
        return to_text(tables, styled=True, width=shutil.get_terminal_size().columns)
    return FORMATS[style](tables)
