"""How the processes that share an evaluation take turns: through the run's folder, and nothing else.

None of them has to find the others, and none is missed for long: whatever a process has finished lies in the
folder as a whole part.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from crowdbench.errors import MachineError
from crowdbench.files import write_whole
from crowdbench.parts import Parts
from crowdbench.place import Place, start_name

PATIENCE_S = 1800.0  # so long nothing may come from the others
_POLL_S = 0.2
_MARKS = ".cleared-*"


def clear(directory: Path, parts: Parts, place: Place) -> None:
    """Forget the predictions of an earlier time, and tell the other processes."""
    parts.remove()
    remove_marks(directory)
    if place.count > 1:
        write_whole(_mark(directory), b"")


def remove_marks(directory: Path) -> None:
    """What `clear` has told is of no use to the processes of another start."""
    for mark in directory.glob(_MARKS):
        mark.unlink(missing_ok=True)


def wait_until_cleared(directory: Path) -> None:
    """Predictions of an earlier time would be taken for this one's.

    Raises:
        MachineError: the first process has not begun for a long time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not _mark(directory).exists():
        if time.monotonic() > deadline:
            raise MachineError(f"{directory}: the first process has not begun. See its log.")
        time.sleep(_POLL_S)


def wait_for_others(parts: Parts, batches: int, is_finished: Callable[[], bool]) -> None:
    """Until all batches are done.

    Args:
        parts: of the run.
        batches: how many it has.
        is_finished: whether somebody else has finished this very run, and put the parts away.

    Raises:
        MachineError: nothing has come for a long time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while len(parts.done) < batches:
        before = len(parts.done)
        parts.look()
        if len(parts.done) > before:
            deadline = time.monotonic() + PATIENCE_S
        elif is_finished():
            return
        elif time.monotonic() > deadline:
            raise MachineError(
                f"{parts.folder}: {batches - len(parts.done)} of {batches} batches are missing, and nothing "
                f"has come from the other processes for {PATIENCE_S / 60:.0f} minutes.\nSee their logs; all "
                "must see one folder of runs."
            )
        time.sleep(_POLL_S)


def _mark(directory: Path) -> Path:
    return directory / _MARKS.replace("*", start_name(os.environ))
