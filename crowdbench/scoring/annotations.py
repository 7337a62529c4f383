"""A ground-truth file in COCO format, checked against the rules of a scoring protocol."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import FloatArray
from crowdbench.coco.opening import open_coco
from crowdbench.coco.reading import CocoFile, ImageEntry
from crowdbench.coco.rules.entries import Rules
from crowdbench.errors import InputError
from crowdbench.scoring.results_file import columns
from crowdbench.scoring.results_file.image_names import ImageNames


@dataclass(frozen=True, eq=False)
class Images:
    """The scored images, by ascending id.

    Attributes:
        ids: M ids, as in the file.
        crowd_index: ``(M,)`` float64; None where the protocol has no crowding splits.
        sizes: ``(M, 2)`` float64, width and height in pixels, NaN where the file has none; None if unknown.
    """

    ids: list[int | str]
    crowd_index: FloatArray | None
    sizes: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Persons:
    """N annotated persons in file order.

    Attributes:
        ids: N annotation ids, as the file has them.
        image_ids: N ids, as the file has them.
        keypoints: N rows of 3 K numbers, x, y in image pixels and visibility v in {0, 1, 2}.
        boxes: N rows of x, y, width, height in image pixels.
        areas: ``(N,)`` float64, square pixels, as the protocol counts them.
        num_keypoints: ``(N,)`` int64, the field; 0 means that the person is ignored.
        is_crowd: ``(N,)`` bool.
    """

    ids: list[int | str]
    image_ids: list[int | str]
    keypoints: columns.Rows
    boxes: columns.Rows
    areas: FloatArray
    num_keypoints: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]

    def of(self, keep: Sequence[bool]) -> "Persons":
        """Select persons."""
        mask = np.array(keep, dtype=bool)
        return Persons(
            list(compress(self.ids, keep)),
            list(compress(self.image_ids, keep)),
            list(compress(self.keypoints, keep)),
            list(compress(self.boxes, keep)),
            self.areas[mask],
            self.num_keypoints[mask],
            self.is_crowd[mask],
        )


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The ground truth that predictions are scored against.

    Attributes:
        source: the file, for messages.
        listed: the ids of all images of the file.
        images: the images that are scored.
        persons: the persons on them.
        category_id: the file's person category.
        order: the index, in the file's order, of each of the protocol's keypoints; None if it is the same.
        warnings: what is legal but probably unintended.
        names: the file names of all images of the file.
        doubts: the warnings that put scores in doubt.
    """

    source: str
    listed: frozenset[int | str]
    images: Images
    persons: Persons
    category_id: int
    order: tuple[int, ...] | None
    warnings: tuple[str, ...]
    names: ImageNames
    doubts: tuple[str, ...] = ()


def read_annotations(
    path: Path, protocol: ScoringProtocol, image_ids: Collection[int | str] | None = None
) -> GroundTruth:
    """Read and check ground truth.

    Args:
        path: a ``.json`` or ``.json.gz`` file in COCO format.
        protocol: which fields are needed, and how area is counted.
        image_ids: restricts the ground truth to these images.

    Raises:
        MissingDataError: there is no such file.
        AnnotationError: the file cannot be scored against; names the file, the entry and the remedy.
        InputError: `image_ids` names images that the file does not list.
    """
    opened = open_coco(path, Rules(protocol, loaded=False))
    content, source = opened.content, str(path)
    images, warnings = _images(content.images, opened.sizes, protocol)
    listed = frozenset(images.ids)
    persons, more = _persons(content, protocol, listed)
    if image_ids is not None:
        images, persons = _restricted(images, persons, frozenset(image_ids), source)
    return GroundTruth(
        source,
        listed,
        images,
        persons,
        content.category.id,
        content.category.order,
        (*content.corrections, *warnings, *more, *opened.warnings),
        ImageNames(tuple((image.id, image.file_name) for image in content.images)),
        opened.warnings,
    )


def _images(
    entries: Sequence[ImageEntry], sizes: FloatArray, protocol: ScoringProtocol
) -> tuple[Images, list[str]]:
    first: dict[int | str, int] = {}
    for position, entry in enumerate(entries):
        first.setdefault(entry.id, position)
    repeats = len(entries) - len(first)
    warnings = [f"{repeats} image entries are listed twice; each is counted once"] if repeats else []
    order = sorted(first.items())  # of one type, or there would have been faults
    crowd_index = None
    if protocol.crowding_splits:
        crowd_index = np.array([entries[position].crowd_index for _, position in order], dtype=np.float64)
    kept = [position for _, position in order]
    return Images([image_id for image_id, _ in order], crowd_index, sizes[kept]), warnings


def _persons(
    content: CocoFile, protocol: ScoringProtocol, listed: frozenset[int | str]
) -> tuple[Persons, list[str]]:
    entries = content.entries
    if not entries:
        no_persons = Persons([], [], [], [], np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))
        return no_persons, ["there are no annotations: every statistic is -1"]
    image_ids: list[int | str] = [entry.image_id for entry in entries]
    keypoints = [entry.keypoints for entry in entries]
    counts = np.array([entry.num_keypoints for entry in entries], dtype=np.int64)
    if protocol.labelled is not None:
        keypoints, counts = _on_keypoints(keypoints, counts, protocol)
    persons = Persons(
        [entry.id for entry in entries],
        image_ids,
        keypoints,
        [entry.bbox for entry in entries],
        _areas(content, protocol),
        counts,
        np.array([bool(entry.iscrowd) for entry in entries], dtype=bool),
    )
    known = [image_id in listed for image_id in image_ids]
    if all(known):
        return persons, []
    lost = sorted({repr(i) for i, is_known in zip(image_ids, known, strict=True) if not is_known})
    warning = (
        f"{known.count(False)} annotations belong to images that the file does not list (the first: "
        f"image_id {lost[0]}); they are left out, as in the official tools"
    )
    return persons.of(known), [warning]


def _on_keypoints(
    keypoints: columns.Rows, counts: NDArray[np.int64], protocol: ScoringProtocol
) -> tuple[columns.Rows, NDArray[np.int64]]:
    """Select the scored keypoints and count the labelled ones.

    Persons whose ``num_keypoints`` is 0 stay ignored, whatever is labelled.
    """
    places = [protocol.annotated.keypoints.index(name) for name in protocol.keypoints.keypoints]
    kept = columns.of_keypoints(keypoints, places)
    labelled = np.array([sum(v > 0 for v in row[2::3]) for row in kept], dtype=np.int64)
    return kept, np.where(counts > 0, labelled, 0)


def _areas(content: CocoFile, protocol: ScoringProtocol) -> FloatArray:
    if protocol.box_area_factor is not None:
        factor = protocol.box_area_factor
        return np.array([entry.bbox[2] * entry.bbox[3] * factor for entry in content.entries])
    return np.array([entry.area for entry in content.entries], dtype=np.float64)


def _restricted(
    images: Images, persons: Persons, wanted: frozenset[int | str], source: str
) -> tuple[Images, Persons]:
    keep = [image_id in wanted for image_id in images.ids]
    if sum(keep) < len(wanted):
        unknown = columns.quoted(sorted(map(str, wanted - set(images.ids))))
        raise InputError(f"image_ids names images that {source} does not list: {unknown}.\nCheck the split.")
    kept = Images(
        [image_id for image_id, is_kept in zip(images.ids, keep, strict=True) if is_kept],
        None if images.crowd_index is None else images.crowd_index[np.array(keep, dtype=bool)],
        None if images.sizes is None else images.sizes[np.array(keep, dtype=bool)],
    )
    return kept, persons.of([image_id in wanted for image_id in persons.image_ids])
