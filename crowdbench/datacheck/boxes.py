"""Check a detector's results file against the splits that are there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from crowdbench.api.boxes import NoBoxes
from crowdbench.coco.detections import Detections
from crowdbench.coco.raw import read_raw
from crowdbench.datacheck.finding import DataIssue
from crowdbench.datacheck.splits import SplitOnDisk
from crowdbench.errors import DataError, MissingDataError


def check_boxes(boxes: Path, places: Sequence[SplitOnDisk]) -> Iterator[DataIssue]:
    """Check that a file of boxes is readable and fits a split; raises MissingDataError."""
    file, problems = str(boxes), []
    for place in places:
        ids = read_raw(place.annotations).image_ids
        try:
            found = _read(boxes, place, ids)
        except MissingDataError:
            raise
        except DataError as error:
            problems.append(str(error).removeprefix(f"{file}: "))
            continue
        images = sum(bool(found.of(identity, 1)) for identity in ids if not isinstance(identity, str))
        what = f"{found.count} boxes of persons on {images} of the {len(ids)} images of {place.split}"
        yield DataIssue("note", "detections", file, "", what)
        for sentence in found.warnings:
            yield DataIssue("warning", "detections", file, "", sentence.removeprefix(f"{boxes.name}: "))
    if len(problems) == len(places):
        for problem in dict.fromkeys(problems):
            what, _, remedy = problem.partition("\n")
            yield DataIssue("error", "detections", file, "", what, remedy.replace("\n", " "))


def _read(boxes: Path, place: SplitOnDisk, ids: set[int | str]) -> Detections:
    """As a run would; against the ids only where the annotations cannot be used."""
    try:
        dataset = place.dataset.open(place.split, place.root, NoBoxes(), place.annotations)
    except DataError:
        return Detections.read(boxes, {identity for identity in ids if isinstance(identity, int)})
    return dataset.read_detections(boxes)
