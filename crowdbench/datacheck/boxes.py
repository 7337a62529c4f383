"""Check a detector's results file against the splits that are there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from crowdbench.datacheck.finding import Finding
from crowdbench.datacheck.places import SplitOnDisk
from crowdbench.datacheck.raw import read_raw
from crowdbench.detections import Detections
from crowdbench.errors import DataError, MissingDataError


def check_boxes(boxes: Path, places: Sequence[SplitOnDisk]) -> Iterator[Finding]:
    """Whether a file of boxes can be read and fits one of the splits.

    Raises:
        MissingDataError: a file cannot be read.
    """
    file, problems = str(boxes), []
    for place in places:
        ids = read_raw(place.annotations, annotated=place.annotated).image_ids
        try:
            found = Detections.read(boxes, ids)
        except MissingDataError:
            raise
        except DataError as error:
            problems.append(str(error).replace("\n", " "))
            continue
        images = sum(bool(found.of(identity, 1)) for identity in ids)
        what = f"{found.count} boxes of persons on {images} of the {len(ids)} images of {place.split}"
        yield Finding("note", "detections", file, "", what)
        if found.strangers:
            what = f"{found.strangers} detections are on images outside {place.split}"
            yield Finding("warning", "detections", file, "", what, "they are left out")
    if problems and len(problems) == len(places):
        remedy = "pass the file that was made for this split"
        yield Finding("error", "detections", file, "", problems[0], remedy)
