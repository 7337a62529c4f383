"""Box ↔ crop: cleaning boxes, center and scale, the affine maps between image, crop and heatmap.

All maps follow the (size - 1) convention of top-down pose networks since SimpleBaseline (Xiao et al.,
ECCV 2018): the middle of a crop of width W is the pixel (W - 1) / 2, and the W - 1 pixel distances cover the
box's width minus one image pixel. The arithmetic is float32 wherever the published code's is: for a box a few
pixels wide, the last bits of float32 are a visible part of a heatmap pixel. Sizes are (height, width).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdbench.api.types import Float32Array, FloatArray
from crowdbench.errors import ShapeError

# A scale of 1 is a box of 200 pixels: the unit of the MPII annotations, kept ever since.
SCALE_UNIT_PX = 200
# The published crops are a quarter wider than the box (SimpleBaseline, section 3).
ENLARGEMENT = 1.25


def as_boxes(boxes: ArrayLike) -> FloatArray:
    """Boxes as ``(n, 4)`` float64, ``(0, 4)`` for an empty list; raises ShapeError."""
    given = np.asarray(boxes, dtype=np.float64)
    if given.size == 0:
        return np.zeros((0, 4))
    if given.ndim != 2 or given.shape[1] != 4:
        raise ShapeError(f"boxes must be (n, 4): x, y, width, height; got {given.shape}.")
    return given


def clean_boxes(boxes: ArrayLike, width: int, height: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Cut boxes to the image, as the published top-down pipelines do before they crop.

    A box that begins left of (above) the image is *moved* to its edge; its width (height) stays, then is cut
    at the far edge. Sizes are counted in pixels: a box [x, y, w, h] covers the columns x .. x + w - 1.

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


def centers_and_scales(
    boxes: ArrayLike, input_size: tuple[int, int], enlargement: float = ENLARGEMENT
) -> tuple[Float32Array, Float32Array]:
    """Where to crop: boxes made as wide or high as the network's input is, then enlarged.

    Args:
        boxes: ``(n, 4)``, x, y, w, h in image pixels.
        input_size: (height, width) of the network's input; only their ratio counts.
        enlargement: of both sides, after the ratio is right.

    Returns:
        centers: ``(n, 2)`` float32, x, y in image pixels.
        scales: ``(n, 2)`` float32, width, height in units of 200 pixels.
    """
    x, y, width, height = as_boxes(boxes).T
    aspect = input_size[1] / input_size[0]
    centers = np.stack([x + (width - 1) * 0.5, y + (height - 1) * 0.5], axis=1)
    too_wide = width > aspect * height
    sides = np.stack(
        [np.where(too_wide, width, aspect * height), np.where(too_wide, width / aspect, height)], axis=1
    )
    # Two roundings to float32, before and after the enlargement, as in the published code.
    scales = (sides / SCALE_UNIT_PX).astype(np.float32) * np.float32(enlargement)
    return centers.astype(np.float32), scales


def crop_affines(
    centers: ArrayLike,
    scales: ArrayLike,
    size: tuple[int, int],
    *,
    rotation: float = 0.0,
    inverse: bool = False,
) -> FloatArray:
    """The maps between an image and its crops.

    Each is defined by three pairs of points, so that a crop and a heatmap of another size each get their own
    map (a heatmap's is *not* the crop's divided by the stride), and the way back is computed from the swapped
    points, not by inverting the matrix. Only the scale's width is used; the map is isotropic.

    Args:
        centers: ``(n, 2)``, x, y in image pixels.
        scales: ``(n, 2)``, in units of 200 pixels.
        size: (height, width) of the crop or heatmap.
        rotation: of the image about the center, in degrees.
        inverse: from the crop to the image.

    Returns:
        ``(n, 2, 3)`` float64: ``[x', y'] = A @ [x, y, 1]``.

    Raises:
        ShapeError: centers or scales are not ``(n, 2)``.
    """
    # OpenCV's solver, because its rounding is part of the published numbers.
    import cv2

    centers, scales = _pairs(centers, "centers"), _pairs(scales, "scales")
    image_points = _source_points(centers, scales, np.deg2rad(rotation))
    crop_points = _target_points(size)
    affines = np.empty((len(centers), 2, 3))
    for index, points in enumerate(image_points):
        affines[index] = (
            cv2.getAffineTransform(crop_points, points)
            if inverse
            else cv2.getAffineTransform(points, crop_points)
        )
    return affines


def _pairs(values: ArrayLike, what: str) -> Float32Array:
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ShapeError(f"{what} must be (n, 2): x, y; got {array.shape}.")
    return array


def _source_points(centers: Float32Array, scales: Float32Array, radians: float) -> Float32Array:
    unit = np.float32(SCALE_UNIT_PX)
    half = np.float32(-0.5) * (scales[:, :1] * unit - np.float32(1))  # toward the crop's upper edge
    direction = np.array([-np.sin(radians), np.cos(radians)])
    upper = (centers + half * direction).astype(np.float32)
    return _with_corner(centers, upper)


def _target_points(size: tuple[int, int]) -> Float32Array:
    height, width = size
    middle = np.array([[(width - 1) * 0.5, (height - 1) * 0.5]], dtype=np.float32)
    upper = middle + np.array([[0, (width - 1) * -0.5]], dtype=np.float32)
    points: Float32Array = _with_corner(middle, upper)[0]
    return points


def _with_corner(middle: Float32Array, upper: Float32Array) -> Float32Array:
    arm = middle - upper
    corner = upper + np.stack([-arm[:, 1], arm[:, 0]], axis=1)
    return np.stack([middle, upper, corner], axis=1)


def transform_points(points: ArrayLike, affines: ArrayLike) -> FloatArray:
    """Map each person's points with the person's own affine.

    Args:
        points: ``(n, K, 2)``, x, y.
        affines: ``(n, 2, 3)``.

    Returns:
        ``(n, K, 2)`` float64.
    """
    affines = np.asarray(affines, dtype=np.float64)
    linear, shift = affines[:, :, :2], affines[:, :, 2]
    mapped: FloatArray = np.asarray(points, dtype=np.float64) @ linear.transpose(0, 2, 1) + shift[:, None]
    return mapped


def warp_crops(
    image: NDArray[np.uint8], affines: Sequence[FloatArray] | FloatArray, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Cut crops out of an image, bilinearly, black outside the image.

    OpenCV 4 and 5 differ here by up to 5 gray levels; records name the version.

    Args:
        image: ``(H, W, 3)`` uint8.
        affines: ``(n, 2, 3)``, image → crop.
        size: (height, width) of the crops.

    Returns:
        ``(n, height, width, 3)`` uint8.
    """
    import cv2

    height, width = size
    crops = np.empty((len(affines), height, width, 3), dtype=np.uint8)
    for crop, affine in zip(crops, affines, strict=True):
        cv2.warpAffine(image, affine, (width, height), dst=crop, flags=cv2.INTER_LINEAR)
    return crops
