"""Groups of images by how crowded they are."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crowdbench.analysis.keypoint_errors.image_pairs import pairs_within
from crowdbench.api.types import FloatArray, IntArray
from crowdbench.scoring.problem import Problem

CROWD_INDEX, MAX_IOU = "crowdIndex", "max IoU"
EDGES = (*(tenth / 10 for tenth in range(11)), float("inf"))
# Zhang et al., "Pose2Seg" (CVPR 2019): MaxIoU of 0.5 to 0.75 is moderate, above it is hard.
IOU_LEVELS = (("apart", 0.0, 0.5), ("moderate", 0.5, 0.75), ("hard", 0.75, float("inf")))


@dataclass(frozen=True, eq=False)
class Group:
    """Images of one degree of crowding, ``low <= measure < high``.

    Attributes:
        name: of the level, or the bounds.
        low, high: of the measure; infinity where there is no upper bound.
        images: numbers from 1, as in the problem.
    """

    name: str
    low: float
    high: float
    images: IntArray


@dataclass(frozen=True, eq=False)
class Crowding:
    """How crowded the images of a problem are.

    Attributes:
        measure: crowdIndex where the ground truth has it and the protocol asks for it; else the greatest
            overlap (IoU) of two persons' boxes.
        values: ``(M,)``, of each image.
        levels: groups with names that people know.
        bins: groups a tenth wide.
    """

    measure: str
    values: FloatArray
    levels: list[Group]
    bins: list[Group]


def crowding_of(problem: Problem) -> Crowding:
    """Group the images of a problem."""
    if problem.images.crowd_index is not None:
        measure, values, levels = CROWD_INDEX, problem.images.crowd_index, problem.protocol.crowding_splits
    else:
        measure, values, levels = MAX_IOU, max_iou(problem), IOU_LEVELS
    bins = [(f"{low:.1f} to {high:.1f}", low, high) for low, high in pairwise(EDGES[:-1])]
    # Boxes that cover each other belong to the last tenth; crowdIndex has no greatest value.
    bins[-1:] = (
        [(bins[-1][0], EDGES[-3], EDGES[-1])]
        if measure == MAX_IOU
        else [bins[-1], (f"{EDGES[-2]:.1f} and more", EDGES[-2], EDGES[-1])]
    )
    return Crowding(
        measure,
        values,
        [_group(*level, values) for level in levels],
        [_group(*tenth, values) for tenth in bins],
    )


def _group(name: str, low: float, high: float, values: FloatArray) -> Group:
    return Group(name, low, high, np.flatnonzero((values >= low) & (values < high)) + 1)


def max_iou(problem: Problem) -> FloatArray:
    """``(M,)``, the greatest IoU of two persons' boxes in each image; 0 where fewer than two are."""
    single = ~problem.persons.is_crowd
    boxes = np.array(problem.persons.boxes, dtype=np.float64).reshape(-1, 4)[single]
    images = problem.person_images[single]
    greatest = np.zeros(len(problem.images.ids))
    pairs = pairs_within(images, images)
    different = pairs.left < pairs.right
    one, other = boxes[pairs.left[different]], boxes[pairs.right[different]]
    low = np.maximum(one[:, :2], other[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    united = one[:, 2:].prod(axis=1) + other[:, 2:].prod(axis=1) - shared
    # Boxes without any extent overlap no other.
    overlap = np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)
    np.maximum.at(greatest, images[pairs.left[different]] - 1, overlap)
    return greatest
