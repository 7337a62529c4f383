"""Plausibility of annotations: pixel coordinates, duplicates, areas and crowding.

Each rule considers a whole file, because single annotation errors are not faults of the file. The published
files and the reference sets of the tests break none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import FloatArray
from crowdbench.coco.reading import CocoFile
from crowdbench.coco.rules.implausible import Implausible
from crowdbench.coco.rules.median import median
from crowdbench.coco.rules.plausible_boxes import implausible_boxes

# Shares of persons, keypoints or images above which an error is systematic.
MANY_OUTSIDE = 0.2
MANY_TWICE = 0.001
MANY_ALIKE = 0.1
MANY_WITHOUT_AREA = 0.1
MANY_TOO_LARGE = 0.01
MANY_TOO_CROWDED = 0.05
# CrowdPose's own crowdIndex is beyond 1 on one image in twenty, where three persons overlap, and beyond
# this on one in a thousand.
MOST_CROWDED = 2
NEARLY_ALL = 0.98
MOST = 0.5
# Fewer persons may be identical by chance, as in a file for experiments.
ENOUGH = 10
# Boxes, extended by MARGIN of their side, contain at least the share HELD of their persons' keypoints.
MARGIN = 0.1
HELD = 0.5
HELD_EXCHANGED = 0.8
# CrowdPose's num_keypoints leaves out head and neck; a quarter of the keypoints is more than any count does.
UNCOUNTED = 0.25


@dataclass(frozen=True, eq=False)
class _Persons:
    """The persons on listed images of known size.

    Attributes:
        at: ``(n,)``, the index of the image.
        sizes: ``(n, 2)``, of the image, swapped if keypoints then fit better.
        boxes: ``(n, 4)``.
        keypoints: ``(n, K, 3)``.
        labelled: ``(n, K)``.
        areas: ``(n,)``, NaN where there is none.
        counted: ``(n,)``, ``num_keypoints``.
        single: ``(n,)``, false for crowds.
    """

    at: NDArray[np.int64]
    sizes: FloatArray
    boxes: FloatArray
    keypoints: FloatArray
    labelled: NDArray[np.bool_]
    areas: FloatArray
    counted: NDArray[np.int64]
    single: NDArray[np.bool_]


def implausible_annotations(
    file: CocoFile, protocol: ScoringProtocol, sizes: FloatArray
) -> list[Implausible]:
    """Return what is implausible about a file's annotations as a whole.

    Args:
        file: a file without faults.
        protocol: determines which fields matter.
        sizes: ``(images, 2)``, see `crowdbench.coco.sizes.likely_sizes`.
    """
    found = list(_of_images(file, protocol))
    persons = _persons(file, sizes)
    if persons is None:
        return found
    single = persons.single
    boxes = implausible_boxes(
        persons.boxes[single], persons.sizes[single, 0], persons.sizes[single, 1], "annotated boxes"
    )
    found += boxes
    normalized = _normalized(persons)
    if normalized is not None:
        found.append(normalized)
    else:
        found += _outside(persons)
        if not boxes:
            found += _not_in_their_boxes(persons)
    found += _alike(persons)
    found += _miscounted(persons)
    if protocol.box_area_factor is None:
        found += _areas(persons)
    return found


def _persons(file: CocoFile, sizes: FloatArray) -> _Persons | None:
    at = file.image_positions
    known = at >= 0
    known[known] = np.isfinite(sizes[at[known]]).all(axis=1)
    if not known.any():
        return None
    entries = [entry for entry, is_known in zip(file.entries, known.tolist(), strict=True) if is_known]
    at, keypoints = at[known], file.keypoints[known]
    return _Persons(
        at,
        sizes[at],
        file.boxes[known],
        keypoints,
        keypoints[:, :, 2] > 0,
        np.array([entry.area for entry in entries], dtype=np.float64),
        np.array([entry.num_keypoints for entry in entries], dtype=np.int64),
        np.array([not entry.iscrowd for entry in entries], dtype=np.bool_),
    )


def _of_images(file: CocoFile, protocol: ScoringProtocol) -> Iterator[Implausible]:
    names = [image.file_name for image in file.images if image.file_name is not None]
    again = len(names) - len(set(names))
    if again:
        yield Implausible(
            "file twice",
            f"{again} of {len(file.images)} images have the file of another one",
            "Its persons are measured as often as it is listed; give every image a file of its own.",
        )
    if not protocol.crowding_splits or not file.images:
        return
    crowding = np.array([image.crowd_index for image in file.images], dtype=np.float64)
    beyond = int((crowding > MOST_CROWDED).sum())
    if beyond > MANY_TOO_CROWDED * len(crowding):
        yield Implausible(
            "crowdIndex",
            f"crowdIndex is beyond {MOST_CROWDED} for {beyond} of {len(crowding)} images, "
            f"up to {crowding.max():g}",
            "It goes from 0 to 1, and decides which images are easy, medium and hard; is it in percent?",
        )


def _normalized(persons: _Persons) -> Implausible | None:
    some = persons.labelled.any(axis=1)
    if not some.any() or persons.sizes.min() < 8:
        return None
    farthest = np.where(persons.labelled[:, :, None], np.abs(persons.keypoints[:, :, :2]), 0.0).max(
        axis=(1, 2)
    )
    if (farthest[some] <= 1.5).mean() < NEARLY_ALL or not farthest.any():
        return None
    return Implausible(
        "normalized keypoints",
        f"the keypoints of {int(some.sum())} persons are numbers between 0 and 1: they seem to be normalized "
        "by the image's size",
        "Multiply x by the image's width and y by its height.",
    )


def _outside(persons: _Persons) -> Iterator[Implausible]:
    places, sizes = persons.keypoints[:, :, :2], persons.sizes[:, None]
    outside = ((places < -0.02 * sizes) | (places > 1.02 * sizes)).any(axis=2) & persons.labelled
    count, labelled = int(outside.sum()), int(persons.labelled.sum())
    if count > MANY_OUTSIDE * labelled:
        yield Implausible(
            "keypoints outside",
            f"{count} of {labelled} labelled keypoints lie outside their images",
            "Are the annotations of images of another size, or of other images?",
        )


def _not_in_their_boxes(persons: _Persons) -> Iterator[Implausible]:
    held = (persons.boxes[:, 2:] > 0).all(axis=1) & persons.single
    labelled = persons.labelled[held]
    if not labelled.any():
        return
    first, size = persons.boxes[held, None, :2], persons.boxes[held, None, 2:]
    places = persons.keypoints[held][:, :, :2]

    def share(of: FloatArray) -> float:
        inside = np.all((of >= first - MARGIN * size) & (of <= first + (1 + MARGIN) * size), axis=2)
        return float(inside[labelled].mean())

    straight = share(places)
    if straight >= HELD:
        return
    exchanged = share(places[:, :, ::-1])
    if exchanged >= HELD_EXCHANGED:
        yield Implausible(
            "x and y exchanged",
            f"{straight:.0%} of the labelled keypoints lie in their persons' boxes, {exchanged:.0%} would if "
            "x and y were exchanged",
            "Write [x1, y1, v1, x2, ...], x to the right and y down.",
        )
    else:
        yield Implausible(
            "keypoints and boxes",
            f"{straight:.0%} of the labelled keypoints lie in their persons' boxes",
            "Are boxes and keypoints of the same persons, and in pixels of the same image?",
        )


def _alike(persons: _Persons) -> Iterator[Implausible]:
    some = persons.labelled.any(axis=1) & persons.single
    count = int(some.sum())
    if not count:
        return
    numbers = np.concatenate([persons.keypoints[some].reshape(count, -1), persons.boxes[some]], axis=1)
    # Equal rows have equal sums; collisions of different rows are negligible.
    weights: FloatArray = np.sqrt(np.arange(numbers.shape[1]) + np.pi)
    weighted = numbers * weights
    sums = weighted.sum(axis=1)  # a matrix product may give equal rows different last bits
    twice = count - _distinct(sums, persons.at[some])
    if twice > MANY_TWICE * count:
        yield Implausible(
            "annotated twice",
            f"{twice} of {count} persons are annotated twice in an image, with equal boxes and keypoints",
            "Each copy has to be found once more; list each person once.",
        )
    alike = count - _distinct(weighted[:, :-4].sum(axis=1)) - twice
    if count >= ENOUGH and alike > MANY_ALIKE * count:
        yield Implausible(
            "equal keypoints",
            f"{alike} of {count} persons have exactly the keypoints of another one",
            "Were the keypoints filled in by a program?",
        )
    yield from _in_a_point(persons)


def _distinct(*columns: NDArray[Any]) -> int:
    """Count distinct rows; importing what `np.unique` needs takes longer than reading a small file."""
    order = np.lexsort(columns)
    changes = [column[order][1:] != column[order][:-1] for column in columns]
    return 1 + int(np.any(changes, axis=0).sum())


def _in_a_point(persons: _Persons) -> Iterator[Implausible]:
    several = (persons.labelled.sum(axis=1) >= 2) & persons.single
    count = int(several.sum())
    if not count:
        return
    labelled, places = persons.labelled[several][:, :, None], persons.keypoints[several][:, :, :2]
    spread = np.where(labelled, places, -np.inf).max(axis=1) - np.where(labelled, places, np.inf).min(axis=1)
    in_a_point = int((spread == 0).all(axis=1).sum())
    if in_a_point > MANY_ALIKE * count:
        yield Implausible(
            "keypoints in one point",
            f"all labelled keypoints of {in_a_point} of {count} persons are one and the same point",
            "Keypoints that are not labelled have visibility 0.",
        )


def _miscounted(persons: _Persons) -> Iterator[Implausible]:
    labelled = persons.labelled.sum(axis=1)
    some = ((labelled > 0) | (persons.counted > 0)) & persons.single
    uncounted = labelled - persons.counted
    wrong = int(((uncounted < 0) | (uncounted > UNCOUNTED * persons.labelled.shape[1]))[some].sum())
    count = int(some.sum())
    if count and wrong > MOST * count:
        yield Implausible(
            "num_keypoints",
            f"num_keypoints contradicts the labels of {wrong} of {count} persons",
            "It decides which persons count, whatever is labelled: 0 leaves a person out.",
        )


def _areas(persons: _Persons) -> Iterator[Implausible]:
    asked = persons.single & (persons.counted > 0)
    areas, count = persons.areas[asked], int(asked.sum())
    if not count:
        return
    empty = int((areas == 0).sum())
    if empty > MANY_WITHOUT_AREA * count:
        yield Implausible(
            "area 0",
            f"{empty} of {count} persons have area 0: they cannot be asked for by annotated boxes, and only "
            "exact keypoints match them",
            "The area field is the area of the person's outline in square pixels.",
        )
    too_large = int((areas > 1.05 * persons.sizes[asked].prod(axis=1)).sum())
    if too_large > MANY_TOO_LARGE * count:
        yield Implausible(
            "area beyond the image",
            f"the area of {too_large} of {count} persons is larger than their images",
            "Areas are in square pixels; the larger they are, the more do wrong keypoints count as right.",
        )
    boxes = persons.boxes[asked, 2:].prod(axis=1)
    known = (areas > 0) & (boxes > 0)
    if known.any() and not too_large and not 0.02 < (ratio := median(areas[known] / boxes[known])) < 2:
        yield Implausible(
            "areas and boxes",
            f"half of the persons have an area of {ratio:.3g} of their boxes or "
            f"{'less' if ratio < 1 else 'more'}",
            "Areas are in square pixels, as are the boxes.",
        )
