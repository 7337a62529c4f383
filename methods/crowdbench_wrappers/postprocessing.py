"""From keypoints in boxes to scored poses without doubles, as MMPose scores top-down methods."""

import math
from dataclasses import dataclass

import numpy as np

from crowdbench.api.types import FloatArray, KeypointSet, Pose
from crowdbench.vision.heatmaps import rescore
from crowdbench.vision.oks_nms import oks_nms


@dataclass(frozen=True)
class RankingSettings:
    """What decides scores and doubles; the values are MMPose's (its ``CocoMetric``).

    Attributes:
        confidence_threshold: a pose's score is its box's times the mean confidence of the keypoints above
            this.
        nms_threshold: poses whose OKS with a better one is above it are dropped; 1 keeps all. The area is
            the crop's, the sigmas are the dataset's.
    """

    confidence_threshold: float = 0.2
    nms_threshold: float = 0.9

    def __post_init__(self) -> None:
        if not math.isfinite(self.confidence_threshold):
            raise ValueError(f"confidence_threshold must be finite, got {self.confidence_threshold}.")
        require_fraction("nms_threshold", self.nms_threshold)


def require_fraction(name: str, value: float) -> None:
    """Refuse what is not in [0, 1]; raises `ValueError`, as settings do."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}.")


def require_size(input_size: tuple[int, int], divisor: int = 1) -> None:
    """Refuse an impossible input size; raises `ValueError`, as settings do."""
    if any(side < 1 or side % divisor for side in input_size):
        raise ValueError(
            f"input_size is (height, width), positive and divisible by {divisor}; got {input_size}."
        )


def ranked(
    keypoints: FloatArray,
    boxes: FloatArray,
    box_scores: FloatArray,
    areas: FloatArray,
    layout: KeypointSet,
    settings: RankingSettings,
) -> list[Pose]:
    """The poses of one image, best first, without doubles.

    Args:
        keypoints: ``(n, K, 3)``, x, y in image pixels and confidence.
        boxes: ``(n, 4)``, x, y, w, h in image pixels.
        box_scores: ``(n,)``.
        areas: ``(n,)``, of the crops, in square pixels.
        layout: whose sigmas are taken.
        settings: thresholds.
    """
    scores = rescore(box_scores, keypoints[:, :, 2], settings.confidence_threshold)
    kept = oks_nms(keypoints, scores, areas, np.array(layout.sigmas), settings.nms_threshold)
    return [Pose(keypoints[i], scores[i], boxes[i]) for i in kept]
