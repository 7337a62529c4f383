"""The images and persons of an annotation file, as columns, with corrections reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import FloatArray
from crowdbench.coco.opening import open_coco
from crowdbench.coco.reading import CocoFile, ImageEntry, needed_segmentations
from crowdbench.coco.rules.entries import Rules
from crowdbench.system.malloc import gc_paused

__all__ = ["AnnotatedPersons", "AnnotationFile", "ImageEntry", "read_annotation_file"]


@dataclass(frozen=True, eq=False)
class AnnotatedPersons:
    """The annotated persons of the listed images, by image and within an image in file order.

    Attributes:
        ids: ``(n,)`` int64, the annotations' ids.
        boxes_xywh: ``(n, 4)`` float64, as annotated, in image pixels.
        keypoints: ``(n, K, 3)`` float64, x, y in image pixels and visibility.
        areas: ``(n,)`` float64, the ``area`` field in square pixels; NaN where there is none.
        iscrowd: ``(n,)`` bool.
        segmentations: n JSON texts, for crowds and for persons without a labelled keypoint; empty for the
            others and where the file has none.
        starts: ``(images + 1,)`` int64; the persons of image i are the rows ``starts[i]:starts[i + 1]``.
    """

    ids: NDArray[np.int64]
    boxes_xywh: FloatArray
    keypoints: FloatArray
    areas: FloatArray
    iscrowd: NDArray[np.bool_]
    segmentations: Sequence[bytes]
    starts: NDArray[np.int64]

    def of(self, image: int) -> slice:
        """The rows of an image, by the image's position in the file."""
        return slice(int(self.starts[image]), int(self.starts[image + 1]))


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """What crowdbench reads of an annotation file.

    Attributes:
        images: in file order.
        persons: empty where the split has no ground truth.
        category_id: the id of the person category.
        corrections: what was corrected, in sentences.
        warnings: what is allowed but implausible, in sentences.
    """

    images: list[ImageEntry]
    persons: AnnotatedPersons
    category_id: int
    corrections: tuple[str, ...]
    warnings: tuple[str, ...]


@gc_paused()
def read_annotation_file(path: Path, protocol: ScoringProtocol, *, annotated: bool = True) -> AnnotationFile:
    """Read an annotation file, plain or gzipped.

    Args:
        path: the file.
        protocol: the scoring rules; a file that scoring would refuse is refused.
        annotated: whether the file must have annotations; files of splits without ground truth list images.

    Raises:
        MissingDataError: the file cannot be read.
        AnnotationError: it is not an annotation file, or it has faults; lists them all.
    """
    opened = open_coco(path, Rules(protocol, annotated=annotated))
    content = opened.content
    at = content.image_positions
    corrections = list(content.corrections)
    if (at < 0).any():
        unlisted = int((at < 0).sum())
        corrections.append(f"{path.name}: {unlisted} annotations belong to no listed image; left out.")
    return AnnotationFile(
        content.images,
        _columns(content, at),
        content.category.id,
        tuple(corrections),
        opened.warnings,
    )


def _columns(content: CocoFile, at: NDArray[np.int64]) -> AnnotatedPersons:
    order = np.argsort(at, kind="stable")
    order = order[at[order] >= 0]
    entries, texts = content.entries, needed_segmentations(content)
    return AnnotatedPersons(
        ids=np.array([entry.id for entry in entries], dtype=np.int64)[order],
        boxes_xywh=content.boxes[order],
        keypoints=content.keypoints[order],
        areas=np.array([entry.area for entry in entries], dtype=np.float64)[order],
        iscrowd=np.array([entry.iscrowd for entry in entries], dtype=np.bool_)[order],
        segmentations=[texts[position] for position in order.tolist()],
        starts=np.searchsorted(at[order], np.arange(len(content.images) + 1)),
    )
