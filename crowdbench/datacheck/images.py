"""Check the image files of a split: there, whole, of the annotated size, and not another dataset's."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from crowdbench.coco.raw import RawFile
from crowdbench.coco.rules.entries import leads_out
from crowdbench.coco.rules.values import is_number
from crowdbench.datacheck.finding import DataIssue
from crowdbench.datacheck.splits import SplitOnDisk
from crowdbench.errors import ImageError
from crowdbench.system.files.opening import open_regular

AGAIN = "fetch the image again"
T = TypeVar("T")


@dataclass(frozen=True)
class ImageFile:
    """An image that the annotations list.

    Attributes:
        image_id: as the annotations have it, whatever it is.
        path: the file.
        size: width and height as the annotations have them, in pixels.
    """

    image_id: Any
    path: Path
    size: tuple[Any, Any]


@dataclass(frozen=True)
class Look:
    """An image file's fault, or its size (width, height), its digest and the decoder's `complaint`."""

    fault: str | None
    size: tuple[int, int] | None = None
    digest: str | None = None
    complaint: str | None = None


def image_files(raw: RawFile, place: SplitOnDisk) -> list[ImageFile]:
    """The files of the images that have a usable name; names that lead out of the folder are not followed."""
    return [
        ImageFile(
            image.get("id"),
            place.dataset.image_path(place.root, place.split, image["file_name"]),
            (image.get("width"), image.get("height")),
        )
        for image in raw.images
        if isinstance(image.get("file_name"), str) and not leads_out(image["file_name"])
    ]


def look(path: Path) -> Look:
    """Read, decode and hash a file; its end is checked, because decoders fill missing data with gray."""
    import numpy as np

    from crowdbench.system.images import decode_rgb, decoder_warnings

    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        return Look(f"missing ({error.strerror})")
    if is_cut_off(data):
        return Look("cut off: its end is missing")
    try:
        with decoder_warnings() as said:
            height, width = decode_rgb(np.frombuffer(data, np.uint8), path.name).shape[:2]
    except ImageError:
        return Look("not an image that can be decoded")
    complaint = said[0].removeprefix(f"{path.name}: ") if said else None
    return Look(None, (width, height), hashlib.sha256(data).hexdigest(), complaint)


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG file lacks its end marker. Data appended after the marker is allowed."""
    if data[:2] == b"\xff\xd8":
        # The header is skipped by its segments: a thumbnail in it has an end marker of its own.
        at = 2
        while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big") if data[at + 1 : at + 2] != b"\xff" else 1
        return b"\xff\xd9" not in data[at:]
    if data[:4] == b"\x89PNG":
        return b"IEND\xaeB`\x82" not in data
    return False


def look_at_all(
    images: Sequence[ImageFile], progress: Callable[[int], None]
) -> Iterator[tuple[ImageFile, Look]]:
    """Look at many files at once, in order."""
    return _all_at_once(look, images, progress)


def digests_of(images: Sequence[ImageFile], progress: Callable[[int], None]) -> dict[str, str]:
    """SHA-256 → file, of the files that are there."""
    return {
        digest: str(image.path)
        for image, digest in _all_at_once(_digest, images, progress)
        if digest is not None
    }


def _digest(path: Path) -> str | None:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None  # a missing image shares nothing; the check of its own dataset names it


def _all_at_once(
    task: Callable[[Path], T], images: Sequence[ImageFile], progress: Callable[[int], None]
) -> Iterator[tuple[ImageFile, T]]:
    with ThreadPoolExecutor() as pool:
        results = pool.map(task, [image.path for image in images])
        for left, (image, result) in zip(
            range(len(images) - 1, -1, -1), zip(images, results, strict=True), strict=True
        ):
            progress(left)
            yield image, result


def check_images(
    looks: Iterable[tuple[ImageFile, Look]],
    loaded_sizes: Mapping[int, tuple[int, int]],
    shared: Mapping[str, str],
) -> Iterator[DataIssue]:
    """Findings about image files.

    Args:
        looks: images and what they are.
        loaded_sizes: width and height by image id as the loader gives them, after its corrections.
        shared: by digest, the file of another dataset that has this content.
    """
    for image, seen in looks:
        file, where = str(image.path), f"image {image.image_id}"
        if seen.fault is not None:
            yield DataIssue("error", "image", file, where, seen.fault, AGAIN)
        elif seen.size is not None:
            yield from _size(image, seen.size, loaded_sizes)
        if seen.complaint is not None:
            yield DataIssue("warning", "image", file, where, f"damaged; {seen.complaint}", AGAIN)
        if seen.digest is not None and seen.digest in shared:
            what = f"the same image as {shared[seen.digest]}"
            yield DataIssue(
                "warning", "shared", file, where, what, "do not train on the one and test on the other"
            )


def _size(
    image: ImageFile, size: tuple[int, int], loaded_sizes: Mapping[int, tuple[int, int]]
) -> Iterator[DataIssue]:
    loaded = loaded_sizes.get(image.image_id, image.size) if loaded_sizes else image.size
    if size == image.size == loaded or not all(map(is_number, image.size)):
        return
    swapped, mended = size == image.size[::-1], size == loaded
    what = f"is {size[0]}x{size[1]}, annotated as {image.size[0]}x{image.size[1]}"
    if swapped:
        what += " (width and height swapped)"
    yield DataIssue(
        "warning" if mended else "error",
        "swapped size" if swapped else "size",
        str(image.path),
        f"image {image.image_id}",
        what,
        "read the right way round" if mended else "correct the annotation file",
    )
