"""Position masks: where in the whole image a person's box is, at the network's input size.

The published preparation draws the box on a canvas of the image's size, rotates the canvas about its middle,
and resizes it to the input size without regard to its aspect ratio. Here only the result is computed,
exactly: without rotation the mask is a product of a profile along x and one along y.

At rotation 0 the published rotation still moves the mask by half a pixel along every side of odd length,
because it turns about a whole pixel and centres on a half one; the edges there are half lit.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench.types import FloatArray

# Lit pixels by how much of them is covered along x and along y, in halves: 255 times the product, rounded.
LEVELS = np.array([[0, 0, 0], [0, 64, 128], [0, 128, 255]], dtype=np.int32)
# Bilinear weights are integers of 11 bits in OpenCV's resize of 8-bit images.
UNIT = 1 << 11


def position_masks(boxes: FloatArray, width: int, height: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The position masks of the persons of one image, not rotated.

    Args:
        boxes: ``(n, 4)``, x, y, w, h in image pixels; may reach beyond the image.
        width, height: of the image, in pixels.
        size: (height, width) of the masks.

    Returns:
        ``(n, size[0], size[1])`` uint8, 255 where the person's box is.
    """
    first = np.trunc(boxes[:, :2]).astype(np.int64)
    last = np.trunc(boxes[:, :2] + boxes[:, 2:]).astype(np.int64)  # inclusive, one pixel beyond the box
    if (height, width) == (2 * size[0], 2 * size[1]):
        # OpenCV averages instead of interpolating when it halves exactly.
        return _drawn(first, last, width, height, size)
    left, right, weight_x = _covered(first[:, 0], last[:, 0], width, size[1])
    above, below, weight_y = _covered(first[:, 1], last[:, 1], height, size[0])
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
    """Resized rows to a grey level between them, in the fixed-point arithmetic of OpenCV's resize."""
    shares = ((before >> 4) * (UNIT - weight) >> 16) + ((after >> 4) * weight >> 16)
    return (shares + 2 >> 2).astype(np.uint8)


def _covered(
    first: NDArray[np.int64], last: NDArray[np.int64], length: int, resized: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """How much of the two pixels under each resized pixel the boxes cover, and how the two are weighted.

    Returns:
        before, after: ``(n, resized)``, 0, 1 or 2 halves.
        weight: ``(resized,)``, of the pixel after, in units of 2^-11.
    """
    before, weight = _interpolation(length, resized)
    shift, last_pixel = length % 2, length - 1

    def halves(at: NDArray[np.int64]) -> NDArray[np.int64]:
        covers = (at >= first[:, None]) & (at <= last[:, None])
        earlier = at - shift
        moved = (earlier >= np.maximum(first, 0)[:, None]) & (earlier <= last[:, None])
        return covers.astype(np.int64) + moved

    return halves(np.clip(before, 0, last_pixel)), halves(np.clip(before + 1, 0, last_pixel)), weight


@lru_cache(maxsize=256)
def _interpolation(length: int, resized: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """OpenCV's bilinear resizing along an axis: the pixel before each resized one, the next one's weight."""
    centres = ((np.arange(resized) + 0.5) * (1 / (resized / length)) - 0.5).astype(np.float32)
    before = np.floor(centres)
    weight = np.rint((centres - before) * np.float32(UNIT)).astype(np.int32)
    return before.astype(np.int64), weight


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
