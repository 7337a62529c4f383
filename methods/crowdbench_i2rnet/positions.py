"""Where things are: the sine table of tokens in a crop, the embedding of a person's place in the image."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from crowdbench_backbones.hrnet import conv


def sine_table(rows: int, columns: int, channels: int) -> Tensor:
    """Fixed sine positions of a map's tokens, row by row (Vaswani et al., NeurIPS 2017, in two dimensions).

    The first half of the channels tells the row, the second the column, sines and cosines alternating.

    Returns:
        ``(rows * columns, 1, channels)`` float32.
    """
    half = channels // 2
    k = torch.arange(half, dtype=torch.float32)
    wavelengths = 10000 ** (2 * torch.div(k, 2, rounding_mode="floor") / half)

    def axis(count: int) -> Tensor:  # → (count, half)
        angles = torch.arange(1, count + 1, dtype=torch.float32) / (count + 1e-6) * (2 * math.pi)
        phases = angles[:, None] / wavelengths
        return torch.stack([phases[:, 0::2].sin(), phases[:, 1::2].cos()], dim=2).flatten(1)

    y = axis(rows)[:, None, :].expand(rows, columns, half)
    x = axis(columns)[None, :, :].expand(rows, columns, half)
    return torch.cat([y, x], dim=2).reshape(rows * columns, 1, channels)


class PositionMaskEmbedding(nn.Module):
    """Embeds the position mask of a person: two strided convolutions, then poolings (I2R-Net, section 3.2).

    Args:
        channels: D of the tokens.
        poolings: halvings after the convolutions have brought the mask to a quarter.
    """

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
        for _ in range(self.poolings):
            x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        return x
