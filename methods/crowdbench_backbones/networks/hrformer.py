"""HRFormer-B (Yuan et al., "HRFormer: High-Resolution Transformer for Dense Prediction", NeurIPS 2021).

HRNet's plan with Transformer blocks: attention in windows of 7x7 pixels, then a perceptron with a depthwise
convolution that lets neighbouring windows talk. Submodules carry the names of the authors' release.

Maps travel as ``(N, C, H, W)`` with the channels together in memory, which is also what attention and layer
norms want: moving between the two views copies nothing.

Letters: N crops, C channels of a branch, H and W of its map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from crowdbench_backbones.networks.cpu_kernels import PLAIN
from crowdbench_backbones.networks.hrnet import HRNetTrunk, conv, fusion
from crowdbench_backbones.networks.hrnet_pose import SinglePersonNetwork
from crowdbench_backbones.networks.input_sizes import require_multiple

WIDTH = 78
MODULES = (1, 4, 2)
BLOCKS = 2
HEAD_CHANNELS = 39
WINDOW = 7
PERCEPTRON_RATIO = 4
DROP_PATH = 0.2


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., ECCV 2016): in training, drops a block's update for some samples."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, samples first, to the same."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device, dtype=x.dtype) >= self.rate
        return x * kept / (1 - self.rate)


class WindowAttention(nn.Module):
    """Multi-head attention among the pixels of a window, with learnt biases for relative positions.

    Args:
        channels: C.
        heads: they divide the channels.
        relative_bias: add the relative position bias to the attention. The pose networks were trained and
            are tested without it, though their checkpoints hold it.
    """

    operations = PLAIN

    def __init__(self, channels: int, heads: int, relative_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.relative_bias = relative_bias
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", _relative_positions())
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.out_proj = nn.Linear(channels, channels)

    def forward(self, windows: Tensor, present: Tensor | None) -> Tensor:
        """Attend within windows.

        Args:
            windows: ``(M, 49, C)``.
            present: ``(M, 1, 1, 49)`` bool, the pixels that may be attended to; None for all.

        Returns:
            ``(M, 49, C)``.
        """

        def split(x: Tensor) -> Tensor:  # → (M, heads, 49, C / heads)
            return x.reshape(*x.shape[:2], self.heads, x.shape[2] // self.heads).transpose(1, 2)

        # One product for all three; joining the weights costs next to nothing.
        three = (self.q_proj, self.k_proj, self.v_proj)
        weight = torch.cat([layer.weight for layer in three])
        bias = torch.cat([layer.bias for layer in three])
        queries, keys, values = map(split, self.operations.linear(windows, weight, bias).chunk(3, -1))
        mixed = self.operations.attention(queries, keys, values, self._bias(windows.dtype, present))
        mixed = mixed.transpose(1, 2).flatten(2)
        return self.operations.linear(mixed, self.out_proj.weight, self.out_proj.bias)

    def _bias(self, dtype: torch.dtype, present: Tensor | None) -> Tensor | None:
        if not self.relative_bias:
            return present
        assert isinstance(self.relative_position_index, Tensor)
        bias = (
            self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None].to(dtype)
        )
        return bias if present is None else bias.masked_fill(~present, -torch.inf)


def _relative_positions() -> Tensor:
    """``(49, 49)`` int64: which row of the bias table belongs to a pair of pixels (Liu et al., ICCV 2021)."""
    y, x = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")
    rows, columns = y.flatten(), x.flatten()
    down = rows[:, None] - rows + WINDOW - 1
    right = columns[:, None] - columns + WINDOW - 1
    return down * (2 * WINDOW - 1) + right


class LocalAttention(nn.Module):
    """Window attention on a map whose sides the window need not divide.

    The map is padded with zeros on all sides. The release lets the padding be attended to, as pixels with the
    keys and values of the projections' biases.

    Args:
        channels, heads, relative_bias: see `WindowAttention`.
        mask_padding: do not let the padding be attended to.
    """

    def __init__(self, channels: int, heads: int, relative_bias: bool, mask_padding: bool) -> None:
        super().__init__()
        self.mask_padding = mask_padding
        self.attn = WindowAttention(channels, heads, relative_bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, H, W, C)`` to the same."""
        count, height, width, channels = x.shape
        below, right = -height % WINDOW, -width % WINDOW
        top, left = below // 2, right // 2
        padding = (left, right - left, top, below - top)
        padded = functional.pad(x, (0, 0, *padding))
        rows, columns = (height + below) // WINDOW, (width + right) // WINDOW
        present = None
        if self.mask_padding and (below or right):
            real = functional.pad(x.new_ones(height, width, dtype=torch.bool), padding)
            present = _windows(real[None, :, :, None], rows, columns).transpose(1, 2)[:, None]
            present = present.repeat(count, 1, 1, 1)
        attended = self.attn(_windows(padded, rows, columns), present)  # (N * rows * columns, 49, C)
        attended = attended.view(count, rows, columns, WINDOW, WINDOW, channels).transpose(2, 3)
        whole: Tensor = attended.reshape(count, rows * WINDOW, columns * WINDOW, channels)
        return whole[:, top : top + height, left : left + width]


