"""Placement of the figures in an image, which determines how crowded it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench_datasets.synthcrowd.people import Figure

# Candidate places per figure, of which the best is used.
CANDIDATES = 24
# Sum of the overlaps of a figure's box with the others' boxes at crowding 1, as a share of its own box.
FULL_OVERLAP = 1.0


@dataclass(frozen=True, eq=False)
class Placement:
    """Positions of N figures, the farthest first.

    Attributes:
        order: ``(N,)`` int64, indices of the figures.
        origins: ``(N, 2)``: x, y of the ground contacts, in pixels.
        scales: ``(N,)``: an adult's height in pixels.
    """

    order: NDArray[np.int64]
    origins: FloatArray
    scales: FloatArray


def place(
    rng: np.random.Generator, figures: list[Figure], size: tuple[int, int], crowding: float
) -> Placement:
    """Place figures on the ground with an overlap that follows the crowding level.

    For each figure, of `CANDIDATES` random places the one is used whose overlap with the figures already
    placed is closest to the target: none at crowding 0, `FULL_OVERLAP` of its own box at crowding 1. Figures
    are larger in crowded images, as in real photographs of crowds.

    Args:
        rng: the image's random generator.
        figures: N figures.
        size: width and height of the image in pixels.
        crowding: 0 to 1.
    """
    width, height = size
    count = len(figures)
    horizon = rng.uniform(0.12, 0.30) * height
    near = (0.50 + 0.42 * crowding + rng.uniform(-0.05, 0.05)) * height
    far = near * (0.62 + 0.12 * crowding)
    boxes = np.empty((0, 4))
    origins, scales = np.empty((count, 2)), np.empty(count)
    for index, figure in enumerate(figures):
        # Perspective: a figure's size follows from how far below the horizon it stands.
        scale = rng.uniform(far, near, CANDIDATES)
        feet = horizon + (height * 1.02 - horizon) * ((scale - far) / max(near - far, 1e-9) * 0.5 + 0.5)
        reach = figure.extent[None] * scale[:, None]
        left, right = 2 - reach[:, 0], width - 2 - reach[:, 2]
        x = left + rng.random(CANDIDATES) * (right - left)
        if len(boxes) and crowding > 0:
            # Half of the candidates are next to another figure: crowds form clumps, not even rows.
            beside = rng.integers(len(boxes), size=CANDIDATES // 2)
            middle = boxes[beside, [0]] / 2 + boxes[beside, 2] / 2
            x[: CANDIDATES // 2] = middle + rng.normal(0, 0.16, CANDIDATES // 2) * scale[: CANDIDATES // 2]
        x = np.clip(x, np.minimum(left, right), np.maximum(left, right))
        tried = reach + np.stack([x, feet, x, feet], axis=1)
        cost = np.abs(_covered(tried, boxes) - FULL_OVERLAP * crowding * (len(boxes) > 0))
        best = int(cost.argmin())
        origins[index], scales[index] = (x[best], feet[best]), scale[best]
        boxes = np.concatenate([boxes, tried[best : best + 1]])
    order = np.argsort(origins[:, 1], kind="stable")
    return Placement(order, origins[order], scales[order])


def _covered(tried: FloatArray, boxes: FloatArray) -> FloatArray:
    """``(n,)``: for each candidate box, the sum of its overlaps with the boxes already placed."""
    if not len(boxes):
        return np.zeros(len(tried))
    low = np.maximum(tried[:, None, :2], boxes[None, :, :2])
    high = np.minimum(tried[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    own = np.prod(tried[:, 2:] - tried[:, :2], axis=1)[:, None]
    others = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)[None]
    return np.asarray((shared / np.minimum(own, others)).sum(axis=1))
