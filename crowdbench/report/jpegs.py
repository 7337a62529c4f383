"""Encode images as JPEGs small enough for one page to hold them all."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import CrowdbenchError
from crowdbench.report.data import GalleryImage

# Long side in pixels and JPEG quality, from the best; the first that fits is taken.
STEPS = (
    (720, 82), (640, 78), (560, 74), (480, 72), (480, 60), (400, 60), (320, 60), (320, 45), (240, 45),
    (240, 30), (160, 35), (120, 30), (96, 25), (64, 20), (32, 15),
)  # fmt: skip
# More than this makes no image better that is shown this small.
MOST_BYTES = 90_000


@dataclass(frozen=True)
class Encoded:
    """A JPEG as a ``data:`` address, or in words why there is none."""

    address: str = ""
    problem: str = ""


def encoded_size(jpeg_bytes: int) -> int:
    """How long the ``data:`` address of a JPEG is."""
    return len("data:image/jpeg;base64,") + 4 * -(-jpeg_bytes // 3)


def encode_all(pictures: Iterable[GalleryImage], count: int, budget: int) -> Iterator[Encoded]:
    """Shrink and encode images, one after the other, so that all fit; what one leaves, those after it share.

    Args:
        pictures: the images.
        count: how many there are.
        budget: characters that all their data URLs may take.
    """
    for number, picture in enumerate(pictures):
        share = max(0, budget) // (count - number)
        encoded = _encode(picture, share)
        budget -= len(encoded.address)
        yield encoded


def _encode(picture: GalleryImage, share: int) -> Encoded:
    try:
        image = picture.read()
    except CrowdbenchError as error:
        return Encoded(problem=str(error).partition("\n")[0])
    for side, quality in STEPS:
        jpeg = jpeg_of(shrunk(image, side), quality)
        if len(jpeg) <= MOST_BYTES and encoded_size(len(jpeg)) <= share:
            return Encoded(f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}")
    return Encoded(problem="The page is full.")


def shrunk(image: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """An image whose longer side has at most so many pixels."""
    import cv2

    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def jpeg_of(image: NDArray[np.uint8], quality: int) -> bytes:
    """``(H, W, 3)`` uint8 RGB as a JPEG file."""
    import cv2

    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done  # in memory, of three channels of bytes, it has no reason to fail
    return data.tobytes()
