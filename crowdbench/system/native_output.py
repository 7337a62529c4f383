"""Capture what C libraries print to standard error."""

import os
import tempfile
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Listener(Generic[T]):
    """Calls functions, and returns what was printed to file descriptor 2 meanwhile.

    Several threads may call at once. Overlapping calls during which something was printed are repeated alone,
    because their output cannot be separated.

    Args:
        is_theirs: whether a line comes from the library; other lines are printed as they are.
    """

    def __init__(self, is_theirs: Callable[[str], bool]) -> None:
        self._is_theirs = is_theirs
        self._turn = threading.Condition()
        self._active = 0
        self._begun = 0
        self._alone = 0  # calls that want to be alone, or are
        self._heard = -1  # the file that is written instead
        self._process = 0
        self._shown: int | None = None  # a copy of descriptor 2

    def call(self, function: Callable[[], T]) -> tuple[T, list[str]]:
        """The function's result, and the library's lines."""
        with self._turn:
            self._turn.wait_for(lambda: not self._alone)
            number, before = self._enter()
            overlapped = self._active > 1
        try:
            result = function()
        finally:
            with self._turn:
                overlapped = overlapped or self._begun > number
                lines = self._leave(before)
        if lines and overlapped:
            return self._call_alone(function)
        return result, lines

    def _call_alone(self, function: Callable[[], T]) -> tuple[T, list[str]]:
        with self._turn:
            self._alone += 1
            self._turn.wait_for(lambda: not self._active)
            _, before = self._enter()
        try:
            result = function()
        finally:
            with self._turn:
                lines = self._leave(before)
                self._alone -= 1
                self._turn.notify_all()
        return result, lines

    def _enter(self) -> tuple[int, int]:
        if not self._active:
            self._redirect()
        self._active += 1
        self._begun += 1
        return self._begun, self._size()

    def _leave(self, before: int) -> list[str]:
        size = self._size()
        text = b""
        if size > before:
            text = os.pread(self._heard, size - before, before)
        self._active -= 1
        if not self._active:
            self._restore()
            self._turn.notify_all()
        lines = [line.strip() for line in text.decode(errors="replace").splitlines()]
        return [line for line in lines if line and self._is_theirs(line)]

    def _size(self) -> int:
        return os.fstat(self._heard).st_size if self._shown is not None else 0

    def _redirect(self) -> None:
        if self._process != os.getpid():  # a fork would share the file with its parent
            self._heard, self._process = _unnamed_file(), os.getpid()
        try:
            self._shown = os.dup(2)
        except OSError:  # a process without standard error: its output is lost anyway
            self._shown = None
            return
        os.dup2(self._heard, 2)

    def _restore(self) -> None:
        if self._shown is None:
            return
        os.dup2(self._shown, 2)
        os.close(self._shown)
        self._shown = None
        size = os.fstat(self._heard).st_size
        if size:
            text = os.pread(self._heard, size, 0)
            os.ftruncate(self._heard, 0)
            os.lseek(self._heard, 0, os.SEEK_SET)
            others = [line for line in text.splitlines(keepends=True) if not self._is_of_library(line)]
            if others:
                os.write(2, b"".join(others))

    def _is_of_library(self, line: bytes) -> bool:
        text = line.decode(errors="replace").strip()
        return not text or self._is_theirs(text)


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("heard")
    descriptor, path = tempfile.mkstemp()
    os.unlink(path)  # noqa: PTH108
    return descriptor
