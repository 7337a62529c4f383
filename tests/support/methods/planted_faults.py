"""Faults that real networks have had, to be planted into one that has none of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from crowdbench.api.types import KeypointSet, Pose

Change = Callable[[np.ndarray, KeypointSet], np.ndarray]


def planted(pose: Pose, change: Change, keypoints: KeypointSet) -> Pose:
    """A pose whose keypoints, ``(K, 3)``, are changed."""
    return Pose(change(np.array(pose.keypoints), keypoints), pose.score, pose.box_xywh)


def with_colours_exchanged(cls: type[Any]) -> type[Any]:
    """A subclass that gives its network BGR, as OpenCV reads images."""

    class Exchanged(cls):  # type: ignore[misc]
        def prepare(self, sample: Any, rng: Any = None) -> Any:
            return super().prepare(_Exchanged(sample), rng)

    return Exchanged


class _Exchanged:
    """A sample whose image is read with red and blue exchanged."""

    def __init__(self, sample: Any) -> None:
        self._sample = sample

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sample, name)

    def read(self) -> np.ndarray:
        return np.ascontiguousarray(self._sample.read()[..., ::-1])


def moved(by: float) -> Change:
    return lambda points, _: points + [by, by, 0]


def left_and_right_exchanged(points: np.ndarray, keypoints: KeypointSet) -> np.ndarray:
    return points[list(keypoints.flip_order)]


def in_reverse(points: np.ndarray, _: KeypointSet) -> np.ndarray:
    return points[::-1]


def two_exchanged(points: np.ndarray, _: KeypointSet) -> np.ndarray:
    return points[[2, 1, 0, *range(3, len(points))]]


def rounded(points: np.ndarray, _: KeypointSet) -> np.ndarray:
    return np.concatenate([np.rint(points[:, :2]), points[:, 2:]], axis=1)
