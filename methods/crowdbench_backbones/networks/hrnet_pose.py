"""HRNet as a single-person pose network: the trunk's highest resolution, and one 1x1 convolution.

Letters: N crops, K keypoints, H and W of the input, C the width of the highest-resolution branch.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from crowdbench_backbones.networks.hrnet import HRNetTrunk
from crowdbench_backbones.networks.input_sizes import require_multiple

# HRNet's own initialisation of all kernels; those of the trunk give way to ImageNet's.
KERNEL_STD = 0.001


class SinglePersonNetwork(nn.Module):
    """A network that maps each crop to heatmaps independently; subclasses implement `features`."""

    final_layer: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)``, normalized, to ``(N, C, H / 4, W / 4)``."""
        raise NotImplementedError

    def heatmaps(self, features: Tensor) -> Tensor:
        """``(N, C, H / 4, W / 4)`` to ``(N, K, H / 4, W / 4)``."""
        heatmaps: Tensor = self.final_layer(features)
        return heatmaps

    def forward(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)``, normalized, to heatmaps ``(N, K, H / 4, W / 4)``."""
        return self.heatmaps(self.features(images))


class HRNetPose(SinglePersonNetwork, HRNetTrunk):
    """A trunk with the head of pose HRNet (Sun et al., CVPR 2019, section 3); by itself HRNet-W48-S.

    Args:
        keypoints: K.
        input_size: (height, width) of the crops; both divisible by 16.
        width, modules, blocks, stem, bottlenecks, outputs: see `HRNetTrunk`.
    """

    def __init__(
        self,
        keypoints: int,
        input_size: tuple[int, int] = (256, 192),
        *,
        width: int = 48,
        modules: Sequence[int] = (1, 4),
        blocks: int = 4,
        stem: int = 64,
        bottlenecks: int = 4,
        outputs: int | None = None,
    ) -> None:
        require_multiple(input_size, 16)
        super().__init__(width, modules, blocks, stem=stem, bottlenecks=bottlenecks, outputs=outputs)
        self.channels = width
        self.final_layer = nn.Conv2d(width, keypoints, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=KERNEL_STD)
        start_at_zero(self.final_layer)

    def features(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)``, normalized, to ``(N, C, H / 4, W / 4)``."""
        return self.trunk(images, wanted=[0])[0]


def hrnet_tiny(keypoints: int, input_size: tuple[int, int] = (128, 96)) -> HRNetPose:
    """HRNet with three branches of 32, 64 and 128 channels and few blocks: 1.7 million parameters.

    It learns from nothing, so that kernels start as large as rectified maps want them (He et al., ICCV 2015):
    Adam's first step, as large as the learning rate, would drown HRNet's own kernels of 0.001. The head stays
    that small: heatmaps start near 0, which is what most of every target is.
    """
    network = HRNetPose(
        keypoints, input_size, width=32, modules=(1, 1), blocks=3, stem=32, bottlenecks=2, outputs=1
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module is not network.final_layer:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def start_at_zero(head: nn.Conv2d) -> None:
    """Initialise the convolution that makes heatmaps so that they start near 0."""
    nn.init.normal_(head.weight, std=KERNEL_STD)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
