"""``crowdbench compare A B``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowdbench.cli.echo import say, say_json, say_table
from crowdbench.cli.options import PATH, annotations_option, json_option, root_option

if TYPE_CHECKING:
    from crowdbench.analysis.compare import Comparison, ComparisonRow


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--dataset", help="The dataset whose rules results files follow. Runs know theirs.")
@click.option("--split", help="The split of results files. Default: the one that papers report.")
@root_option
@annotations_option
@click.option(
    "--runs",
    "--out",
    "out",
    type=PATH,
    default=Path("runs"),
    show_default=True,
    help="Directory for runs, in which names are looked up.",
)
@click.option("--resamples", default=1000, show_default=True, help="Number of resamples.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for resampling.")
@json_option("one JSON object, in full precision")
def compare(
    first: str,
    second: str,
    dataset: str | None,
    split: str | None,
    root: Path | None,
    annotations: Path | None,
    out: Path,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Test whether A and B differ significantly.

    A and B are runs, by folder, id, job, method/dataset or method, or results files in COCO format (with
    --dataset). Images are resampled, the same ones for both, and AP is computed for each resample. Runs that
    cannot be compared are refused: other images, other annotations, other boxes.
    """
    from crowdbench.analysis.compare import compare as compared
    from crowdbench.analysis.operands import resolve_operand

    found = compared(
        resolve_operand(first, out),
        resolve_operand(second, out),
        dataset=dataset,
        split=split,
        root=root,
        annotations=annotations,
        resamples=resamples,
        seed=seed,
    )
    if as_json:
        say_json(found)
        return
    for note in found.notes:
        say(f"note: {note}", err=True)
    _print(found)


def _print(found: "Comparison") -> None:
    boxes = {"gt": ", ground-truth boxes", "none": ", no boxes", None: ""}
    extent = f", {found.extent.words}" if found.extent is not None and found.extent.is_part else ""
    source = boxes.get(found.boxes, f", boxes of {found.boxes}")
    say(f"{found.dataset} {found.split}{source}{extent}\n")
    interval = f"{100 * found.level:g} % interval"
    headings = ["", "images", found.first, found.second, "difference", interval, "p"]
    rows = [_row("AP", found.overall)]
    rows += [_row(f"AP {name}", part) for name, part in found.levels.items()]
    alignment = ("left", *["right"] * (len(headings) - 1))
    say_table(rows, headings, colalign=alignment)
    say(f"\n{found.conclusion}")
    say(f"\nPaired bootstrap: {found.resamples} draws of all images, seed {found.seed}.")


def _row(name: str, part: "ComparisonRow") -> list[str]:
    from crowdbench.analysis.verdict import p_value

    found = part.result
    bounds = None if found.low is None or found.high is None else (found.low, found.high)
    return [
        name,
        str(part.images),
        *("-" if ap < 0 else f"{100 * ap:.1f}" for ap in (found.first, found.second)),
        "-" if found.difference is None else _signed(found.difference),
        "-" if bounds is None else " to ".join(map(_signed, bounds)),
        p_value(found.p),
    ]


def _signed(share: float) -> str:
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text
