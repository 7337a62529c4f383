"""Decode an image once, for the method and for drawing."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import ImageError
from crowdbench.system.files.opening import open_regular
from crowdbench.system.files.os_errors import reason
from crowdbench.system.images import decode_rgb, decoder_warnings

# Markers of EXIF data in JPEG and AVIF, PNG, and WebP.
_EXIF_MARKS = (b"Exif", b"eXIf", b"EXIF")


def read_image(path: Path, *, upright: bool) -> tuple[NDArray[np.uint8], bool]:
    """Decode an image as a dataset's images are: gray and 16-bit become 8-bit RGB, alpha is dropped.

    Args:
        path: the image file.
        upright: apply the EXIF orientation, which datasets' annotations ignore.

    Returns:
        ``(H, W, 3)`` uint8, RGB, and whether the EXIF orientation rotates or mirrors the stored image.

    Raises:
        ImageError: the file cannot be read or decoded.
    """
    try:
        with open_regular(path) as file:
            data = np.fromfile(file, dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot read the image ({reason(error)}).") from error
    stored = decode_rgb(data, str(path))
    content = data.tobytes()
    if not any(mark in content for mark in _EXIF_MARKS):
        return stored, False
    # OpenCV knows where each format stores the orientation: the image is rotated if OpenCV rotates it.
    try:
        with decoder_warnings():  # already reported by the first decoding
            oriented = decode_rgb(data, str(path), oriented=True)
    except ImageError:
        return stored, False
    if np.array_equal(stored, oriented):
        return stored, False
    return (oriented if upright else stored), True
