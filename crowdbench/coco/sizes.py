"""Detect swapped image width and height from annotations."""

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.coco.reading import CocoFile


def extents(keypoints: FloatArray, at: NDArray[np.int64], images: int) -> FloatArray:
    """Return the farthest labelled keypoint of each image.

    Args:
        keypoints: ``(n, K, 3)``, x, y in image pixels and visibility.
        at: ``(n,)``, the position of each person's image.
        images: the number of images.

    Returns:
        ``(images, 2)``, the largest x and y; 0 where there is no labelled keypoint.
    """
    labelled = keypoints[:, :, 2:] > 0
    farthest = np.where(labelled, keypoints[:, :, :2], 0.0).max(axis=1, initial=0.0)
    found = np.zeros((images, 2))
    np.maximum.at(found, at, farthest)
    return found


def fit_only_swapped(sizes: FloatArray, reach: FloatArray) -> NDArray[np.bool_]:
    """Whether keypoints are outside the image as written but inside if width and height are swapped.

    Args:
        sizes: ``(images, 2)``, width and height as written, in pixels.
        reach: ``(images, 2)``, see `extents`.
    """
    fits: NDArray[np.bool_] = np.any(reach > sizes, axis=1) & np.all(reach <= sizes[:, ::-1], axis=1)
    return fits


def likely_sizes(file: CocoFile) -> FloatArray:
    """``(images, 2)``: width and height in pixels, swapped if persons then fit better; NaN if unknown."""
    sizes = sizes_as_written(file)
    at = file.image_positions
    listed = at >= 0
    if not listed.any():
        return sizes
    at, keypoints = at[listed], file.keypoints[listed]
    boxes = file.boxes[listed]
    ends = np.zeros_like(sizes)
    np.maximum.at(ends, at, boxes[:, :2] + boxes[:, 2:])
    swapped = fit_only_swapped(sizes, extents(keypoints, at, len(sizes)))
    # If boxes contradict this, x and y of the keypoints may be swapped and the size correct.
    swapped &= ~fit_only_swapped(sizes[:, ::-1], ends)
    sizes[swapped] = sizes[swapped][:, ::-1]
    return sizes


def sizes_as_written(file: CocoFile) -> FloatArray:
    """``(images, 2)``, width and height in pixels; NaN where the file has none."""
    sizes = np.empty((len(file.images), 2))
    sizes[:, 0] = [image.width for image in file.images]  # NaN for None
    sizes[:, 1] = [image.height for image in file.images]
    return sizes
