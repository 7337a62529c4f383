"""Check the output files that a user names before the work, so that no other file is overwritten.

A device or a pipe is written to, and never replaced by a file. A file that is there is replaced if crowdbench
wrote it; another file only by force. Through a link its target is written.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crowdbench.errors import InputError
from crowdbench.system.files.opening import kind_of
from crowdbench.system.files.os_errors import cannot_write, writing
from crowdbench.system.files.writing import write_whole

# How much of an existing file is read: crowdbench's own files are recognized by their start, or are smaller.
_LOOKED_AT = 256 << 20
_STDOUT = frozenset({"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})


@dataclass(frozen=True)
class OutputFile:
    """Where results may be written; see `output_file`.

    Attributes:
        path: as the user named it; ``-`` is standard output.
        descriptor: of a device or a pipe, opened for writing; None for files.
    """

    path: Path
    descriptor: int | None = None

    @property
    def is_stdout(self) -> bool:
        """Whether it is what the command prints to, so that nothing else may be printed there."""
        return str(self.path) == "-" or os.path.abspath(self.path) in _STDOUT  # noqa: PTH100

    def write(self, data: bytes) -> None:
        """Write the results, to a file whole or not at all; raises MachineError."""
        if self.is_stdout:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif self.descriptor is None:
            write_whole(Path(os.path.realpath(self.path)), data)
        else:
            with writing(self.path), open(self.descriptor, "wb") as device:  # noqa: PTH123
                device.write(data)


def output_file(path: Path, *, is_own: Callable[[bytes], bool], force: bool = False) -> OutputFile:
    """Make sure that results can be written somewhere, and that nothing is lost there.

    Args:
        path: as the user named it.
        is_own: tells from the content of a file that is there whether crowdbench wrote it.
        force: replace it even if crowdbench did not write it.

    Raises:
        InputError: it is a folder, a file that crowdbench did not write, or a pipe without a reader.
        MachineError: the place cannot be written to.
    """
    if OutputFile(path).is_stdout:
        return OutputFile(path)
    with writing(path):
        mode = _mode(path)
    if mode is None:
        _require_place(path)
    elif stat.S_ISDIR(mode):
        raise InputError(f"{path}: this is a folder. Give the name of a file.")
    elif stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise InputError(f"{path}: {kind_of(mode)}, which no results are written to.")
    elif not stat.S_ISREG(mode):
        return OutputFile(path, _opened(path))
    else:
        _require_place(path)
        if not force and not _is_replaceable(path, is_own):
            raise InputError(
                f"{path}: is there already, and crowdbench did not write it. Choose another name, or pass "
                "--force to replace it."
            )
    return OutputFile(path)


def _mode(path: Path) -> int | None:
    """What is there, behind links; None if nothing is."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _is_replaceable(path: Path, is_own: Callable[[bytes], bool]) -> bool:
    try:
        with path.open("rb") as file:
            content = file.read(_LOOKED_AT)
    except OSError:
        return False
    return not content or is_own(content)


def _require_place(path: Path) -> None:
    """The nearest folder that is there must take new files: better said now than after the work."""
    folder = Path(os.path.realpath(path)).parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise cannot_write(path, NotADirectoryError(errno.ENOTDIR, "Not a directory"))
    if not os.access(folder, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise cannot_write(path, OSError(number, os.strerror(number)))


def _opened(path: Path) -> int:
    """A pipe or a device for writing. It stays open: a pipe that was closed again would end its reader."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        if failure.errno == errno.ENXIO:
            raise InputError(f"{path}: this is a pipe without a reader.") from failure
        raise cannot_write(path, failure) from failure
    os.set_blocking(descriptor, True)  # there is a reader; from now on it may take its time
    return descriptor
