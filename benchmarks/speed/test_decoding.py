"""DARK decoding of many persons at once, against a loop over keypoints that smooths whole maps.

The loop is the textbook way (Zhang et al., CVPR 2020, section 3.1, and the post-processing it describes).
"""

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crowdbench.vision.heatmaps import decode_dark, gaussian_targets

KERNEL = 11


def loop(heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keypoint by keypoint: arg max, smooth, restore the maximum, logarithm, Newton step."""
    count, keypoints, height, width = heatmaps.shape
    positions = np.zeros((count, keypoints, 2), dtype=np.float32)
    border = KERNEL // 2
    for person in range(count):
        for keypoint in range(keypoints):
            heatmap = heatmaps[person, keypoint]
            maximum = heatmap.max()
            if maximum <= 0:
                continue
            y, x = divmod(int(heatmap.argmax()), width)
            positions[person, keypoint] = x, y
            padded = np.zeros((height + 2 * border, width + 2 * border))
            padded[border:-border, border:-border] = heatmap
            padded = cv2.GaussianBlur(padded, (KERNEL, KERNEL), 0)
            smooth = padded[border:-border, border:-border].astype(np.float32)
            smooth *= maximum / smooth.max()
            log = np.log(np.maximum(smooth, 1e-10))
            if not (1 < x < width - 2 and 1 < y < height - 2):
                continue
            dx = 0.5 * (log[y, x + 1] - log[y, x - 1])
            dy = 0.5 * (log[y + 1, x] - log[y - 1, x])
            dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
            dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
            dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
            if dxx * dyy - dxy**2 != 0:
                hessian = np.array([[dxx, dxy], [dxy, dyy]])
                positions[person, keypoint] -= np.linalg.inv(hessian) @ np.array([dx, dy])
    return positions


def best(function: Callable[[], Any], repeats: int = 7) -> float:
    """Seconds of the quickest of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.fixture(scope="module")
def heatmaps() -> NDArray[np.float32]:
    """``(32, 14, 64, 48)``: a batch of eight images of four persons; Gaussians on a noisy ground."""
    rng = np.random.default_rng(0)
    maps, _ = gaussian_targets(rng.uniform(-2, 50, (32, 14, 2)), np.ones((32, 14)), (64, 48))
    noise = rng.normal(0, 0.01, maps.shape)
    result: NDArray[np.float32] = (maps * rng.uniform(0.3, 1, (32, 14, 1, 1)) + noise).astype(np.float32)
    return result


def test_decoding_a_person_is_20_times_faster_than_the_loop(
    benchmark: Any, heatmaps: NDArray[np.float32]
) -> None:
    cv2.setNumThreads(1)
    np.testing.assert_allclose(decode_dark(heatmaps, KERNEL)[0], loop(heatmaps), atol=1e-5)
    benchmark(decode_dark, heatmaps, KERNEL)
    loop_s, ours_s = best(lambda: loop(heatmaps), repeats=3), best(lambda: decode_dark(heatmaps, KERNEL), 20)
    ratio = loop_s / ours_s
    benchmark.extra_info.update(
        loop_us_per_person=1e6 * loop_s / len(heatmaps),
        us_per_person=1e6 * ours_s / len(heatmaps),
        ratio=ratio,
    )
    assert ratio >= 20
