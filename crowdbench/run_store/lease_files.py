"""The files of a lease: its holder and the holder's progress."""

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from crowdbench.errors import DataError
from crowdbench.system.files.reading import read_json

CLAIM, PROGRESS, LOCK = "writer.json", "progress.json", "writer.lock"


class LeaseHolder(msgspec.Struct, frozen=True):
    """The process that holds the lease of a folder.

    Attributes:
        token: a random id of this claim.
        host, pid: the process and its host (the cluster's name of the node, if there is one).
        machine: `crowdbench.system.processes.this_machine`; several nodes may share it.
        since: when the process began, UTC.
        job, start: the cluster's job and the number of its earlier starts.
    """

    token: str
    host: str
    pid: int
    machine: str
    since: str
    job: str | None = None
    start: int = 0

    def succeeds(self, other: "LeaseHolder") -> bool:
        """Whether this is a later start of the other one's job."""
        return self.job is not None and self.job == other.job and self.start > other.start

    def __str__(self) -> str:
        job = f"job {self.job}, " if self.job else ""
        return f"{job}process {self.pid} on {self.host}, since {self.since}"


class ProgressReport(msgspec.Struct, frozen=True):
    """The progress of a lease's holder.

    Attributes:
        token: the token of its claim.
        done, of: completed and total units.
        unit: the unit, as in "images".
        eta_s: the estimated seconds left; None if unknown.
        words: the progress as text, for display.
    """

    token: str
    done: int = 0
    of: int = 0
    unit: str = ""
    eta_s: float | None = None
    words: str = ""


def read_claim(folder: Path) -> LeaseHolder | None:
    """The holder of a folder's lease, which may have been killed; None without one."""
    return _read(folder / CLAIM, LeaseHolder)


def read_progress(folder: Path) -> tuple[ProgressReport, float] | None:
    """The progress of the work in a folder, and its time in seconds since the epoch."""
    found = _read(folder / PROGRESS, ProgressReport)
    if found is None:
        return None
    with suppress(OSError):
        return found, (folder / PROGRESS).stat().st_mtime
    return None


T = TypeVar("T", LeaseHolder, ProgressReport)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return read_json(path, kind, "a claim to a folder")
    except DataError:
        return None
