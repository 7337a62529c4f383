"""Pictures in memory: decoded once, for the method and for drawing."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import ImageError
from crowdbench.system.files.opening import open_regular
from crowdbench.system.files.os_errors import reason
from crowdbench.system.images import decode_rgb, decoder_warnings

# How Exif data is marked in JPEG and AVIF, PNG, and WebP.
_EXIF_MARKS = (b"Exif", b"eXIf", b"EXIF")


def read_picture(path: Path, *, upright: bool) -> tuple[NDArray[np.uint8], bool]:
    """Decode a picture as datasets are read: grey and 16 bits become RGB of 8 bits, alpha is dropped.

    Args:
        path: the file.
        upright: turn the picture as its EXIF orientation says. Datasets' annotations ignore it.

    Returns:
        ``(H, W, 3)`` uint8, RGB; and whether its EXIF orientation turns or mirrors it.

    Raises:
        ImageError: it cannot be read or decoded.
    """
    try:
        with open_regular(path) as file:
            data = np.fromfile(file, dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot read the picture ({reason(error)}).") from error
    stored = decode_rgb(data, str(path))
    content = data.tobytes()
    if not any(mark in content for mark in _EXIF_MARKS):
        return stored, False
    # OpenCV knows where each format keeps the orientation: what it turns is turned.
    try:
        with decoder_warnings():  # they have been said
            seen = decode_rgb(data, str(path), oriented=True)
    except ImageError:
        return stored, False
    if np.array_equal(stored, seen):
        return stored, False
    return (seen if upright else stored), True
