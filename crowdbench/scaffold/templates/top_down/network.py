"""The network: a crop in, a heatmap for every keypoint out. Put your own here."""

from torch import Tensor, cat, nn
from torch.nn.functional import interpolate

# Pixels of a crop, along each side, to a pixel of its heatmaps.
STRIDE = 4
# The deepest layers have a pixel for so many; sides of the input must be multiples of it.
DEEPEST = 16


class Network(nn.Module):
    """A small U-Net: down to a sixteenth for an overview, and up again to see where things are.

    Args:
        keypoints: K, the number of heatmaps.
        width: channels of the finest layers.
    """

    def __init__(self, keypoints: int, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, width, stride=2), block(width, width, stride=2))
        self.down = block(width, 2 * width, stride=2)
        self.bottom = nn.Sequential(block(2 * width, 4 * width, stride=2), block(4 * width, 4 * width))
        self.up = block(6 * width, 2 * width)
        self.top = block(3 * width, width)
        self.head = nn.Conv2d(width, keypoints, kernel_size=1)
        # Heatmaps are zero almost everywhere; beginning there saves the first steps.
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, crops: Tensor) -> Tensor:
        """``(S, 3, H, W)`` → ``(S, K, H / 4, W / 4)``."""
        fine = self.stem(crops)  # (S, width, H / 4, W / 4)
        middle = self.down(fine)  # (S, 2 width, H / 8, W / 8)
        coarse = self.bottom(middle)  # (S, 4 width, H / 16, W / 16)
        middle = self.up(joined(middle, coarse))
        fine = self.top(joined(fine, middle))
        heatmaps: Tensor = self.head(fine)
        return heatmaps


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def joined(fine: Tensor, coarse: Tensor) -> Tensor:
    """The channels of both, at the size of the first, which is twice that of the second."""
    return cat([fine, interpolate(coarse, scale_factor=2.0)], dim=1)
