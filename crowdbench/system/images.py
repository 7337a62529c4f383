"""Decode image files, with one decoder for all of crowdbench, and keep the decoder's warnings.

Decoders continue past damage: they fill the missing part with gray and print a line. That line becomes a
warning with the file's name, which `decoder_warnings` collects; otherwise it is logged.
"""

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdbench.errors import ImageError, MissingDataError
from crowdbench.system.files.opening import open_regular
from crowdbench.system.native_output import Listener
from crowdbench.system.text import plain

log = logging.getLogger("crowdbench")
_SAYS = ": the image decoder says: "
_SHOWN = 20

# Lines of libjpeg, libpng, libtiff, libwebp, OpenJPEG and OpenCV.
_DECODERS = re.compile(
    r"JPEG|JFIF|Corrupt|Premature|Inconsistent progression|Adobe|scanline|libpng|PNG|TIFF|WebP|EXIF|openjp"
    r"|^\[ ?[A-Z]+:\d+@",
    re.IGNORECASE,
)
# About color profiles and notes in a file, which no pixel depends on.
_HARMLESS = re.compile(r"iCCP|sRGB|cHRM|gAMA|[tiz]TXt|eXIf|Exif|Unknown field with tag|unknown JFIF revision")

_listener: Listener[NDArray[np.uint8] | None] = Listener(lambda line: _DECODERS.search(line) is not None)
_local = threading.local()


@contextmanager
def decoder_warnings() -> Iterator[list[str]]:
    """Collect what the decoder says of images that this thread reads, each with the file's name."""
    before = getattr(_local, "found", None)
    found: list[str] = []
    _local.found = found
    try:
        yield found
    finally:
        _local.found = before


def condensed(warnings: Sequence[str]) -> list[str]:
    """Warnings of a run, of which those about images are a few and a count."""
    about_images = [text for text in warnings if _SAYS in text]
    if len(about_images) <= _SHOWN:
        return list(warnings)
    left_out = set(about_images[_SHOWN:])
    more = f"the image decoder complains of {len(left_out)} more images; `crowdbench data check` lists them."
    return [*(text for text in warnings if text not in left_out), more]


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


def decode_rgb(data: NDArray[np.uint8], source: str, *, oriented: bool = False) -> NDArray[np.uint8]:
    """Decode the content of an image file to ``(H, W, 3)`` uint8 RGB.

    Args:
        data: ``(bytes,)`` uint8.
        source: where the content comes from, for messages.
        oriented: turn it as its EXIF orientation says, which annotations ignore.

    Raises:
        ImageError: OpenCV cannot decode it.
    """
    import cv2  # not at the start of commands that read no image

    flags = cv2.IMREAD_COLOR_RGB | (0 if oriented else cv2.IMREAD_IGNORE_ORIENTATION)

    def decode() -> NDArray[np.uint8] | None:
        return cv2.imdecode(data, flags) if data.size else None  # type: ignore[return-value]

    try:
        image, lines = _listener.call(decode)
    except cv2.error as error:  # for one, a header that promises more pixels than OpenCV allows
        raise ImageError(f"{source}: OpenCV cannot decode the image ({error.err}).") from error
    said = "; ".join(dict.fromkeys(plain(line) for line in lines if not _HARMLESS.search(line)))
    if image is None:
        reason = f" ({said})" if said else ""
        raise ImageError(
            f"{source}: not an image that OpenCV can decode{reason}; the download may be broken."
        )
    if said:
        _warn(f"{source}{_SAYS}{said}")
    return np.asarray(image, dtype=np.uint8)


def _warn(text: str) -> None:
    found: list[str] | None = getattr(_local, "found", None)
    if found is None:
        log.warning("%s", plain(text))
    else:
        found.append(text)
