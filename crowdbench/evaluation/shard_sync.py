"""How processes that share an evaluation or a job find each other through a folder.

The first of them holds the lease on the folder for all (`crowdbench.run_store.lease`) and tells the others
when to begin. Each of the others writes heartbeats into ``ranks/``, so that a killed one is not waited for.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crowdbench.errors import MachineError, SupersededError
from crowdbench.evaluation.shards import PredictionShards
from crowdbench.run_store.lease import LEASE_TIMEOUT_S, Lease, has_ended, is_alive, new_claim
from crowdbench.run_store.lease_files import read_claim
from crowdbench.run_store.silence import Silence
from crowdbench.system.distributed import ProcessInfo, launch_id
from crowdbench.system.files.writing import write_whole

log = logging.getLogger("crowdbench")

PATIENCE_S = 1800.0  # so long nothing may come from the others
_POLL_S = 0.2
_BEGUN = ".begun-*"
_RANKS = "ranks"


def announce_start(directory: Path, writer: Lease) -> None:
    """Tell the other processes of this start that they may compute, and forget those of earlier ones."""
    forget_earlier_starts(directory)
    write_whole(_mark(directory), writer.claim.token.encode())


def forget_earlier_starts(directory: Path) -> None:
    """Remove the markers of all other starts."""
    remove_markers(directory, but=f"{launch_id(os.environ)}.")


def remove_markers(directory: Path, but: str | None = None) -> None:
    """Remove the markers of a start, or of all but one."""
    for mark in directory.glob(_BEGUN):
        mark.unlink(missing_ok=True)
    for rank in directory.glob(f"{_RANKS}/*"):
        if but is None or not rank.name.startswith(but):
            shutil.rmtree(rank, ignore_errors=True)
    with suppress(OSError):
        (directory / _RANKS).rmdir()


def wait_for_start(directory: Path, needless: Callable[[], bool], lost: str | None = None) -> str | None:
    """Wait for the first process, which may have to wait for other starts of the same run.

    Args:
        directory: the run's directory.
        needless: whether there is nothing left to do.
        lost: an earlier claim of the first process, no longer valid.

    Returns:
        The token of the first process's claim; None if there is nothing left to do.

    Raises:
        MachineError: the first process has not begun for a long time, and no other process works on the run.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        token = _start_token(directory)
        if token is not None and token != lost:
            return token
        if needless():
            return None
        if is_alive(directory):
            deadline = time.monotonic() + PATIENCE_S
        elif time.monotonic() > deadline:
            raise MachineError(f"{directory}: the first process has not begun. See its log.")
        time.sleep(_POLL_S)


def check_start(directory: Path, token: str) -> None:
    """Make sure that the first process is still at it; for the others, before they write.

    Raises:
        SupersededError: processes of another start have taken over.
        MachineError: the first process has died.
    """
    claim = read_claim(directory)
    if claim is not None and claim.token != token:
        raise SupersededError(f"{directory}: taken over by {claim}; nothing more is written here.")
    if claim is not None and has_ended(claim):
        raise MachineError(
            f"the first process (number {claim.pid} on {claim.host}) has died.\n"
            "What is finished is kept; run the same command again to resume."
        )


@contextmanager
def present(directory: Path, place: ProcessInfo) -> Iterator[None]:
    """Write heartbeats for rank 0, from a process of another rank."""
    folder = _rank_folder(directory, place.rank)
    writer = Lease(folder, new_claim())
    writer.begin()
    try:
        yield
    finally:
        writer.end()
        shutil.rmtree(folder, ignore_errors=True)


class Others:
    """The other processes of this start, as the first one sees them.

    Args:
        directory: where they write heartbeats.
        place: of this process.
    """

    def __init__(self, directory: Path, place: ProcessInfo) -> None:
        self._folders = {rank: _rank_folder(directory, rank) for rank in range(1, place.world_size)}
        self._silences = {rank: Silence(folder) for rank, folder in self._folders.items()}

    def dead(self, silent_s: float = LEASE_TIMEOUT_S) -> str | None:
        """Name a process that has died: on another machine, after `silent_s` seconds without a heartbeat."""
        for rank, folder in self._folders.items():
            claim = read_claim(folder)
            if claim is not None and (has_ended(claim) or self._silences[rank].seconds() > silent_s):
                return f"process {rank} (number {claim.pid} on {claim.host})"
        return None

    def are_left(self) -> bool:
        """Whether any of them has come, and has not ended in order."""
        return any(read_claim(folder) is not None for folder in self._folders.values())


def wait_for_all(
    parts: PredictionShards, batches: int, is_finished: Callable[[], bool], others: Others
) -> None:
    """Wait until all batches are done.

    Args:
        parts: the run's shards.
        batches: how many it has.
        is_finished: whether another process has finished the run and removed its shards.
        others: the processes that compute them.

    Raises:
        MachineError: one of the others has died, or nothing has arrived for a long time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while len(parts.done) < batches:
        before = len(parts.done)
        # Asked first: what it wrote before it died is seen below.
        dead = others.dead()
        parts.refresh()
        if len(parts.done) > before:
            deadline = time.monotonic() + PATIENCE_S
        elif is_finished():
            return
        elif dead is not None:
            raise MachineError(
                f"{dead} has died; {batches - len(parts.done)} of {batches} batches are missing.\n"
                "What is finished is kept; run the same command again to resume. It may have run out of "
                "memory: see its log."
            )
        elif time.monotonic() > deadline:
            raise MachineError(
                f"{parts.folder}: {batches - len(parts.done)} of {batches} batches are missing, and nothing "
                f"has come from the other processes for {PATIENCE_S / 60:.0f} minutes.\nSee their logs; all "
                "must see one folder of runs."
            )
        time.sleep(_POLL_S)


def _mark(directory: Path) -> Path:
    return directory / _BEGUN.replace("*", launch_id(os.environ))


def _start_token(directory: Path) -> str | None:
    try:
        return _mark(directory).read_text("utf-8", errors="replace")
    except OSError:
        return None


def _rank_folder(directory: Path, rank: int) -> Path:
    return directory / _RANKS / f"{launch_id(os.environ)}.{rank}"
