"""Images by name or id, and documents that give ids to files."""

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


# Ids that every JSON reader keeps apart.
_NUMBER = re.compile(r"[0-9]{1,15}")


class ImageNameIndex(Generic[T]):
    """What a file says of pictures, by their names.

    A picture has the name that its path ends in, as far as possible: ``crowd/1.jpg`` is ``train/crowd/1.jpg``
    rather than ``train/1.jpg``. The last part has to be the same.

    Args:
        file: for messages.
        by_name: as in the file.
        paths: of all pictures.

    Raises:
        DataError: a name stands for two pictures, or none stands for any.
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
                    f"{file}: {match!r} may be {owner[match]} or {path}. Say more of their folders in "
                    "the file, or predict one of them at a time."
                )
            owner[match] = path
            self._name[path] = match
        if not self._name:
            example = next(iter(by_name), None)
            known = f"It names {len(by_name)}, for one {example!r}." if by_name else "It names none."
            raise DataError(f"{file}: none of the pictures is named in it. {known}")

    def _matching(self, path: Path) -> str | None:
        """The name with most of the path's last parts; of two with equally many, one without others."""
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
        """What the file says of each of the pictures that it names."""
        return {path: self.by_name[name] for path, name in self._name.items()}

    def of(self, path: Path) -> T:
        """What the file says of a picture.

        Raises:
            DataError: it does not name it.
        """
        if path not in self._name:
            raise DataError(f"{path}: {self.file} does not name this picture.")
        return self.by_name[self._name[path]]


class _Images(msgspec.Struct):
    images: list[ImageEntry]


class ImageIds:
    """The image id of each picture.

    It is what an annotation file says, if there is one. Otherwise it is the number that is the picture's
    name, as in ``000000000139.jpg``, if all have such names and no two are equal; else pictures are counted
    from 1.

    Args:
        paths: of all pictures.
        annotations: a COCO annotation file that lists them.

    Raises:
        MissingDataError: the annotation file cannot be read.
        DataError: it lists none of the pictures.
    """

    def __init__(self, paths: Sequence[Path], annotations: Path | None = None) -> None:
        self.annotations = annotations
        self.counted = False
        if annotations is not None:
            images = _converted(_document(annotations), _Images, annotations).images
            self._names = ImageNameIndex(annotations, {image.file_name: image.id for image in images}, paths)
            return
        numbers = [int(path.stem) if _NUMBER.fullmatch(path.stem) else None for path in paths]
        self.counted = None in numbers or len(set(numbers)) < len(numbers)
        self._ids = {
            path: position if self.counted or number is None else number
            for position, (path, number) in enumerate(zip(paths, numbers, strict=True), 1)
        }

    def of(self, path: Path) -> int:
        """The id of a picture.

        Raises:
            DataError: the annotation file does not list it.
        """
        return self._ids[path] if self.annotations is None else self._names.of(path)

    def told(self, detections: Path) -> dict[Path, int]:
        """The ids that detections may use: not those that were counted.

        Raises:
            DataError: they were.
        """
        if self.counted:
            raise DataError(
                f"{detections}: detections have image ids, and the pictures' names are not different numbers "
                "that could be those.\nPass --annotations FILE, the annotation file that the ids are from."
            )
        return dict(self._ids) if self.annotations is None else self._names.found()


def _document(path: Path) -> Any:
    """The content of a JSON file: a list or an object.

    Raises:
        MissingDataError, DataError: there is none.
    """
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
