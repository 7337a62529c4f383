"""Settings of PINet at test time, and the release's values.

Values are those of the released configurations; how they are used is `crowdbench_pinet.method`.
"""

import math
from dataclasses import dataclass

from crowdbench_backbones.top_down.settings import require_nms
from crowdbench_pinet.preprocessing import MULTIPLE
from crowdbench_pinet.refinement import Sampling


@dataclass(frozen=True)
class PINetSettings:
    """Settings of PINet.

    Attributes:
        short_side: of the network's input, in pixels; a multiple of 64.
        longest_side: of the network's input at scale 1. Images more than `longest_side / short_side` times as
            long as wide are shrunk further; the release has no limit, and a panorama fills its memory.
        scales: of the input, all tested; their poses suppress each other. Heatmaps are averaged.
        scale_decrease: factor of the scores that scales other than 1 find. The release reads it from a
            configuration that does not have it, so its multi-scale test fails; 0.9 is our choice.
        flip_test: average poses, and heatmaps, with those of the mirrored image.
        refinement: correct poses with the graph network.
        refinement_layers: residual pairs of that network.
        refinement_sampling: where it reads features; `crowdbench_pinet.refinement.features_at`. Networks are
            trained with one or the other.
        candidates_per_part: the best so many peaks of each part's map propose poses.
        candidate_threshold: peaks at or below it propose none.
        nms_threshold: poses whose OKS with a better one is above it belong to that one's group.
        nms_sigmas: per keypoint, for that OKS; None takes the dataset's.
        pose_fusion: in every kept pose each keypoint is replaced by its group's most confident one, and the
            score is the mean of their confidences. Otherwise groups are dropped but for the best pose.
        exact_middle: map the image's middle onto the input's. The release first rounds it up to whole pixels,
            which moves images with odd sides by half a pixel on the way in and back.
    """

    short_side: int = 512
    longest_side: int = 8192
    scales: tuple[float, ...] = (1.0,)
    scale_decrease: float = 0.9
    flip_test: bool = True
    refinement: bool = True
    refinement_layers: int = 3
    refinement_sampling: Sampling = "released"
    candidates_per_part: int = 30
    candidate_threshold: float = 0.01
    nms_threshold: float = 0.7
    nms_sigmas: tuple[float, ...] | None = None
    pose_fusion: bool = True
    exact_middle: bool = False

    def __post_init__(self) -> None:
        for name in ("short_side", "longest_side"):
            side = getattr(self, name)
            if side < MULTIPLE or side % MULTIPLE:
                raise ValueError(f"{name} must be a positive multiple of {MULTIPLE}, got {side}.")
        if self.longest_side < self.short_side:
            raise ValueError(
                f"longest_side must not be below short_side, {self.short_side}; got {self.longest_side}."
            )
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError(f"scales must be positive and finite, at least one; got {list(self.scales)}.")
        # The trunk halves its maps five times, and inputs at scale 1 are multiples of 64.
        if any(scale % 0.5 for scale in self.scales) or len(set(self.scales)) != len(self.scales):
            raise ValueError(
                "scales must be different multiples of 0.5, or the maps of the network's branches do not fit "
                f"onto each other; got {list(self.scales)}."
            )
        for name, least in (("refinement_layers", 0), ("candidates_per_part", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        for name in ("scale_decrease", "candidate_threshold"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}.")
        require_nms(self.nms_threshold, self.nms_sigmas)


# On COCO, the released refinement has one layer less. A dataset that is not listed gets the defaults.
PINET = {"coco": PINetSettings(refinement_layers=2)}

# A quarter of the pixels and a shallower refinement, whatever the dataset.
TINY = PINetSettings(short_side=256, longest_side=4096, refinement_layers=1)
