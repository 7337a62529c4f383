"""Keypoints ↔ heatmaps: Gaussian targets; DARK decoding, flip averaging, rescoring.

DARK is the distribution-aware decoding of Zhang et al. (CVPR 2020): smooth the heatmap, take its logarithm,
and move the arg max by one Newton step of a second-order Taylor expansion.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.api.types import Float32Array
from crowdbench.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

Float64Array = NDArray[np.float64]

# Pixels around a peak that the Taylor step looks at, on each side.
REACH = 2
# The logarithm's floor, in the published code and here.
FLOOR = np.float32(1e-10)
# Curvature of the logarithm below which rounding could move a peak by more than 1e-5 pixels, at height 1.
FLAT = 0.02
# Maps decoded at once: their windows stay in the CPU's cache.
CHUNK = 1024


def average_flipped(heatmaps: "Tensor", mirrored: "Tensor", flip_order: Sequence[int]) -> "Tensor":
    """The flip test: average a network's heatmaps with those of the mirrored input.

    Without the one-pixel shift that some code bases apply: crops are symmetric (see
    `crowdbench.vision.geometry`).

    Args:
        heatmaps: ``(n, K, h, w)``.
        mirrored: ``(n, K, h, w)``, of the mirrored crops, not yet mirrored back.
        flip_order: `KeypointSet.flip_order`.
    """
    return (heatmaps + mirrored.flip(-1)[:, list(flip_order)]) * 0.5


def decode_dark(heatmaps: ArrayLike, blur_kernel: int = 11) -> tuple[Float32Array, Float32Array]:
    """Find the keypoints of many persons in their heatmaps, to a fraction of a pixel.

    Only the neighbourhood of each peak is smoothed. That gives the published result, which smooths whole
    maps and restores their maxima, because scaling a map moves no peak of its logarithm; where it could
    (values at the logarithm's floor beside the peak), the whole map is smoothed.

    Args:
        heatmaps: ``(n, K, h, w)``, any range; computed in float32 and float64 as published.
        blur_kernel: width of the Gaussian in pixels, odd; its sigma follows from it as in OpenCV (11 → 2.0).

    Returns:
        positions: ``(n, K, 2)`` float32, x, y in heatmap pixels; (0, 0) where a map has no positive value.
        confidences: ``(n, K)`` float32, the maxima before smoothing.

    Raises:
        ShapeError: the heatmaps are not ``(n, K, h, w)``.
    """
    maps = np.ascontiguousarray(heatmaps, dtype=np.float32)
    if maps.ndim != 4:
        raise ShapeError(f"heatmaps must be (n, K, height, width), got {maps.shape}.")
    count, keypoints, height, width = maps.shape
    maps = maps.reshape(count * keypoints, height, width)
    flat = maps.reshape(count * keypoints, height * width)
    peaks = flat.argmax(axis=1)
    confidences = np.take_along_axis(flat, peaks[:, None], axis=1)[:, 0]
    y, x = np.divmod(peaks, width)
    x[confidences <= 0] = 0
    y[confidences <= 0] = 0
    positions = np.stack([x, y], axis=1).astype(np.float32)
    inside = (x >= REACH) & (x < width - REACH) & (y >= REACH) & (y < height - REACH)
    for rows in np.array_split(np.flatnonzero(inside), -(-int(inside.sum()) // CHUNK) or 1):
        near = _smooth_windows(maps, rows, x[rows], y[rows], blur_kernel)
        steps, fragile = _taylor_steps(near)
        if fragile.any():
            whole = rows[fragile]
            near = _windows_of_whole(maps[whole], x[whole], y[whole], confidences[whole], blur_kernel)
            steps[fragile], _ = _taylor_steps(near)
        positions[rows] += steps
    return positions.reshape(count, keypoints, 2), confidences.reshape(count, keypoints)


def _smooth_windows(
    maps: Float32Array, rows: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64], kernel: int
) -> Float32Array:
    """``(m, 5, 5)``: the smoothed maps around their peaks, up to a factor."""
    blur_y, origin_y = _blur_windows(maps.shape[1], kernel)
    blur_x, origin_x = _blur_windows(maps.shape[2], kernel)
    size = (blur_y.shape[2], blur_x.shape[2])
    patches = np.lib.stride_tricks.sliding_window_view(maps, size, axis=(1, 2))
    near = patches[rows, origin_y[y], origin_x[x]]  # (m, 15, 15)
    smooth: Float32Array = (blur_y[y] @ near @ blur_x[x].transpose(0, 2, 1)).astype(np.float32)
    return smooth


def _windows_of_whole(
    maps: Float32Array, x: NDArray[np.int64], y: NDArray[np.int64], maxima: Float32Array, kernel: int
) -> Float32Array:
    """``(m, 5, 5)``: the same the published way: smooth whole maps, scale them to their old maxima."""
    smooth = blur(maps, kernel).astype(np.float32)
    smooth *= (maxima / smooth.max(axis=(1, 2)))[:, None, None]
    patches = np.lib.stride_tricks.sliding_window_view(smooth, (2 * REACH + 1,) * 2, axis=(1, 2))
    return patches[np.arange(len(maps)), y - REACH, x - REACH]


def _taylor_steps(smooth: Float32Array) -> tuple[Float64Array, NDArray[np.bool_]]:
    """Minus the inverse Hessian times the gradient, of the logarithm, in the middle of ``(m, 5, 5)``.

    Returns:
        steps: ``(m, 2)``, x, y in pixels; 0 where the Hessian is singular.
        fragile: ``(m,)`` bool: the scale of the values shows in the step, because some lie at the logarithm's
            floor, or because the peak is so flat that float32's rounding of the logarithm moves it.
    """
    logs = np.log(np.maximum(smooth, FLOOR))
    c = REACH
    dx = 0.5 * (logs[:, c, c + 1] - logs[:, c, c - 1])
    dy = 0.5 * (logs[:, c + 1, c] - logs[:, c - 1, c])
    dxx = 0.25 * (logs[:, c, c + 2] - 2 * logs[:, c, c] + logs[:, c, c - 2])
    dyy = 0.25 * (logs[:, c + 2, c] - 2 * logs[:, c, c] + logs[:, c - 2, c])
    dxy = 0.25 * (
        logs[:, c + 1, c + 1] - logs[:, c - 1, c + 1] - logs[:, c + 1, c - 1] + logs[:, c - 1, c - 1]
    )
    determinant = dxx * dyy - dxy**2
    divisor = np.where(determinant == 0, np.inf, determinant).astype(np.float64)
    steps = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1) / divisor[:, None]
    # |determinant| / (|dxx| + |dyy|) is about the smaller curvature; 1/8 for a Gaussian of sigma 2.
    flat = np.abs(determinant) <= FLAT * (1 + np.abs(logs[:, c, c])) * (np.abs(dxx) + np.abs(dyy))
    fragile = (smooth <= FLOOR).any(axis=(1, 2)) | flat
    return steps, fragile


def blur(heatmap: ArrayLike, kernel: int = 11) -> Float64Array:
    """Smooth maps with a Gaussian, zero outside.

    Args:
        heatmap: ``(..., h, w)``.
        kernel: width of the Gaussian in pixels, odd.

    Returns:
        ``(..., h, w)`` float64.
    """
    maps = np.asarray(heatmap, dtype=np.float64)
    smooth: Float64Array = (
        _blur_matrix(maps.shape[-2], kernel) @ maps @ _blur_matrix(maps.shape[-1], kernel).T
    )
    return smooth


def gaussian(kernel: int) -> Float64Array:
    """``(kernel,)``: a sampled Gaussian of sum 1, with the sigma that OpenCV chooses for its width."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    weights = np.exp(-((np.arange(kernel) - (kernel - 1) / 2) ** 2) / (2 * sigma**2))
    normalised: Float64Array = weights / weights.sum()
    return normalised


@lru_cache(maxsize=32)
def _blur_matrix(length: int, kernel: int) -> Float64Array:
    """``(length, length)``: smoothing along an axis as a banded matrix."""
    weights = gaussian(kernel)
    matrix = np.zeros((length, length))
    for i in range(length):
        for j in range(max(0, i - kernel // 2), min(length, i + kernel // 2 + 1)):
            matrix[i, j] = weights[j - i + kernel // 2]
    return matrix


@lru_cache(maxsize=32)
def _blur_windows(length: int, kernel: int) -> tuple[Float64Array, NDArray[np.int64]]:
    """For every peak position on an axis, where to read and how to smooth the five pixels around it.

    Returns:
        matrices: ``(length, 5, r)``, zero for positions too near to an end; r reaches as far as the
            kernels on the five pixels do.
        origins: ``(length,)``, the first of the r pixels to read.
    """
    matrix = _blur_matrix(length, kernel)
    readings = min(length, 2 * REACH + 1 + 2 * (kernel // 2))
    positions = np.arange(length)
    origins = np.clip(positions - REACH - kernel // 2, 0, length - readings)
    matrices = np.zeros((length, 2 * REACH + 1, readings))
    for p in range(REACH, length - REACH):
        matrices[p] = matrix[p - REACH : p + REACH + 1, origins[p] : origins[p] + readings]
    return matrices, origins


def rescore(box_scores: ArrayLike, confidences: ArrayLike, threshold: float = 0.2) -> Float64Array:
    """Score poses: the box's score times the mean of the keypoint confidences above a threshold.

    Args:
        box_scores: ``(n,)``.
        confidences: ``(n, K)``.
        threshold: keypoints at or below it do not count; a pose without any scores 0.

    Returns:
        ``(n,)`` float64.
    """
    confident = np.asarray(confidences, dtype=np.float64)
    counted = confident > np.float32(threshold)
    means = np.sum(confident, axis=1, where=counted) / np.maximum(counted.sum(axis=1), 1)
    scores: Float64Array = np.asarray(box_scores, dtype=np.float64) * means
    return scores


def gaussian_targets(
    positions: ArrayLike, weights: ArrayLike, size: tuple[int, int], sigma: float = 2.0
) -> tuple[Float32Array, Float32Array]:
    """Heatmaps to train towards: a Gaussian on each keypoint's exact, unrounded position.

    Args:
        positions: ``(n, K, 2)``, x, y in heatmap pixels.
        weights: ``(n, K)``, 0 for keypoints that are not labelled.
        size: (height, width) of the heatmaps.
        sigma: of the Gaussian, in heatmap pixels.

    Returns:
        targets: ``(n, K, height, width)`` float32, zero where the weight is.
        weights: ``(n, K)`` float32, set to 0 where three sigmas around the keypoint miss the map.
    """
    means = np.asarray(positions, dtype=np.float64)
    height, width = size
    radius = 3 * sigma
    # Truncated toward zero, as published: a keypoint 7.9 pixels left of the map still counts.
    first, last = np.trunc(means - radius), np.trunc(means + radius + 1)
    misses = ((first >= (width, height)) | (last < 0)).any(axis=2)
    kept = np.where(misses, 0, np.asarray(weights)).astype(np.float32)
    spread = 2 * sigma**2
    along_x = np.exp(-((np.arange(width) - means[..., :1]) ** 2) / spread)  # (n, K, w)
    along_y = np.exp(-((np.arange(height) - means[..., 1:]) ** 2) / spread)  # (n, K, h)
    targets = (along_y[..., :, None] * along_x[..., None, :]).astype(np.float32)
    targets[kept == 0] = 0
    return targets, kept
