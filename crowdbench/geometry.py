"""Box ↔ crop: cleaning boxes, centre and scale, the affine maps between image, crop and heatmap.

All maps follow the (size - 1) convention of top-down pose networks since SimpleBaseline (Xiao et al., ECCV 2018):
the middle of a crop of width W is the pixel (W - 1) / 2, and the crop's W - 1 pixel distances cover the box's
width minus one image pixel. The arithmetic is float32 where the published code's is, because the last bits reach the
keypoints: a 7-pixel box at 1.5 pixels of heatmap error is a different pose.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.errors import ShapeError
from crowdbench.types import FloatArray


def clean_boxes(boxes: ArrayLike, width: int, height: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Cut boxes to the image, as the published top-down pipelines do before they crop.

    A box that begins left of (above) the image is *moved* to its edge; its width (height) stays, then is cut at
    the far edge. Sizes are counted in pixels: a box [x, y, w, h] covers the columns x .. x + w - 1.

    Args:
        boxes: ``(n, 4)``, x, y, w, h in image pixels.
        width, height: of the image, in pixels.

    Returns:
        boxes: ``(n, 4)`` float64, cleaned, the discarded ones included.
        keep: ``(n,)`` bool, false for boxes of which nothing is left.

    Raises:
        ShapeError: the boxes are not ``(n, 4)``.
    """
    given = as_boxes(boxes)
    first = np.maximum(0.0, given[:, :2])
    last = np.minimum(np.array([width - 1.0, height - 1.0]), first + np.maximum(0.0, given[:, 2:] - 1.0))
    keep: NDArray[np.bool_] = (last >= first).all(axis=1)
    return np.concatenate([first, last - first + 1.0], axis=1), keep


def as_boxes(boxes: ArrayLike) -> FloatArray:
    """Boxes as ``(n, 4)`` float64; an empty list is ``(0, 4)``.

    Raises:
        ShapeError: they are not ``(n, 4)``.
    """
    given = np.asarray(boxes, dtype=np.float64)
    if given.size == 0:
        return np.zeros((0, 4))
    if given.ndim != 2 or given.shape[1] != 4:
        raise ShapeError(f"boxes must be (n, 4): x, y, width, height; got {given.shape}.")
    return given
