"""Check that the data on disk are what the benchmark expects."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from crowdbench.api.boxes import NoBoxes
from crowdbench.coco.dataset import CocoFormatDataset, PublishedCounts
from crowdbench.coco.raw import read_raw
from crowdbench.coco.rules.entries import Rules
from crowdbench.datacheck.annotations import check_annotations, compare_counts
from crowdbench.datacheck.finding import DataIssue
from crowdbench.datacheck.images import check_images, digests_of, image_files, look_at_all
from crowdbench.datacheck.splits import SplitOnDisk
from crowdbench.errors import AnnotationError, DataError, MissingDataError
from crowdbench.system.files.digests import file_digest

# Called after each image, with the number of images that are left.
Progress = Callable[[int], None]


def check_split(
    place: SplitOnDisk,
    *,
    shared: Mapping[str, str] | None = None,
    with_images: bool = True,
    progress: Progress = lambda _: None,
) -> Iterator[DataIssue]:
    """Compare a split on disk with what the benchmark expects.

    Args:
        place: the split.
        shared: files of other datasets by content digest (`digests`).
        with_images: whether to read every image.
        progress: called with the number of images left.

    Yields:
        Findings, as they are made.

    Raises:
        MissingDataError: the annotation file cannot be read.
    """
    file = str(place.annotations)
    what = f"sha256 {file_digest(place.annotations)} (no hash is published to compare with)"
    yield DataIssue("note", "hash", file, "", what)
    try:
        raw = read_raw(place.annotations)
    except MissingDataError:
        raise
    except AnnotationError as error:
        yield DataIssue("error", "json", file, "", *_without_place(error, file))
        return
    loaded, refusal = _open(place)
    protocol = (loaded or place.dataset).protocol
    published = place.dataset.published.get(place.split, PublishedCounts())
    sizes = {sample.image_id: (sample.width, sample.height) for sample in loaded} if loaded else None
    explained = False
    rules = Rules(protocol, annotated=place.annotated)
    for finding in check_annotations(raw, rules, published, sizes):
        explained |= finding.severity == "error" and finding.kind != "count"
        yield finding
    # The check names every fault; what cannot be meant although nothing is wrong, the loader refuses.
    if refusal is not None and not explained:
        yield DataIssue("error", "unusable", file, "", *_without_place(refusal, file))
    if loaded is not None:
        name = f"{place.annotations.name}: "
        for sentence in loaded.corrections:
            yield DataIssue("warning", "corrected", file, "", sentence.removeprefix(name))
        for sentence in loaded.warnings:
            yield DataIssue("warning", "implausible", file, "", sentence.removeprefix(name))
    if with_images:
        files = image_files(raw, place)
        yield from check_images(look_at_all(files, progress), sizes or {}, shared or {})


def _without_place(error: DataError, file: str) -> tuple[str, str]:
    """What and remedy of an error about a file."""
    what, _, remedy = str(error).removeprefix(f"{file}: ").partition("\n")
    return what, remedy.replace("\n", " ")


def check_together(places: Sequence[SplitOnDisk]) -> Iterator[DataIssue]:
    """Check what is published for all splits together, if all are there; raises MissingDataError."""
    dataset = places[0].dataset
    published = dataset.published_together
    if published.annotations is None or {place.split for place in places} != set(dataset.splits):
        return
    persons = sum(sum(1 for _ in read_raw(p.annotations).objects("annotations")) for p in places)
    what = f"annotated persons in {' and '.join(dataset.splits)} together"
    file = str(places[0].root)
    yield from compare_counts(file, what, persons, published.annotations, published.source)


def _open(place: SplitOnDisk) -> tuple[CocoFormatDataset | None, DataError | None]:
    """Return the dataset, or the error of the loader."""
    logger = logging.getLogger("crowdbench")
    before = logger.level
    logger.setLevel(logging.ERROR)  # warnings of the loader are reported as findings
    try:
        return place.dataset.open(place.split, place.root, NoBoxes(), place.annotations), None
    except DataError as error:
        return None, error
    finally:
        logger.setLevel(before)


def digests(place: SplitOnDisk, progress: Progress = lambda _: None) -> dict[str, str]:
    """The images of a split by content: SHA-256 → file. Images that are not there are left out."""
    return digests_of(image_files(read_raw(place.annotations), place), progress)
