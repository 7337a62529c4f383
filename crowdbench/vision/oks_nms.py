"""OKS between predicted poses, and OKS-based non-maximum suppression.

Object keypoint similarity as COCO defines it, with two differences that the published post-processing of
top-down networks has: every keypoint counts, visible or not, and the area is the mean of both poses'.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.api.types import FloatArray
from crowdbench.errors import ShapeError

# Poses whose OKS with all others is computed at once.
BLOCK = 24


def pose_oks(
    keypoints: ArrayLike, areas: ArrayLike, others: ArrayLike, other_areas: ArrayLike, sigmas: ArrayLike
) -> FloatArray:
    """OKS of every pose with every other.

    Args:
        keypoints: ``(n, K, 2)`` or ``(n, K, 3)``, x, y in pixels; a third number is ignored.
        areas: ``(n,)`` in square pixels.
        others: ``(m, K, 2)`` or ``(m, K, 3)``.
        other_areas: ``(m,)``.
        sigmas: ``(K,)``, without the factor 2.

    Returns:
        ``(n, m)`` float64 in [0, 1].

    Raises:
        ShapeError: the number of keypoints and sigmas differ.
    """
    mine, theirs = np.asarray(keypoints, dtype=np.float64), np.asarray(others, dtype=np.float64)
    spread = (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
    if not mine.shape[1] == theirs.shape[1] == len(spread):
        raise ShapeError(
            f"poses of {mine.shape[1]} and {theirs.shape[1]} keypoints need as many sigmas, got "
            f"{len(spread)}."
        )
    mean_area = (np.asarray(areas, dtype=np.float64)[:, None] + np.asarray(other_areas)[None, :]) / 2
    squared = (mine[:, None, :, 0] - theirs[None, :, :, 0]) ** 2  # (n, m, K)
    squared += (mine[:, None, :, 1] - theirs[None, :, :, 1]) ** 2
    # In place: at hundreds of poses, memory costs more than arithmetic.
    squared /= spread
    squared /= (mean_area[:, :, None] + np.spacing(1)) * -2
    similarity: FloatArray = np.exp(squared, out=squared).mean(axis=2)
    return similarity


def oks_nms(
    keypoints: ArrayLike, scores: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, threshold: float
) -> NDArray[np.int64]:
    """Keep the best of every set of poses that lie on each other.

    Args:
        keypoints, scores, areas, sigmas, threshold: see `oks_groups`.

    Returns:
        Indices of the kept poses, best first.
    """
    groups = oks_groups(keypoints, scores, areas, sigmas, threshold)
    return np.array([group[0] for group in groups], dtype=np.int64)


def oks_groups(
    keypoints: ArrayLike, scores: ArrayLike, areas: ArrayLike, sigmas: ArrayLike, threshold: float
) -> list[NDArray[np.int64]]:
    """Group poses with the best pose that they lie on.

    Of two equal scores the later pose comes first, which is what a reversed stable sort does. The published
    code leaves ties to the CPU's sort; this is the order that it has without AVX-512.

    Args:
        keypoints: ``(n, K, 2)`` or ``(n, K, 3)``, x, y in pixels.
        scores: ``(n,)``.
        areas: ``(n,)`` in square pixels.
        sigmas: ``(K,)``, without the factor 2.
        threshold: poses whose OKS with a kept one is above it belong to it.

    Returns:
        Indices: of each kept pose, best first, and behind it those that it suppresses, best first.
    """
    poses, areas = np.asarray(keypoints, dtype=np.float64), np.asarray(areas, dtype=np.float64)
    rest = np.argsort(np.asarray(scores), kind="stable")[::-1]
    groups = []
    while rest.size:
        # Block by block: an image with a thousand detections would need gigabytes for the whole matrix.
        block = rest[:BLOCK]
        over = pose_oks(poses[block], areas[block], poses[rest], areas[rest], sigmas) > threshold
        free = np.ones(len(rest), dtype=bool)
        for row in range(len(block)):
            if free[row]:
                free[row] = False
                taken = np.flatnonzero(over[row] & free)
                free[taken] = False
                groups.append(np.concatenate([rest[row : row + 1], rest[taken]]))
        rest = rest[free]
    return groups
