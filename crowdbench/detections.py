"""A person detector's results file, in COCO detection format."""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from crowdbench.errors import DataError
from crowdbench.system.reading import decode_json, read_bytes
from crowdbench.types import Instance

log = logging.getLogger("crowdbench")

PERSON = 1


class DetectionEntry(msgspec.Struct):
    """An entry of the list."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    score: float


class Detections:
    """The persons found on each image, in the order of the file.

    Args:
        by_image: positions in the file and entries, by image id.
        strangers: how many detections of the file are on images outside the split.
    """

    def __init__(self, by_image: dict[int, list[tuple[int, DetectionEntry]]], strangers: int = 0) -> None:
        self._by_image = by_image
        self.strangers = strangers

    @property
    def count(self) -> int:
        """How many persons were found on the split's images."""
        return sum(map(len, self._by_image.values()))

    @classmethod
    def read(cls, path: Path, images: Collection[int]) -> Self:
        """Read a results file; plain or gzipped JSON.

        Detections of other categories and of images outside the split are left out, the latter with a
        warning that counts them.

        Args:
            path: a list of ``{image_id, category_id, bbox [x, y, w, h], score}``.
            images: the ids of the split.

        Raises:
            MissingDataError: the file cannot be read.
            DataError: it is not such a list, or no detection is on any image of the split.
        """
        entries = decode_json(
            read_bytes(path, "a detector's boxes"),
            list[DetectionEntry],
            path,
            "a detector's results in COCO format",
            hint="Expected a JSON list of {image_id, category_id, bbox [x, y, width, height], score}.",
        )
        numbers = np.array([(*entry.bbox, entry.score) for entry in entries]).reshape(-1, 5)
        for position in (~np.isfinite(numbers).all(axis=1) | (numbers[:, 2:4] < 0).any(axis=1)).nonzero()[0]:
            raise DataError(
                f"{path}: detection {position} (image {entries[position].image_id}): its box or score is not "
                f"finite, or its size is negative: {entries[position].bbox}."
            )
        found: dict[int, list[tuple[int, DetectionEntry]]] = {}
        strangers = 0
        for position, entry in enumerate(entries):
            if entry.image_id not in images:
                strangers += 1
            elif entry.category_id == PERSON:
                found.setdefault(entry.image_id, []).append((position, entry))
        if entries and not found:
            raise DataError(
                f"{path}: none of its {len(entries)} detections is a person (category 1) on an image of this "
                "split. Were they made for another split?"
            )
        if strangers:
            log.warning(
                "%s: %d of %d detections are on images outside the split", path, strangers, len(entries)
            )
        return cls(found, strangers)

    def of(self, image_id: int, keypoints: int) -> tuple[Instance, ...]:
        """The persons found on an image; their keypoints are unknown, all zero."""
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
