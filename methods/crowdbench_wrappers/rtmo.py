"""RTMO (Lu et al., CVPR 2024): one-stage, boxes and keypoints of all persons from the whole image.

Letterboxing follows rtmlib: one resize ratio, sides rounded down, the image in the top left corner, BGR from
0 to 255. Coordinates are divided by the ratio, without half-pixel terms. MMPose itself centers the image.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import Float32Array, FloatArray, Pose
from crowdbench.errors import WeightsError
from crowdbench_wrappers.box_nms import box_nms
from crowdbench_wrappers.keypoint_layout import other_layout
from crowdbench_wrappers.onnx_model import OnnxMethod, OnnxModel, shown
from crowdbench_wrappers.postprocessing import OneStageSettings, letterbox

# The thresholds of MMPose's published figures; rtmlib has 0.7 and 0.45.
RTMOSettings = OneStageSettings


class RTMO(OnnxMethod):
    """An RTMO model, exported to ONNX with the outputs ``dets`` and ``keypoints``."""

    paradigm = "one-stage"
    Settings: ClassVar[type[RTMOSettings]] = RTMOSettings
    settings: RTMOSettings

    def check(self, model: OnnxModel, outputs: dict[str, Float32Array]) -> None:
        """Refuse a model that does not return boxes and these keypoints."""
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
        """Return the poses of all persons found, best first; `boxes` is ignored."""
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
    """``(1, 3, H, W)`` BGR, and the ratio by which the image was resized."""
    height, width = image.shape[:2]
    ratio = min(input_size[0] / height, input_size[1] / width)
    # A panorama keeps one row of pixels, where rtmlib would have none and fail.
    size = max(1, int(height * ratio)), max(1, int(width * ratio))
    return letterbox(image, input_size, size, (0, 0))[:, ::-1], ratio
