"""Remove what killed processes have left in a run's directory."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crowdbench.errors import MachineError, SupersededError
from crowdbench.evaluation.shard_sync import remove_markers
from crowdbench.run_store import recomputation
from crowdbench.run_store.lease import has_ended, hold_lease
from crowdbench.run_store.lease_files import CLAIM, read_claim
from crowdbench.system.files.leftovers import is_leftover, remove_leftovers


def tidy(directory: Path) -> None:
    """Remove left-overs from a run's directory; for the one that keeps it."""
    remove_markers(directory)
    for folder in (directory, directory / "parts", *_of_a_recomputation(directory)):
        remove_leftovers(folder)
    if not recomputation.is_unfinished(directory):
        shutil.rmtree(recomputation.place_of(directory), ignore_errors=True)


def tidy_finished(directory: Path) -> None:
    """The same where a run is done, unless a process works on it, or it cannot be written to."""
    if next(_seen(directory), None) is None:
        return
    claim = read_claim(directory)
    if claim is not None and not has_ended(claim):
        return
    with suppress(MachineError, SupersededError), hold_lease(directory):
        tidy(directory)
        shutil.rmtree(directory / "parts", ignore_errors=True)


def _of_a_recomputation(directory: Path) -> Iterator[Path]:
    new = recomputation.place_of(directory)
    if new.is_dir():
        yield from (new, new / "parts")


def _seen(directory: Path) -> Iterator[Path]:
    new = recomputation.place_of(directory)
    with suppress(OSError):
        for path in directory.iterdir():
            if (
                path.name in ("parts", "ranks", CLAIM)
                or path.name.startswith(".begun-")
                or (path == new and not recomputation.is_unfinished(directory))
                or is_leftover(path)
            ):
                yield path