def _windows(x: Tensor, rows: int, columns: int) -> Tensor:
    """``(N, rows * 7, columns * 7, C)`` to ``(N * rows * columns, 49, C)``."""
    count, channels = len(x), x.shape[-1]
    split = x.view(count, rows, WINDOW, columns, WINDOW, channels).transpose(2, 3)
    return split.reshape(count * rows * columns, WINDOW * WINDOW, channels)


class Perceptron(nn.Module):
    """1x1, depthwise 3x3 and 1x1 convolutions, each with a batch norm and a GELU, the last included."""

    operations = PLAIN
    folds = (("fc1", "norm1"), ("dw3x3", "norm2"), ("fc2", "norm3"))

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, kernel_size=1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.dw3x3 = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1, groups=hidden)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, channels, kernel_size=1)
        self.norm3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same."""
        x = self.operations.convolution_norm_gelu(self.fc1, self.norm1, x)
        x = self.operations.convolution_norm_gelu(self.dw3x3, self.norm2, x)
        return self.operations.convolution_norm_gelu(self.fc2, self.norm3, x)


class TransformerBlock(nn.Module):
    """Pre-norm attention and perceptron, each added to its input."""

    def __init__(
        self, channels: int, heads: int, drop_path: float, relative_bias: bool, mask_padding: bool
    ) -> None:
        super().__init__()
        self.attn = LocalAttention(channels, heads, relative_bias, mask_padding)
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = Perceptron(channels, PERCEPTRON_RATIO * channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same."""
        pixels = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        pixels = pixels + self.drop_path(self.attn(self.norm1(pixels)))
        update: Tensor = self.drop_path(self.mlp(self.norm2(pixels).permute(0, 3, 1, 2)))
        updated: Tensor = pixels.permute(0, 3, 1, 2) + update
        return updated


def _fusion(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """`crowdbench_backbones.networks.hrnet.fusion` with depthwise downsampling and bilinear upsampling."""

    def downsampling(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, inputs, kernel_size=3, stride=2, padding=1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            conv(inputs, outputs, kernel=1),
            nn.BatchNorm2d(outputs),
        ]

    return fusion(channels, source, target, downsampling=downsampling, upsampling="bilinear")


class HRFormerTrunk(HRNetTrunk):
    """HRFormer-B without a head; its last module gives the highest resolution only."""

    def __init__(self, relative_bias: bool = False, mask_padding: bool = False) -> None:
        rates = torch.linspace(0, DROP_PATH, sum(MODULES) * BLOCKS).tolist()

        def branch(channels: int, _: int, module: int) -> nn.Sequential:
            heads = channels // HEAD_CHANNELS
            own = rates[module * BLOCKS : (module + 1) * BLOCKS]
            return nn.Sequential(
                *(TransformerBlock(channels, heads, rate, relative_bias, mask_padding) for rate in own)
            )

        super().__init__(WIDTH, MODULES, bottlenecks=2, branch=branch, fusion=_fusion, outputs=1)


class KeypointHead(nn.Module):
    """A 1x1 convolution, under the name it has in the release."""

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(channels, keypoints, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, h, w)`` to heatmaps ``(N, K, h, w)``."""
        heatmaps: Tensor = self.final_layer(features)
        return heatmaps


class HRFormerPose(SinglePersonNetwork):
    """Crops to heatmaps, each crop by itself.

    Args:
        keypoints: K.
        input_size: (height, width) of the crops; both divisible by 32.
        relative_bias, mask_padding: see `HRFormerTrunk`.
    """

    channels = WIDTH

    def __init__(
        self,
        keypoints: int,
        input_size: tuple[int, int] = (256, 192),
        relative_bias: bool = False,
        mask_padding: bool = False,
    ) -> None:
        super().__init__()
        require_multiple(input_size, 32)
        self.backbone = HRFormerTrunk(relative_bias, mask_padding)
        self.keypoint_head = KeypointHead(WIDTH, keypoints)

    def features(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)``, normalized, to ``(N, 78, H / 4, W / 4)``."""
        return self.backbone.trunk(images)[0]

    def heatmaps(self, features: Tensor) -> Tensor:
        """See `SinglePersonNetwork`."""
        heatmaps: Tensor = self.keypoint_head(features)
        return heatmaps
