"""Match images to the names and ids in annotation, detection and box files."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

import msgspec

from crowdbench.coco.annotations import ImageEntry
from crowdbench.errors import DataError, MissingDataError
from crowdbench.system.files.reading import decode_json, read_bytes

WHOLE = "whole"
T = TypeVar("T")

# Integers that every JSON reader represents exactly.
_NUMBER = re.compile(r"[0-9]{1,15}")


class ImageNameIndex(Generic[T]):
    """The entries of a file, looked up by image path.

    The last component of the name must equal that of the path. Of several such names, the one that shares
    most trailing components is chosen: ``crowd/1.jpg`` is ``train/crowd/1.jpg`` rather than ``train/1.jpg``.

    Args:
        file: the file, for messages.
        by_name: its entries by image name.
        paths: the paths of all images.

    Raises:
        DataError: a name matches two images, or no name matches any.
    """

    def __init__(self, file: Path, by_name: Mapping[str, T], paths: Sequence[Path]) -> None:
        self.file = file
        self.by_name = by_name
        self._last_parts: dict[str, list[str]] = defaultdict(list)
        for name in by_name:
            self._last_parts[PurePosixPath(name).name].append(name)
        self._name: dict[Path, str] = {}
        owner: dict[str, Path] = {}
        for path in paths:
            match = self._matching(path)
            if match is None:
                continue
            if match in owner:
                raise DataError(
                    f"{file}: {match!r} may be {owner[match]} or {path}. Include more of their folders "
                    "in the file's names, or predict one of them at a time."
                )
            owner[match] = path
            self._name[path] = match
        if not self._name:
            example = next(iter(by_name), None)
            known = f"It names {len(by_name)}, such as {example!r}." if by_name else "It names no images."
            raise DataError(f"{file}: it names none of the given images. {known}")

    def _matching(self, path: Path) -> str | None:
        """The name that shares most trailing components with the path; a full suffix wins a tie."""
        parts = path.absolute().parts[::-1]
        ranked = []
        for name in self._last_parts.get(path.name, []):
            named = PurePosixPath(name).parts[::-1]
            common = sum(
                1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(parts, named, strict=False))
            )
            ranked.append(((common, common == len(named)), name))
        best = max((rank for rank, _ in ranked), default=None)
        names = [name for rank, name in ranked if rank == best]
        return names[0] if len(names) == 1 else None

    def found(self) -> dict[Path, T]:
        """The entry of each image that the file names."""
        return {path: self.by_name[name] for path, name in self._name.items()}

    def of(self, path: Path) -> T:
        """The entry of an image; raises DataError if the file does not name the image."""
        if path not in self._name:
            raise DataError(f"{path}: {self.file} does not name this image.")
        return self.by_name[self._name[path]]


class _Images(msgspec.Struct):
    images: list[ImageEntry]


class ImageIds:
    """The image id of each image.

    Ids come from the annotation file, if there is one. Otherwise they are the numbers in the file names, as
    in ``000000000139.jpg``, if all are distinct numbers. Otherwise images are numbered from 1.

    Args:
        paths: the paths of all images.
        annotations: a COCO annotation file that lists them.

    Raises:
        MissingDataError: the annotation file cannot be read.
        DataError: the annotation file lists none of the images.
    """

    def __init__(self, paths: Sequence[Path], annotations: Path | None = None) -> None:
        self.annotations = annotations
        self.is_counted = False
        if annotations is not None:
            images = _converted(_document(annotations), _Images, annotations).images
            self._names = ImageNameIndex(annotations, {image.file_name: image.id for image in images}, paths)
            return
        numbers = [int(path.stem) if _NUMBER.fullmatch(path.stem) else None for path in paths]
        self.is_counted = None in numbers or len(set(numbers)) < len(numbers)
        self._ids = {
            path: position if self.is_counted or number is None else number
            for position, (path, number) in enumerate(zip(paths, numbers, strict=True), 1)
        }

    def of(self, path: Path) -> int:
        """The id of an image; raises DataError if the annotation file does not list it."""
        return self._ids[path] if self.annotations is None else self._names.of(path)

    def for_detections(self, detections: Path) -> dict[Path, int]:
        """The ids of all images for a file of detections; raises DataError if they were only counted."""
        if self.is_counted:
            raise DataError(
                f"{detections}: detections refer to images by id, but the images' names are not distinct "
                "numbers.\nPass --annotations FILE, the annotation file that defines the ids."
            )
        return dict(self._ids) if self.annotations is None else self._names.found()


def _document(path: Path) -> Any:
    """Read a JSON file whose top level is a list or an object."""
    try:
        data = read_bytes(path, "boxes")
    except MissingDataError as error:
        raise MissingDataError(f"{error} --boxes takes a file, or {WHOLE}.") from error
    content = decode_json(data, object, path, "boxes")
    if not isinstance(content, list | dict):
        raise DataError(f"{path}: neither a list of detections nor an object of boxes.")
    return content


def _converted(content: Any, kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise DataError(
            f"{path}: neither COCO annotations, nor COCO detections, nor boxes by name ({error}).\n"
            'Boxes by name are {"file name": [[x, y, width, height], ...]}.'
        ) from error
