"""Choose the persons of a crowded image for a training step."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.vision.geometry import as_boxes


def nearest_persons(boxes: ArrayLike, target: int, limit: int) -> NDArray[np.int64]:
    """The persons nearest to one of them, itself among them, nearest first.

    Distances are between the boxes' top left corners; of equally near persons the earlier comes first, even
    before the target.

    Args:
        boxes: ``(n, 4)``, x, y, w, h in image pixels.
        target: index of a person.
        limit: keep at most so many.

    Returns:
        ``(min(n, limit),)``, indices of persons.

    Raises:
        ShapeError: the boxes are not ``(n, 4)``.
    """
    corners = as_boxes(boxes)[:, :2]
    offsets = corners - corners[target]
    order = np.argsort(np.sqrt((offsets**2).sum(axis=1)), kind="stable")
    return order[:limit]


def draw_persons(rng: np.random.Generator, boxes: ArrayLike, limit: int) -> NDArray[np.int64]:
    """The persons to train with: all in their order, or of more than the limit one drawn and its nearest.

    Args:
        rng: is asked only if there are more persons than the limit.
        boxes: ``(n, 4)``, x, y, w, h in image pixels.
        limit: keep at most so many.

    Returns:
        ``(min(n, limit),)``, indices of persons.

    Raises:
        ShapeError: the boxes are not ``(n, 4)``.
    """
    boxes = as_boxes(boxes)
    if len(boxes) <= limit:
        return np.arange(len(boxes))
    return nearest_persons(boxes, int(rng.integers(len(boxes))), limit)
