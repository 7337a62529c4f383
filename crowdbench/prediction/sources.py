"""Find images and videos, and name their drawn copies."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crowdbench.errors import MissingDataError
from crowdbench.system.files.opening import open_regular

Kind = Literal["image", "video"]

# In folders, files with these extensions are taken for images whatever they contain, so that damaged ones are
# reported.
_IMAGE_NAMES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
_VIDEO_NAMES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
# Formats in which drawn copies are written; others become PNG.
_WRITTEN = frozenset({".jpeg", ".jpg", ".png"})

_HEADER_BYTES = 192
_MPEG_PACKET = 188
# ISO base media files (MP4, MOV) begin alike; these brands are image formats.
_IMAGE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1"})
# JPEG, PNG, GIF, TIFF of either byte order and of 64 bits, JPEG 2000, Radiance.
_IMAGE_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"#?RADIANCE", b"#?RGBE"),
)
_BMP_HEADER_SIZES = tuple(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))
_PORTABLE_PIXMAP = re.compile(rb"P[1-6]\s+(#[^\n]*\s+)*\d+\s+\d+\s")


@dataclass(frozen=True)
class Source:
    """An image or a video.

    Attributes:
        path: the path given by the user, or a file under that folder.
        kind: detected from the content.
    """

    path: Path
    kind: Kind


def find_sources(paths: Sequence[Path], *, leave_out: Path | None = None) -> list[Source]:
    """Find images and videos in files and folders; folders are searched recursively, sorted by name.

    Files are recognized by content. In folders, other files and hidden ones are skipped; but a file with an
    image's or video's extension is kept, so that reading it reports what is wrong.

    Args:
        paths: files and folders; a file found twice is returned once.
        leave_out: a folder that is not searched.

    Raises:
        MissingDataError: a path does not exist, or a folder has neither an image nor a video.
    """
    found: dict[str, Source] = {}
    for path in paths:
        sources = list(_in_folder(path, leave_out)) if path.is_dir() else [_of_file(path)]
        if not sources:
            raise MissingDataError(f"{path}: there is neither an image nor a video in this folder.")
        for source in sources:
            found.setdefault(_absolute(source.path), source)
    return list(found.values())


def _absolute(path: Path) -> str:
    """Normalize a path without resolving links: a link has its own name."""
    return os.path.abspath(path)  # noqa: PTH100  (Path.absolute keeps the dots)


def _of_file(path: Path) -> Source:
    try:
        there = os.path.lexists(path)
    except ValueError:  # a null byte
        there = False
    if not there:
        raise MissingDataError(f"{path}: no such file or folder.")
    # Unrecognized content is read as an image, which reports what is wrong.
    return Source(path, _kind_by_content(path) or _kind_by_name(path) or "image")


def _in_folder(folder: Path, leave_out: Path | None) -> Iterator[Source]:
    def fail(error: OSError) -> None:
        raise MissingDataError(f"{error.filename}: cannot list the folder ({error.strerror}).") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not _same(here / name, leave_out)
        )
        for name in sorted(name for name in files if not name.startswith(".")):
            path = here / name
            kind = _kind_by_content(path) or _kind_by_name(path)
            if kind is not None:
                yield Source(path, kind)


def _same(folder: Path, other: Path | None) -> bool:
    return other is not None and os.path.realpath(folder) == os.path.realpath(other)


def _kind_by_name(path: Path) -> Kind | None:
    ending = path.suffix.lower()
    if ending in _IMAGE_NAMES:
        return "image"
    return "video" if ending in _VIDEO_NAMES else None


def _kind_by_content(path: Path) -> Kind | None:
    try:
        with open_regular(path) as file:
            header = file.read(_HEADER_BYTES)
    except (OSError, ValueError):
        return None  # reported when it is read
    if _is_video(header):
        return "video"
    return "image" if _is_image(header) else None


def _is_image(header: bytes) -> bool:
    """Compare with the signatures of formats that OpenCV decodes; its own test accepts some text files."""
    if header[4:8] == b"ftyp":
        return header[8:12] in _IMAGE_BRANDS
    if header[:4] == b"RIFF":
        return header[8:12] == b"WEBP"
    if header[:2] == b"BM":  # the size of the second header tells it from text
        return header[14:18] in _BMP_HEADER_SIZES
    return header.startswith(_IMAGE_SIGNATURES) or _PORTABLE_PIXMAP.match(header) is not None


def _is_video(header: bytes) -> bool:
    """Compare with the signatures of MP4, MOV, Matroska, WebM, AVI, MPEG, Flash and Windows Media."""
    if header[4:8] == b"ftyp":
        return header[8:12] not in _IMAGE_BRANDS
    if header[4:8] in (b"moov", b"mdat", b"wide"):  # an old QuickTime file without brands
        return True
    if header[:4] == b"RIFF":
        return header[8:12] == b"AVI "
    if header[:1] == header[_MPEG_PACKET : _MPEG_PACKET + 1] == b"\x47":
        return True
    return header.startswith((b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66"))


def drawn_names(sources: Sequence[Source]) -> list[str]:
    """Unique names for the drawn copies, also on case-insensitive file systems.

    A copy has its source's name; sources of equal name keep their folders as far as those differ.
    """
    short = [_drawn_name(source.path.name, source.kind) for source in sources]
    counts = Counter(name.casefold() for name in short)
    places = [Path(_absolute(source.path)) for source in sources]
    common = Path(os.path.commonpath([place.parent for place in places])) if places else Path()
    names, used = [], set()
    for name, source, place in zip(short, sources, places, strict=True):
        chosen = name
        if counts[name.casefold()] > 1:
            folder = place.parent.relative_to(common).as_posix()
            chosen = name if folder == "." else f"{folder}/{name}"
        number = 1
        while chosen.casefold() in used:  # such as A.jpg beside a.jpg
            number += 1
            chosen = _drawn_name(f"{source.path.stem}-{number}{source.path.suffix}", source.kind)
        used.add(chosen.casefold())
        names.append(chosen)
    return names


def _drawn_name(name: str, kind: Kind) -> str:
    ending = Path(name).suffix.lower()
    if kind == "video":
        return name if ending == ".mp4" else f"{name}.mp4"
    return name if ending in _WRITTEN else f"{name}.png"
