"""Read an image's size from its header, a thousand times faster than decoding it."""

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
# Markers of a JPEG that begin a frame, with its height and width.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_MOST_SEGMENTS = 1000


def size_in_header(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels, of a JPEG or PNG file.

    The orientation that a camera notes is ignored, as decoding ignores it.

    Args:
        path: of the file.

    Returns:
        None if there is no such file, or if its header does not tell: decoding it will.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(descriptor, "rb", buffering=4096) as file:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            start = file.read(24)
            if start[:2] == b"\xff\xd8":
                file.seek(2)
                return _jpeg(file)
            if start[:8] == _PNG and start[12:16] == b"IHDR" and len(start) == 24:
                return struct.unpack(">II", start[16:24])
    except (OSError, ValueError):  # a null byte in the name
        return None
    return None


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    for _ in range(_MOST_SEGMENTS):
        if file.read(1) != b"\xff":
            return None
        marker = b"\xff"
        while marker == b"\xff":  # any number of them may stand before a marker
            marker = file.read(1)
        if not marker:
            return None
        if marker[0] in _WITHOUT_LENGTH:
            continue
        head = file.read(7)
        if len(head) < 7:
            return None
        length, _, height, width = struct.unpack(">HBHH", head)
        if marker[0] in _FRAMES:
            return (width, height) if width and height else None
        file.seek(length - 7, os.SEEK_CUR)
    return None
