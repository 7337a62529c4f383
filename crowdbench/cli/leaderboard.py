"""``crowdbench leaderboard [RUNS]``."""

from pathlib import Path

import click


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), default=Path("runs"))
@click.option(
    "--format", "style", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True
)
@click.option("--json", "style", flag_value="json", help="The same as --format json.")
def leaderboard(runs: Path, style: str) -> None:
    """Show the finished runs under RUNS (default: runs) as tables.

    Only runs of comparable protocol share a table; statistics are in percent.
    """
    from crowdbench.errors import MissingDataError
    from crowdbench.leaderboard import board, to_markdown, to_text
    from crowdbench.run_directory import find_runs

    if not runs.is_dir():
        raise MissingDataError(
            f"{runs}: no such folder. `crowdbench run` makes it; or name the folder of your runs."
        )
    found = find_runs(runs)
    tables = board(found)
    if style == "json":
        import msgspec

        content = [
            {"title": t.title, "rows": t.rows.astype(object).where(t.rows.notna(), None).to_dict("records")}
            for t in tables
        ]
        click.echo(msgspec.json.encode(content).decode())
    elif not tables:
        click.echo(f"No finished run under {runs} ({len(found)} unfinished).")
    else:
        click.echo((to_markdown if style == "markdown" else to_text)(tables))
