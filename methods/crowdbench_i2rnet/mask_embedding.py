"""Embed position masks, which show where each person is in the image (I2R-Net, section 3.2).

Letters: S persons, H and W of the mask, D channels of a token.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from crowdbench_backbones.networks.hrnet import BasicBlock, conv

Kind = Literal["conv", "res"]


class ConvEmbedding(nn.Module):
    """Two strided convolutions, then poolings.

    Args:
        channels: D.
        poolings: halvings after the convolutions have brought the mask to a quarter.
    """

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, channels: int, poolings: int) -> None:
        super().__init__()
        self.conv1 = conv(1, 64, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = conv(64, channels, stride=2)
        self.bn2 = nn.BatchNorm2d(channels)
        self.poolings = poolings

    def forward(self, masks: Tensor) -> Tensor:
        """``(S, 1, H, W)`` in [0, 1] to ``(S, D, H / 4 / 2^poolings, W / 4 / 2^poolings)``."""
        x = functional.relu(self.bn1(self.conv1(masks)), inplace=True)
        x = functional.relu(self.bn2(self.conv2(x)), inplace=True)
        return halved(x, self.poolings)


class ResidualEmbedding(nn.Module):
    """The first layers of a ResNet-18 (He et al., CVPR 2016) between two convolutions, then poolings."""

    def __init__(self, channels: int, poolings: int) -> None:
        super().__init__()
        self.conv_pre = conv(1, 3)
        self.res = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            nn.Sequential(BasicBlock(64), BasicBlock(64)),
        )
        self.conv_end = conv(64, channels)
        self.poolings = poolings

    def forward(self, masks: Tensor) -> Tensor:
        """``(S, 1, H, W)`` in [0, 1] to ``(S, D, H / 4 / 2^poolings, W / 4 / 2^poolings)``."""
        return halved(self.conv_end(self.res(self.conv_pre(masks))), self.poolings)


def mask_embedding(kind: Kind, channels: int, poolings: int) -> nn.Module:
    """The embedding of a kind."""
    return (ConvEmbedding if kind == "conv" else ResidualEmbedding)(channels, poolings)


def halved(x: Tensor, times: int) -> Tensor:
    """``(S, D, h, w)`` to ``(S, D, h / 2^times, w / 2^times)``, by overlapping maxima."""
    for _ in range(times):
        x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    return x
