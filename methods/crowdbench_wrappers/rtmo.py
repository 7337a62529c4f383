"""RTMO (Lu et al., CVPR 2024): one-stage, boxes and keypoints of all persons from the whole image.

The image is fitted into the model's input as rtmlib does it: resized by one ratio with sides rounded down,
placed in the upper left corner, grey elsewhere; blue, green, red from 0 to 255. Coordinates come back
divided by the ratio, without half pixels. MMPose itself warps the image into the middle of the input.
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


@dataclass(frozen=True)
class RTMOSettings:
    """Settings of RTMO; the thresholds are those of MMPose's figures, where rtmlib has 0.7 and 0.45.

    Attributes:
        input_size: (height, width) of the model's input.
        score_threshold: persons at or below it are dropped.
        nms_threshold: persons whose box overlaps a better one's by more (IoU) are dropped; 1 keeps all that
            the model gives, which has often suppressed some by itself.
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


class RTMO(OnnxMethod):
    """An RTMO model, exported to ONNX with the outputs ``dets`` and ``keypoints``."""

    paradigm = "one-stage"
    Settings: ClassVar[type[RTMOSettings]] = RTMOSettings
    settings: RTMOSettings

    def check(self, model: OnnxModel, outputs: dict[str, Float32Array]) -> None:
        """Refuse what does not give boxes and these keypoints."""
        try:
            _, keypoints = _dets_and_keypoints(outputs)
        except ValueError:
            raise WeightsError(
                f"{model.path}: the outputs are {shown(outputs)}; expected dets (1, N, 5) and keypoints "
                "(1, N, K, 3), which are an RTMO model's."
            ) from None
        if keypoints.shape[1] != self.keypoints.count:
            raise other_layout(model.path, keypoints.shape[1], self.keypoints)

    def estimate(self, image: NDArray[np.uint8], boxes: FloatArray) -> list[Pose]:
        """The poses of all persons that the model finds, best first; `boxes` is not looked at."""
        fitted, ratio = _fitted(image, self.settings.input_size)
        dets, keypoints = _dets_and_keypoints(self.model.run(fitted))
        likely = dets[:, 4] > self.settings.score_threshold
        dets, keypoints = dets[likely], keypoints[likely]
        dets[:, :4] /= ratio
        keypoints[:, :, :2] /= ratio
        kept = box_nms(dets[:, :4], dets[:, 4], self.settings.nms_threshold, pixel=1)
        sizes = dets[:, 2:4] - dets[:, :2]
        return [Pose(keypoints[i], dets[i, 4], np.concatenate([dets[i, :2], sizes[i]])) for i in kept]


def _dets_and_keypoints(outputs: dict[str, Float32Array]) -> tuple[FloatArray, FloatArray]:
    """``(N, 5)`` left, top, right, bottom, score; ``(N, K, 3)``. Raises `ValueError` for anything else."""
    dets, keypoints = sorted(outputs.values(), key=np.ndim)
    fits = dets.ndim == 3 and keypoints.ndim == 4 and dets.shape[:2] == keypoints.shape[:2]
    if not fits or len(dets) != 1 or dets.shape[2] != 5 or keypoints.shape[3] != 3:
        raise ValueError("not the outputs of RTMO")
    return dets[0].astype(np.float64), keypoints[0].astype(np.float64)


def _fitted(image: NDArray[np.uint8], input_size: tuple[int, int]) -> tuple[NDArray[np.uint8], float]:
    """``(1, 3, H, W)`` and the ratio that the image was resized by."""
    import cv2

    height, width = image.shape[:2]
    canvas = np.full((*input_size, 3), PAD, dtype=np.uint8)
    ratio = min(input_size[0] / height, input_size[1] / width)
    # A panorama keeps a row of pixels, where rtmlib would have none and fail.
    size = max(1, int(height * ratio)), max(1, int(width * ratio))
    canvas[: size[0], : size[1]] = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    return canvas[None, :, :, ::-1].transpose(0, 3, 1, 2), ratio
