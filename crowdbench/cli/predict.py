"""``crowdbench predict METHOD IMAGE...``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crowdbench.cli.echo import say, say_json
from crowdbench.cli.options import (
    PATH,
    batch_size_option,
    device_option,
    precision_option,
    seed_option,
    settings_option,
    weights_option,
)
from crowdbench.cli.progress import show_progress
from crowdbench.cli.stopping import stopping_cleanly
from crowdbench.system.text import plain

if TYPE_CHECKING:
    from crowdbench.api.types import Precision
    from crowdbench.prediction import PredictionResult

DEFAULT_FOLDER = Path("poses")


@click.command()
@click.argument("method")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=PATH)
@click.option(
    "--boxes",
    metavar="FILE|whole",
    help=(
        'Boxes for top-down methods: COCO annotations or detections, or {"file name": [[x, y, w, h], '
        "...]}; or whole: each image shows one person."
    ),
)
@click.option(
    "--box-score", type=float, metavar="SCORE", help="Use only a detector's boxes with at least this score."
)
@click.option("--annotations", type=PATH, help="COCO annotations that give the images their ids.")
@click.option(
    "--dataset",
    help=(
        "The dataset whose keypoints and settings to use. Default: the one that the weights were "
        "published for."
    ),
)
@weights_option
@click.option(
    "--out", type=PATH, help=f"Directory for results.  [default: {DEFAULT_FOLDER}; with --json none]"
)
@click.option("--overwrite", is_flag=True, help="Overwrite existing results.")
@click.option("--json", "as_json", is_flag=True, help="Draw nothing; print one JSON object.")
@click.option(
    "--threshold", type=float, help="Keypoints with less confidence are not drawn.  [default: 0.05]"
)
@click.option("--min-score", type=float, help="Poses of a lower score are not drawn.  [default: 0.05]")
@click.option(
    "--every", type=click.IntRange(1), default=1, help="Process only every N-th frame of videos.", metavar="N"
)
@click.option("--upright", is_flag=True, help="Rotate images as their EXIF orientation says.")
@device_option
@precision_option
@batch_size_option
@seed_option
@settings_option
def predict(
    method: str,
    images: tuple[Path, ...],
    boxes: str | None,
    box_score: float | None,
    annotations: Path | None,
    dataset: str | None,
    weights: str,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    threshold: float | None,
    min_score: float | None,
    every: int,
    upright: bool,
    device: str,
    precision: "Precision",
    batch_size: int | None,
    seed: int,
    settings: dict[str, str],
) -> None:
    """Find the poses in images with METHOD, draw them, and write them to files.

    IMAGE is an image, a video, or a folder of them. What cannot be read is reported; the others go on, and
    the exit status is 1.
    """
    from crowdbench.api.load_method import load_method
    from crowdbench.errors import SettingsError
    from crowdbench.prediction import (
        Estimator,
        ImageIds,
        NoBoxProvider,
        Output,
        boxes_for,
        dataset_for,
        find_sources,
    )
    from crowdbench.prediction import predict as predict_sources
    from crowdbench.prediction.output_files import MIN_SCORE, THRESHOLD

    chosen = dataset or dataset_for(method, weights)
    loaded = load_method(method, chosen, **settings)
    if loaded.paradigm == "top-down" and boxes is None:
        raise SettingsError(
            f"{method} needs the boxes of the persons: --boxes FILE, or --boxes whole if each image shows "
            "one person."
        )
    if loaded.paradigm != "top-down" and boxes is not None:
        raise SettingsError(f"{method} finds the persons itself; leave --boxes out.")
    if box_score is not None and boxes is None:
        raise SettingsError("--box-score goes with --boxes FILE, a detector's results.")
    folder = out if out is not None or as_json else DEFAULT_FOLDER
    sources = find_sources(images, leave_out=folder)
    paths = [source.path for source in sources]
    ids = ImageIds([source.path for source in sources if source.kind == "image"], annotations)
    output = Output(
        folder,
        not as_json,
        THRESHOLD if threshold is None else threshold,
        MIN_SCORE if min_score is None else min_score,
        overwrite,
    )
    with stopping_cleanly(), show_progress(method) as show:
        found = predict_sources(
            Estimator.load(
                loaded,
                chosen,
                weights=weights,
                batch_size=batch_size,
                seed=seed,
                device=device,
                precision=precision,
                on_progress=show,
            ),
            sources,
            NoBoxProvider() if boxes is None else boxes_for(boxes, paths, chosen, ids, box_score),
            ids,
            output,
            every=every,
            upright=upright,
            on_progress=show,
        )
    for sentence in found.notes:
        say(f"note: {sentence}", err=True)
    for failure in found.failed:
        # The name may have line breaks, the reason may be of several lines.
        words = failure.error.replace(failure.file_name, plain(failure.file_name))
        say(f"failed: {words}", err=True)
    _print(found, folder, as_json)
    if found.failed:
        click.get_current_context().exit(1)


def _print(found: "PredictionResult", folder: Path | None, as_json: bool) -> None:
    if as_json:
        say_json(found.whole())
        return
    looked_at = [
        _counted(len(entries), word)
        for entries, word in ((found.images, "image"), (found.videos, "video"))
        if entries
    ]
    sentence = f"{_counted(found.poses, 'pose')} in {' and '.join(looked_at) or 'nothing'}"
    if folder is not None and found.poses_drawn < found.poses:
        sentence += f", {found.poses_drawn} with the score to be drawn"
    failed = f" {_counted(len(found.failed), 'file')} failed." if found.failed else ""
    say(f"{sentence}.{failed}")
    say(f"Results: {folder}")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
