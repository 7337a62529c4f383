"""A person detector's results file, in COCO detection format."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np

from crowdbench.api.types import Instance
from crowdbench.coco.raw import plain_json
from crowdbench.coco.rules.entries import box_fault, number_fault
from crowdbench.coco.rules.fault import Fault, refusal
from crowdbench.coco.rules.implausible import Implausible
from crowdbench.coco.rules.plausible_boxes import implausible_boxes
from crowdbench.coco.rules.values import LARGEST_ID, LARGEST_PX, is_id, kind, shown
from crowdbench.errors import DataError
from crowdbench.system.files.reading import read_bytes

log = logging.getLogger("crowdbench")

PERSON = 1
_FORMAT = "Expected a JSON list of {image_id, category_id, bbox [x, y, width, height], score}."
_NO_IMAGES = "Were they made for another split?"
# Below this share of images with persons, the boxes belong to another split or to a small part of this one.
# Published detections for a sample of COCO cover one image in eleven.
FEW_IMAGES = 0.09
# A detector does not give this many persons the same score.
EQUAL_SCORES = 10
Id = Annotated[int, msgspec.Meta(ge=-LARGEST_ID, le=LARGEST_ID)]
Sizes = Mapping[int, tuple[int, int]]


class DetectionEntry(msgspec.Struct):
    """An entry of the list."""

    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    score: float


class Detections:
    """The persons found on each image, in the order of the file.

    Args:
        by_image: positions in the file and entries, by image id.
        outside_split: the number of detections on images outside the split.
        warnings: what is allowed but implausible, in sentences.
    """

    def __init__(
        self,
        by_image: dict[int, list[tuple[int, DetectionEntry]]],
        outside_split: int = 0,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._by_image = by_image
        self.outside_split = outside_split
        self.warnings = warnings

    @property
    def count(self) -> int:
        """The number of persons detected on the split's images."""
        return sum(map(len, self._by_image.values()))

    @classmethod
    def read(
        cls,
        path: Path,
        images: Collection[int],
        *,
        category_id: int | None = PERSON,
        sizes: Sizes | None = None,
        with_persons: Collection[int] = (),
    ) -> Self:
        """Read a results file; plain or gzipped JSON.

        Detections of other categories and of images outside the split are left out, the latter with a
        warning that counts them.

        Args:
            path: a list of ``{image_id, category_id, bbox [x, y, w, h], score}``.
            images: the ids of the split.
            category_id: the person category; None takes the file's only category, or 1.
            sizes: width and height of the images in pixels, by id, where known; boxes are checked against
                them.
            with_persons: the ids of the images with annotated persons, where known.

        Raises:
            MissingDataError: the file cannot be read.
            DataError: it is not such a list, no detection is on any image of the split, or the boxes are
                certainly not x, y, width, height in pixels. Lists every fault.
        """
        entries = _entries(read_bytes(path, "a detector's boxes"), path)
        if category_id is None:
            given = {entry.category_id for entry in entries}
            category_id = given.pop() if len(given) == 1 else PERSON
        found: dict[int, list[tuple[int, DetectionEntry]]] = {}
        outside_split = 0
        for position, entry in enumerate(entries):
            if entry.image_id not in images:
                outside_split += 1
            elif entry.category_id == category_id:
                found.setdefault(entry.image_id, []).append((position, entry))
        if entries and not found:
            raise _no_person(path, entries, images, category_id)
        warnings = [
            *_outside_split(path, outside_split, len(entries)),
            *_few(path, found, with_persons),
            *_negative(path, entries),
            *_equal(path, found),
        ]
        for finding in _implausible(found, sizes or {}):
            if finding.severity == "error":
                raise DataError(f"{path}: {finding.what}.\n{finding.remedy}")
            warnings.append(f"{path.name}: {finding.sentence}")
        return cls(found, outside_split, tuple(warnings))

    def at_least(self, score: float | None) -> Self:
        """Keep detections with at least this score (None: all); raises DataError if none is left."""
        if score is None:
            return self
        kept = {
            image_id: [(position, entry) for position, entry in entries if entry.score >= score]
            for image_id, entries in self._by_image.items()
        }
        if self._by_image and not any(kept.values()):
            best = max(entry.score for entries in self._by_image.values() for _, entry in entries)
            raise DataError(
                f"none of the detector's {self.count} persons has a score of at least {score:g}; the highest "
                f"is {best:g}.\nChoose a lower --box-score."
            )
        return type(self)(kept, self.outside_split, self.warnings)

    def of(self, image_id: int, keypoints: int) -> tuple[Instance, ...]:
        """The persons detected on an image; their keypoints are unknown and all zero."""
        return tuple(
            Instance(
                np.array(entry.bbox),
                np.zeros((keypoints, 3)),
                area=entry.bbox[2] * entry.bbox[3],
                score=entry.score,
                id=position,
            )
            for position, entry in self._by_image.get(image_id, ())
        )


