"""JSON files as plain data, gzipped or not, with errors that say where the file breaks."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from crowdbench.errors import DataError
from crowdbench.system.files.content import not_json, recognise
from crowdbench.system.files.reading import read_bytes

# Strings are passed over whole.
_NOT_FINITE = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')


def read_document(
    path: Path, error: type[DataError], typed: "msgspec.json.Decoder[Any]", *, lines: bool = False
) -> Any:
    """Decode a JSON file, to typed records if all is as it should be, else to plain data.

    The literals NaN and Infinity, which are not JSON but which Python writes, are read as floats, so that
    the checks that follow can say in which entry they stand. A byte order mark is skipped. If a key
    occurs twice in an object, the last value counts, as in Python's reader.

    Args:
        path: a ``.json`` file; gzipped content is recognized by its first bytes, whatever the name.
        error: the kind of error to raise for content that cannot be decoded.
        typed: decodes a file without faults, fast; what it refuses is decoded to dicts, lists, strings,
            numbers, booleans and None, for the checks that say what is wrong.
        lines: JSON lines, one document a line, are read too, as the list of these documents.

    Raises:
        MissingDataError: there is no such file, or it cannot be read.
        DataError: of the given kind; the content is not JSON. The message gives line and column.
    """
    data = _content(path, error)
    try:
        return typed.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The standard reader is slower, reads NaN, and knows line and column of what it cannot read.
        return _read_again(data, path, error, lines)


def where_not_finite(path: Path, error: type[DataError]) -> str:
    """Where the first NaN or Infinity of a JSON file is, in words; empty if there is none."""
    text = _content(path, error).decode("utf-8", errors="replace")
    for found in _NOT_FINITE.finditer(text):
        if found[1]:
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            return f"the first {found[1]} of the file is at line {line}, column {column}"
    return ""


def _content(path: Path, error: type[DataError]) -> bytes:
    data = read_bytes(path, "JSON", error=error)
    if not data.strip():
        raise error(f"{path}: the file is empty.\nWhat wrote it was probably interrupted; write it again.")
    return data


def _read_again(data: bytes, path: Path, error: type[DataError], lines: bool) -> Any:
    if recognise(data) is not None:
        raise error(f"{path}: {not_json(data, ValueError())}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as broken:
        raise error(
            f"{path}: byte {broken.start} is not UTF-8, the encoding of JSON.\n"
            "Write the file again with encoding='utf-8'."
        ) from None
    if _is_table(text):
        raise error(
            f"{path}: this is a table (CSV or the like), not JSON.\n"
            "Write its rows as a list of objects; docs/metrics.md describes the format."
        )
    try:
        return json.loads(text)
    except json.JSONDecodeError as broken:
        if lines and _begins_second_line(text, broken):
            return [
                _line(line, number, path, error)
                for number, line in enumerate(text.split("\n"), 1)
                if line.strip()
            ]
        raise error(f"{path}: {_fault(text, broken)}") from None
    except RecursionError:
        raise error(f"{path}: lists or objects are nested too deeply for a file of this kind.") from None
    except ValueError as broken:  # an integer of more digits than Python converts
        raise error(f"{path}: a number cannot be read ({broken}).") from None


def _begins_second_line(text: str, broken: json.JSONDecodeError) -> bool:
    """Whether a whole document stands on the first line, and the next one begins where reading stopped."""
    first = text[: broken.pos]
    return (
        broken.msg == "Extra data"
        and text[broken.pos] in "{["
        and sum(bool(line.strip()) for line in first.split("\n")) == 1
        and first.rstrip(" \t\r").endswith("\n")
    )


def _line(line: str, number: int, path: Path, error: type[DataError]) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as broken:
        raise error(f"{path}: {_fault(line, broken, number)}") from None
    except (RecursionError, ValueError) as broken:
        raise error(f"{path}: line {number} cannot be read ({broken}).") from None


def _fault(text: str, broken: json.JSONDecodeError, line: int | None = None) -> str:
    """What is wrong with the JSON in `text`, at which `line` of JSON lines, and what to do."""
    before = text[: broken.pos].rstrip()
    here = text[broken.pos : broken.pos + 1]
    remedy = "Write or copy the file again; `python -m json.tool FILE` finds the same place."
    if broken.pos >= len(text.rstrip()) or broken.msg.startswith("Unterminated string"):
        reason = "the file ends too early: it is truncated"
    elif "trailing comma" in broken.msg or (here in ("]", "}") and before.endswith(",")):
        reason = "no valid JSON: a comma stands before a closing bracket"
        remedy = "Take the comma away, or write the file with a JSON library."
    elif here == "'":
        reason = "no valid JSON: names and texts stand in single quotes, as Python prints them"
        remedy = "Write the file with json.dump, not with print or str."
    else:
        reason = f"no valid JSON: {broken.msg}"
    number = broken.lineno if line is None else line
    character = f" (character {broken.pos})" if line is None else ""
    return f"{reason}, at line {number}, column {broken.colno}{character}.\n{remedy}"


def _is_table(text: str) -> bool:
    """Whether the first lines are rows of equally many cells."""
    rows = [line for line in text[:100_000].split("\n")[:3] if line.strip()]
    if len(rows) < 2 or rows[0].lstrip()[:1] in ("{", "[", '"'):
        return False
    return any(rows[0].count(mark) == rows[1].count(mark) > 0 for mark in (",", ";", "\t"))
