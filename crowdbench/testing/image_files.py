"""Write arrays as image files, in the PNG variants found in the field's datasets."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import DataError
from crowdbench.system.files.writing import write_whole

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_COLOUR_TYPE = 3


def write_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """Write an image in the format given by the file extension.

    Args:
        path: ends in ``.png`` or ``.jpg``.
        image: ``(H, W)`` grayscale, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA; 8 bits, or 16 bits for PNG.

    Raises:
        DataError: OpenCV cannot encode it.
    """
    import cv2

    stored: NDArray[np.integer[Any]] = image
    if image.ndim == 3:
        stored = image[..., [2, 1, 0, 3][: image.shape[2]]]
    # Fast rather than small: the files are deleted after the check.
    done, data = cv2.imencode(path.suffix, stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise DataError(f"{path}: OpenCV cannot write an image of shape {image.shape} and {image.dtype}.")
    write_whole(path, data.tobytes())
    return path


def write_palette_png(path: Path, indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Path:
    """Write a palette PNG, which OpenCV can read but not write.

    Args:
        path: the output file.
        indices: ``(H, W)`` uint8.
        palette: ``(n, 3)`` uint8 RGB, n at most 256.
    """
    height, width = indices.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _PALETTE_COLOUR_TYPE, 0, 0, 0)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), indices], axis=1)  # filter byte 0: none
    chunks = ((b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(rows.tobytes())))
    write_whole(path, _SIGNATURE + b"".join(_chunk(*chunk) for chunk in (*chunks, (b"IEND", b""))))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
