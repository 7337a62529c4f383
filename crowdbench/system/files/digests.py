"""Digests of files, computed once and cached.

A cached digest is valid while size, modification and change times, and inode of the file are unchanged. Files
changed in the last two seconds are always read, because clocks of file systems are coarse. An unreadable or
unwritable cache costs only time.
"""

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from crowdbench.errors import MissingDataError
from crowdbench.system.files.cache import cache_folder
from crowdbench.system.files.opening import open_regular

MISSING = "missing"
UNREADABLE = "unreadable"
_SETTLED_NS = 2_000_000_000
_MOST_KEPT = 500_000
_AT_ONCE = 8
# More than this changed since the last look: worth starting threads.
_MANY = 16


class FileState(NamedTuple):
    """The known state of a file.

    Attributes:
        stamp: size in bytes, times of modification and change in ns, inode.
        digest: SHA-256 of the content, in hexadecimal; or why there is none.
        notes: what else was read from the content.
    """

    stamp: tuple[int, int, int, int]
    digest: str
    notes: tuple[str, ...] = ()


Reader = Callable[[bytes], tuple[str, ...]]


class FileDigests:
    """The digests of some files.

    Args:
        name: of the cache file, shared by those who read the same files.
        reader: extracts the notes from the content of a Python file.
        largest: larger files, in bytes, are represented by their size.
    """

    def __init__(self, name: str, reader: Reader | None = None, largest: int | None = None) -> None:
        key = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        self._file: Path | None = None  # where the user has no cache
        with suppress(MissingDataError):
            self._file = cache_folder() / "digests" / f"{key}.msgpack"
        self._reader = reader
        self._largest = largest
        self._known = self._read()
        self._asked: dict[bytes, FileState] = {}
        self._is_new = False

    def of(self, paths: Sequence[str]) -> list[FileState]:
        """What is known of files, in their order; those that are new are read now."""
        found: list[FileState | None] = []
        unknown: list[int] = []
        for position, path in enumerate(paths):
            seen = self._unchanged(path)
            found.append(seen)
            if seen is None:
                unknown.append(position)
        new = [paths[position] for position in unknown]
        for position, seen in zip(unknown, self._read_all(new), strict=True):
            found[position] = seen
        return [seen for seen in found if seen is not None]

    def save(self, *, only: bool = False) -> None:
        """Keep new digests for the next process; with `only`, forget files that were not asked for."""
        if self._file is None or not self._is_new:
            return
        kept = self._asked if only else {**self._known, **self._asked}
        if len(kept) > _MOST_KEPT:
            kept = self._asked
        encoded = msgspec.msgpack.encode(list(kept.items()))
        # Not flushed to disk: a cache that a power cut damages is computed anew.
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(encoded)
            temporary.replace(self._file)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _read(self) -> dict[bytes, FileState]:
        try:
            content = self._file.read_bytes() if self._file is not None else b""
            return dict(msgspec.msgpack.decode(content, type=list[tuple[bytes, FileState]]))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, MemoryError):
            return {}

    def _unchanged(self, path: str) -> FileState | None:
        try:
            stamp = _stamp(os.stat(path))  # noqa: PTH116  (thousands)
        except (OSError, ValueError):
            return None
        if self._largest is not None and stamp[0] > self._largest:
            return FileState(stamp, f"{stamp[0]} bytes")
        name = os.fsencode(path)
        known = self._known.get(name)
        if known is None or known.stamp != stamp:
            return None
        self._asked[name] = known
        return known

    def _read_all(self, paths: Sequence[str]) -> Iterable[FileState]:
        if len(paths) < _MANY:
            looks = [_look(path, self._reader) for path in paths]
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                looks = list(pool.map(lambda path: _look(path, self._reader), paths))
        for path, seen in zip(paths, looks, strict=True):
            if time.time_ns() - max(seen.stamp[1:3]) > _SETTLED_NS and len(seen.digest) == 64:
                self._asked[os.fsencode(path)] = seen
                self._is_new = True
        return looks


def _look(path: str, reader: Reader | None) -> FileState:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return FileState((0, 0, 0, 0), MISSING)
    except (OSError, ValueError):
        return FileState((0, 0, 0, 0), UNREADABLE)
    try:
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return FileState((0, 0, 0, 0), UNREADABLE)
            if reader is None or not path.endswith(".py"):
                return FileState(_stamp(status), hashlib.file_digest(file, "sha256").hexdigest())
            content = file.readall() or b""
    except OSError:
        return FileState((0, 0, 0, 0), UNREADABLE)
    return FileState(_stamp(status), hashlib.sha256(content).hexdigest(), reader(content))


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; raises MissingDataError if it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingDataError(f"{path}: cannot read the file ({error.strerror}).") from error
