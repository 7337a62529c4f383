"""What goes into the network: images; and, to train, what should come out.

Letters: B images, n people of an image, K keypoints, H and W of the input, h and w in cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crowdbench.vision.heatmaps import gaussian_targets

# Offsets come in units of so many cells, so that the network's numbers are of the order of 1.
OFFSET_UNIT = 10.0
# Cells in which a center's Gaussian is lower belong to no person.
_EDGE = 0.1


@dataclass(frozen=True, eq=False)
class Images:
    """One image or several, as the network sees them."""

    pixels: NDArray[np.uint8]  # (B, H, W, 3), RGB
    to_input: NDArray[np.float64]  # (B, 2, 3), from pixels of the image to those of the input


@dataclass(frozen=True, eq=False)
class Lesson:
    """Images with their training targets."""

    images: Images
    centers: NDArray[np.float32]  # (B, h, w), 0 to 1
    offsets: NDArray[np.float32]  # (B, K, 2, h, w), x and y in `OFFSET_UNIT`
    weights: NDArray[np.float32]  # (B, K, h, w), above 0 near the center of a person with this keypoint


def targets(
    positions: NDArray[np.float64], labelled: NDArray[np.bool_], cells: tuple[int, int], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """What the network should find in one image.

    Args:
        positions: ``(n, K, 2)`` of the keypoints, x, y in cells.
        labelled: ``(n, K)``.
        cells: (h, w).
        sigma: of the Gaussians on centres, in cells.

    Returns:
        Centres ``(h, w)``, offsets ``(K, 2, h, w)`` and their weights ``(K, h, w)``; see `Lesson`.
    """
    people, keypoints = labelled.shape
    if not people:
        nothing = np.zeros((keypoints, 2, *cells), dtype=np.float32)
        return nothing[0, 0], nothing, nothing[:, 0]
    counted = labelled[..., None]
    middles = positions.sum(axis=1, where=counted) / np.maximum(counted.sum(axis=1), 1)  # (n, 2)
    maps, _ = gaussian_targets(middles[:, None], np.ones((people, 1)), cells, sigma)  # (n, 1, h, w)
    # Where people stand close, a cell belongs to the one whose centre is nearest.
    owner, centers = maps[:, 0].argmax(axis=0), maps[:, 0].max(axis=0)  # (h, w) each
    y, x = np.indices(cells)
    offsets = (positions[owner].transpose(2, 3, 0, 1) - np.stack([x, y])) / OFFSET_UNIT
    weights = labelled[owner].transpose(2, 0, 1) * np.where(centers < _EDGE, 0, centers)
    return centers, offsets.astype(np.float32), weights.astype(np.float32)


def stacked(groups: Sequence[Images]) -> Images:
    """Several images in one batch."""
    return Images(
        np.concatenate([group.pixels for group in groups]),
        np.concatenate([group.to_input for group in groups]),
    )


def stacked_lessons(lessons: Sequence[Lesson]) -> Lesson:
    """The same, with what should be found."""
    return Lesson(
        stacked([lesson.images for lesson in lessons]),
        np.concatenate([lesson.centers for lesson in lessons]),
        np.concatenate([lesson.offsets for lesson in lessons]),
        np.concatenate([lesson.weights for lesson in lessons]),
    )


def normalised(pixels: NDArray[np.uint8], like: Tensor) -> Tensor:
    """``(B, H, W, 3)``, 0 to 255 → ``(B, 3, H, W)``, -1 to 1, on the device and of the type of `like`."""
    images = torch.from_numpy(pixels).to(like.device).permute(0, 3, 1, 2)
    return images.to(like.dtype) / 127.5 - 1
