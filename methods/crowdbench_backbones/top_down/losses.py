"""The loss of heatmap networks."""

from torch import Tensor

from crowdbench.errors import ShapeError


def keypoint_loss(heatmaps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Half the mean squared error of weighted heatmaps (SimpleBaseline's JointsMSE).

    The mean is over all persons, keypoints and pixels: keypoints of weight 0 add nothing but are counted. A
    batch without persons has loss 0.

    Args:
        heatmaps: ``(S, K, h, w)``, predicted.
        targets: ``(S, K, h, w)``; in half precision heatmaps are promoted to the targets' type.
        weights: ``(S, K)``; they multiply the difference, before it is squared.

    Returns:
        A scalar.

    Raises:
        ShapeError: the three disagree.
    """
    if heatmaps.shape != targets.shape or heatmaps.ndim != 4 or weights.shape != heatmaps.shape[:2]:
        raise ShapeError(
            "heatmaps and targets must be (S, K, h, w) and weights (S, K), "
            f"got {tuple(heatmaps.shape)}, {tuple(targets.shape)} and {tuple(weights.shape)}."
        )
    differences = (heatmaps - targets) * weights[..., None, None]
    return 0.5 * differences.square().sum() / max(differences.numel(), 1)
