"""What the wrappers share: settings, letterboxing, and MMPose's scoring and NMS of top-down poses."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray, KeypointSet, Pose
from crowdbench.vision.heatmaps import rescore
from crowdbench.vision.oks_nms import oks_nms
from crowdbench_wrappers.onnx_model import Provider, usual_provider

PAD = 114  # gray level of letterbox padding, as in training


@dataclass(frozen=True)
class RankingSettings:
    """Settings of scoring and NMS; the defaults are those of MMPose's ``CocoMetric``.

    Attributes:
        confidence_threshold: a pose's score is its box's score times the mean confidence of the keypoints
            above this.
        nms_threshold: poses whose OKS with a better one is above it are dropped; 1 keeps all. Uses the
            area of the crop and the dataset's sigmas.
    """

    confidence_threshold: float = 0.2
    nms_threshold: float = 0.9

    def __post_init__(self) -> None:
        if not math.isfinite(self.confidence_threshold):
            raise ValueError(f"confidence_threshold must be finite, got {self.confidence_threshold}.")
        require_fraction("nms_threshold", self.nms_threshold)


def require_fraction(name: str, value: float) -> None:
    """Raise `ValueError` unless a setting is in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}.")


def require_size(input_size: tuple[int, int], divisor: int = 1) -> None:
    """Raise `ValueError` unless an input size is positive and divisible."""
    if any(side < 1 or side % divisor for side in input_size):
        raise ValueError(
            f"input_size is (height, width), positive and divisible by {divisor}; got {input_size}."
        )


@dataclass(frozen=True)
class OneStageSettings:
    """Settings of ONNX models that find persons in the whole image.

    Attributes:
        input_size: (height, width) of the model's input.
        score_threshold: persons at or below this score are dropped.
        nms_threshold: persons whose box overlaps a better one's by more (IoU) are dropped; 1 keeps all
            persons that the model returns.
        provider: what ONNX Runtime computes with.
    """

    input_size: tuple[int, int] = (640, 640)
    score_threshold: float = 0.1
    nms_threshold: float = 0.65
    provider: Provider = field(default_factory=usual_provider)

    def __post_init__(self) -> None:
        require_size(self.input_size)
        require_fraction("score_threshold", self.score_threshold)
        require_fraction("nms_threshold", self.nms_threshold)


def letterbox(
    image: NDArray[np.uint8], input_size: tuple[int, int], size: tuple[int, int], corner: tuple[int, int]
) -> NDArray[np.uint8]:
    """Resize an image bilinearly and place it on a gray canvas.

    Args:
        image: ``(H, W, 3)`` uint8.
        input_size: (height, width) of the canvas.
        size: (height, width) of the resized image.
        corner: row and column of its first pixel on the canvas.

    Returns:
        ``(1, 3, *input_size)`` uint8; the order of the channels is the image's.
    """
    import cv2

    canvas = np.full((*input_size, 3), PAD, dtype=np.uint8)
    resized = image if size == image.shape[:2] else cv2.resize(image, size[::-1])  # bilinear
    canvas[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = resized
    return canvas[None].transpose(0, 3, 1, 2)


def ranked(
    keypoints: FloatArray,
    boxes: FloatArray,
    box_scores: FloatArray,
    areas: FloatArray,
    layout: KeypointSet,
    settings: RankingSettings,
) -> list[Pose]:
    """Score the poses of one image and apply OKS NMS; best first.

    Args:
        keypoints: ``(n, K, 3)``, x, y in image pixels and confidence.
        boxes: ``(n, 4)``, x, y, w, h in image pixels.
        box_scores: ``(n,)``.
        areas: ``(n,)``, of the crops, in square pixels.
        layout: the keypoint set, for its sigmas.
        settings: thresholds.
    """
    scores = rescore(box_scores, keypoints[:, :, 2], settings.confidence_threshold)
    kept = oks_nms(keypoints, scores, areas, np.array(layout.sigmas), settings.nms_threshold)
    return [Pose(keypoints[i], scores[i], boxes[i]) for i in kept]
