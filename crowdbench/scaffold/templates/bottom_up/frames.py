"""Where things are, in three frames: the image, the network's input, and the cells of its output.

The input is the image, scaled to fit, in the middle; a cell is 4x4 pixels of the input. In all three the
centre of the first pixel, or cell, is (0, 0). Every map is known exactly, and so is its way back.
"""

import numpy as np
from numpy.typing import NDArray

from .network import STRIDE

FloatArray = NDArray[np.float64]

# The centre of the first cell, in pixels of the input: pixels 0, 1, 2 and 3 are in it.
_FIRST = (STRIDE - 1) / 2


def image_to_input(width: int, height: int, size: tuple[int, int], enlargement: float = 1.0) -> FloatArray:
    """The map from an image to the network's input.

    Args:
        width, height: of the image, in pixels.
        size: (height, width) of the input.
        enlargement: beyond what fits.

    Returns:
        ``(2, 3)``: ``[x', y'] = A @ [x, y, 1]``.
    """
    scale = enlargement * min(size[1] / width, size[0] / height)
    # Middle to middle; that of pixels 0 .. width - 1 is (width - 1) / 2.
    x = (size[1] - 1 - scale * (width - 1)) / 2
    y = (size[0] - 1 - scale * (height - 1)) / 2
    return np.array([[scale, 0, x], [0, scale, y]])


def image_to_cells(to_input: FloatArray) -> FloatArray:
    """``(2, 3)``: the map from an image to cells, by way of the input."""
    return (to_input - [[0, 0, _FIRST]]) / STRIDE


def cells_to_image(to_input: FloatArray) -> FloatArray:
    """``(2, 3)``: the way back."""
    scale = to_input[0, 0]
    return np.column_stack([np.eye(2) * STRIDE / scale, (_FIRST - to_input[:, 2]) / scale])
