"""Read files written by others: within limits, without blocking, and with errors that name what was found.

Every file of a user, a plugin or another process is read here, so that a pipe, a device, a gzip bomb, a web
page or deeply nested lists cause a one-line error and never a traceback.
"""

import os
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from crowdbench.errors import CrowdbenchError, DataError, InputError, MissingDataError
from crowdbench.system.files.content import not_json, recognise, remedy_of
from crowdbench.system.files.gzip import GZIP, unpacked
from crowdbench.system.files.opening import open_regular
from crowdbench.system.files.os_errors import reason, remedy
from crowdbench.system.files.yaml_files import load_yaml
from crowdbench.system.text import GIB, in_bytes

T = TypeVar("T")

LARGEST_DATA = 2 * GIB  # annotations, predictions, boxes; COCO's largest has 0.5 GiB
LARGEST_WEIGHTS = 64 * GIB  # of a network, with the optimizer's state
LARGEST_NOTE = 64 << 20  # records, profiles, suites and tables
_LONGEST_KEY = 100
_PIECE = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_bytes(
    path: Path, what: str, *, limit: int = LARGEST_DATA, error: type[CrowdbenchError] = DataError
) -> bytes:
    """The content of a regular file, unpacked if it is gzipped, without a byte order mark.

    Args:
        path: the file.
        what: it should be, for messages: ``"annotations"``, ``"the record of a run"``.
        limit: the most bytes that are taken into memory, packed and unpacked.
        error: raised for content that is damaged or too large, and if it is no `InputError` for all else too.

    Raises:
        MissingDataError: there is no such file, it is a folder, a pipe or a device, or cannot be read.
        CrowdbenchError: of the given kind.
    """
    try:
        data = _read_regular(path, what, limit, error)
        if data[:2] == GZIP:
            data = unpacked(data, path, what, limit, error)
        return data.removeprefix(_BYTE_ORDER_MARK)
    except MemoryError as failure:
        raise error(f"{path}: {what} that do not fit into this machine's memory.") from failure


def read_text(path: Path, what: str, *, error: type[CrowdbenchError] = DataError) -> str:
    """A short text file, with plain line ends.

    Raises:
        MissingDataError: as `read_bytes`.
        CrowdbenchError: (of type `error`) it is not UTF-8.
    """
    data = read_bytes(path, what, limit=LARGEST_NOTE, error=error)
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as fault:
        raise error(f"{path}: not {what}: {_not_text(data, fault)}") from fault


def read_json(
    path: Path,
    kind: type[T],
    what: str,
    *,
    limit: int = LARGEST_NOTE,
    error: type[CrowdbenchError] = DataError,
) -> T:
    """A JSON file, decoded strictly to a type.

    Raises:
        MissingDataError: as `read_bytes`.
        CrowdbenchError: (of type `error`) the content is not JSON, or not of that type.
    """
    return decode_json(read_bytes(path, what, limit=limit, error=error), kind, path, what, error=error)


