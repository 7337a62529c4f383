"""The network: an image in; out, where people's centres are, and how far from there to their keypoints."""

from torch import Tensor, cat, nn, tensor
from torch.nn.functional import interpolate

# Pixels of the input, along each side, to a cell of the output.
STRIDE = 4
# The deepest layers have a cell for so many; sides of the input must be multiples of it.
DEEPEST = 32


class Network(nn.Module):
    """A small U-Net: down to a 32nd, where a cell sees a whole person, and up again.

    Args:
        keypoints: K.
        width: channels of the finest layers.
    """

    def __init__(self, keypoints: int, width: int = 32) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.stem = nn.Sequential(block(3, width // 2, stride=2), block(width // 2, width, stride=2))
        self.down = block(width, 2 * width, stride=2)
        self.downer = block(2 * width, 4 * width, stride=2)
        self.bottom = nn.Sequential(block(4 * width, 4 * width, stride=2), block(4 * width, 4 * width))
        self.upper = block(8 * width, 4 * width)
        self.up = block(6 * width, 2 * width)
        self.top = block(3 * width, 2 * width)
        self.head = nn.Conv2d(2 * width, 1 + 2 * keypoints, kernel_size=1)
        # Centres are rare: begin with a probability of a tenth everywhere, as RetinaNet and CenterNet do.
        nn.init.normal_(self.head.weight, std=0.01)
        self.head.bias = nn.Parameter(tensor([-2.2] + [0.0] * 2 * keypoints))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 3, H, W)`` → centres ``(B, h, w)``, as logits, and offsets ``(B, K, 2, h, w)``; h = H / 4."""
        quarter = self.stem(images)  # (B, width, H / 4, W / 4)
        eighth = self.down(quarter)  # (B, 2 width, H / 8, W / 8)
        sixteenth = self.downer(eighth)  # (B, 4 width, H / 16, W / 16)
        deepest = self.bottom(sixteenth)  # (B, 4 width, H / 32, W / 32)
        sixteenth = self.upper(joined(sixteenth, deepest))
        eighth = self.up(joined(eighth, sixteenth))
        found = self.head(self.top(joined(quarter, eighth)))  # (B, 1 + 2 K, H / 4, W / 4)
        return found[:, 0], found[:, 1:].unflatten(1, (self.keypoints, 2))


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
