"""Ultralytics' YOLO pose models, exported to ONNX by ``yolo export format=onnx``: one-stage.

Nothing of Ultralytics is imported or comes with crowdbench: its package and its weights are under the
AGPL-3.0 (docs/wrappers.md). The image is fitted into the model's input as its ``LetterBox`` does it: resized
by one ratio with sides rounded, placed in the middle, grey elsewhere; red, green, blue from 0 to 1.
Coordinates come back shifted by the whole pixels of the padding and divided by the true ratio of each side,
without half pixels, and are clipped to the image.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import Float32Array, FloatArray, Pose
from crowdbench.errors import WeightsError
from crowdbench_wrappers.box_nms import box_nms
from crowdbench_wrappers.keypoint_layout import other_layout
from crowdbench_wrappers.onnx_model import OnnxMethod, OnnxModel, Provider, shown, usual_provider
from crowdbench_wrappers.postprocessing import require_fraction, require_size

PAD = 114  # the grey of the padding, as in training
MOST = 200  # keypoints that a layout may have; whole bodies have 133
RAW, END_TO_END = 5, 6  # numbers beside the keypoints: box, score; and, after suppression, a class


@dataclass(frozen=True)
class YoloPoseSettings:
    """Settings of YOLO pose; the values are those of ``yolo val``, where ``yolo predict`` has 0.25 and 0.7.

    Attributes:
        input_size: (height, width) of the model's input.
        score_threshold: persons at or below it are dropped.
        nms_threshold: persons whose box overlaps a better one's by more (IoU) are dropped; 1 keeps all. Not
            used with end-to-end models, which suppress by themselves.
        max_persons: the best so many are kept.
        provider: what ONNX Runtime computes with.
    """

    input_size: tuple[int, int] = (640, 640)
    score_threshold: float = 0.001
    nms_threshold: float = 0.7
    max_persons: int = 300
    provider: Provider = field(default_factory=usual_provider)

    def __post_init__(self) -> None:
        require_size(self.input_size)
        require_fraction("score_threshold", self.score_threshold)
        require_fraction("nms_threshold", self.nms_threshold)
        if self.max_persons < 1:
            raise ValueError(f"max_persons must be at least 1, got {self.max_persons}.")


class YoloPose(OnnxMethod):
    """A YOLO pose model of one class, raw ``(1, 5 + 3K, anchors)`` or end-to-end ``(1, N, 6 + 3K)``."""

    paradigm = "one-stage"
    Settings: ClassVar[type[YoloPoseSettings]] = YoloPoseSettings
    settings: YoloPoseSettings

    def check(self, model: OnnxModel, outputs: dict[str, Float32Array]) -> None:
        """Refuse what does not give boxes, scores and these keypoints."""
        numbers = 3 * self.keypoints.count
        (shape,) = [a.shape for a in outputs.values()] if len(outputs) == 1 else [()]
        if len(shape) != 3 or shape[0] != 1:
            raise WeightsError(self._expected(model, outputs))
        if shape[1] == numbers + RAW or shape[2] == numbers + END_TO_END:
            return
        # Which axis has the numbers? The one that is right for some layout that people have.
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
        """The poses of all persons that the model finds, best first; `boxes` is not looked at."""
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
    import cv2

    height, width = image.shape[:2]
    ratio = min(input_size[0] / height, input_size[1] / width)
    size = max(1, round(height * ratio)), max(1, round(width * ratio))
    # Where half a pixel is left over, it goes to the lower and the right side.
    top, left = (round((whole - part) / 2 - 0.1) for whole, part in zip(input_size, size, strict=True))
    canvas = np.full((*input_size, 3), PAD, dtype=np.uint8)
    resized = (
        image if size == (height, width) else cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    )
    canvas[top : top + size[0], left : left + size[1]] = resized
    ratios: FloatArray = np.array([size[1] / width, size[0] / height])
    fitted = canvas[None].transpose(0, 3, 1, 2).astype(np.float32)
    return np.divide(fitted, 255, dtype=np.float32), ratios, np.array([left, top], dtype=np.float64)
