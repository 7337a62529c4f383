"""The lease of a folder: one process at a time writes there, on one machine or many.

writer.json     the holder of the lease; removed when the holder ends normally
progress.json   a heartbeat every few seconds, with the progress
writer.lock     locked by the holder, where the file system supports locks

A killed process leaves its lease behind without heartbeats. Another process on the same machine notices
immediately, one elsewhere after 30 s without a heartbeat. While the lease is held, other processes are
refused (`hold_lease`) or wait (`in_turn`). A cluster may restart a job while processes of its first start
still run on a node that it has lost contact with. The new start then takes over the lease and waits until the
old one has noticed and ended. A holder checks its lease before every write that matters.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from crowdbench.errors import MachineError, SupersededError
from crowdbench.run_store.lease_files import (
    CLAIM,
    LOCK,
    PROGRESS,
    LeaseHolder,
    ProgressReport,
    read_claim,
    read_progress,
)
from crowdbench.run_store.silence import Silence
from crowdbench.system.files.locks import FileLock
from crowdbench.system.files.os_errors import writing
from crowdbench.system.files.writing import write_whole
from crowdbench.system.job_context import current_job
from crowdbench.system.processes import is_gone, this_machine
from crowdbench.system.text import utc_now

log = logging.getLogger("crowdbench")

HEARTBEAT_S = 5.0
LEASE_TIMEOUT_S = 30.0  # without a heartbeat for this long, the holder is dead
_GIVE_UP_S = 180.0
_POLL_S = 0.3
_SETTLE_S = 1.0  # without a lock, the time until all processes see the same claim


def is_alive(folder: Path) -> bool:
    """Whether the holder of a folder's lease is alive, as far as this machine can tell."""
    claim, progress = read_claim(folder), read_progress(folder)
    if claim is None or progress is None or has_ended(claim):
        return False
    return time.time() - progress[1] < 2 * LEASE_TIMEOUT_S  # by two machines' clocks


