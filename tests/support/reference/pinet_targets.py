"""PINet's training targets in the plainest way: person after person, keypoint after keypoint, offsets pixel after
pixel; to hold the product's against. They are equal to the release's, see tests/methods/pinet/test_targets.py.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def part_centers(keypoints: Array, areas: Array, parts: Sequence[Sequence[int]], smallest: float) -> Array:
    """``(n, P, 3)``: means of labelled keypoints."""
    centers = np.zeros((len(keypoints), len(parts), 3))
    for person, part in np.ndindex(*centers.shape[:2]):
        labelled = [keypoints[person, k, :2] for k in parts[part] if keypoints[person, k, 2] > 0]
        if labelled and areas[person] >= smallest:
            centers[person, part] = (*np.mean(labelled, axis=0), 1)
    return centers


def in_map(point: Array, size: int) -> bool:
    x, y, v = point.tolist()
    return bool(v > 0 and 0 <= x < size and 0 <= y < size)


def heatmaps(points: Array, size: int, sigma: float) -> tuple[Array, Array]:
    """Of ``(n, K, 3)`` points: ``(K, size, size)`` float32, and which pixels are near one, bool."""
    maps = np.zeros((points.shape[1], size, size), dtype=np.float32)
    near = np.zeros(maps.shape, dtype=bool)
    reach = 3 * sigma + 1
    for person in points:
        for k, point in enumerate(person):
            if not in_map(point, size):
                continue
            x, y, _ = point.tolist()
            columns = slice(max(0, math.floor(x - reach)), min(size, math.ceil(x + reach + 1)))
            rows = slice(max(0, math.floor(y - reach)), min(size, math.ceil(y + reach + 1)))
            across, down = np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop)
            values = np.exp(-((across - x) ** 2 + (down[:, None] - y) ** 2) / (2 * sigma**2))
            maps[k, rows, columns] = np.maximum(maps[k, rows, columns], values)
            near[k, rows, columns] = True
    return maps, near


def offsets(keypoints: Array, centers: Array, areas: Array, size: int, radius: int) -> tuple[Array, Array]:
    """``(P, K, 2, size, size)`` and their weights ``(P, K, size, size)``, both float32."""
    people, count = keypoints.shape[:2]
    values = np.zeros((centers.shape[1], count, 2, size, size), dtype=np.float32)
    weights = np.zeros((centers.shape[1], count, size, size), dtype=np.float32)
    last_areas = np.zeros((centers.shape[1], size, size), dtype=np.float32)
    for person, part, k in np.ndindex(people, centers.shape[1], count):
        x, y, v = centers[person, part]
        cx, cy = int(x), int(y)
        if v <= 0 or not (0 <= cx < size and 0 <= cy < size) or not in_map(keypoints[person, k], size):
            continue
        around = range(-radius, radius)
        for column, row in itertools.product([cx + d for d in around], [cy + d for d in around]):
            if not (0 <= column < size and 0 <= row < size):
                continue
            told = bool(values[part, k, :, row, column].any())
            if told and last_areas[part, row, column] < areas[person]:
                continue
            values[part, k, :, row, column] = (column, row) - keypoints[person, k, :2]
            weights[part, k, row, column] = 1 / np.sqrt(areas[person])
            last_areas[part, row, column] = areas[person]
    return values, weights


def best_pixels(scores: Array, count: int) -> set[int]:
    """The pixels of the highest scores of a flat map, the first ones where they are equal."""
    return set(sorted(range(len(scores)), key=lambda pixel: (-scores[pixel], pixel))[:count])
