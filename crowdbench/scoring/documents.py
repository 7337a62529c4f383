"""JSON files as plain data, gzipped or not, with errors that say where the file breaks."""

import json
from pathlib import Path
from typing import Any

import msgspec

from crowdbench.errors import DataError
from crowdbench.system.reading import not_json, read_bytes, recognise


def read_document(path: Path, error: type[DataError], typed: "msgspec.json.Decoder[Any]") -> Any:
    """Decode a JSON file, to typed records if all is as it should be, else to plain data.

    The literals NaN and Infinity, which are no JSON but which Python writes, are read as floats, so that
    the checks that follow can say in which entry they stand. A byte order mark is skipped. Of a key that
    stands twice in one object the last value counts, as in Python's own reader.

    Args:
        path: a ``.json`` file; gzipped content is recognised by its first bytes, whatever the name.
        error: the kind of error to raise for content that cannot be decoded.
        typed: decodes a file without faults, fast; what it refuses is decoded to dicts, lists, strings,
            numbers, booleans and None, for the checks that say what is wrong.

    Raises:
        MissingDataError: there is no such file, or it cannot be read.
        DataError: of the given kind; the content is no JSON. The message gives line and column.
    """
    data = _content(path, error)
    try:
        return typed.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The standard reader is slower, reads NaN, and knows line and column of what it cannot read.
        return _read_again(data, path, error)


def _content(path: Path, error: type[DataError]) -> bytes:
    data = read_bytes(path, "JSON", error=error)
    if not data.strip():
        raise error(f"{path}: the file is empty.\nWhat wrote it was probably interrupted; write it again.")
    return data


def _read_again(data: bytes, path: Path, error: type[DataError]) -> Any:
    if recognise(data) is not None:
        raise error(f"{path}: {not_json(data, ValueError())}")
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
            f"{path}: {reason}, at line {broken.lineno}, column {broken.colno} (character {broken.pos}).\n"
            "Write or copy the file again; `python -m json.tool FILE` finds the same place."
        ) from None
    except RecursionError:
        raise error(f"{path}: lists or objects are nested too deeply for a file of this kind.") from None
    except ValueError as broken:  # an integer of more digits than Python converts
        raise error(f"{path}: a number cannot be read ({broken}).") from None
