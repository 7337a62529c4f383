"""Position masks: where in the whole image a person's box is, at the network's input size.

The published preparation draws the box on a canvas of the image's size, mirrors the canvas if the image is,
rotates it about its middle into a canvas that holds all of it, and resizes that to the input size without
regard to its aspect ratio. Here only the result is computed, exactly: without rotation the mask is a product
of a profile along x and one along y; with rotation only the pixels along the box's edges are computed.

At rotation 0 the published rotation still moves the mask by half a pixel along every side of odd length,
because it turns about a whole pixel and centers on a half one; the edges there are half lit.

Rotation is that of OpenCV 4, with which the published networks were trained, whatever OpenCV is installed:
OpenCV 5 rounds it otherwise, by a few gray levels along the edges.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray

# Lit pixels by how much of them is covered along x and along y, in halves: 255 times the product, rounded.
LEVELS = np.array([[0, 0, 0], [0, 64, 128], [0, 128, 255]], dtype=np.int32)
# Bilinear weights are integers of 11 bits in OpenCV's resize of 8-bit images.
UNIT = 1 << 11
# OpenCV 4 rotates in steps of 2^-10 pixels and interpolates in steps of 2^-5.
TURN_UNIT, SUBPIXELS = 1 << 10, 1 << 5


def position_masks(
    boxes: FloatArray,
    width: int,
    height: int,
    size: tuple[int, int],
    *,
    mirrored: bool = False,
    rotation: float = 0.0,
    shifted: bool = True,
) -> NDArray[np.uint8]:
    """The position masks of the persons of one image.

    Args:
        boxes: ``(n, 4)``, x, y, w, h in image pixels; may reach beyond the image.
        width, height: of the image, in pixels.
        size: (height, width) of the masks.
        mirrored: the image is mirrored, left for right, before it is rotated.
        rotation: of the image about its middle, counterclockwise, in degrees.
        shifted: without rotation, move the mask by half a pixel along every side of odd length, as published.

    Returns:
        ``(n, size[0], size[1])`` uint8, 255 where the person's box is.
    """
    first = np.trunc(boxes[:, :2]).astype(np.int64)
    last = np.trunc(boxes[:, :2] + boxes[:, 2:]).astype(np.int64)  # inclusive, one pixel beyond the box
    if mirrored:
        first[:, 0], last[:, 0] = width - 1 - last[:, 0], width - 1 - first[:, 0]
    if rotation:
        return _rotated(first, last, width, height, rotation, size)
    if (height, width) == (2 * size[0], 2 * size[1]):
        # OpenCV averages instead of interpolating when it halves exactly.
        return _drawn(first, last, width, height, size)
    left, right, weight_x = _covered(first[:, 0], last[:, 0], width, size[1], shifted)
    above, below, weight_y = _covered(first[:, 1], last[:, 1], height, size[0], shifted)
    # Image rows come in three kinds: not covered, half covered, covered. Each kind, resized along x:
    rows = LEVELS[:, left] * (UNIT - weight_x) + LEVELS[:, right] * weight_x  # (3, n, W)
    masks = np.zeros((len(boxes), *size), dtype=np.uint8)
    # Between covered rows lie the same values, except where a mask begins or ends along x: there the weights'
    # rounding shows. Elsewhere every row is one of few.
    between = (above & below) == 2  # (n, H)
    for mask, full, inner in zip(masks, rows[2] == 255 * UNIT, between, strict=True):
        y, x = inner.nonzero()[0], full.nonzero()[0]
        if y.size and x.size:
            mask[y[0] : y[-1] + 1, x[0] : x[-1] + 1] = 255
    person, x = ((rows[2] > 0) & (rows[2] < 255 * UNIT)).nonzero()
    edge = rows[2, person, x][:, None]
    masks[person, :, x] = _blended(edge, edge, weight_y) * between[person]
    person, y = (((above | below) > 0) & ~between).nonzero()
    masks[person, y] = _blended(
        rows[above[person, y], person], rows[below[person, y], person], weight_y[y, None]
    )
    return masks


def _blended(
    before: NDArray[np.int32], after: NDArray[np.int32], weight: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """Resized rows to a gray level between them, in the fixed-point arithmetic of OpenCV's resize."""
    shares = ((before >> 4) * (UNIT - weight) >> 16) + ((after >> 4) * weight >> 16)
    return (shares + 2 >> 2).astype(np.uint8)


