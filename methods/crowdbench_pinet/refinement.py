"""Pose refinement: a graph network over a person's keypoints corrects each pose once.

Wang et al., NeurIPS 2021, section 3.3. Submodules carry the names of the authors' release.
Letters in shape comments: n poses, K keypoints, C channels of the features.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Sampling = Literal["released", "exact"]


class GraphBlock(nn.Module):
    """One graph convolution, batch norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = GraphConvolution(channels)
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """``(n, K, C)`` and ``(K, K)`` to ``(n, K, C)``."""
        y: Tensor = self.conv(x, adjacency)
        # Statistics over all keypoints of all persons.
        return functional.relu(self.bn(y.flatten(0, 1)).view_as(y), inplace=True)


class GraphConvolution(nn.Module):
    """``A (x W) + b`` for every person (Kipf and Welling, ICLR 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels))  # (in, out)
        self.bias = nn.Parameter(torch.empty(channels))
        nn.init.xavier_uniform_(self.weight, gain=1.414)
        nn.init.uniform_(self.bias, -(channels**-0.5), channels**-0.5)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """``(n, K, C)`` and ``(K, K)`` to ``(n, K, C)``."""
        # One product for all keypoints, then K x K sums: the other order would multiply n times.
        summed: Tensor = torch.einsum("jk,nkc->njc", adjacency, x @ self.weight)
        return summed + self.bias


class GraphResidual(nn.Module):
    """Two graph blocks around a shortcut; no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gconv1 = GraphBlock(channels)
        self.gconv2 = GraphBlock(channels)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """``(n, K, C)`` to the same shape."""
        change: Tensor = self.gconv2(self.gconv1(x, adjacency), adjacency)
        return x + change


class PoseRefinement(nn.Module):
    """What is to be subtracted from poses, from the features where their keypoints lie.

    Args:
        keypoints: K.
        bones: pairs of joined keypoints; the trained adjacency starts from them.
        channels: C.
        layers: residual pairs of graph blocks.
    """

    def __init__(self, keypoints: int, bones: Sequence[tuple[int, int]], channels: int, layers: int) -> None:
        super().__init__()
        # Every entry is trained, of keypoints that are not joined too.
        self.adj = nn.Parameter(normalized_adjacency(keypoints, bones))
        self.gconv_head = GraphBlock(channels)
        self.gconv_layers = nn.ModuleList(GraphResidual(channels) for _ in range(layers))
        self.gconv_pred = nn.Sequential(
            nn.Conv1d(3 * channels, channels, 1),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, 2 * keypoints, 1),
        )

    def forward(self, at_keypoints: Tensor, at_centers: Tensor) -> Tensor:
        """The corrections of n poses, each by itself.

        Args:
            at_keypoints: ``(n, K, C)``, features at the poses' keypoints.
            at_centers: ``(n, C)``, features at the centers they were found at.

        Returns:
            ``(n, K, 2)``, x, y in heatmap pixels, to be subtracted from the poses.
        """
        x = self.gconv_head(at_keypoints, self.adj)
        for layer in self.gconv_layers:
            x = layer(x, self.adj)
        pooled = torch.cat([x.mean(1), x.amax(1), at_centers], dim=1)  # (n, 3 C)
        corrections: Tensor = self.gconv_pred(pooled[..., None])
        return corrections.view(len(x), x.shape[1], 2)


def normalized_adjacency(keypoints: int, bones: Sequence[tuple[int, int]]) -> Tensor:
    """``(K, K)``: the skeleton with self-loops, divided by the roots of both ends' degrees."""
    adjacency = torch.eye(keypoints)
    for first, second in bones:
        adjacency[first, second] = adjacency[second, first] = 1
    roots = adjacency.sum(1).rsqrt()
    return roots[:, None] * adjacency * roots[None]


def features_at(features: Tensor, points: Tensor, sampling: Sampling) -> Tensor:
    """Features between pixels, bilinearly, zero outside.

    Args:
        features: ``(B, C, H, W)``.
        points: ``(B, m, K, 2)``, x, y in heatmap pixels.
        sampling: ``"released"``: read at ``x * W / (W - 1) - 0.5`` and likewise in y, as the authors' code
            does by mixing two conventions of PyTorch's sampler, and as its networks are trained;
            ``"exact"``: read at the point itself.

    Returns:
        ``(B, m, K, C)``.
    """
    height, width = features.shape[-2:]
    last = torch.tensor([width - 1, height - 1], dtype=points.dtype, device=points.device)
    grid = 2 * points / last.clamp(min=1) - 1
    sampled = functional.grid_sample(
        features.to(grid.dtype), grid, align_corners=sampling == "exact", padding_mode="zeros"
    )
    return sampled.permute(0, 2, 3, 1)
