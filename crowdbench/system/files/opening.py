"""Open files without blocking on a pipe, a device or a terminal."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading.

    Raises:
        OSError: it is missing, unreadable, or not a regular file; `strerror` says so.
        ValueError: no file can have this name.
    """
    # Without waiting: opening a pipe that happens to be there would block.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(kind, f"{kind_of(mode)}, not a file", str(path))
    return open(descriptor, "rb")  # noqa: PTH123


def kind_of(mode: int) -> str:
    """What something that is not a file is, as in ``"this is a pipe"``, by its mode."""
    for is_kind, name in ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket")):
        if is_kind(mode):
            return f"this is {name}"
    return "this is a device"
