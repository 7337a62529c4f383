"""The files that `predict` writes."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from crowdbench.errors import SettingsError
from crowdbench.prediction.results import PredictionResult
from crowdbench.prediction.sources import Source
from crowdbench.system.files.os_errors import writing
from crowdbench.system.files.writing import atomic_path, write_whole

PREDICTIONS, IMAGES = "predictions.json", "images.json"
# Methods that find the persons themselves propose dozens of poses with scores near zero, which rank behind
# all others.
THRESHOLD = MIN_SCORE = 0.05


@dataclass(frozen=True)
class Output:
    """What is written, and where.

    Attributes:
        folder: the output folder; None writes no files.
        drawn: draw copies of images and videos; otherwise the result holds the poses of video frames.
        threshold: keypoints with less confidence are not drawn.
        min_score: poses with a lower score are not drawn.
        overwrite: replace existing files.
    """

    folder: Path | None = Path("poses")
    drawn: bool = True
    threshold: float = THRESHOLD
    min_score: float = MIN_SCORE
    overwrite: bool = False


def refuse_to_overwrite(output: Output, sources: Sequence[Source], names: Mapping[Path, str]) -> None:
    """Check that no output file is one of the sources, or exists already.

    Args:
        output: what will be written.
        sources: the images and videos.
        names: the name of each source's drawn copy.

    Raises:
        SettingsError: an output file is a source, or exists and `output.overwrite` is false.
    """
    folder = output.folder
    if folder is None:
        return
    targets = [folder / IMAGES]
    if any(source.kind == "image" for source in sources):
        targets.append(folder / PREDICTIONS)
    for source in sources:
        if source.kind == "video":
            targets.append(folder / lines_name(names[source.path]))
        if output.drawn:
            targets.append(folder / names[source.path])
    source_paths = {os.path.realpath(source.path) for source in sources}
    existing = [target for target in targets if os.path.lexists(target)]
    for target in existing:
        if os.path.realpath(target) in source_paths:
            raise SettingsError(
                f"{target} is one of the images, and would be overwritten. Choose another folder with --out."
            )
    if existing and not output.overwrite:
        others = f" and {len(existing) - 1} other files" if len(existing) > 1 else ""
        raise SettingsError(
            f"{existing[0]}{others} would be overwritten. Choose another folder with --out, or pass "
            "--overwrite."
        )


def write_results(folder: Path, result: PredictionResult) -> None:
    """Write the predictions, unless there are only videos, and the list of images and videos."""
    if result.images or not result.videos:
        write_whole(folder / PREDICTIONS, msgspec.json.encode(result.predictions))
    write_whole(folder / IMAGES, msgspec.json.encode(result.listing()))


@contextmanager
def line_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name when it is complete."""
    with atomic_path(path) as temporary:
        with writing(path):
            file = temporary.open("xb")
        with file:
            yield file
            with writing(path):
                file.flush()


def lines_name(name: str) -> str:
    """The name of the file with a video's poses."""
    return f"{name}.jsonl"
