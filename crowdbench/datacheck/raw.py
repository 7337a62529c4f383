"""Annotations as they are on disk, read without judgement: what the loader refuses must be named too."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from crowdbench.datacheck.finding import Finding
from crowdbench.errors import DataError, MissingDataError
from crowdbench.system.reading import decode_json, read_bytes

FETCH = "fetch the file again from the dataset's page"
Entry = dict[str, Any]


@dataclass(frozen=True, eq=False)
class RawFile:
    """The objects in a file's ``images`` and ``annotations``.

    Annotations are parsed one at a time: as Python objects those of a large file fill gigabytes.

    Attributes:
        path: the file.
        findings: what is no JSON, no list, no object; grows while entries are parsed.
    """

    path: Path
    findings: list[Finding]
    _images: Sequence[msgspec.Raw] = ()
    _annotations: Sequence[msgspec.Raw] = field(default=(), repr=False)

    @cached_property
    def images(self) -> list[Entry]:
        """The images, with whatever fields they have."""
        return list(self._objects("images", self._images))

    def annotations(self) -> Iterator[Entry]:
        """The annotations, with whatever fields they have."""
        return self._objects("annotations", self._annotations)

    @property
    def image_ids(self) -> set[int]:
        """The images' ids as far as they are whole numbers."""
        return {image["id"] for image in self.images if is_id(image.get("id"))}

    def _objects(self, name: str, entries: Sequence[msgspec.Raw]) -> Iterator[Entry]:
        for position, raw in enumerate(entries):
            try:
                yield msgspec.json.decode(raw, type=Entry)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                where, what = f"{name}[{position}]", f"the entry cannot be read ({error})"
                self.findings.append(Finding("error", "json", str(self.path), where, what, FETCH))


def read_raw(path: Path, *, annotated: bool = True) -> RawFile:
    """Read a file, plain or gzipped.

    Args:
        path: the file.
        annotated: whether it must have annotations.

    Raises:
        MissingDataError: the file cannot be read at all.
    """
    findings: list[Finding] = []
    try:
        data = read_bytes(path, "annotations")
        parts = decode_json(data, dict[str, msgspec.Raw], path, "annotations in COCO format")
    except MissingDataError:
        raise
    except DataError as error:
        what = str(error).removeprefix(f"{path}: ").replace("\n", " ")
        return RawFile(path, [Finding("error", "json", str(path), "", what, FETCH)])
    lists: dict[str, list[msgspec.Raw]] = {"images": [], "annotations": []}
    for name in ("images", "annotations") if annotated or "annotations" in parts else ("images",):
        try:
            lists[name] = msgspec.json.decode(parts.get(name, b"null"), type=list[msgspec.Raw])
        except msgspec.ValidationError:
            findings.append(Finding("error", "json", str(path), "", f"there is no list of {name}", FETCH))
    return RawFile(path, findings, lists["images"], lists["annotations"])


def is_id(value: object) -> TypeGuard[int]:
    """Whether a value can be an id: a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
