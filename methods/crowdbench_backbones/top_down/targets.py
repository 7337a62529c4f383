"""Target heatmaps, computed on the network's device.

A Gaussian over a map is the product of one along x and one along y, so that what loader workers make, and
what travels to the device, is a position for each keypoint instead of a map.

Letters: S persons, K keypoints, h and w of the heatmaps.
"""

import torch
from torch import Tensor


def separable_targets(
    positions: Tensor, visible: Tensor, size: tuple[int, int], sigma: float
) -> tuple[Tensor, Tensor]:
    """`crowdbench.vision.heatmaps.gaussian_targets`, in PyTorch.

    Args:
        positions: ``(S, K, 2)`` float64, x, y in heatmap pixels.
        visible: ``(S, K)``, 0 for keypoints that are not labelled.
        size: (h, w).
        sigma: of the Gaussian, in heatmap pixels.

    Returns:
        targets: ``(S, K, h, w)`` float32, zero where the weight is.
        weights: ``(S, K)`` float32: as visible, or 0 where three sigmas around the keypoint miss the map.
    """
    height, width = size
    radius = 3 * sigma
    sides = torch.tensor((width, height), device=positions.device)
    # Truncated toward zero, as published: a keypoint 7.9 pixels left of the map still counts.
    first, last = torch.trunc(positions - radius), torch.trunc(positions + radius + 1)
    misses = ((first >= sides) | (last < 0)).any(dim=-1)
    weights = visible.to(torch.float32).masked_fill(misses, 0)
    along_x = _profile(positions[..., 0], width, sigma)
    along_y = _profile(positions[..., 1], height, sigma).masked_fill(weights[..., None] == 0, 0)
    return along_y[..., :, None] * along_x[..., None, :], weights


def _profile(centres: Tensor, length: int, sigma: float) -> Tensor:
    """``(S, K)`` to ``(S, K, length)`` float32, rounded once."""
    distances = torch.arange(length, device=centres.device) - centres[..., None]
    return torch.exp(distances.square() / (-2 * sigma**2)).to(torch.float32)
