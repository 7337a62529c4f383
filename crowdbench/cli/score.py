"""``crowdbench score``: score a results file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json, say_table
from crowdbench.cli.options import PATH, json_option, root_option, split_option

if TYPE_CHECKING:
    from crowdbench.api.scores import Scores


@click.command()
@click.argument("predictions", type=PATH)
@click.argument("dataset")
@click.option(
    "--annotations",
    type=PATH,
    help="Ground-truth file to use instead of the dataset's own; no dataset folder is needed then.",
)
@root_option
@split_option
@click.option("--engine", default="hotcoco", show_default=True, help="Scoring engine.")
@click.option("--cross-check", metavar="ENGINE", help="Score with this engine too; fail if they disagree.")
@click.option(
    "--keypoints",
    default="all",
    show_default=True,
    metavar="WHICH",
    help="all, or common: score the keypoints that the file's dataset and DATASET share.",
)
@json_option("one JSON object, in full precision")
def score(
    predictions: Path,
    dataset: str,
    annotations: Path | None,
    root: Path | None,
    split: str | None,
    engine: str,
    cross_check: str | None,
    keypoints: str,
    as_json: bool,
) -> None:
    """Score PREDICTIONS, a results file in COCO format (.json, .json.gz), by the rules of DATASET."""
    from crowdbench.scoring.score import score as compute

    if (predictions.parent / "run.json").is_file():
        from crowdbench.run_store.run import require_own_predictions

        require_own_predictions(predictions)
    scores = compute(
        predictions,
        dataset,
        annotations=annotations,
        split=split,
        root=root,
        engine=engine,
        cross_check=cross_check,
        keypoints=keypoints,
    )
    for warning in scores.warnings:
        say(f"warning: {warning}", err=True)
    if as_json:
        say_json(_content(scores, predictions))
    else:
        _print(scores)


def _content(scores: "Scores", predictions: Path) -> dict[str, Any]:
    import msgspec

    found = msgspec.to_builtins(scores)
    found["scores"] = found.pop("values")
    return {"predictions_file": str(predictions), **found}


def _print(scores: "Scores") -> None:
    rows = [[name, _percent(value)] for name, value in scores.values.items()]
    say_table(rows, ["", scores.protocol], colalign=("left", "right"))
    if scores.extent is not None and (scores.extent.is_part or scores.extent.is_whole):
        say(f"\n{scores.split}: {scores.extent.words or f'all {scores.extent.images:,} images'}", nl=False)
    counts = ", ".join(f"{count} {name}" for name, count in scores.counts.items())
    say(f"\n{counts}; scored by {scores.engine} {scores.engine_version}")
    if scores.cross_check:
        check = scores.cross_check
        say(
            f"cross-check: {check.engine} {check.engine_version} agrees "
            f"(largest difference {check.max_difference:.1e})"
        )


def _percent(value: float) -> str:
    # -1 stands for "no such person in the ground truth", not for a score.
    return "none" if value == -1 else f"{100 * value:.2f}"
