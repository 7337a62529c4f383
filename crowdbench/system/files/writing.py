"""Write files atomically, on local disks and on shared file systems."""

import errno
import gzip
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from crowdbench.system.files.json_text import encoded_json
from crowdbench.system.files.opening import kind_of
from crowdbench.system.files.os_errors import writing
from crowdbench.system.processes import this_machine

# Names have 255 bytes on nearly all file systems, and a temporary name is longer than its file's.
_LONGEST_STEM = 200


def write_whole(path: Path, data: bytes) -> None:
    """Write to a temporary file, flush, rename: a reader sees the old file or the new one, never a part.

    Folders are created as needed. If several processes write the same path, the last one wins.

    Raises:
        MachineError: it cannot be written (full disk, no permission, impossible name). The old file stays,
            and nothing is left behind.
    """
    with writing(path):
        refuse_special(path)
        temporary = temporary_beside(path)
        try:
            with _new_file(temporary) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError, ValueError):  # the first error is the one to report
                temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)


def write_json(path: Path, content: Any) -> None:
    """Write content that msgspec encodes, indented, as `write_whole` does; raises MachineError."""
    write_whole(path, msgspec.json.format(encoded_json(content), indent=2) + b"\n")


def refuse_special(path: Path) -> None:
    """Raise OSError if a device or a pipe would be replaced by a file."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # nothing is there, or writing says what is wrong
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, f"{kind_of(mode)}, not a file")


def temporary_beside(path: Path) -> Path:
    """The name of a file until it is whole; `crowdbench.system.files.leftovers` recognizes it."""
    # The name is cut where it would be too long with what is added; the system says when it is by itself.
    stem = os.fsdecode(os.fsencode(path.name)[:_LONGEST_STEM])
    return path.with_name(f".{stem}.{os.getpid()}.{machine_mark()}{secrets.token_hex(2)}.tmp")


@cache
def machine_mark() -> str:
    """Tells temporary files of this machine from others', in four digits."""
    return hashlib.sha256(this_machine().encode()).hexdigest()[:4]


def _new_file(path: Path) -> BinaryIO:
    for _ in range(3):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return path.open("xb")
        except FileNotFoundError:
            continue  # another process removed the folder just now
    return path.open("xb")


def _flush_folder(folder: Path) -> None:
    # The rename itself lives in the folder; without this a power cut may undo it.
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return  # removed meanwhile: nothing is left to keep
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def gzipped(data: bytes) -> bytes:
    """Gzip without a time stamp: equal content gives equal bytes."""
    return gzip.compress(data, compresslevel=6, mtime=0)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path with the same ending, whose file replaces the target at the end of the block.

    If the block fails, nothing is left.

    Raises:
        MachineError: the folder is not writable.
    """
    # By the ending OpenCV chooses the format; it cannot write to all names that a file system allows.
    temporary = path.with_name(f".{os.getpid()}.{secrets.token_hex(8)}{path.suffix}")
    with writing(path):
        refuse_special(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with writing(path):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
