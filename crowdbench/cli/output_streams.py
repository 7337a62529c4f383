"""Standard input, output and error of a command, whatever they are connected to.

They may be closed, full, a pipe without a reader, or of an encoding that lacks half of the
characters. What cannot be said on standard error is dropped, because nothing reads it; what cannot
be written to standard output ends the command with an error.
"""

import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from crowdbench.errors import MachineError
from crowdbench.system.files.os_errors import reason

if TYPE_CHECKING:
    from typing_extensions import Buffer


class OutputError(MachineError):
    """Standard output cannot be written; with `nobody_reads`, a pipe whose reader is gone (``| head``)."""

    def __init__(self, failure: OSError) -> None:
        super().__init__(f"standard output cannot be written ({reason(failure)}).")
        self.nobody_reads = isinstance(failure, BrokenPipeError)


def prepare() -> None:
    """Put streams in place that fail in a known way; those that are not the process's own stay."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next file that is opened would get its number, and what is printed.
            # Reading only: what is printed fails as it would have.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDONLY), descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(1, _Strict(1), sys.__stdout__)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(2, _Patient(2), sys.__stderr__)


def give_up_output() -> None:
    """What is still to be written to standard output goes nowhere, so that nothing fails at exit."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def _stream(descriptor: int, raw: "_Raw", before: io.TextIOBase | None) -> io.TextIOWrapper:
    if before is not None:
        with suppress(OSError, ValueError):
            before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        # Names of files and third-party text may have characters that the encoding lacks.
        errors="backslashreplace",
        line_buffering=descriptor == 2 or raw.isatty(),
    )


class _Raw(io.RawIOBase):
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.name = ("<stdin>", "<stdout>", "<stderr>")[descriptor]
        self.mode = "wb"

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)

    def writable(self) -> bool:
        return True


class _Strict(_Raw):
    def write(self, data: "Buffer", /) -> int:
        try:
            return os.write(self.descriptor, data)
        except OSError as failure:
            raise OutputError(failure) from failure


class _Patient(_Raw):
    def write(self, data: "Buffer", /) -> int:
        with suppress(OSError):
            return os.write(self.descriptor, data)
        return len(memoryview(data))
