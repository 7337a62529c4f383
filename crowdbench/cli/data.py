"""``crowdbench data``: check and create data on disk."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowdbench.cli.echo import say, say_json
from crowdbench.cli.groups import PluginGroup
from crowdbench.cli.options import PATH, json_option, root_option
from crowdbench.cli.progress import bars

if TYPE_CHECKING:
    from crowdbench.datacheck import DataIssue, SplitOnDisk

SHOWN_PER_KIND = 20


@click.group(cls=PluginGroup)
def data() -> None:
    """Check and create data on disk."""


@data.command()
@click.argument("dataset")
@root_option
@click.option("--split", help="Default: every split that is there.")
@click.option("--boxes", type=PATH, help="A detector's results file to check as well.")
@click.option("--against", metavar="DATASET[:SPLIT]", help="Look for images shared with this dataset.")
@click.option("--against-root", type=PATH, help="The other dataset's folder.")
@click.option("--no-images", is_flag=True, help="Check annotations only.")
@click.option("--all", "show_all", is_flag=True, help=f"Show more than {SHOWN_PER_KIND} findings of a kind.")
@json_option("a JSON list of all findings")
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
    """Check whether the data on disk are what the benchmark expects.

    One line per finding. The exit status is 1 if a benchmark on these data would be wrong.
    """
    from crowdbench.datacheck import check_boxes, check_split, check_together, splits_on_disk

    if against is None and against_root is not None:
        raise click.UsageError("--against-root is the folder of the dataset that --against names.")
    if against is not None and no_images:
        raise click.UsageError("--against compares images, which --no-images leaves out.")
    places = splits_on_disk(dataset, root, split)
    known = _digests(against, against_root) if against is not None else {}
    findings: list[DataIssue] = []
    for place in places:
        shared = {
            digest: file for other, files in known.items() if other != place for digest, file in files.items()
        }
        with _progress(f"{dataset} {place.split}") as progress:
            findings += check_split(place, shared=shared, with_images=not no_images, progress=progress)
    findings += check_together(places)
    if boxes is not None:
        findings += check_boxes(boxes, places)
    if as_json:
        say_json(findings)
    else:
        _print(findings, show_all)
    ctx.exit(1 if any(finding.severity == "error" for finding in findings) else 0)


def _digests(against: str, root: Path | None) -> "dict[SplitOnDisk, dict[str, str]]":
    from crowdbench.datacheck import digests, splits_on_disk

    name, _, split = against.partition(":")
    found = {}
    for place in splits_on_disk(name, root, split or None):
        with _progress(f"reading {name} {place.split}") as progress:
            found[place] = digests(place, progress)
    return found


def _print(findings: "Sequence[DataIssue]", show_all: bool) -> None:
    kinds: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        kinds[finding.severity, finding.kind] += 1
        if show_all or kinds[finding.severity, finding.kind] <= SHOWN_PER_KIND:
            say(finding.line())
    for (severity, kind), found in kinds.items():
        if found > SHOWN_PER_KIND and not show_all:
            say(f"{severity}: … and {found - SHOWN_PER_KIND} more of the kind '{kind}'; --all shows them")
    totals = Counter(finding.severity for finding in findings)
    nouns = [f"{totals[noun]} {noun}{'' if totals[noun] == 1 else 's'}" for noun in ("error", "warning")]
    say(f"{', '.join(nouns)}.")


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int], None]]:
    """A bar that is moved by the number of images that are left."""
    done = count(1)
    with bars() as show:

        def move(left: int) -> None:
            images = next(done)
            show(title, images, images + left, f"{images}/{images + left} images")

        yield move
