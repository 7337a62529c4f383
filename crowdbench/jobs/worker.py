"""Run a job in the processes that a launcher starts, across failures and restarts.

The process of rank 0 maintains the job's state (`crowdbench.jobs.job.JobState`). A launcher plugin calls
`main` in each process. The exit status tells it whether the job has to be requeued.
"""

import dataclasses
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

import msgspec

from crowdbench.errors import (
    CrowdbenchError,
    StoppedError,
    SupersededError,
)
from crowdbench.evaluation.shard_sync import Others, forget_earlier_starts, present
from crowdbench.jobs.execute import run_evaluation, run_training
from crowdbench.jobs.failures import cause_of, is_full_disk, reason_of
from crowdbench.jobs.job import Attempt, Cause, Failure, Job, JobOutcome, JobState
from crowdbench.jobs.request import EvaluationRequest
from crowdbench.run_store import recomputation
from crowdbench.run_store.lease import HEARTBEAT_S, hold_lease
from crowdbench.system.distributed import ProcessInfo, from_environment
from crowdbench.system.job_context import CurrentJob, current_job, export
from crowdbench.system.log_file import LINES, PlainFormatter, log_file
from crowdbench.system.plugin_calls import log_trace
from crowdbench.system.stop_signal import StopSignal
from crowdbench.system.text import utc_now

__all__ = ["CurrentJob", "main", "run_job"]

log = logging.getLogger("crowdbench")

MAX_FAILURES_WITHOUT_PROGRESS = 3  # then the job is given up
_KEPT_STARTS = 20


