"""Ultralytics' YOLO pose models, exported to ONNX by ``yolo export format=onnx``: one-stage.

Nothing of Ultralytics is imported or comes with crowdbench: its package and its weights are under the
AGPL-3.0 (docs/wrappers.md). Letterboxing follows its ``LetterBox``: one ratio, sides rounded, the image
in the middle, RGB from 0 to 1. Coordinates are shifted by the padding in whole pixels, divided by the true
ratio of each side, without half-pixel terms, and clipped to the image.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import Float32Array, FloatArray, Pose
from crowdbench.errors import WeightsError
from crowdbench_wrappers.box_nms import box_nms
from crowdbench_wrappers.keypoint_layout import other_layout
from crowdbench_wrappers.onnx_model import OnnxMethod, OnnxModel, shown
from crowdbench_wrappers.postprocessing import OneStageSettings, letterbox

MOST = 200  # upper bound on the keypoints of a layout; whole-body layouts have 133
RAW, END_TO_END = 5, 6  # values besides the keypoints: box, score; after NMS also a class


@dataclass(frozen=True)
class YoloPoseSettings(OneStageSettings):
    """Settings of YOLO pose; defaults as in ``yolo val``. ``yolo predict`` has thresholds of 0.25 and 0.7.

    `nms_threshold` is not used with end-to-end models, which apply NMS themselves.

    Attributes:
        max_persons: number of best persons to keep.
    """

    score_threshold: float = 0.001
    nms_threshold: float = 0.7
    max_persons: int = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_persons < 1:
            raise ValueError(f"max_persons must be at least 1, got {self.max_persons}.")


class YoloPose(OnnxMethod):
    """A YOLO pose model of one class, raw ``(1, 5 + 3K, anchors)`` or end-to-end ``(1, N, 6 + 3K)``."""

    paradigm = "one-stage"
    Settings: ClassVar[type[YoloPoseSettings]] = YoloPoseSettings
    settings: YoloPoseSettings

    def check(self, model: OnnxModel, outputs: dict[str, Float32Array]) -> None:
        """Refuse a model that does not return boxes, scores and these keypoints."""
        numbers = 3 * self.keypoints.count
        (shape,) = [a.shape for a in outputs.values()] if len(outputs) == 1 else [()]
        if len(shape) != 3 or shape[0] != 1:
            raise WeightsError(self._expected(model, outputs))
        if shape[1] == numbers + RAW or shape[2] == numbers + END_TO_END:
            return
        # The axis with the values is the one whose length fits some plausible layout.
        for length, others in ((shape[1], RAW), (shape[2], END_TO_END)):
            count, rest = divmod(length - others, 3)
            if 0 < count <= MOST and rest == 0:
                raise other_layout(model.path, count, self.keypoints)
        raise WeightsError(self._expected(model, outputs))

    def _expected(self, model: OnnxModel, outputs: dict[str, Float32Array]) -> str:
        numbers = 3 * self.keypoints.count
        return (
            f"{model.path}: the outputs are {shown(outputs)}; expected one output (1, {numbers + RAW}, "
            f"anchors) or (1, persons, {numbers + END_TO_END}), which is a YOLO pose model's for one class "
            f"and {self.keypoints.count} keypoints of x, y and confidence."
        )

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        """Return the poses of all persons found, best first; `boxes` is ignored."""
        fitted, ratios, shift = _fitted(image, self.settings.input_size)
        (output,) = self.model.run(fitted).values()
        persons = self._persons(output[0].astype(np.float64))
        corners, scores = persons[:, :4].reshape(-1, 2, 2), persons[:, 4]
        keypoints = persons[:, -3 * self.keypoints.count :].reshape(-1, self.keypoints.count, 3)
        limits = np.array(image.shape[1::-1], dtype=np.float64)
        corners = np.clip((corners - shift) / ratios, 0, limits)
        positions = np.clip((keypoints[:, :, :2] - shift) / ratios, 0, limits)
        found = np.concatenate([positions, keypoints[:, :, 2:]], axis=2)
        xywh = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)
        return [Pose(*person) for person in zip(found, scores, xywh, strict=True)]

    def _persons(self, output: FloatArray) -> FloatArray:
        """The persons of one image, best first: ``(n, 4 + 1 + … + 3K)``, boxes as corners, input pixels."""
        if len(output) == 3 * self.keypoints.count + RAW:
            persons = output.T[output[4] > self.settings.score_threshold]
            middle, half = persons[:, :2].copy(), persons[:, 2:4] / 2
            persons[:, :2], persons[:, 2:4] = middle - half, middle + half
            kept = box_nms(persons[:, :4], persons[:, 4], self.settings.nms_threshold)
        else:
            persons = output[output[:, 4] > self.settings.score_threshold]
            kept = np.argsort(-persons[:, 4], kind="stable")
        best: FloatArray = persons[kept[: self.settings.max_persons]]
        return best


def _fitted(
    image: NDArray[np.uint8], input_size: tuple[int, int]
) -> tuple[Float32Array, FloatArray, FloatArray]:
    """``(1, 3, H, W)``, the ratios of width and height, and where in it the image begins (x, y)."""
    height, width = image.shape[:2]
    ratio = min(input_size[0] / height, input_size[1] / width)
    size = max(1, round(height * ratio)), max(1, round(width * ratio))
    # An odd pixel of padding goes to the bottom and the right.
    top, left = (round((whole - part) / 2 - 0.1) for whole, part in zip(input_size, size, strict=True))
    ratios: FloatArray = np.array([size[1] / width, size[0] / height])
    fitted = letterbox(image, input_size, size, (top, left)).astype(np.float32)
    return np.divide(fitted, 255, dtype=np.float32), ratios, np.array([left, top], dtype=np.float64)
