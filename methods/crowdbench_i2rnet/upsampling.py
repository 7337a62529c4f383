"""Transposed convolutions that bring the related features back to the heatmaps' resolution."""

from torch import Tensor, nn


def deconvolution(channels: int) -> list[nn.Module]:
    """Doubles a map: ``(S, D, h, w)`` to ``(S, D, 2h, 2w)``."""
    return [
        nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]


def shared_deconvolution(channels: int) -> nn.Sequential:
    """One doubling, to be applied as often as it takes, always with the same weights."""
    return nn.Sequential(*deconvolution(channels))


class Deconvolutions(nn.Module):
    """Doublings with weights of their own."""

    def __init__(self, channels: int, doublings: int) -> None:
        super().__init__()
        self.deconv_layers = nn.ModuleList(nn.Sequential(*deconvolution(channels)) for _ in range(doublings))

    def forward(self, x: Tensor) -> Tensor:
        """``(S, D, h, w)`` to ``(S, D, h * 2^doublings, w * 2^doublings)``."""
        for layer in self.deconv_layers:
            x = layer(x)
        return x