def decode_json(
    data: bytes,
    kind: type[T],
    path: Path,
    what: str,
    *,
    hint: str = "",
    error: type[CrowdbenchError] = DataError,
) -> T:
    """JSON that was read from a file, decoded to a type.

    Args:
        data: the content.
        kind: what it must be.
        path, what: for messages.
        hint: what it should look like, said where it is JSON of another kind.
        error: raised if it is anything else.

    Raises:
        CrowdbenchError: of the given kind; says what the content is, where that is recognizable.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as fault:
        raise error(f"{path}: not {what}: {fault}." + (f"\n{hint}" if hint else "")) from fault
    except RecursionError as fault:
        raise error(f"{path}: not {what}: lists or objects are nested too deeply.") from fault
    except MemoryError as fault:
        raise error(f"{path}: {what} that do not fit into this machine's memory.") from fault
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise error(f"{path}: not {what}: {not_json(data, fault)}") from fault


def read_toml(path: Path, what: str, *, error: type[CrowdbenchError] = DataError) -> dict[str, Any]:
    """A TOML file as plain data.

    Raises:
        MissingDataError: as `read_bytes`.
        CrowdbenchError: (of type `error`) it is not TOML; the message gives line and column.
    """
    import tomllib

    text = read_text(path, what, error=error)
    if any(_is_long_key(line) for line in text.split("\n")):
        # The parser's time grows with the square of their number.
        raise error(f"{path}: not {what}: a key has more than {_LONGEST_KEY} parts.")
    try:
        return tomllib.loads(text)
    except RecursionError as fault:
        raise error(f"{path}: not {what}: arrays or tables are nested too deeply.") from fault
    except ValueError as fault:  # TOMLDecodeError, and integers of more digits than Python converts
        found = recognise(text.encode("utf-8"))
        words = str(fault) if found is None else f"this is {found}"
        raise error(f"{path}: not {what}: {words.rstrip('.')}.") from fault


def read_toml_as(path: Path, kind: type[T], what: str, *, error: type[CrowdbenchError] = DataError) -> T:
    """A TOML file, converted strictly to a type.

    Raises:
        MissingDataError: as `read_bytes`.
        CrowdbenchError: (of type `error`) it is not TOML, or a field does not fit the type.
    """
    return _converted(read_toml(path, what, error=error), kind, path, what, error)


def read_yaml(path: Path, kind: type[T], what: str, *, error: type[CrowdbenchError] = DataError) -> T:
    """A YAML file, converted strictly to a type. Nothing in it is executed or expanded.

    Raises:
        MissingDataError: as `read_bytes`.
        CrowdbenchError: (of type `error`) it is not YAML, uses aliases, or a field does not fit the type.
    """
    text = read_text(path, what, error=error)
    try:
        content = load_yaml(text)
    except ValueError as fault:
        raise error(f"{path}: not {what}: {fault}.") from fault
    return _converted(content, kind, path, what, error)


def _converted(content: Any, kind: type[T], path: Path, what: str, error: type[CrowdbenchError]) -> T:
    try:
        return msgspec.convert(content, kind, builtin_types=(datetime, date, time), str_keys=True)
    except msgspec.ValidationError as fault:
        raise error(f"{path}: not {what}: {fault}.") from fault
    except RecursionError as fault:
        raise error(f"{path}: not {what}: it is nested too deeply.") from fault


def _is_long_key(line: str) -> bool:
    if len(line) <= _LONGEST_KEY:
        return False
    key, equals, _ = line.partition("=")
    return (bool(equals) or line.lstrip().startswith("[")) and key.count(".") > _LONGEST_KEY


def _not_text(data: bytes, fault: UnicodeDecodeError) -> str:
    found = recognise(data)
    if found is None:
        return f"byte {fault.start} is not UTF-8. Save it as UTF-8."
    return f"this is {found}. {remedy_of(found) or 'Give the text file.'}"


def _read_regular(path: Path, what: str, limit: int, error: type[CrowdbenchError]) -> bytes:
    # What is not there is an error of its own, unless the file is a plugin's or a cluster's.
    missing = MissingDataError if issubclass(error, InputError) else error
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise error(f"{path}: {in_bytes(size)}; {what} of more than {in_bytes(limit)} are not read.")
            data = file.read(min(size, limit) + 1)
            if len(data) > size:  # it grows, or the system does not know its size, as in /proc
                pieces = [data]
                while pieces[-1] and sum(map(len, pieces)) <= limit:
                    pieces.append(file.read(_PIECE))
                data = b"".join(pieces)
    except FileNotFoundError as failure:
        raise missing(f"{path}: there is no such file ({what}). Check the path.") from failure
    except (OSError, ValueError, RuntimeError) as failure:  # also a null byte in the name
        words = f"{path}: cannot read {what} ({reason(failure)}). {remedy(failure)}"
        raise missing(words.rstrip()) from failure
    if len(data) > limit:
        raise error(f"{path}: {what} of more than {in_bytes(limit)} are not read.")
    return data
