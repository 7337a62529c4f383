"""Fuse groups of overlapping poses into one pose each.

Wang et al., NeurIPS 2021, section 3.4. Suppression by OKS as in the release: the area of a pose is that of
the box around all its keypoints.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.vision.oks_nms import oks_groups


def group_poses(
    keypoints: FloatArray, scores: FloatArray, sigmas: Sequence[float], threshold: float
) -> list[NDArray[np.int64]]:
    """Group poses with the best one that they lie on.

    Args:
        keypoints: ``(n, K, 3)``, x, y in image pixels, and confidences.
        scores: ``(n,)``.
        sigmas: ``(K,)``, of OKS, without the factor 2.
        threshold: an OKS above it joins two poses.

    Returns:
        Indices: the best pose of each group, and behind it those that it suppresses, best first.
    """
    areas = np.prod(np.ptp(keypoints[..., :2], axis=1), axis=1)
    return oks_groups(keypoints, scores, areas, sigmas, threshold)


def fuse(keypoints: FloatArray, groups: Sequence[NDArray[np.int64]]) -> tuple[FloatArray, FloatArray]:
    """Give each group's best pose the group's most confident keypoints.

    Args:
        keypoints: ``(n, K, 3)``, x, y in image pixels, and confidences.
        groups: g of them; see `group_poses`. Of equal confidences the earlier pose's keypoint is taken.

    Returns:
        keypoints: ``(g, K, 3)`` float64.
        scores: ``(g,)`` float64, the mean of their confidences.
    """
    fused = np.array([keypoints[group[0]] for group in groups], dtype=np.float64)
    for row, group in enumerate(groups):
        if len(group) > 1:
            best = keypoints[group, :, 2].argmax(axis=0)
            fused[row] = keypoints[group[best], np.arange(keypoints.shape[1])]
    return fused, fused[..., 2].mean(axis=1)
