"""Is what lies on disk what the benchmark expects?"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from crowdbench.boxes import NoBoxes
from crowdbench.coco_format import CocoFormatDataset, PublishedCounts
from crowdbench.datacheck.annotations import check_annotations, compare_counts
from crowdbench.datacheck.boxes import check_boxes
from crowdbench.datacheck.finding import Finding, Severity
from crowdbench.datacheck.images import check_images, digests_of, image_files, look_at_all
from crowdbench.datacheck.places import SplitOnDisk, splits_on_disk
from crowdbench.datacheck.raw import FETCH, read_raw
from crowdbench.errors import DataError
from crowdbench.hashing import file_digest

__all__ = [
    "Finding",
    "Severity",
    "SplitOnDisk",
    "check_boxes",
    "check_split",
    "check_together",
    "digests",
    "splits_on_disk",
]

# Called after each image, with the number of images that are left.
Progress = Callable[[int], None]


def check_split(
    place: SplitOnDisk,
    *,
    shared: Mapping[str, str] | None = None,
    with_images: bool = True,
    progress: Progress = lambda _: None,
) -> Iterator[Finding]:
    """Compare a split on disk with what the benchmark expects.

    Args:
        place: the split.
        shared: files of other datasets by content digest (`digests`).
        with_images: whether to read every image.
        progress: told how many images are left.

    Yields:
        Findings, as they are made.

    Raises:
        MissingDataError: the annotation file cannot be read.
    """
    file = str(place.annotations)
    what = f"sha256 {file_digest(place.annotations)} (no hash is published to compare with)"
    yield Finding("note", "hash", file, "", what)
    raw = read_raw(place.annotations, annotated=place.annotated)
    loaded, refusal = _open(place)
    protocol = (loaded or place.dataset).protocol
    published = place.dataset.published.get(place.split, PublishedCounts())
    explained = False
    for finding in check_annotations(raw, protocol, published, annotated=place.annotated):
        explained |= finding.severity == "error" and finding.kind != "count"
        yield finding
    # The check names every fault that it knows; what it does not know, the loader or the scorer may.
    if not explained and (complaint := refusal or _scorers_refusal(place, loaded)):
        yield Finding("error", "unusable", file, "", complaint.replace("\n", " "), FETCH)
    if with_images:
        sizes = {sample.image_id: (sample.width, sample.height) for sample in loaded} if loaded else {}
        files = image_files(raw, place)
        yield from check_images(look_at_all(files, progress), sizes, shared or {})


def check_together(places: Sequence[SplitOnDisk]) -> Iterator[Finding]:
    """Compare what is published of all splits together, if all are there.

    Raises:
        MissingDataError: an annotation file cannot be read.
    """
    dataset = places[0].dataset
    published = dataset.published_together
    if published.annotations is None or {place.split for place in places} != set(dataset.splits):
        return
    persons = sum(sum(1 for _ in read_raw(place.annotations).annotations()) for place in places)
    what = f"annotated persons in {' and '.join(dataset.splits)} together"
    file = str(places[0].root)
    yield from compare_counts(file, what, persons, published.annotations, published.source)


def _open(place: SplitOnDisk) -> tuple[CocoFormatDataset | None, str]:
    """The dataset, or what the loader says against it."""
    try:
        return place.dataset.open(place.split, place.root, NoBoxes(), place.annotations), ""
    except DataError as error:
        return None, str(error)


def _scorers_refusal(place: SplitOnDisk, loaded: CocoFormatDataset | None) -> str:
    from crowdbench.scoring.annotations import read_annotations

    if loaded is None or not place.annotated:
        return ""
    try:
        read_annotations(place.annotations, loaded.protocol)
    except DataError as error:
        return str(error)
    return ""


def digests(place: SplitOnDisk, progress: Progress = lambda _: None) -> dict[str, str]:
    """The images of a split by content: SHA-256 → file. Images that are not there are left out."""
    raw = read_raw(place.annotations, annotated=place.annotated)
    return digests_of(image_files(raw, place), progress)
