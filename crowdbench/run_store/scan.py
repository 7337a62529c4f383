"""List all runs under a folder, and the run directories that cannot be read."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from crowdbench.run_store.record import SCHEMA, Record
from crowdbench.run_store.run import Run, log
from crowdbench.system.files.reading import LARGEST_NOTE

if TYPE_CHECKING:
    import pandas as pd


JOBS = "jobs"
"""The folder of jobs, next to those of runs."""


@dataclass(frozen=True)
class UnreadableRun:
    """A directory among the runs that is none, or not as it should be.

    Attributes:
        path: of the directory, or of its record.
        reason: why, in a line.
    """

    path: Path
    reason: str


def find_runs(root: Path) -> list[Run]:
    """All runs under a folder, sorted by directory. Foreign and half-written directories are passed over."""
    found, oddities = scan_runs(root)
    for oddity in oddities:
        log.debug("%s: %s", oddity.path, oddity.reason)
    return found


def scan_runs(root: Path) -> tuple[list[Run], list[UnreadableRun]]:
    """All runs under a folder, sorted by directory, and what cannot be read as a run.

    Folders of jobs and trainings are neither. A record of a newer version is in both lists.
    """
    found: list[Run] = []
    oddities: list[UnreadableRun] = []
    for directory in _directories(root, oddities):
        path = f"{directory}/run.json"
        try:
            # Not Run.read, whose paths and errors cost more than reading: there may be ten thousand.
            record = _decoder.decode(_content(path))
        except FileNotFoundError:
            if not os.path.exists(f"{directory}/training.json"):  # noqa: PTH110
                oddities.append(UnreadableRun(Path(directory), "no run.json: half-written, or not a run"))
            continue
        except OSError as error:
            oddities.append(UnreadableRun(Path(path), f"cannot be read ({error.strerror})"))
            continue
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            oddities.append(UnreadableRun(Path(path), _why_not(path, error)))
            continue
        if record.schema > SCHEMA:
            oddities.append(
                UnreadableRun(
                    Path(path), f"of a newer crowdbench (format {record.schema}): read as far as understood"
                )
            )
        found.append(Run(Path(directory), record))
    return found, oddities


_decoder = msgspec.json.Decoder(Record)


def _directories(root: Path, oddities: list[UnreadableRun]) -> list[str]:
    """Folders three levels down, in order; one that a link leads to as well is listed once."""
    found: list[str] = []
    linked: list[str] = []  # through a link, on whatever level
    for group, group_linked in _folders(str(root), oddities):
        if os.path.basename(group) == JOBS:  # noqa: PTH119
            continue
        for method, method_linked in _folders(group, oddities):
            for run, run_linked in _folders(method, oddities):
                (linked if group_linked or method_linked or run_linked else found).append(run)
    if not linked:
        return found
    known = {os.path.realpath(path) for path in found}
    for path in linked:
        real = os.path.realpath(path)
        if real not in known:
            known.add(real)
            found.append(path)
    return sorted(found)


def _folders(parent: str, oddities: list[UnreadableRun]) -> list[tuple[str, bool]]:
    """The folders in a folder, in order, and whether each is a link."""
    try:
        with os.scandir(parent) as entries:
            return sorted(
                (e.path, e.is_symlink()) for e in entries if e.is_dir() and not e.name.startswith(".")
            )
    except OSError as error:
        oddities.append(UnreadableRun(Path(parent), f"cannot be looked into ({error.strerror})"))
        return []


def _content(path: str) -> bytes:
    # Without waiting: opening a pipe that happens to be here would block.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:  # noqa: PTH123
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a file")
        if found.st_size > LARGEST_NOTE:
            raise OSError(errno.EFBIG, "too large to be a record")
        return file.read()


def _why_not(path: str, error: Exception) -> str:
    """Whether a record that cannot be read is newer than this reader, or broken."""
    try:
        schema = msgspec.json.decode(_content(path), type=_Schema).schema
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        schema = None
    if schema is not None and schema > SCHEMA:
        return f"of a newer crowdbench (format {schema}; this one reads {SCHEMA}): passed over"
    return f"not the record of a run ({error}): passed over"


class _Schema(msgspec.Struct):
    schema: int


def runs(path: str | Path = "runs") -> "pd.DataFrame":
    """All runs under a folder, one row each: record, protocol and statistics side by side."""
    import pandas as pd

    rows = []
    for run in find_runs(Path(path)):
        record = msgspec.to_builtins(run.record)
        protocol = record.pop("protocol")
        scores = record.pop("scores") or {}
        protocol["input_size"] = tuple(protocol["input_size"] or ()) or None
        rows.append({"directory": str(run.directory), **protocol, **record, **scores})
    return pd.DataFrame(rows)