def main(folder: Path, job: CurrentJob, signals: Sequence[int]) -> int:
    """Run this process's share of a job; the entry point of the processes that a launcher starts.

    Args:
        folder: the job's folder.
        job: how the launcher describes the job. `gpus` is filled in if it is 0.
        signals: the signals by which the launcher requests a stop.

    Returns:
        The exit status, a `JobOutcome`. Only the process of rank 0 reports anything but 0, 1, 28 and 75: with
        another status, other ranks would end it while it may be writing.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(PlainFormatter(LINES))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    this = Job(folder)
    try:
        export(msgspec.structs.replace(job, gpus=job.gpus or this.order().resources.gpus or 0))
        # A training stops after the current step; an evaluation has nothing to finish.
        stop = StopSignal(at_once=isinstance(this.request(), EvaluationRequest))
        with stop.listening(signals):
            outcome = run_job(this, stop)
    except KeyboardInterrupt:
        outcome = JobOutcome.STOPPED  # before the job began
    except Exception as error:
        # Not even the state can be written. The exit status says what the log may not.
        is_expected = isinstance(error, CrowdbenchError | OSError)
        log.error("%s: %s", folder, error, exc_info=None if is_expected else error)
        return JobOutcome.DISK_FULL if is_full_disk(error) else JobOutcome.FAILED
    else:
        if stop.lost or outcome is JobOutcome.SUPERSEDED:
            log.warning("another process has taken over this job; nothing more is written here")
            return JobOutcome.SUPERSEDED
    if not from_environment(os.environ).is_main:
        return JobOutcome.FAILED if outcome is JobOutcome.FAILED else JobOutcome.DONE
    return outcome


def run_job(job: Job, stop: StopSignal) -> JobOutcome:
    """Run a job.

    Args:
        job: the job.
        stop: whether this process is to stop.

    Raises:
        KeyboardInterrupt: it was stopped before it had begun.
        MachineError: not even the job's state can be written.
    """
    place = from_environment(os.environ)
    if not place.is_main:
        with present(job.folder, place):
            return _share(job, stop, place)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lease(job.folder, stop.supersede))
        except SupersededError as error:
            log.warning("%s", error)
            return JobOutcome.SUPERSEDED
        stack.enter_context(log_file(job.log))
        forget_earlier_starts(job.folder)
        return _first(job, stop, Others(job.folder, place))


def _first(job: Job, stop: StopSignal, others: Others) -> JobOutcome:
    keeper = JobStateWriter(job)
    stuck = keeper.begin()
    if stuck is not None:
        keeper.end("failed", stuck, "machine")
        return JobOutcome.FAILED
    try:
        _carried_out(job, stop, keeper.note_run)
    except BaseException as error:
        if stop.lost or isinstance(error, SupersededError):
            return JobOutcome.SUPERSEDED
        elsewhere = _failure_elsewhere(job) or _death_elsewhere(others)
        if elsewhere is not None:
            # This one was asked to stop, or misses the other, as a consequence.
            return _failed(keeper, elsewhere.reason, elsewhere.cause)
        if _is_a_stop(error, stop):
            keeper.end("stopped", "asked to stop")
            return JobOutcome.STOPPED
        if not isinstance(error, Exception):
            raise
        _report(error)
        return _failed(keeper, reason_of(error), cause_of(error))
    keeper.end("done")
    return JobOutcome.DONE


def _share(job: Job, stop: StopSignal, place: ProcessInfo) -> JobOutcome:
    """What a process does that is not the first: its share, and say so if it fails."""
    try:
        _carried_out(job, stop, lambda _: None)
    except BaseException as error:
        if _is_a_stop(error, stop):
            return JobOutcome.STOPPED
        if not isinstance(error, Exception):
            raise
        _report(error)
        reason = f"process {place.rank} of {place.world_size}: {reason_of(error)}"
        _tell_the_first(job, reason, cause_of(error))
        return JobOutcome.FAILED
    return JobOutcome.DONE


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
    deadline = time.monotonic() + 3 * HEARTBEAT_S
    while True:
        dead = others.dead(silent_s=2.2 * HEARTBEAT_S)
        if dead is not None:
            reason = f"{dead} was killed, perhaps because memory ran out"
            return Failure(*_this_start(), reason, "machine")
        if not others.are_left() or time.monotonic() > deadline:
            return None
        time.sleep(0.1)


def _this_start() -> tuple[str, int]:
    started = current_job()
    return (started.job, started.restart_count) if started else ("", 0)


def _is_a_stop(error: BaseException, stop: StopSignal) -> bool:
    """Whether a process was asked to stop; that it then misses others, asked too, is not a failure."""
    if isinstance(error, StoppedError | KeyboardInterrupt):
        return True
    return stop() and isinstance(error, Exception) and cause_of(error) == "machine"


def _carried_out(job: Job, stop: StopSignal, on_start: Callable[[Path], None]) -> None:
    request = job.request()
    started = current_job()
    if isinstance(request, EvaluationRequest):
        if started is not None and started.restart_count > 0 and _is_computed_anew(job):
            request = dataclasses.replace(request, again=False)
        run_evaluation(request, on_start=on_start)
        return
    run_training(request, on_start=on_start, stopping=stop, on_trained=lambda _: stop.raise_immediately())


def _is_computed_anew(job: Job) -> bool:
    """Whether an earlier start of this job has done so already, from the beginning to the end."""
    state = job.state()
    runs = state.runs if state is not None else []
    return bool(runs) and not recomputation.is_unfinished(Path(runs[-1]))


def _failed(keeper: "JobStateWriter", reason: str, cause: Cause) -> JobOutcome:
    if cause != "machine":
        keeper.end("failed", reason, cause)
        return JobOutcome.FAILED
    failures = keeper.consecutive_failures(keeper.progress())
    if failures >= MAX_FAILURES_WITHOUT_PROGRESS:
        keeper.end("failed", f"{reason} (given up: {failures} times in a row in the same place)", cause)
        return JobOutcome.FAILED
    keeper.end("failed", reason, cause)
    return JobOutcome.RETRY


def _report(error: Exception) -> None:
    known = isinstance(error, CrowdbenchError)
    log.error("failed: %s", error, exc_info=None if known else error)
    log_trace(error)


class JobStateWriter:
    """Writes the ``state.json`` of a job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state = job.state() or JobState("running")

    def begin(self) -> str | None:
        """Record this start; return why it is pointless, or None."""
        started = current_job()
        progress = self.progress()
        number, start = _this_start()
        this = Attempt(
            number=number, start=start, node=started.node if started else "", at=utc_now(), reached=progress
        )
        failures, reason = self.consecutive_failures(progress), self.state.reason
        self._write(
            state="running", starts=[*self.state.starts[-_KEPT_STARTS:], this], reason=None, cause=None
        )
        if failures < MAX_FAILURES_WITHOUT_PROGRESS:
            return None
        return f"given up: {failures} starts in a row ended in the same place" + (
            f"; the last: {reason}" if reason else ", and none could say why"
        )

    def progress(self) -> int:
        """How far the work is."""
        return sum(reached_by(Path(run)) for run in self.state.runs)

    def consecutive_failures(self, progress: int) -> int:
        """How many starts in a row failed, were killed or were stopped without getting past `progress`."""
        count = 0
        for start in reversed(self.state.starts):
            came_here = start.reached != progress
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
        """Record how this start has ended; raises OSError if the disk is full or unreachable."""
        starts = self.state.starts
        ended = msgspec.structs.replace(starts[-1], ended=how)
        self._write(
            state=how,
            reason=reason,
            cause=cause,
            starts=[*starts[:-1], ended],
            finished=utc_now(),
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
