"""Carry out a job in its own processes, through deaths and restarts.

The first of the job's processes keeps its state (`crowdbench.jobs.job.State`). Whoever started the processes
learns how it ended and decides what follows: whether a queue has to take the job back.
"""

import dataclasses
import enum
import errno
import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

import msgspec

from crowdbench.errors import (
    CrowdbenchError,
    InputError,
    MachineError,
    PluginError,
    RunError,
    StoppedError,
    SupersededError,
)
from crowdbench.evaluation.shard_sync import Others, forget_earlier_starts, present
from crowdbench.jobs.execute import evaluate_as_asked, train_as_asked
from crowdbench.jobs.job import Cause, Failure, Job, Start, State, now
from crowdbench.jobs.request import Request
from crowdbench.run_store import recomputation
from crowdbench.run_store.lease import BEAT_S, only_writer
from crowdbench.system.distributed import Place, place_in
from crowdbench.system.job_context import current_job
from crowdbench.system.log_file import log_file
from crowdbench.system.plugin_calls import log_trace
from crowdbench.system.stop_signal import Stop

log = logging.getLogger("crowdbench")

SAME_PLACE = 3  # so many failures in one place are enough
_KEPT_STARTS = 20
# What PyTorch says, in a plain RuntimeError, when a GPU, a node or the network has failed.
_SIGNS_OF_A_BROKEN_MACHINE = (
    "CUDA error",
    "NCCL",
    "cuDNN",
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "gloo",
    "Gloo",
)


class Outcome(enum.Enum):
    """How a job's process ended."""

    DONE = "done"
    STOPPED = "stopped"  # as asked; it can go on
    RETRY = "retry"  # the machine failed, and not too often yet
    FAILED = "failed"
    SUPERSEDED = "superseded"  # a later start of this job, or another one, is at it


def work(job: Job, stop: Stop) -> Outcome:
    """Carry out a job.

    Args:
        job: its folder.
        stop: whether this process is to stop.

    Raises:
        KeyboardInterrupt: it was stopped before it had begun.
        MachineError: not even the job's state can be written.
    """
    place = place_in(os.environ)
    if not place.is_first:
        with present(job.folder, place):
            return _share(job, stop, place)
    with ExitStack() as stack:
        try:
            stack.enter_context(only_writer(job.folder, stop.lose))
        except SupersededError as error:
            log.warning("%s", error)
            return Outcome.SUPERSEDED
        stack.enter_context(log_file(job.log))
        forget_earlier_starts(job.folder)
        return _first(job, stop, Others(job.folder, place))


def _first(job: Job, stop: Stop, others: Others) -> Outcome:
    keeper = _StateKeeper(job)
    stuck = keeper.begin()
    if stuck is not None:
        keeper.end("failed", stuck, "machine")
        return Outcome.FAILED
    try:
        _carried_out(job, stop, keeper.note_run)
    except BaseException as error:
        if stop.lost or isinstance(error, SupersededError):
            return Outcome.SUPERSEDED
        elsewhere = _failure_elsewhere(job) or _death_elsewhere(others)
        if elsewhere is not None:
            # That this one was told to stop, or misses the other, is what came of it.
            return _failed(keeper, elsewhere.reason, elsewhere.cause)
        if _is_a_stop(error, stop):
            keeper.end("stopped", "told to stop")
            return Outcome.STOPPED
        if not isinstance(error, Exception):
            raise
        _report(error)
        return _failed(keeper, first_line(error), cause_of(error))
    keeper.end("done")
    return Outcome.DONE


def _share(job: Job, stop: Stop, place: Place) -> Outcome:
    """What a process does that is not the first: its share, and say so if it fails."""
    try:
        _carried_out(job, stop, lambda _: None)
    except BaseException as error:
        if _is_a_stop(error, stop):
            return Outcome.STOPPED
        if not isinstance(error, Exception):
            raise
        _report(error)
        reason = f"process {place.rank} of {place.count}: {first_line(error)}"
        _tell_the_first(job, reason, cause_of(error))
        return Outcome.FAILED
    return Outcome.DONE


def _tell_the_first(job: Job, reason: str, cause: Cause) -> None:
    """Of several that fail, the first to do so counts: the others may only miss it."""
    if _failure_elsewhere(job) is None:
        with suppress(OSError):
            job.write(Failure(*_this_start(), reason, cause))


def _failure_elsewhere(job: Job) -> Failure | None:
    found = job.failure()
    return found if found is not None and (found.number, found.start) == _this_start() else None


def _death_elsewhere(others: Others) -> Failure | None:
    """Whether another process was killed; on other machines, only its silence tells.

    srun then ends the other processes of the step, with the signal of a preemption.
    """
    deadline = time.monotonic() + 3 * BEAT_S
    while True:
        dead = others.dead(silent_s=2.2 * BEAT_S)
        if dead is not None:
            reason = f"{dead} was killed, perhaps because memory ran out"
            return Failure(*_this_start(), reason, "machine")
        if not others.are_left() or time.monotonic() > deadline:
            return None
        time.sleep(0.1)


def _this_start() -> tuple[str, int]:
    started = current_job()
    return (started.job, started.restart_count) if started else ("", 0)


