"""Reading image files: one decoder for datasets, checks and pictures."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import ImageError, MissingDataError
from crowdbench.system.opening import open_regular


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to ``(H, W, 3)`` uint8 RGB, ignoring EXIF orientation.

    Raises:
        MissingDataError: there is no such file.
        ImageError: OpenCV cannot decode it.
    """
    try:
        with open_regular(path) as file:
            data = np.fromfile(file, dtype=np.uint8)
    except OSError as error:
        raise MissingDataError(f"{path}: cannot read the image ({error.strerror}).") from error
    return decode_rgb(data, str(path))


def decode_rgb(data: NDArray[np.uint8], source: str) -> NDArray[np.uint8]:
    """Decode the content of an image file to ``(H, W, 3)`` uint8 RGB, ignoring EXIF orientation.

    Args:
        data: ``(bytes,)`` uint8.
        source: where the content comes from, for messages.

    Raises:
        ImageError: OpenCV cannot decode it.
    """
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error as error:  # for one, a header that promises more pixels than OpenCV allows
        raise ImageError(f"{source}: OpenCV cannot decode the image ({error.err}).") from error
    if image is None:
        raise ImageError(f"{source}: not an image that OpenCV can decode; the download may be broken.")
    return np.asarray(image, dtype=np.uint8)
