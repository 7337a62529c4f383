"""PINet: every pixel near a body part proposes a whole pose, which a graph network then refines.

Wang et al., "Robust Pose Estimation in Crowded Scenes with Direct Pose-Level Inference", NeurIPS 2021.
Submodules carry the names of the authors' release. Letters in shape comments: B images, H and W of the
heatmaps, a quarter of the input's; K keypoints, P body parts, C channels of the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from crowdbench_backbones.networks.hrnet import HRNetTrunk
from crowdbench_pinet.body_parts import PARTS
from crowdbench_pinet.refinement import PoseRefinement, Sampling, features_at


@dataclass(frozen=True, eq=False)
class Maps:
    """What the network says about every pixel.

    Attributes:
        features: ``(B, C, H, W)``.
        heatmaps: ``(B, K, H, W)``, of keypoints.
        parts: ``(B, P, H, W)``, of the centers of body parts.
        offsets: ``(B, P * K * 2, H, W)``: from a keypoint to a part's center, x and y in heatmap pixels.
    """

    features: Tensor
    heatmaps: Tensor
    parts: Tensor
    offsets: Tensor


@dataclass(frozen=True, eq=False)
class Proposals:
    """Poses that pixels propose; of each image equally many, part after part.

    Attributes:
        part: ``(m,)`` int64, the body part that each stands for.
        pixel: ``(B, m)`` int64, ``y * W + x``.
    """

    part: Tensor
    pixel: Tensor


@dataclass(frozen=True, eq=False)
class Poses:
    """The poses of proposals.

    Attributes:
        offsets: ``(B, m, K, 2)``, x, y in heatmap pixels, from the keypoints to the proposing pixel.
        corrections: ``(B, m, K, 2)``, of these offsets; to be added to them.
        keypoints: ``(B, m, K, 2)``, x, y in heatmap pixels, corrected.
    """

    offsets: Tensor
    corrections: Tensor
    keypoints: Tensor


class PINetNetwork(nn.Module):
    """The whole network.

    Args:
        keypoints: K.
        bones: pairs of joined keypoints.
        layers: of the refinement's graph.
        trunk: an HRNet with all its outputs; None for HRNet-W32.
        channels: C, the channels of all the trunk's outputs together.
        sampling: how the refinement reads features between pixels; see `features_at`.
    """

    def __init__(
        self,
        keypoints: int,
        bones: Sequence[tuple[int, int]],
        layers: int,
        *,
        trunk: HRNetTrunk | None = None,
        channels: int = 480,
        sampling: Sampling = "released",
    ) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.sampling: Sampling = sampling
        self.backbone = HRNetTrunk(width=32, modules=(1, 4, 3)) if trunk is None else trunk
        self.ppg = PoseProposals(channels, keypoints)
        self.pr = PoseRefinement(keypoints, bones, channels, layers)

    def forward(self, images: Tensor, proposals: Proposals | None = None) -> tuple[Maps, Poses | None]:
        """Everything about every pixel, and the poses that some pixels propose.

        Args:
            images: ``(B, 3, 4 H, 4 W)``, normalized.
            proposals: whose poses are wanted; None for none.
        """
        maps = self.maps(images)
        return maps, None if proposals is None else self.poses(maps, proposals)

    def maps(self, images: Tensor) -> Maps:
        """See `forward`."""
        features = self.features(images)
        return Maps(features, *self.ppg(features))

    def features(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)``: all resolutions of the trunk, the lower ones brought to the highest."""
        first, *others = self.backbone.trunk(images)
        size = first.shape[-2:]
        upsampled = [functional.interpolate(x, size=size, mode="bilinear") for x in others]
        return torch.cat([first, *upsampled], dim=1)

    def poses(self, maps: Maps, proposals: Proposals, refine: bool = True) -> Poses:
        """Poses proposed, and corrected if asked for; otherwise the corrections are 0.

        The corrections' gradients flow into the features, not into the offsets that say where to read them.
        """
        offsets = offsets_at(maps.offsets, proposals).float()  # positions need more than half precision
        width = maps.parts.shape[-1]
        pixel = proposals.pixel
        centers = torch.stack([pixel % width, pixel // width], dim=-1).to(offsets.dtype)
        proposed = centers[:, :, None] - offsets  # (B, m, K, 2)
        if not (refine and pixel.numel()):
            return Poses(offsets, torch.zeros_like(offsets), proposed)
        features = maps.features
        at_keypoints = features_at(features, proposed.detach(), self.sampling)
        at_centers = features.flatten(2).gather(2, pixel[:, None].expand(-1, features.shape[1], -1))
        corrections = self.pr(at_keypoints.flatten(0, 1), at_centers.transpose(1, 2).flatten(0, 1))
        corrections = corrections.view_as(offsets).float()
        return Poses(offsets, corrections, proposed - corrections)


class PoseProposals(nn.Module):
    """Three 1x1 convolutions, computed as one: the features are read once."""

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.heatmap_head = nn.Conv2d(channels, keypoints, 1)
        self.detkptmap_head = nn.Conv2d(channels, PARTS, 1)
        self.offset_head = nn.Conv2d(channels, PARTS * keypoints * 2, 1)
        for head in (self.heatmap_head, self.detkptmap_head, self.offset_head):
            nn.init.normal_(head.weight, std=0.001)
            assert head.bias is not None
            nn.init.zeros_(head.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(B, C, H, W)`` to ``(B, K, H, W)``, ``(B, P, H, W)`` and ``(B, P * K * 2, H, W)``."""
        heads = (self.heatmap_head, self.detkptmap_head, self.offset_head)
        weight = torch.cat([head.weight for head in heads])
        bias = torch.cat([head.bias for head in heads if head.bias is not None])
        joined = functional.conv2d(features, weight, bias)
        heatmaps, parts, offsets = torch.split(joined, [head.out_channels for head in heads], dim=1)
        return heatmaps, parts, offsets


def offsets_at(offsets: Tensor, proposals: Proposals) -> Tensor:
    """Read the offsets of proposals.

    Args:
        offsets: ``(B, P * K * 2, H, W)``.
        proposals: m of each image.

    Returns:
        ``(B, m, K, 2)``.
    """
    images, channels, _, width = offsets.shape
    values = channels // PARTS
    rows = torch.arange(images, device=offsets.device)[:, None, None]
    columns = proposals.part[:, None] * values + torch.arange(values, device=offsets.device)  # (m, 2 K)
    y, x = proposals.pixel // width, proposals.pixel % width
    at_pixels = offsets[rows, columns, y[..., None], x[..., None]]
    return at_pixels.view(images, len(columns), values // 2, 2)


def tiny_network(
    keypoints: int, bones: Sequence[tuple[int, int]], layers: int, sampling: Sampling = "released"
) -> PINetNetwork:
    """PINet on an HRNet with four branches of 16 to 128 channels and few blocks.

    It learns from nothing, so that kernels start as large as rectified maps want them (He et al., ICCV 2015).
    """
    trunk = HRNetTrunk(width=16, modules=(1, 1, 1), blocks=2, stem=32, bottlenecks=2)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return PINetNetwork(keypoints, bones, layers, trunk=trunk, channels=240, sampling=sampling)