def _is_a_stop(error: BaseException, stop: Stop) -> bool:
    """Whether a process was told to stop; that it then misses others, who were told too, is no failure."""
    if isinstance(error, StoppedError | KeyboardInterrupt):
        return True
    return stop() and isinstance(error, Exception) and cause_of(error) == "machine"


def _carried_out(job: Job, stop: Stop, on_start: Callable[[Path], None]) -> None:
    request = job.request()
    started = current_job()
    if isinstance(request, Request):
        if started is not None and started.restart_count > 0 and _is_computed_anew(job):
            request = dataclasses.replace(request, again=False)
        evaluate_as_asked(request, on_start=on_start)
        return
    train_as_asked(request, on_start=on_start, stopping=stop, on_trained=lambda _: stop.unwind_from_now_on())


def _is_computed_anew(job: Job) -> bool:
    """Whether an earlier start of this job has done so already, from the beginning to the end."""
    state = job.state()
    runs = state.runs if state is not None else []
    return bool(runs) and not recomputation.is_unfinished(Path(runs[-1]))


def _failed(keeper: "_StateKeeper", reason: str, cause: Cause) -> Outcome:
    if cause != "machine":
        keeper.end("failed", reason, cause)
        return Outcome.FAILED
    failures = keeper.failures_here(keeper.reached())
    if failures >= SAME_PLACE:
        keeper.end("failed", f"{reason} (given up: {failures} times in a row in the same place)", cause)
        return Outcome.FAILED
    keeper.end("failed", reason, cause)
    return Outcome.RETRY


def _report(error: Exception) -> None:
    known = isinstance(error, CrowdbenchError)
    log.error("failed: %s", error, exc_info=None if known else error)
    log_trace(error)


def first_line(error: BaseException) -> str:
    """What went wrong, in a line."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    name = type(error).__name__
    if not line:
        return name
    return line if isinstance(error, CrowdbenchError) else f"{name}: {line}"


def cause_of(error: BaseException) -> Cause:
    """Whether a failure lies in the machine, in what was asked for, or in the code."""
    if isinstance(error, MachineError | OSError | MemoryError):
        return "machine"
    raised = error.raised if isinstance(error, PluginError) else ()
    if {"OSError", "MemoryError"} & set(raised):
        return "machine"
    if not raised and isinstance(error, InputError | PluginError | RunError):
        return "input"
    text = str(error)
    if (isinstance(error, RuntimeError) or "RuntimeError" in raised) and any(
        sign in text for sign in _SIGNS_OF_A_BROKEN_MACHINE
    ):
        return "machine"
    return "bug"


def is_full_disk(error: BaseException | None) -> bool:
    """Whether a disk or a quota is at the bottom of an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


class _StateKeeper:
    """Writes ``state.json``.

    Args:
        job: whose.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state = job.state() or State("running")

    def begin(self) -> str | None:
        """Note this start.

        Returns:
            Why there is no point in it; None if there is.
        """
        started = current_job()
        reached = self.reached()
        number, start = _this_start()
        this = Start(
            number=number,
            start=start,
            node=started.node if started else "",
            at=now(),
            reached=reached,
        )
        failures, reason = self.failures_here(reached), self.state.reason
        self._write(
            state="running", starts=[*self.state.starts[-_KEPT_STARTS:], this], reason=None, cause=None
        )
        if failures < SAME_PLACE:
            return None
        return f"given up: {failures} starts in a row ended in the same place" + (
            f"; the last: {reason}" if reason else ", and none could say why"
        )

    def reached(self) -> int:
        """How far the work is."""
        return sum(reached_by(Path(run)) for run in self.state.runs)

    def failures_here(self, reached: int) -> int:
        """How many starts in a row ended where the work is now.

        Failed, killed, or stopped before they had done anything.
        """
        count = 0
        for start in reversed(self.state.starts):
            came_here = start.reached != reached
            if start.ended == "done" or (came_here and start.ended == "stopped"):
                break
            count += 1
            if came_here:
                break  # those before it ended elsewhere
        return count

    def note_run(self, directory: Path) -> None:
        """The run's directory is known."""
        runs, starts = self.state.runs, self.state.starts
        if not runs:
            # What an earlier submission has left there is where this one begins.
            starts = [*starts[:-1], msgspec.structs.replace(starts[-1], reached=reached_by(directory))]
        self._write(runs=[*(run for run in runs if run != str(directory)), str(directory)], starts=starts)

    def end(
        self, how: Literal["done", "stopped", "failed"], reason: str | None = None, cause: Cause | None = None
    ) -> None:
        """Note how this start has ended.

        Raises:
            OSError: the disk is full, or away.
        """
        starts = self.state.starts
        ended = msgspec.structs.replace(starts[-1], ended=how)
        self._write(
            state=how,
            reason=reason,
            cause=cause,
            starts=[*starts[:-1], ended],
            finished=now(),
            completed=self.state.completed + (how == "done"),
        )
        (self.job.folder / "failure.json").unlink(missing_ok=True)

    def _write(self, **changes: object) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        self.job.write(self.state)


def reached_by(run: Path) -> int:
    """How far the work in a run's directory is: a number that grows with every bit of it that is safe."""
    steps = [int(path.stem.split("-")[1]) for path in run.glob("checkpoints/step-*.json")]
    if (run / "training.json").is_file():
        return max(steps, default=0)
    return len(list(run.glob("parts/*.json")))
