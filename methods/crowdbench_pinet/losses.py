"""The losses of heatmaps, of offsets, and of refined offsets."""

import torch
from torch import Tensor

from crowdbench.errors import ShapeError


def heatmap_loss(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The mean, over images, channels and pixels, of weighted squared errors.

    Args:
        heatmaps: ``(B, M, h, w)``, predicted, of any floating type.
        targets: ``(B, M, h, w)`` float32.
        weights: ``(B, M, h, w)`` float32, of the squares; pixels of weight 0 are counted in the mean.

    Returns:
        A scalar, float32.

    Raises:
        ShapeError: the three disagree.
    """
    if not heatmaps.shape == targets.shape == weights.shape:
        raise ShapeError(
            "heatmaps, targets and weights must be of one shape, "
            f"got {tuple(heatmaps.shape)}, {tuple(targets.shape)} and {tuple(weights.shape)}."
        )
    return (weights * (heatmaps.float() - targets).square()).mean()


def offset_loss(offsets: Tensor, targets: Tensor, weights: Tensor, beta: float) -> Tensor:
    """Weighted smooth L1, divided by the number of values that have a weight.

    Rows without a weight may be left out: they change nothing.

    Args:
        offsets: ``(..., K, 2)``, predicted, of any floating type.
        targets: ``(..., K, 2)`` float32.
        weights: ``(..., K)`` float32, not negative, of both axes.
        beta: below this difference the loss is quadratic.

    Returns:
        A scalar, float32; 0 if nothing has a weight.

    Raises:
        ShapeError: the three disagree.
    """
    if not offsets.shape == targets.shape == (*weights.shape, 2):
        raise ShapeError(
            "offsets and targets must be (..., K, 2) and weights (..., K), "
            f"got {tuple(offsets.shape)}, {tuple(targets.shape)} and {tuple(weights.shape)}."
        )
    distances = (offsets.float() - targets).abs()
    curved = 0.5 / beta * distances.square()
    each = torch.where(distances < beta, curved, distances - 0.5 * beta)
    counted = (2 * torch.count_nonzero(weights)).clamp(min=1)
    return (weights[..., None] * each).sum() / counted
