"""Check the image files of a split: there, whole, of the annotated size, and not another dataset's."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from crowdbench.datacheck.finding import Finding

AGAIN = "fetch the image again"
# A whole file ends with its format's end marker; a few writers append bytes of their own behind it.
_END_MARKERS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
_TAIL = 4096


@dataclass(frozen=True)
class ImageFile:
    """An image that the annotations list."""

    image_id: int
    path: Path
    size: tuple[int, int]
    """Width and height as the annotations say, in pixels."""


@dataclass(frozen=True)
class Look:
    """What an image file is."""

    fault: str | None
    size: tuple[int, int] | None = None
    digest: str | None = None


def look(path: Path) -> Look:
    """Read a file, decode it, hash it.

    Decoders fill what is missing of a broken file with grey, so the end of the file is looked at.
    """
    import cv2
    import numpy as np

    try:
        data = path.read_bytes()
    except OSError as error:
        return Look(f"missing ({error.strerror})")
    marker = _END_MARKERS.get(data[:2])
    if marker is not None and marker not in data[-_TAIL:]:
        return Look("cut off: its end is missing")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        return Look("not an image that can be decoded")
    return Look(None, (image.shape[1], image.shape[0]), hashlib.sha256(data).hexdigest())


def look_at_all(images: Sequence[ImageFile], on_each: Callable[[], None]) -> Iterator[tuple[ImageFile, Look]]:
    """Look at many files at once, in order."""
    with ThreadPoolExecutor() as pool:
        for image, seen in zip(images, pool.map(lambda image: look(image.path), images), strict=True):
            on_each()
            yield image, seen


def check_images(
    looks: Iterable[tuple[ImageFile, Look]],
    loaded_sizes: Mapping[int, tuple[int, int]],
    shared: Mapping[str, str],
) -> Iterator[Finding]:
    """Findings about image files.

    Args:
        looks: images and what they are.
        loaded_sizes: width and height by image id as the loader gives them, after its corrections.
        shared: by digest, the file of another dataset that has this content.
    """
    for image, seen in looks:
        file, where = str(image.path), f"image {image.image_id}"
        if seen.fault is not None:
            yield Finding("error", "image", file, where, seen.fault, AGAIN)
            continue
        assert seen.size is not None
        if seen.size != image.size:
            swapped = seen.size == image.size[::-1]
            mended = loaded_sizes.get(image.image_id) == seen.size
            yield Finding(
                "warning" if mended else "error",
                "swapped size" if swapped else "size",
                file,
                where,
                f"is {seen.size[0]}x{seen.size[1]}, annotated as {image.size[0]}x{image.size[1]}"
                + (" (width and height swapped)" if swapped else ""),
                "read the right way round" if mended else "correct the annotation file",
            )
        if seen.digest is not None and seen.digest in shared:
            yield Finding(
                "warning",
                "shared",
                file,
                where,
                f"the same image as {shared[seen.digest]}",
                "do not train on the one and test on the other",
            )
