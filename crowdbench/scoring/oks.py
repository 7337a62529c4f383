"""Object keypoint similarity (OKS) of many pairs of a prediction and a person, as the engines compute it."""

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.scoring.problem import Problem

# Pairs per chunk, which bounds memory to a few megabytes.
_PAIRS_AT_ONCE = 1 << 15


def similarities(problem: Problem, predictions: NDArray[np.intp], persons: NDArray[np.intp]) -> FloatArray:
    """OKS of pairs.

    The mean over the person's labelled keypoints of ``exp(-d^2 / (2 area (2 sigma)^2))``. For a person
    without labelled keypoints d is the distance from its box, doubled on every side, and all keypoints count.

    Args:
        problem: predictions and persons.
        predictions: ``(n,)``, positions in the problem's predictions.
        persons: ``(n,)``, positions in the problem's persons.

    Returns:
        ``(n,)`` float64 in [0, 1].
    """
    count = problem.protocol.keypoints.count
    found = np.array(problem.keypoints, dtype=np.float64).reshape(-1, count, 3)[..., :2]
    keypoints = np.array(problem.persons.keypoints, dtype=np.float64).reshape(-1, count, 3)
    boxes = np.array(problem.persons.boxes, dtype=np.float64).reshape(-1, 4)
    labelled = np.greater(keypoints[..., 2], 0)
    unlabelled = np.logical_not(labelled.any(axis=1))
    variances = (2 * np.array(problem.protocol.keypoints.sigmas)) ** 2
    # As in COCO's tool, to avoid division by an area of 0.
    areas = problem.persons.areas + np.spacing(1)
    similarity = np.empty(len(predictions))
    # Extreme coordinates overflow to infinite distance, as in every engine.
    with np.errstate(over="ignore", invalid="ignore"):
        for begin in range(0, len(predictions), _PAIRS_AT_ONCE):
            pairs = slice(begin, begin + _PAIRS_AT_ONCE)
            person = persons[pairs]
            offsets = found[predictions[pairs]] - keypoints[person, :, :2]
            outside = unlabelled[person]
            if outside.any():
                offsets[outside] = _beyond(boxes[person[outside]], found[predictions[pairs][outside]])
            squares = np.einsum("nkc,nkc->nk", offsets, offsets)
            near = np.exp(-squares / variances / areas[person, None] / 2)
            counts = labelled[person] | outside[:, None]
            similarity[pairs] = (near * counts).sum(axis=1) / counts.sum(axis=1)
    return similarity


def _beyond(boxes: FloatArray, points: FloatArray) -> FloatArray:
    """``(n, K, 2)``: how far points lie outside boxes that are doubled on every side."""
    corner, size = boxes[:, None, :2], boxes[:, None, 2:]
    found: FloatArray = np.maximum(0, corner - size - points) + np.maximum(0, points - corner - 2 * size)
    return found
