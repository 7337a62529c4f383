"""Where the figures of an image stand: how crowded it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench_datasets.synthcrowd.people import Figure

Array = NDArray[np.float64]

# Places that are tried for each figure; the best is taken.
CANDIDATES = 24
# The share of a figure's box that boxes of others cover, summed, at crowding 1.
FULL_OVERLAP = 1.0


@dataclass(frozen=True, eq=False)
class Placement:
    """Where N figures are, the farthest first.

    Attributes:
        order: ``(N,)`` int64, the figures' numbers.
        origins: ``(N, 2)``: ground contacts, x and y in pixels.
        scales: ``(N,)``: pixels in an adult's height.
    """

    order: NDArray[np.int64]
    origins: Array
    scales: Array


def place(
    rng: np.random.Generator, figures: list[Figure], size: tuple[int, int], crowding: float
) -> Placement:
    """Put figures on the ground so that they overlap as much as the crowding says.

    Each takes, of a number of random places, the one where the overlap with those already placed comes
    nearest to its goal: none at crowding 0, `FULL_OVERLAP` of its own box at crowding 1. People come
    nearer to the camera as it gets crowded, as they do in photographs of crowds.

    Args:
        rng: the image's stream.
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
            # Half of the places are beside somebody: crowds are clumps, not even rows.
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


def _covered(tried: Array, boxes: Array) -> Array:
    """For each of the tried boxes, the mutual cover with all boxes that are there, summed."""
    if not len(boxes):
        return np.zeros(len(tried))
    low = np.maximum(tried[:, None, :2], boxes[None, :, :2])
    high = np.minimum(tried[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    own = np.prod(tried[:, 2:] - tried[:, :2], axis=1)[:, None]
    others = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)[None]
    return np.asarray((shared / np.minimum(own, others)).sum(axis=1))
