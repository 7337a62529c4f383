"""Training targets: heatmaps of keypoints and part centers, and offsets near the centers.

Loader workers make positions and a few rows of offsets of an image; the maps are drawn of them on the
network's device.

Letters: n persons of an image, K keypoints, P body parts, R pixels of parts that have offsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crowdbench.api.types import Float32Array, FloatArray, IntArray


def part_centers(
    keypoints: FloatArray, areas: FloatArray, parts: Sequence[Sequence[int]], smallest_area: float
) -> FloatArray:
    """The mean positions of each part's labelled keypoints.

    Args:
        keypoints: ``(n, K, 3)``, x, y in heatmap pixels and visibility; all above 0 are labelled.
        areas: ``(n,)``, of the persons, in square pixels of the network's input.
        parts: the keypoints, by index, of the P parts.
        smallest_area: smaller persons, and those without an area, have no centers.

    Returns:
        ``(n, P, 3)`` float64: x, y in heatmap pixels, and 1 where there is a center, else 0.
    """
    labelled = keypoints[..., 2] > 0
    centers = np.zeros((len(keypoints), len(parts), 3))
    for part, members in enumerate(parts):
        counted = labelled[:, list(members)]
        # Summed in the order of the keypoints, like a mean over the labelled ones alone.
        sums = np.where(counted[..., None], keypoints[:, list(members), :2], 0).sum(axis=1)
        counts = counted.sum(axis=1)
        centers[:, part, :2] = sums / np.maximum(counts, 1)[:, None]
        centers[:, part, 2] = (counts > 0) & (areas >= smallest_area) & (areas > 0)
    centers[centers[..., 2] == 0] = 0
    return centers


def inside(points: FloatArray, size: int) -> NDArray[np.bool_]:
    """``(..., 3)`` to ``(...)``: labelled, and within the map from its first pixel on."""
    positions = points[..., :2]
    found: NDArray[np.bool_] = (points[..., 2] > 0) & ((positions >= 0) & (positions < size)).all(axis=-1)
    return found


def draw_heatmaps(
    positions: Tensor, maps: Tensor, count: int, size: int, sigma: float
) -> tuple[Tensor, Tensor]:
    """Maps with Gaussians around exact positions; where several overlap the largest value counts.

    Args:
        positions: ``(k, 2)`` float64, x, y in pixels of a map, within it.
        maps: ``(k,)`` int64, the map of each.
        count: of the maps.
        size: of a map, in pixels.
        sigma: of the Gaussians, in pixels; they are cut off at 3 sigma + 1 or a little more, to squares.

    Returns:
        heatmaps: ``(count, size, size)`` float32.
        near: ``(count, size, size)`` bool, the pixels in any square.
    """
    reach = 3 * sigma + 1
    first = torch.floor(positions - reach)
    end = torch.ceil(positions + reach + 1)
    steps = torch.arange(int(2 * reach + 3), device=positions.device)  # as wide as a square can be
    pixels = first[..., None] + steps  # (k, 2, w)
    valid = (pixels >= 0) & (pixels < size) & (pixels < end[..., None])
    squares = (pixels - positions[..., None]).square()
    spread = squares[:, 0, None, :] + squares[:, 1, :, None]  # (k, w, w), rows first
    values = torch.exp(-spread / (2 * sigma**2)).to(torch.float32)
    column, row = pixels.long().unbind(1)
    index = (maps[:, None, None] * size + row[:, :, None]) * size + column[:, None, :]
    covered = valid[:, 1, :, None] & valid[:, 0, None, :]
    # What lies outside its map goes to a pixel of its own, that is then forgotten.
    total = count * size * size
    index = torch.where(covered, index, total).flatten()
    drawn = torch.zeros(total + 1, device=positions.device)
    drawn.scatter_reduce_(0, index, values.flatten(), "amax")
    near = torch.zeros(total + 1, dtype=torch.bool, device=positions.device)
    near[index] = True
    shape = (count, size, size)
    return drawn[:-1].view(shape), near[:-1].view(shape)


@dataclass(frozen=True, eq=False)
class Offsets:
    """Offsets from the keypoints to the pixels near part centers.

    Attributes:
        parts: ``(R,)`` int64, the part of each row.
        pixels: ``(R,)`` int64, ``y * size + x``; no part has a pixel twice.
        values: ``(R, K, 2)`` float32, from the keypoint to the pixel, x and y in heatmap pixels.
        weights: ``(R, K)`` float32, of both axes; 0 where the pixel tells nothing of the keypoint.
    """

    parts: IntArray
    pixels: IntArray
    values: Float32Array
    weights: Float32Array


def offset_targets(
    keypoints: FloatArray, centers: FloatArray, areas: FloatArray, size: int, radius: int
) -> Offsets:
    """The offsets of all persons of an image.

    A person tells the pixels around each of its part centers, from `radius` before the truncated center to
    ``radius - 1`` behind it, where its keypoints are. Where persons meet, they are asked in their order: a
    later one leaves a keypoint's offset alone if the pixel's last writer is smaller. The offset 0, 0 counts
    as none; areas are remembered in float32, so that a person can even seem smaller than itself; and the
    pixel remembers one area for all keypoints, so that two persons can share it. All as released.

    Args:
        keypoints: ``(n, K, 3)``, x, y in heatmap pixels and visibility.
        centers: ``(n, P, 3)``, see `part_centers`.
        areas: ``(n,)``, of the persons; the weights are the inverse of their roots.
        size: of the heatmaps.
        radius: in heatmap pixels.
    """
    parts, pixels, writers = _surroundings(centers, size, radius)
    places, rows = np.unique(parts * size * size + pixels, return_inverse=True)
    part, pixel = np.divmod(places, size * size)
    positions = np.stack([pixel % size, pixel // size], axis=1)
    values = np.zeros((len(places), keypoints.shape[1], 2), dtype=np.float32)
    weights = np.zeros(values.shape[:2], dtype=np.float32)
    last_areas = np.zeros(len(places), dtype=np.float32)
    labelled = inside(keypoints, size)
    starts = np.searchsorted(writers, np.arange(len(keypoints) + 1)).tolist()
    for person, (start, end) in enumerate(pairwise(starts)):
        own, area = rows[start:end], areas[person]
        writes = _who_writes(values[own].any(axis=2), last_areas[own], labelled[person], area)
        row, keypoint = np.nonzero(writes)
        at = own[row]
        values[at, keypoint] = positions[at] - keypoints[person, keypoint, :2]
        weights[at, keypoint] = 1 / np.sqrt(area)
        last_areas[at] = area
    weighted = weights.any(axis=1)
    return Offsets(part[weighted], pixel[weighted], values[weighted], weights[weighted])


def _surroundings(centers: FloatArray, size: int, radius: int) -> tuple[IntArray, IntArray, IntArray]:
    """Part, pixel and person of every pixel around a part center, person after person."""
    truncated = np.trunc(centers[..., :2]).astype(np.int64)
    found = (centers[..., 2] > 0) & ((truncated >= 0) & (truncated < size)).all(axis=-1)
    person, part = np.nonzero(found)
    around = truncated[person, part][:, :, None] + np.arange(-radius, radius)  # (m, 2, 2 radius)
    valid = (around >= 0) & (around < size)
    centre, row, column = np.nonzero(valid[:, 1, :, None] & valid[:, 0, None, :])
    pixels = around[centre, 1, row] * size + around[centre, 0, column]
    return part[centre], pixels, person[centre]


def _who_writes(
    written: NDArray[np.bool_], last_areas: Float32Array, labelled: NDArray[np.bool_], area: np.float64
) -> NDArray[np.bool_]:
    """Which keypoints a person writes into the pixels around its part centers, keypoint after keypoint.

    Args:
        written: ``(m, K)``, which of them have an offset there already.
        last_areas: ``(m,)``, of the pixels' last writers.
        labelled: ``(K,)``.
        area: of this person.

    Returns:
        ``(m, K)`` bool.
    """
    first = labelled & ~(written & (last_areas < area)[:, None])
    # Once a keypoint is written, the last writer is this person, as large as float32 remembers it.
    again = labelled & ~(written & (np.float32(area) < area))
    written_before = np.zeros_like(first)
    written_before[:, 1:] = np.logical_or.accumulate(first[:, :-1], axis=1)
    chosen: NDArray[np.bool_] = np.where(written_before, again, first)
    return chosen
