"""``crowdbench data``: what is on disk."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowdbench.cli import PluginGroup

if TYPE_CHECKING:
    from crowdbench.datacheck import Finding

SHOWN_PER_KIND = 20


@click.group(cls=PluginGroup)
def data() -> None:
    """Check, and make, data on disk."""


@data.command()
@click.argument("dataset")
@click.option("--root", type=click.Path(path_type=Path), help="The dataset's folder.")
@click.option("--split", help="Default: every split that is there.")
@click.option("--boxes", type=click.Path(path_type=Path), help="A detector's results file to check as well.")
@click.option("--against", metavar="DATASET[:SPLIT]", help="Look for images shared with this dataset.")
@click.option("--against-root", type=click.Path(path_type=Path), help="The other dataset's folder.")
@click.option("--no-images", is_flag=True, help="Check annotations only.")
@click.option("--all", "show_all", is_flag=True, help=f"Show more than {SHOWN_PER_KIND} findings of a kind.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of all findings.")
@click.pass_context
def check(
    ctx: click.Context,
    dataset: str,
    root: Path | None,
    split: str | None,
    boxes: Path | None,
    against: str | None,
    against_root: Path | None,
    no_images: bool,
    show_all: bool,
    as_json: bool,
) -> None:
    """Is what lies on disk what the benchmark expects?

    One line a finding. Ends with status 1 if a benchmark on these data would be wrong.
    """
    from crowdbench.datacheck import check_split, checkable, splits_on_disk

    cls = checkable(dataset)
    shared = _digests_of(against, against_root) if against else {}
    findings: list[Finding] = []
    for name, (home, path) in splits_on_disk(cls, root, split).items():
        with _counted(f"{dataset} {name}") as tick:
            found = check_split(
                cls, name, home, path, boxes=boxes, shared=shared, with_images=not no_images, on_image=tick
            )
            findings.extend(found)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(findings).decode())
    else:
        _print(findings, show_all)
    ctx.exit(1 if any(finding.severity == "error" for finding in findings) else 0)


def _digests_of(against: str, root: Path | None) -> dict[str, str]:
    from crowdbench.datacheck import checkable, digests, splits_on_disk

    name, _, split = against.partition(":")
    cls = checkable(name)
    found: dict[str, str] = {}
    for part, (home, path) in splits_on_disk(cls, root, split or None).items():
        found |= digests(cls, part, home, path)
    return found


def _print(findings: "list[Finding]", show_all: bool) -> None:
    kinds: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        kinds[finding.severity, finding.kind] += 1
        if show_all or kinds[finding.severity, finding.kind] <= SHOWN_PER_KIND:
            click.echo(finding.line())
    for (severity, kind), count in kinds.items():
        if count > SHOWN_PER_KIND and not show_all:
            click.echo(
                f"{severity}: … and {count - SHOWN_PER_KIND} more of the kind '{kind}'; --all shows them"
            )
    totals = Counter(finding.severity for finding in findings)
    click.echo(f"{totals['error']} errors, {totals['warning']} warnings.")


@contextmanager
def _counted(title: str) -> Iterator[Callable[[], None]]:
    """Count images on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda: bar.advance(task)
