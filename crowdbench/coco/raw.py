"""Annotations as stored on disk, unchecked, so that faults can be reported."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from crowdbench.coco.rules.values import identifier, is_id
from crowdbench.errors import AnnotationError, DataError
from crowdbench.system.files.content import not_json, recognise
from crowdbench.system.files.reading import read_bytes

Entry = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RawFile:
    """The values in a file's ``images``, ``annotations`` and ``categories``.

    Annotations are parsed one at a time; as Python objects, those of a large file take gigabytes.

    Attributes:
        path: the file.
        parts: the file's fields by name, each a list of values or JSON texts, or another value; None if the
            file is not an object.
        document: the parsed file if it is not an object.
    """

    path: Path
    parts: Mapping[str, Any] | None
    document: Any = field(default=None, repr=False)

    def entries(self, part: str) -> Iterator[Any]:
        """The entries of a list, of any type; none if there is no list."""
        found = (self.parts or {}).get(part)
        if not isinstance(found, list):
            return
        for entry in found:
            yield _value(entry) if isinstance(entry, msgspec.Raw) else entry

    def objects(self, part: str) -> Iterator[Entry]:
        """The entries that are objects."""
        return (entry for entry in self.entries(part) if isinstance(entry, Mapping))

    @cached_property
    def images(self) -> Sequence[Entry]:
        """The images, unchecked."""
        return list(self.objects("images"))

    @property
    def image_ids(self) -> set[int | str]:
        """The valid image ids."""
        return {identifier(image["id"]) for image in self.images if is_id(image.get("id"))}


def read_raw(path: Path) -> RawFile:
    """Read a file, plain or gzipped.

    Raises:
        MissingDataError: the file cannot be read.
        AnnotationError: it is not JSON; the message gives its apparent format, or line and column.
    """
    return raw_file(read_bytes(path, "annotations", error=AnnotationError), path)


def raw_file(data: bytes, path: Path) -> RawFile:
    """Parse content that has already been read."""
    try:
        parts = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return RawFile(path, {name: _opened(name, text) for name, text in parts.items()})
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = plain_json(data, path, "annotations", AnnotationError)
    return RawFile(path, document if isinstance(document, dict) else None, document)


def _opened(name: str, text: msgspec.Raw) -> Any:
    if name not in ("images", "annotations", "categories"):
        return text  # never used
    try:
        return msgspec.json.decode(text, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        return _value(text)


def _value(text: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(bytes(text))  # numbers that float64 cannot hold
    except (ValueError, RecursionError):
        return "what cannot be read"


def plain_json(data: bytes, path: Path, what: str, error: type[DataError]) -> Any:
    """Parse JSON with NaN and numbers of any size; `error` gives the likely format, or line and column."""
    if not data.strip():
        raise error(f"{path}: the file is empty.\nWhat wrote it was probably interrupted; write it again.")
    if recognise(data) is not None:
        raise error(f"{path}: not {what}: {not_json(data, ValueError())}")
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as broken:
        raise error(
            f"{path}: byte {broken.start} is not UTF-8, the encoding of JSON.\n"
            "Write the file again with encoding='utf-8'."
        ) from None
    except json.JSONDecodeError as broken:
        at_end = broken.pos >= len(data.decode("utf-8").rstrip()) - 1
        reason = "the file ends too early: it is truncated" if at_end else f"no valid JSON: {broken.msg}"
        raise error(
            f"{path}: not whole JSON: {reason}, at line {broken.lineno}, column {broken.colno} "
            f"(character {broken.pos}).\n"
            "Write or copy the file again; `python -m json.tool FILE` finds the same place."
        ) from None
    except RecursionError:
        raise error(f"{path}: lists or objects are nested too deeply for a file of this kind.") from None
    except ValueError as broken:  # an integer of more digits than Python converts
        raise error(f"{path}: a number cannot be read ({broken}).") from None