class Lease:
    """The lease of a folder, held by this process.

    Args:
        folder: the folder.
        claim: identifies this process.
        on_lost: called in the heartbeat thread when another process has taken over.

    Attributes:
        lost: whether another process has taken over.
        has_successor: whether that process is a later start of this job.
    """

    def __init__(self, folder: Path, claim: LeaseHolder, on_lost: Callable[[], None] | None = None) -> None:
        self.folder = folder
        self.claim = claim
        self.lost = False
        self.has_successor = False
        self._on_lost = on_lost
        self._progress = ProgressReport(claim.token)
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._live, name="writer", daemon=True)

    def report(self, done: int, of: int, unit: str, eta_s: float | None = None, words: str = "") -> None:
        """Report the progress; it is written with the next heartbeat."""
        self._progress = ProgressReport(self.claim.token, done, of, unit, eta_s, words)

    def check_held(self) -> None:
        """Raise SupersededError if another process has taken over; call this before every write."""
        found = read_claim(self.folder)
        if found is not None and found.token != self.claim.token:
            self.lost = True
            self.has_successor = found.succeeds(self.claim)
        elif found is None and self._beats.is_alive() and not (self.folder / CLAIM).exists():
            self.lost = True  # taken over while this process was frozen, and released since
        if self.lost:
            other = found or "another process, which has finished"
            raise SupersededError(f"{self.folder}: taken over by {other}; nothing more is written here.")

    def begin(self) -> None:
        """Write the lease and start the heartbeats; raises MachineError if the folder is not writable."""
        write_whole(self.folder / CLAIM, msgspec.json.encode(self.claim))
        self._sign()
        self._beats.start()

    def end(self) -> None:
        """Stop the heartbeats and release the lease."""
        self._ended.set()
        if self._beats.is_alive():
            self._beats.join(2 * HEARTBEAT_S)
        found = read_claim(self.folder)
        if found is not None and found.token == self.claim.token:
            for name in (PROGRESS, CLAIM):
                with suppress(OSError):
                    (self.folder / name).unlink(missing_ok=True)

    def _sign(self) -> None:
        write_whole(self.folder / PROGRESS, msgspec.json.encode(self._progress))

    def _live(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            try:
                self.check_held()
                self._sign()
            except SupersededError:
                if self._on_lost is not None:
                    self._on_lost()
                return
            except MachineError as error:
                # The main thread will run into a full disk itself and report it in more detail.
                log.debug("%s: no heartbeat could be written (%s)", self.folder, error)


def new_claim() -> LeaseHolder:
    """A new claim of this process."""
    job = current_job()
    return LeaseHolder(
        token=secrets.token_hex(8),
        host=job.node if job and job.node else socket.gethostname(),
        pid=os.getpid(),
        machine=this_machine(),
        since=utc_now(),
        job=f"{job.launcher} {job.job}" if job else None,
        start=job.restart_count if job else 0,
    )


@contextmanager
def hold_lease(folder: Path, on_lost: Callable[[], None] | None = None) -> Iterator[Lease]:
    """Hold the lease of a folder, or fail if another process holds it.

    Args:
        folder: created if it does not exist.
        on_lost: called in the heartbeat thread when a later start of this job has taken over.

    Raises:
        SupersededError: another process holds the lease.
        MachineError: the folder cannot be written to.
    """
    with _entered(folder, on_lost, None) as writer:
        assert writer is not None
        yield writer


@dataclass(frozen=True)
class Waiting:
    """What a process does while another one holds the lease; both functions are called repeatedly.

    Attributes:
        is_done: whether nothing is left to do.
        on_wait: receives the holder and its progress, as far as they are known.
    """

    is_done: Callable[[], bool]
    on_wait: Callable[[LeaseHolder | None, ProgressReport | None], None]


@contextmanager
def in_turn(folder: Path, waiting: Waiting) -> Iterator[Lease | None]:
    """Hold the lease of a folder; wait while another process holds it, until that ends or dies.

    Args:
        folder: created if it does not exist.
        waiting: what to do during the wait.

    Yields:
        The lease; None if nothing was left to do.

    Raises:
        MachineError: the folder cannot be written to.
    """
    with _entered(folder, None, waiting) as writer:
        yield writer


@contextmanager
def _entered(
    folder: Path, on_lost: Callable[[], None] | None, waiting: Waiting | None
) -> Iterator[Lease | None]:
    lock = FileLock(folder / LOCK)
    try:
        while True:
            writer = Lease(folder, new_claim(), on_lost)
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                is_mine = _take(folder, writer, lock, waiting)
            if not is_mine:
                yield None
                return
            try:
                _begin(writer, lock)
                break
            except SupersededError:
                if waiting is None:
                    raise
        try:
            yield writer
        finally:
            writer.end()
    finally:
        lock.release()


def _begin(writer: Lease, lock: FileLock) -> None:
    writer.begin()
    if not lock.is_held:
        # Others may have reached the same conclusion; the last claim counts.
        time.sleep(_SETTLE_S)
        try:
            writer.check_held()
        except SupersededError:
            writer.end()
            raise


def _take(folder: Path, writer: Lease, lock: FileLock, waiting: Waiting | None) -> bool:
    """Wait until no other process holds the lease.

    Returns:
        Whether this process may take it; False if nothing is left to do.

    Raises:
        SupersededError: another process holds it and is alive.
    """
    mine, silence = writer.claim, Silence(folder)
    deadline = time.monotonic() + _GIVE_UP_S
    is_later = was_locked = False
    while True:
        is_free = lock.taken()
        was_locked = was_locked or not is_free
        held = read_claim(folder)
        if is_free and (held is None or has_ended(held) or (is_later and was_locked)):
            return True
        if held is not None and mine.succeeds(held):
            log.warning("%s: takes over from an earlier start (%s)", folder, held)
            write_whole(folder / CLAIM, msgspec.json.encode(mine))
            is_later = True
        elif silence.seconds() > LEASE_TIMEOUT_S:
            return True  # it is dead or its node is cut off; a lock that it may still hold no longer matters
        elif waiting is not None:
            if waiting.is_done():
                return False
            found = read_progress(folder)
            waiting.on_wait(held, found[0] if found is not None else None)
            time.sleep(_POLL_S)
        elif not is_later and (not is_free or silence.was_broken):
            raise _refusal(folder, held)  # alive, perhaps on a node where the locks have no effect
        elif time.monotonic() > deadline:
            raise _refusal(folder, held)
        else:
            time.sleep(_POLL_S)


def has_ended(claim: LeaseHolder) -> bool:
    """Whether a claim's process, on this machine, has ended; False if that cannot be determined."""
    return claim.machine == this_machine() and is_gone(claim.pid)


def _refusal(folder: Path, held: LeaseHolder | None) -> SupersededError:
    return SupersededError(
        f"{folder}: another process is at this very work ({held or 'it does not say who'}).\n"
        "Wait for it, or do something else: another --seed, --out or setting."
    )
