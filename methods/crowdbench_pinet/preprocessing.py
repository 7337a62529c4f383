"""The network's input: fixed short side, long side padded with black to a multiple of 64.

Sizes are (height, width). A heatmap pixel c is the input's pixel 4 c, without a half-pixel term.
"""

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray

STRIDE = 4
# The lowest resolution has a thirty-second of the input's pixels a side.
MULTIPLE = 64


def input_size(height: int, width: int, short: int, *, longest: int, scale: float = 1.0) -> tuple[int, int]:
    """The network's input for an image.

    Args:
        height, width: of the image, in pixels.
        short: of the input's short side at scale 1; a multiple of 64.
        longest: the long side at scale 1 is no longer than this multiple of 64; then the short side is
            shorter. The release has no such limit, and a panorama fills its memory.
        scale: what becomes of both sides at scale 1.
    """
    long = _rounded_up(short / min(height, width) * max(height, width))
    if long > longest:
        long, short = longest, min(short, _rounded_up(longest / max(height, width) * min(height, width)))
    sides = int(short * scale), int(long * scale)
    return sides if height <= width else (sides[1], sides[0])


def _rounded_up(side: float) -> int:
    return int(side + MULTIPLE - 1) // MULTIPLE * MULTIPLE


def input_affine(
    height: int, width: int, size: tuple[int, int], *, exact: bool = False, inverse: bool = False
) -> FloatArray:
    """The map from an image to the network's input: isotropic, middle onto middle.

    Args:
        height, width: of the image, in pixels.
        size: (height, width) of the input.
        exact: onto the input's middle comes the image's. The release rounds that up to whole pixels, which
            moves images with odd sides by half a pixel.
        inverse: from the input to the image.

    Returns:
        ``(2, 3)`` float64: ``[x', y'] = A @ [x, y, 1]``.
    """
    # OpenCV's solver and three points in float32, because their rounding is part of the published numbers.
    import cv2

    middle = np.array([width / 2, height / 2])
    if not exact:
        middle = np.trunc(middle + 0.5)
    # How many of the image's pixels the input is wide.
    across = width if width < height else height / size[0] * size[1]
    needed = max(width, height / size[0] * size[1])
    # The release's rounding may cut off a pixel of the input; a limited long side would cut off more.
    if needed > 1.004 * across:
        across = needed
    target = np.array([size[1] / 2, size[0] / 2])
    source_points = _three_points(middle, across / 2)
    target_points = _three_points(target, size[1] / 2)
    if inverse:
        source_points, target_points = target_points, source_points
    return np.asarray(cv2.getAffineTransform(source_points, target_points), dtype=np.float64)


def _three_points(middle: FloatArray, arm: float) -> NDArray[np.float32]:
    """The middle, the point above it, and the one left of that."""
    x, y = middle.tolist()
    return np.array([(x, y), (x, y - arm), (x - arm, y - arm)], dtype=np.float32)


def resize(image: NDArray[np.uint8], affine: FloatArray, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Warp an image into the network's input, bilinearly, black outside.

    OpenCV 4 and 5 differ here by up to 5 gray levels; records name the version.

    Args:
        image: ``(H, W, 3)`` uint8.
        affine: image → input.
        size: (height, width) of the input.
    """
    import cv2

    warped = cv2.warpAffine(image, affine, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.uint8)
