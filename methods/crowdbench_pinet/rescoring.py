"""Confidences of poses from the heatmaps at their keypoints; one image at a time, in numpy.

The release upsamples the heatmaps to the input's size and loops over keypoints; here only the values that
are asked for are interpolated, which gives the same numbers. Letters in shape comments: n poses, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdbench.api.types import Float32Array, FloatArray, IntArray
from crowdbench_pinet.preprocessing import STRIDE


@dataclass(frozen=True, eq=False)
class ScaleResult:
    """What one scale of an image gave.

    Attributes:
        scale: of the input.
        heatmaps: ``(K, h, w)`` float32.
        keypoints: ``(n, K, 2)`` float32, x, y in its own heatmap's pixels.
        scores: ``(n,)`` float32, of the candidates.
    """

    scale: float
    heatmaps: Float32Array
    keypoints: Float32Array
    scores: Float32Array

    @property
    def upsampling(self) -> float:
        """The input's pixels at scale 1 for each of the heatmap's."""
        return STRIDE / self.scale


def rescore(
    results: Sequence[ScaleResult], size: tuple[int, int], decrease: float
) -> tuple[Float32Array, Float32Array]:
    """Join the poses of all scales, each keypoint with a confidence.

    Scores of other scales than 1 are brought to a maximum of `decrease` times that at scale 1.

    Args:
        results: of every scale.
        size: (height, width) of the input at scale 1.
        decrease: see above.

    Returns:
        keypoints: ``(n, K, 2)`` float32, x, y in the input's pixels at scale 1.
        confidences: ``(n, K)`` float32: the candidate's score times the mean heatmap, 0 outside.
    """
    # Larger scales first, as in the release: of equal scores, suppression takes the later pose.
    results = sorted(results, key=lambda result: -result.scale)
    best = max((r.scores.max() for r in results if r.scale == 1 and r.scores.size), default=1.0)
    scores = [
        r.scores if r.scale == 1 or not r.scores.size else r.scores * (best / r.scores.max() * decrease)
        for r in results
    ]
    keypoints = np.concatenate([r.keypoints * r.upsampling for r in results]).astype(np.float32)
    total = sum(heatmap_values(r.heatmaps, r.upsampling, keypoints, size) for r in results)
    confidences = np.concatenate(scores)[:, None] * (total / len(results))
    return keypoints, confidences.astype(np.float32)


def heatmap_values(
    heatmaps: Float32Array, upsampling: float, points: Float32Array, size: tuple[int, int]
) -> FloatArray:
    """Values of upsampled heatmaps at points, bilinearly, without upsampling them.

    Corner pixels of heatmaps are corner pixels of the upsampled ones (``align_corners``), which then end with
    repeated rows and columns. A point left of the first pixel, by less than one, is extrapolated.

    Args:
        heatmaps: ``(K, h, w)``.
        upsampling: pixels of `points` for each of the heatmap's.
        points: ``(n, K, 2)``, x, y in pixels of the upsampled heatmaps.
        size: (height, width) of the upsampled heatmaps.

    Returns:
        ``(n, K)`` float64, 0 where a point's four pixels are not all on the map.
    """
    first = np.trunc(points)
    outside = (first < 0) | (first + 1 >= (size[1], size[0]))
    first = np.where(outside, 0, first)
    fraction = points.astype(np.float64) - first
    (x0, y0), (u, v) = np.moveaxis(first, 2, 0), np.moveaxis(fraction, 2, 0)
    upper, lower = ([_at(heatmaps, upsampling, x0 + dx, y0 + dy) for dx in (0, 1)] for dy in (0, 1))
    values = (1 - v) * ((1 - u) * upper[0] + u * upper[1]) + v * ((1 - u) * lower[0] + u * lower[1])
    return np.where(outside.any(axis=2), 0.0, values)


def _at(heatmaps: Float32Array, upsampling: float, x: FloatArray, y: FloatArray) -> FloatArray:
    """``(n, K)``: the upsampled heatmaps at whole pixels."""
    keypoint = np.arange(len(heatmaps))
    (x0, x1, u), (y0, y1, v) = (
        _neighbours(position / upsampling, length)
        for position, length in ((x, heatmaps.shape[2]), (y, heatmaps.shape[1]))
    )
    upper = (1 - u) * heatmaps[keypoint, y0, x0] + u * heatmaps[keypoint, y0, x1]
    lower = (1 - u) * heatmaps[keypoint, y1, x0] + u * heatmaps[keypoint, y1, x1]
    between: FloatArray = (1 - v) * upper + v * lower
    return between


def _neighbours(position: FloatArray, length: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The pixels before and after a position on a line, and how far it is from the one before."""
    position = np.minimum(position, length - 1)
    before = position.astype(np.int64)
    return before, np.minimum(before + 1, length - 1), position - before
