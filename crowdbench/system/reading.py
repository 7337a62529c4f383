"""Reading files that others wrote: bounded, never waiting, and with errors that say what was found instead.

Everything that reads a file of a user, a plugin or another process goes through here, so that a pipe, a
device, a gzip bomb, a web page or lists nested ten thousand deep are a line to read and never a traceback.
"""

import errno
import os
import stat
import tomllib
import zlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from crowdbench.errors import CrowdbenchError, DataError, MissingDataError

T = TypeVar("T")

GIB = 1 << 30
LARGEST_DATA = 4 * GIB  # annotations, predictions, boxes; COCO's largest has 0.25 GiB
LARGEST_NOTE = 64 << 20  # records, profiles, suites and tables
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SIGNATURES = (
    (_GZIP, "gzip data inside gzip data: it was packed twice"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstandard data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"\xff\xfe", "UTF-16 text, not UTF-8"),
    (b"\xfe\xff", "UTF-16 text, not UTF-8"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF"),
)
_REMEDIES = {
    "a zip archive": "Unpack it and give the file inside.",
    "bzip2 data": "Unpack it first, or pack it with gzip.",
    "xz data": "Unpack it first, or pack it with gzip.",
    "zstandard data": "Unpack it first, or pack it with gzip.",
    "a 7z archive": "Unpack it and give the file inside.",
    "gzip data inside gzip data: it was packed twice": "Unpack it once.",
    "a Git LFS pointer, not the file itself": "Fetch the file itself with `git lfs pull`.",
    "a web page": "The download was answered with a page; fetch the file itself.",
    "UTF-16 text, not UTF-8": "Save it as UTF-8.",
}


def read_bytes(
    path: Path, what: str, *, limit: int = LARGEST_DATA, error: type[CrowdbenchError] = DataError
) -> bytes:
    """The content of a regular file, unpacked if it is gzipped, without a byte order mark.

    Args:
        path: the file.
        what: it should be, for messages: ``"annotations"``, ``"the record of a run"``.
        limit: the most bytes that are taken into memory, packed and unpacked.
        error: raised for content that is damaged or too large.

    Raises:
        MissingDataError: there is no such file, it is a folder, a pipe or a device, or cannot be read.
        CrowdbenchError: of the given kind.
    """
    data = _read_regular(path, what, limit, error)
    if data[:2] == _GZIP:
        data = _unpacked(data, path, what, limit, error)
    return data.removeprefix(_BYTE_ORDER_MARK)


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
        CrowdbenchError: of the given kind; the content is not JSON, or not of that type.
    """
    return decode_json(read_bytes(path, what, limit=limit, error=error), kind, path, what, error=error)


def decode_json(
    data: bytes, kind: type[T], path: Path, what: str, *, error: type[CrowdbenchError] = DataError
) -> T:
    """JSON that was read from a file, decoded to a type.

    Raises:
        CrowdbenchError: of the given kind; says what the content is, where that can be told.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as fault:
        raise error(f"{path}: not {what}: {fault}.") from fault
    except RecursionError as fault:
        raise error(f"{path}: not {what}: lists or objects are nested too deeply.") from fault
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise error(f"{path}: not {what}: {not_json(data, fault)}") from fault


def read_toml(path: Path, what: str, *, error: type[CrowdbenchError] = DataError) -> dict[str, Any]:
    """A TOML file as plain data.

    Raises:
        MissingDataError: as `read_bytes`.
        CrowdbenchError: of the given kind; it is not TOML. The message gives line and column.
    """
    data = read_bytes(path, what, limit=LARGEST_NOTE, error=error)
    try:
        return tomllib.loads(data.decode("utf-8").replace("\r\n", "\n"))
    except RecursionError as fault:
        raise error(f"{path}: not {what}: arrays or tables are nested too deeply.") from fault
    except UnicodeDecodeError as fault:
        raise error(f"{path}: not {what}: {not_json(data, fault)}") from fault
    except ValueError as fault:  # TOMLDecodeError, and integers of more digits than Python converts
        raise error(f"{path}: not {what}: {fault}.") from fault


def not_json(data: bytes, fault: Exception) -> str:
    """What content that is not JSON seems to be instead, and what to do; the parser's words where unknown."""
    found = recognise(data)
    if found is None:
        return f"not whole JSON ({fault}). Write or copy the file again."
    return f"this is {found}. {_REMEDIES.get(found, 'Give the JSON file.')}"


def recognise(data: bytes) -> str | None:
    """What kind of file content is, by its first bytes; None where they tell nothing."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:1] == b"\x80" and data[1:2] in b"\x02\x03\x04\x05":
        return "a Python pickle"
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page"
    return None


def _read_regular(path: Path, what: str, limit: int, error: type[CrowdbenchError]) -> bytes:
    try:
        # Not to wait: opening a pipe that somebody left there would last for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise MissingDataError(f"{path}: {_kind_of(mode)}, not a file with {what}.")
            size = os.fstat(descriptor).st_size
            if size > limit:
                raise error(f"{path}: {in_bytes(size)}; {what} of more than {in_bytes(limit)} are not read.")
            data = file.read(limit + 1)
    except OSError as failure:
        raise MissingDataError(f"{path}: {_reason(failure, what)}") from failure
    except (ValueError, RuntimeError) as failure:  # a null byte in the name; a loop of links in old Pythons
        raise MissingDataError(f"{path!r}: cannot be opened ({failure}).") from failure
    if len(data) > limit:
        raise error(f"{path}: {what} of more than {in_bytes(limit)} are not read.")
    return data


def _reason(failure: OSError, what: str) -> str:
    if failure.errno == errno.ENOENT:
        return f"there is no such file ({what}). Check the path."
    if failure.errno == errno.EISDIR:
        return f"this is a folder, not a file with {what}."
    return f"cannot read {what} ({failure.strerror or failure})."


def _kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "this is a folder"
    if stat.S_ISFIFO(mode):
        return "this is a pipe"
    return "this is a device or socket"


def _unpacked(data: bytes, path: Path, what: str, limit: int, error: type[CrowdbenchError]) -> bytes:
    """All members of a gzip file, as gzip itself reads them."""
    pieces: list[bytes] = []
    total = 0
    view = memoryview(data)
    try:
        while view:
            stream = zlib.decompressobj(wbits=31)
            fed = bytes(view[:_CHUNK])
            position = len(fed)
            while not stream.eof:
                piece = stream.decompress(fed, _CHUNK)
                total += len(piece)
                if total > limit:
                    raise error(
                        f"{path}: unpacks to more than {in_bytes(limit)}; {what} as large are not read."
                    )
                pieces.append(piece)
                if stream.eof:
                    break
                fed = stream.unconsumed_tail
                if not fed:
                    fed = bytes(view[position : position + _CHUNK])
                    position += len(fed)
                    if not fed and not piece:
                        raise error(
                            f"{path}: the gzipped file is truncated or damaged (it ends early).\n"
                            "Copy or write it again."
                        )
            rest = len(stream.unused_data)
            view = view[position - rest :]
            while len(view) and view[0] == 0:  # padding, which gzip skips too
                view = view[1:]
    except zlib.error as fault:
        raise error(
            f"{path}: the gzipped file is truncated or damaged ({fault}).\nCopy or write it again."
        ) from fault
    return b"".join(pieces)


def in_bytes(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    for unit, size in (("GiB", GIB), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
