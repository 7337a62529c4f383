"""Settings of top-down heatmap methods, and the published values of the networks here.

The values are those of I2R-Net's release (Ding et al., IJCAI 2022), so that a network with a relation stage
and one without differ in nothing else.
"""

import math
from dataclasses import dataclass
from typing import Literal

from crowdbench.api.types import KeypointSet
from crowdbench.errors import SettingsError

# The release suppresses with sigmas of its own: the head has .062, but is scored with .079.
CROWDPOSE_NMS_SIGMAS = (
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    *(0.062, 0.079),
)


@dataclass(frozen=True)
class TopDownSettings:
    """Settings of a top-down heatmap method.

    Attributes:
        input_size: (height, width) of the crops.
        flip_test: average with the mirrored crop.
        flip_shift: move the mirrored crop's heatmaps right by a pixel before averaging, as HRNet's code does.
            The release configures it and never reads it.
        blur_kernel: of DARK decoding, in heatmap pixels.
        confidence_threshold: keypoints at or below it do not count in a pose's score.
        nms_threshold: poses whose OKS with a better one is above it are dropped; 1 keeps all.
        nms_sigmas: per keypoint, for that OKS; None takes the dataset's.
        nms_area: the area for that OKS: of the crop, which is larger than the box and so makes more poses
            doubles, as in the release; or of the box.
        box_enlargement: how much larger than its box a crop is.
    """

    input_size: tuple[int, int] = (256, 192)
    flip_test: bool = True
    flip_shift: bool = False
    blur_kernel: int = 11
    confidence_threshold: float = 0.2
    nms_threshold: float = 0.9
    nms_sigmas: tuple[float, ...] | None = None
    nms_area: Literal["crop", "box"] = "crop"
    box_enlargement: float = 1.25

    def __post_init__(self) -> None:
        height, width = self.input_size
        if height < 16 or width < 16 or height % 16 or width % 16:
            raise ValueError(f"input_size is (height, width), both divisible by 16; got {self.input_size}.")
        if self.blur_kernel < 3 or self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel must be odd and at least 3, got {self.blur_kernel}.")
        if not 0 < self.box_enlargement < math.inf:
            raise ValueError(f"box_enlargement must be positive and finite, got {self.box_enlargement}.")
        if not math.isfinite(self.confidence_threshold):
            raise ValueError(f"confidence_threshold must be finite, got {self.confidence_threshold}.")
        require_nms(self.nms_threshold, self.nms_sigmas)


@dataclass(frozen=True)
class TransPoseSettings(TopDownSettings):
    """Settings of TransPose-H; `layers` are those of the encoder."""

    layers: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("layers", self.layers)


@dataclass(frozen=True)
class HRFormerSettings(TopDownSettings):
    """Settings of HRFormer-B.

    Attributes:
        relative_position_bias: add the learnt biases to the attention in windows. They are in the
            checkpoints, and the released pose networks never add them.
        mask_window_padding: keep attention away from the padding that completes windows. The released
            networks attend to it.
    """

    relative_position_bias: bool = False
    mask_window_padding: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_divisible(self.input_size, 32)


def require_nms(threshold: float, sigmas: tuple[float, ...] | None) -> None:
    """Raise `ValueError` for an impossible threshold or impossible sigmas of OKS NMS."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"nms_threshold is an OKS, from 0 to 1, which keeps all poses; got {threshold}.")
    if sigmas is not None and not all(0 < sigma < math.inf for sigma in sigmas):
        raise ValueError(f"nms_sigmas must be positive and finite, got {list(sigmas)}.")


def require_sigma_per_keypoint(sigmas: tuple[float, ...] | None, keypoints: KeypointSet) -> None:
    """Raise `SettingsError` unless `nms_sigmas` has one value per keypoint, or is None."""
    if sigmas is not None and len(sigmas) != keypoints.count:
        raise SettingsError(
            f"nms_sigmas has {len(sigmas)} values; {keypoints.name} has {keypoints.count} keypoints.\n"
            "Give one per keypoint, or null for the dataset's own."
        )


def require_divisible(input_size: tuple[int, int], divisor: int) -> None:
    """Refuse an input size; raises `ValueError`, as settings do."""
    if any(side % divisor for side in input_size):
        raise ValueError(
            f"input_size is (height, width), both divisible by {divisor} for this network; got {input_size}."
        )


def require_count(name: str, value: int) -> None:
    """Refuse a negative number of layers; raises `ValueError`, as settings do."""
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value}.")


# A dataset that is not listed gets the defaults.
HRNET = {"crowdpose": TopDownSettings(nms_sigmas=CROWDPOSE_NMS_SIGMAS)}
TRANSPOSE = {
    "crowdpose": TransPoseSettings(nms_sigmas=CROWDPOSE_NMS_SIGMAS),
    "coco": TransPoseSettings(layers=6),
}
TINY_SIZE = (128, 96)
TINY_BLUR = 7  # DARK's kernel follows the size of the heatmaps
HRNET_TINY = {
    "crowdpose": TopDownSettings(input_size=TINY_SIZE, blur_kernel=TINY_BLUR, nms_sigmas=CROWDPOSE_NMS_SIGMAS)
}
HRFORMER = {"crowdpose": HRFormerSettings(nms_sigmas=CROWDPOSE_NMS_SIGMAS)}
