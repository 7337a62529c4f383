"""RTMPose (Jiang et al., 2023): top-down, keypoints as two one-dimensional classifications (SimCC).

Crops and decoding are MMPose's: in a crop of width W, x = 0 is the left edge of the enlarged box and x = W
its right edge, so that crop and image coordinates differ by a factor and a shift, without half pixels.
Colors go in as RGB; rtmlib, which has the same numbers otherwise, leaves them in the order that it finds.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import Float32Array, FloatArray, Pose, Sample
from crowdbench.errors import WeightsError
from crowdbench.vision.geometry import as_boxes
from crowdbench_wrappers.keypoint_layout import other_layout
from crowdbench_wrappers.onnx_model import OnnxMethod, OnnxModel, Provider, shown, usual_provider
from crowdbench_wrappers.postprocessing import RankingSettings, ranked, require_size

# Of red, green, blue, in gray levels; MMPose's PoseDataPreprocessor.
MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)
PORTION = 64  # persons at a time, where a model takes any number


@dataclass(frozen=True)
class RTMPoseSettings(RankingSettings):
    """Settings of RTMPose.

    Attributes:
        input_size: (height, width) of the crops; must be the model's.
        box_enlargement: how much larger than its box a crop is.
        split_ratio: bins of the classifications per crop pixel.
        confidence: of a keypoint: the lower of its two maxima (MMPose), or their mean (rtmlib).
        flip_test: average with the mirrored crop. MMPose's printed figures are with, rtmlib goes without.
        provider: what ONNX Runtime computes with.
    """

    input_size: tuple[int, int] = (256, 192)
    box_enlargement: float = 1.25
    split_ratio: float = 2.0
    confidence: Literal["min", "mean"] = "min"
    flip_test: bool = False
    provider: Provider = field(default_factory=usual_provider)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_size(self.input_size)
        for name in ("box_enlargement", "split_ratio"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}.")


class RTMPose(OnnxMethod):
    """An RTMPose model, exported to ONNX with the outputs ``simcc_x`` and ``simcc_y``."""

    paradigm = "top-down"
    Settings: ClassVar[type[RTMPoseSettings]] = RTMPoseSettings
    settings: RTMPoseSettings

    def check(self, model: OnnxModel, outputs: dict[str, Float32Array]) -> None:
        """Refuse what does not give the two classifications of these keypoints."""
        height, width = self.settings.input_size
        bins = [round(side * self.settings.split_ratio) for side in (width, height)]
        arrays = list(outputs.values())
        if [a.ndim for a in arrays] != [3, 3] or [a.shape[2] for a in arrays] != bins:
            raise WeightsError(
                f"{model.path}: the outputs are {shown(outputs)}; expected simcc_x (n, K, {bins[0]}) and "
                f"simcc_y (n, K, {bins[1]}), which are an RTMPose model's for crops of {height}x{width} "
                f"(height x width) with a split_ratio of {self.settings.split_ratio:g}."
            )
        if arrays[0].shape[1] != self.keypoints.count:
            raise other_layout(model.path, arrays[0].shape[1], self.keypoints)

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        """The poses in boxes that all count the same."""
        return self._estimate(image, as_boxes(boxes), np.ones(len(boxes)))

    def estimate_sample(self, sample: Sample) -> list[Pose]:
        """The poses of the image's persons; scores of boxes count."""
        scores = np.array([instance.score for instance in sample.instances], dtype=np.float64)
        return self._estimate(sample.read(), sample.boxes_xywh, scores)

    def _estimate(self, image: NDArray[np.uint8], boxes: FloatArray, scores: FloatArray) -> list[Pose]:
        if not len(boxes):
            return []
        centers, sides = _regions(boxes, self.settings.input_size, self.settings.box_enlargement)
        size = self.model.batch or PORTION
        simcc = [
            self._simcc(_crops(image, centers[i : i + size], sides[i : i + size], self.settings.input_size))
            for i in range(0, len(boxes), size)
        ]
        along_x, along_y = (np.concatenate(parts) for parts in zip(*simcc, strict=True))
        positions, confidences = self._decoded(along_x, along_y)
        height, width = self.settings.input_size
        located = positions / (width, height) * sides[:, None] + (centers - sides / 2)[:, None]
        keypoints = np.concatenate([located, confidences[:, :, None]], axis=2)
        return ranked(keypoints, boxes, scores, sides.prod(axis=1), self.keypoints, self.settings)

    def _simcc(self, crops: Float32Array) -> tuple[Float32Array, Float32Array]:
        """``(n, K, bins)`` along x and y, averaged with the mirrored crops if that is asked for."""
        along_x, along_y = self.model.run(crops).values()
        if not self.settings.flip_test:
            return along_x, along_y
        order = list(self.keypoints.flip_order)
        mirrored_x, mirrored_y = self.model.run(crops[..., ::-1]).values()
        return (along_x + mirrored_x[:, order, ::-1]) * 0.5, (along_y + mirrored_y[:, order]) * 0.5

    def _decoded(self, along_x: Float32Array, along_y: Float32Array) -> tuple[FloatArray, FloatArray]:
        """Positions ``(n, K, 2)`` in crop pixels and confidences ``(n, K)``."""
        maxima = np.stack([along_x.max(axis=2), along_y.max(axis=2)])
        confidences = maxima.min(axis=0) if self.settings.confidence == "min" else maxima.mean(axis=0)
        bins = np.stack([along_x.argmax(axis=2), along_y.argmax(axis=2)], axis=2).astype(np.float64)
        bins[confidences <= 0] = -1  # as published: nowhere
        return bins / self.settings.split_ratio, confidences.astype(np.float64)


def _regions(
    boxes: FloatArray, input_size: tuple[int, int], enlargement: float
) -> tuple[FloatArray, FloatArray]:
    """Centers and (width, height) of the crops, both ``(n, 2)`` in image pixels."""
    aspect = input_size[1] / input_size[0]
    centers, (width, height) = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].T * enlargement
    too_wide = width > height * aspect
    sides = np.stack(
        [np.where(too_wide, width, height * aspect), np.where(too_wide, width / aspect, height)], axis=1
    )
    return centers, sides


def _crops(
    image: NDArray[np.uint8], centers: FloatArray, sides: FloatArray, input_size: tuple[int, int]
) -> Float32Array:
    """``(n, 3, H, W)``: cut out bilinearly, black outside the image, normalized."""
    import cv2

    height, width = input_size
    crops = np.empty((len(centers), height, width, 3), dtype=np.float32)
    middle = np.array([width / 2, height / 2])
    onto = np.array([middle, middle - (0, width / 2), middle - (width / 2, width / 2)], dtype=np.float32)
    for crop, center, (side, _) in zip(crops, centers, sides, strict=True):
        half = side / 2
        points = np.array([center, center - (0, half), center - (half, half)], dtype=np.float32)
        affine = cv2.getAffineTransform(points, onto)
        crop[:] = cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR)
    normalised: Float32Array = ((crops - MEAN) / STD).transpose(0, 3, 1, 2)
    return normalised
