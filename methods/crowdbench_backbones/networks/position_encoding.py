"""Fixed sine position encoding of a feature map's tokens."""

import math

import torch
from torch import Tensor


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
