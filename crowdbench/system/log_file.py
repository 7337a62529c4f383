"""The package's log: copied to a run's directory, without terminal control sequences."""

import io
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crowdbench.system.files.os_errors import writing
from crowdbench.system.text import plain_lines

LINES = "%(asctime)s %(levelname)s %(message)s"


class PlainFormatter(logging.Formatter):
    """Names of files, plugins' words and servers' phrases are shown, never obeyed by a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; control characters are written as escapes."""
        return plain_lines(super().format(record))


@contextmanager
def log_file(path: Path, wanted: bool = True) -> Iterator[None]:
    """Also write the package's log messages to a file, within a block.

    Args:
        path: the file; it is appended to.
        wanted: False does nothing.

    Raises:
        MachineError: it cannot be opened, or is a pipe or a device.
    """
    if not wanted:
        yield
        return
    log = logging.getLogger("crowdbench")
    with writing(path):
        handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(PlainFormatter(LINES))
    previous = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)  # handlers that show it choose what they show
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(previous)
        handler.close()


class _LogFile(logging.FileHandler):
    def _open(self) -> io.TextIOWrapper:
        # Without waiting: opening a pipe that happens to be there would block.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(self.baseFilename, flags, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError("it is not a file but a pipe or a device")
        return open(descriptor, "a", encoding=self.encoding)  # noqa: PTH123

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk: the results that do not fit say so, and say more."""

    def close(self) -> None:
        """Close the file, even where what is still to be written does not fit."""
        try:
            super().close()
        except OSError:
            self.stream = None