def _covered(
    first: NDArray[np.int64], last: NDArray[np.int64], length: int, resized: int, shifted: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """How much of the two pixels under each resized pixel the boxes cover, and how the two are weighted.

    Returns:
        before, after: ``(n, resized)``, 0, 1 or 2 halves.
        weight: ``(resized,)``, of the pixel after, in units of 2^-11.
    """
    at, weight = _interpolation(length, resized)
    first, last = first[:, None, None], last[:, None, None]
    halves = ((at >= first) & (at <= last)).astype(np.int64)
    if shifted and length % 2:
        halves += (at > np.maximum(first, 0)) & (at <= last + 1)  # the same, one pixel further
    else:
        halves += halves
    return halves[:, 0], halves[:, 1], weight


@lru_cache(maxsize=256)
def _interpolation(length: int, resized: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """OpenCV's bilinear resizing along an axis.

    Returns:
        at: ``(2, resized)``, the pixel before each resized one, and the one after it.
        weight: ``(resized,)``, of the pixel after, in units of 2^-11.
    """
    centres = ((np.arange(resized) + 0.5) * (1 / (resized / length)) - 0.5).astype(np.float32)
    before = np.floor(centres)
    weight = np.rint((centres - before) * np.float32(UNIT)).astype(np.int32)
    at = np.stack([before, before + 1]).astype(np.int64)
    return np.clip(at, 0, length - 1), weight


def _drawn(
    first: NDArray[np.int64], last: NDArray[np.int64], width: int, height: int, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The same for images of exactly twice the masks' size: even sides, nothing half covered."""
    masks = np.empty((len(first), *size), dtype=np.uint8)
    for mask, (x0, y0), (x1, y1) in zip(masks, first.tolist(), last.tolist(), strict=True):
        canvas = np.zeros((height, width), dtype=np.uint8)
        canvas[max(y0, 0) : max(y1 + 1, 0), max(x0, 0) : max(x1 + 1, 0)] = 255
        cv2.resize(canvas, size[::-1], dst=mask)
    return masks


def _rotated(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    width: int,
    height: int,
    rotation: float,
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """The same for rotated images: 255 well inside a box, 0 well outside, OpenCV's arithmetic between."""
    first, last = np.maximum(first, 0), np.minimum(last, [width - 1, height - 1])
    (canvas_width, canvas_height), back = _way_back(width, height, rotation)
    masks = np.zeros((len(first), *size), dtype=np.uint8)
    # A mask's pixel blends four pixels of the canvas, each less than one away along x and y, which is less
    # than 1.5 in the image; each of those blends image pixels less than one away.
    touched = _within(first - 3, last + 3, back, (canvas_height, canvas_width), size)
    touched[(last < first).any(axis=1)] = False  # nothing of the box lies in the image
    inside = _within(first + 2, last - 2, back, (canvas_height, canvas_width), size) & touched
    masks[inside] = 255
    person, y, x = np.unravel_index(np.flatnonzero(touched & ~inside), masks.shape)
    at_x, weight_x = _interpolation(canvas_width, size[1])
    at_y, weight_y = _interpolation(canvas_height, size[0])
    (left, right), (above, below) = at_x[:, x], at_y[:, y]
    corners = first[person], last[person]
    upper, lower = (
        _rotated_pixels(*corners, left, row, back) * (UNIT - weight_x[x])
        + _rotated_pixels(*corners, right, row, back) * weight_x[x]
        for row in (above, below)
    )
    masks[person, y, x] = _blended(upper, lower, weight_y[y])
    return masks


def _way_back(width: int, height: int, rotation: float) -> tuple[tuple[int, int], FloatArray]:
    """The (width, height) of the canvas that holds a rotated image, and the map from it to the image."""
    turn = cv2.getRotationMatrix2D((width // 2, height // 2), rotation, 1.0)
    cos, sin = np.abs(turn[0, :2]).tolist()
    canvas = int(height * sin + width * cos), int(height * cos + width * sin)
    turn[0, 2] += canvas[0] / 2 - width // 2
    turn[1, 2] += canvas[1] / 2 - height // 2
    return canvas, np.asarray(cv2.invertAffineTransform(turn), dtype=np.float64)


def _within(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    back: FloatArray,
    canvas: tuple[int, int],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """``(n, *size)``: which pixels of the masks have their centers in upright boxes of the image."""
    rows, columns = ((np.arange(n) + 0.5) * (c / n) - 0.5 for n, c in zip(size, canvas, strict=True))
    start, stop = np.array([-np.inf, np.inf])[:, None, None]
    for axis in (0, 1):
        # Along a mask's row the image's coordinate grows by a slope, which must not be 0 to divide by.
        slope = back[axis, 0] * canvas[1] / size[1]
        slope = slope if abs(slope) > 1e-9 else 1e-9
        origin = back[axis, 0] * columns[0] + back[axis, 1] * rows + back[axis, 2]
        nearest, farthest = (first, last) if slope > 0 else (last, first)
        start = np.maximum(start, (nearest[:, axis, None] - origin) / slope)  # (n, height)
        stop = np.minimum(stop, (farthest[:, axis, None] - origin) / slope)
    x = np.arange(size[1])
    within: NDArray[np.bool_] = (x >= start[..., None]) & (x <= stop[..., None])
    return within


def _rotated_pixels(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    back: FloatArray,
) -> NDArray[np.int32]:
    """Gray levels of the rotated canvas at (x, y), in the fixed-point arithmetic of OpenCV 4's warpAffine."""
    levels = np.full(len(x), 255)
    for axis in (0, 1):
        steps = np.rint(back[axis, 0] * x * TURN_UNIT) + np.rint(
            (back[axis, 1] * y + back[axis, 2]) * TURN_UNIT
        )
        at = (steps.astype(np.int64) + TURN_UNIT // SUBPIXELS // 2) // (TURN_UNIT // SUBPIXELS)
        from_edge = np.minimum(at - (first[:, axis] - 1) * SUBPIXELS, (last[:, axis] + 1) * SUBPIXELS - at)
        levels *= np.clip(from_edge, 0, SUBPIXELS)
    return ((levels + SUBPIXELS**2 // 2) // SUBPIXELS**2).astype(np.int32)