def _entries(data: bytes, path: Path) -> list[DetectionEntry]:
    try:
        entries = msgspec.json.decode(data, type=list[DetectionEntry])
        numbers = np.array([(*entry.bbox, entry.score) for entry in entries], dtype=np.float64).reshape(-1, 5)
        boxes = numbers[:, :4]
        if np.isfinite(numbers).all() and (np.abs(boxes) <= LARGEST_PX).all() and (boxes[:, 2:] >= 0).all():
            return entries
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    document = plain_json(data, path, "a detector's results in COCO format", DataError)
    if not isinstance(document, list):
        raise DataError(f"{path}: not a detector's results in COCO format, but {kind(document)}.\n{_FORMAT}")
    error = refusal(path, _faults(document), DataError)
    if error is not None:
        raise error
    return [
        DetectionEntry(
            int(entry["image_id"]),
            int(entry["category_id"]),
            tuple(map(float, entry["bbox"])),  # type: ignore[arg-type]  # four, or there would be faults
            float(entry["score"]),
        )
        for entry in document
    ]


def _faults(entries: Sequence[Any]) -> Iterator[Fault]:
    for position, entry in enumerate(entries):
        place = f"detection {position}"
        if not isinstance(entry, Mapping):
            what = f"must be an object, found {kind(entry)}: not a detector's results in COCO format"
            yield Fault("entry", place, what, _FORMAT)
            continue
        for field in ("image_id", "category_id"):
            value = entry.get(field)
            if not is_id(value):
                found = "is missing" if value is None else f"must be a whole number, found {shown(value)}"
                yield Fault(field, place, f"{field} {found}", _FORMAT)
        for said in (
            box_fault(entry.get("bbox"), _FORMAT),
            number_fault("score", entry.get("score"), _FORMAT),
        ):
            if said is not None:
                rule, what, remedy = said
                image = "" if entry.get("image_id") is None else f"image {shown(entry['image_id'])}: "
                yield Fault(rule, place, f"{image}{what}", remedy)


def _no_person(
    path: Path, entries: Sequence[DetectionEntry], images: Collection[int], category_id: int
) -> DataError:
    here = Counter(entry.category_id for entry in entries if entry.image_id in images)
    if not here:
        reason, remedy = "on an image of this split", _NO_IMAGES
    else:
        listed = ", ".join(f"{category} ({count})" for category, count in here.most_common(5))
        reason = f"(category {category_id}) on an image of this split"
        remedy = f"Those on its images are of category {listed}; give persons the annotation file's id."
    return DataError(f"{path}: none of its {len(entries)} detections is a person {reason}.\n{remedy}")


def _outside_split(path: Path, outside_split: int, count: int) -> Iterator[str]:
    if outside_split:
        log.warning("%s: %d of %d detections are on images outside the split", path, outside_split, count)
        yield f"{path.name}: {outside_split} of {count} detections are on images outside the split; left out."


def _few(path: Path, found: Mapping[int, object], with_persons: Collection[int]) -> Iterator[str]:
    boxed = sum(image in found for image in with_persons)
    if boxed < FEW_IMAGES * len(with_persons):
        yield (
            f"{path.name}: there are boxes on {boxed} of the {len(with_persons)} images with annotated "
            "persons. No person can be found on the others; are boxes missing?"
        )


def _negative(path: Path, entries: Sequence[DetectionEntry]) -> Iterator[str]:
    below = sum(entry.score < 0 for entry in entries)
    if below:
        yield (
            f"{path.name}: {below} of {len(entries)} detections have a score below 0. Methods expect a "
            "confidence between 0 and 1; are these logits or distances?"
        )


def _equal(path: Path, found: Mapping[int, Sequence[tuple[int, DetectionEntry]]]) -> Iterator[str]:
    scores = [entry.score for entries in found.values() for _, entry in entries]
    if len(scores) >= EQUAL_SCORES and min(scores) == max(scores):
        yield (
            f"{path.name}: all {len(scores)} persons have the score {scores[0]:g}. Methods rank their "
            "predictions by it; are these annotated boxes and not a detector's?"
        )


def _implausible(
    found: Mapping[int, Sequence[tuple[int, DetectionEntry]]], sizes: Sizes
) -> list[Implausible]:
    rows = [
        (*entry.bbox, *sizes[image])
        for image, entries in found.items()
        if image in sizes
        for _, entry in entries
    ]
    numbers = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return implausible_boxes(numbers[:, :4], numbers[:, 4], numbers[:, 5])
