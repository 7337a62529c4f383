"""The files of a lease: its holder and the holder's progress."""

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from crowdbench.errors import DataError
from crowdbench.system.files.reading import read_json

CLAIM, PROGRESS, LOCK = "writer.json", "progress.json", "writer.lock"


class LeaseHolder(msgspec.Struct, frozen=True):
    """Who works in a folder.

    Attributes:
        token: drawn for this claim.
        host, pid: the process, and its machine (a cluster's name of the node, if there is one).
        machine: as `crowdbench.system.processes.this_machine` has it; several nodes may share it.
        since: when it began, UTC.
        job, start: the cluster's job, and how often that was started before.
    """

    token: str
    host: str
    pid: int
    machine: str
    since: str
    job: str | None = None
    start: int = 0

    def succeeds(self, other: "LeaseHolder") -> bool:
        """Whether this is a later start of the very job that the other one belongs to."""
        return self.job is not None and self.job == other.job and self.start > other.start

    def __str__(self) -> str:
        job = f"job {self.job}, " if self.job else ""
        return f"{job}process {self.pid} on {self.host}, since {self.since}"


class ProgressReport(msgspec.Struct, frozen=True):
    """How far a writer is.

    Attributes:
        token: of its claim.
        done, of: how many units.
        unit: what is counted, as in "images".
        eta_s: seconds that are left, as far as that can be said.
        words: the same and more, to be shown.
    """

    token: str
    done: int = 0
    of: int = 0
    unit: str = ""
    eta_s: float | None = None
    words: str = ""


def read_claim(folder: Path) -> LeaseHolder | None:
    """Who works in a folder, or did until it was killed."""
    return _read(folder / CLAIM, LeaseHolder)


def read_progress(folder: Path) -> tuple[ProgressReport, float] | None:
    """How far the work in a folder is, and when that was said, in seconds since the epoch."""
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
