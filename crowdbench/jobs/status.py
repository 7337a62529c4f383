"""The status of runs and jobs, from their folders and from the queues that they were submitted to.

A job that has reported its end is trusted. For the others the queue is queried, once for all jobs. Nothing
depends on a cluster's accounting.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from crowdbench.errors import CrowdbenchError, DataError, LaunchError
from crowdbench.jobs.job import Failure, Job, JobSpec, JobState, Submission, find_jobs
from crowdbench.jobs.launcher import QueueStatus
from crowdbench.jobs.queue_clients import QueueClients
from crowdbench.run_store.lease import is_alive
from crowdbench.run_store.lease_files import read_progress
from crowdbench.system.files.reading import read_json

log = logging.getLogger("crowdbench")

StatusName = Literal["waiting", "running", "done", "failed", "stopped", "cancelled", "lost"]
ENDED: frozenset[StatusName] = frozenset({"done", "failed", "stopped", "cancelled", "lost"})


@dataclass(frozen=True)
class JobStatus:
    """The status of a run or a job.

    Attributes:
        name: the job's name; for a run without a job, the last three parts of its path.
        what: "run" or "train".
        state: waiting in a queue, running, done, failed, stopped (it can be resumed), cancelled, or lost (it
            exited without reporting a state).
        done, of, unit: its progress; `eta_s`: the estimated time left; `words`: the same, to be shown.
        ap: in [0, 1], when it is done.
        where: the queue's number and the node, or this machine's name.
        reason: why it waits, failed or was stopped, in a line.
        directory: of the run; None before it has one.
        job: its folder; None for runs that were not submitted.
        changed: when, in seconds since the epoch.
        hopeless: it waits, and will never start as it is.
    """

    name: str
    what: Literal["run", "train"]
    method: str
    dataset: str
    state: StatusName
    done: int = 0
    of: int = 0
    unit: str = ""
    eta_s: float | None = None
    words: str = ""
    ap: float | None = None
    where: str = ""
    reason: str = ""
    directory: Path | None = None
    job: Path | None = None
    changed: float = 0.0
    hopeless: bool = False

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ENDED or self.hopeless


class _Record(msgspec.Struct):
    """What of ``run.json`` and ``training.json`` is shown."""

    method: str
    state: Literal["running", "done", "failed", "interrupted"]
    host: dict[str, Any] = {}
    reason: str | None = None
    scores: dict[str, float] | None = None
    protocol: "_Protocol | None" = None
    dataset: str | None = None
    best: "_Best | None" = None


class _Protocol(msgspec.Struct):
    dataset: str


class _Best(msgspec.Struct):
    score: float


def list_statuses(root: Path, queues: QueueClients | None = None) -> tuple[list[JobStatus], list[str]]:
    """All jobs and runs of a folder, the latest last; and the errors of queues that do not answer."""
    root = root.absolute()
    jobs = list(find_jobs(root))
    found, problems = query_statuses(jobs, queues or QueueClients())
    taken = {directory for job in found for directory in job[1]}
    rows = [row for row, _ in found]
    taken |= {os.path.realpath(directory) for directory in taken}
    for path, real in _each_once(root):
        if real not in taken:
            row = _of_a_run(path)
            if row is not None:
                rows.append(row)
    return sorted(rows, key=lambda row: (row.changed, row.name)), problems


def _each_once(root: Path) -> list[tuple[Path, str]]:
    """The records of all runs, and their real directories: one that a link leads to as well is one."""
    records = [p for p in root.glob("*/*/*/*.json") if p.name in ("run.json", "training.json")]
    found: dict[str, Path] = {}
    for path in records:
        real = os.path.realpath(path.parent)
        if real not in found or real == str(path.parent):
            found[real] = path  # where it lies, if that is here
    return [(path, real) for real, path in found.items()]


def query_statuses(
    jobs: Sequence[Job], queues: QueueClients
) -> tuple[list[tuple[JobStatus, list[str]]], list[str]]:
    """Return the status of jobs, each with its runs' directories; and problems, such as unreadable jobs."""
    read: list[tuple[Job, JobSpec, Submission | None, JobState | None]] = []
    problems = []
    for job in jobs:
        try:
            read.append((job, job.order(), job.ticket(), job.state()))
        except CrowdbenchError as error:
            problems.append(str(error).splitlines()[0])
    # A job that is done needs no query.
    open_ones = [
        (order, ticket)
        for _, order, ticket, state in read
        if ticket is not None and not (state is not None and state.state == "done")
    ]
    seen, unanswered = queues.query(open_ones)
    rows = []
    for job, order, ticket, state in read:
        what = seen.get((order.launcher, ticket.job_id)) if ticket is not None else QueueStatus("ended")
        row = _of_a_job(job, order, ticket, state, what, queues)
        rows.append((row, state.runs if state is not None else []))
    return rows, problems + unanswered


def _of_a_job(
    job: Job,
    order: JobSpec,
    ticket: Submission | None,
    state: JobState | None,
    seen: QueueStatus | None,
    queues: QueueClients,
) -> JobStatus:
    request = order.request
    word, reason = _resolve_status(job, order, ticket, state, seen, queues)
    where = " ".join(filter(None, (ticket.job_id if ticket else "", _node(state, seen))))
    facts: dict[str, Any] = {}
    directory = state.run if state is not None else None
    if directory is not None and word == "running":
        facts = _progress(directory)
    ap = _ap(directory) if directory is not None and word == "done" else None
    return JobStatus(
        name=job.name,
        what=request.get("kind", "run"),
        method=str(request.get("method", "")),
        dataset=str(request.get("dataset", "")),
        state=word,
        ap=ap,
        where=where,
        reason=reason,
        directory=directory,
        job=job.folder,
        changed=_changed(job.folder / ("state.json" if state is not None else "job.json")),
        hopeless=word == "waiting" and seen is not None and seen.never_starts,
        **facts,
    )


def _resolve_status(
    job: Job,
    order: JobSpec,
    ticket: Submission | None,
    state: JobState | None,
    seen: QueueStatus | None,
    queues: QueueClients,
) -> tuple[StatusName, str]:
    """The state in a word, and the reason in a line."""
    own: StatusName = state.state if state is not None else "waiting"
    word, explanation = own, (state.reason if state is not None else None) or ""
    if seen is not None and own != "done":
        if seen.state != "ended":
            word, explanation = seen.state, seen.reason
            if word == "waiting" and own == "failed" and state is not None and state.reason:
                explanation = f"starts again after {state.reason}" + (
                    f" ({explanation})" if explanation else ""
                )
        elif ticket is not None and ticket.cancelled is not None:
            word, explanation = "cancelled", f"at {ticket.cancelled}"
        elif ticket is None and state is None:
            word, explanation = "lost", "it was never submitted; run the same command again"
        elif own == "running" and (failure := _failure(job, state)) is not None:
            word, explanation = (
                "failed",
                failure.reason,
            )  # the first process was killed before it could say so
        elif own in ("running", "waiting") and ticket is not None:
            word, explanation = "lost", queues.explain_exit(order.launcher, ticket, seen)
        elif own == "running" and not is_alive(job.folder):
            word, explanation = "lost", "killed; run the same command again"
    return word, explanation


def _failure(job: Job, state: JobState | None) -> Failure | None:
    """Why another process than the first has failed, in the last start."""
    failure = job.failure()
    if failure is None or state is None or not state.starts:
        return None
    last = state.starts[-1]
    return failure if (failure.number, failure.start) == (last.number, last.start) else None


def _node(state: JobState | None, seen: QueueStatus | None) -> str:
    if seen is not None and seen.node:
        return seen.node
    return state.starts[-1].node if state is not None and state.starts else ""


def _progress(directory: Path) -> dict[str, Any]:
    found = read_progress(directory)
    if found is None:
        return {}
    progress, _ = found
    return {name: getattr(progress, name) for name in ("done", "of", "unit", "eta_s", "words")}


def _ap(directory: Path) -> float | None:
    for name in ("run.json", "training.json"):
        record = _read(directory / name)
        if record is not None:
            return _score(record)
    return None


def _score(record: _Record) -> float | None:
    score = record.best.score if record.best is not None else (record.scores or {}).get("AP")
    return None if score is None or score < 0 else score


def _of_a_run(path: Path) -> JobStatus | None:
    record = _read(path)
    if record is None:
        return None
    directory = path.parent
    word: StatusName = {"interrupted": "stopped"}.get(record.state, record.state)  # type: ignore[assignment]
    reason, facts = record.reason or "", {}
    if word == "running":
        if is_alive(directory):
            facts = _progress(directory)
        else:
            word, reason = "lost", "killed; run the same command again to resume"
    dataset = record.protocol.dataset if record.protocol is not None else record.dataset
    return JobStatus(
        name="/".join(directory.parts[-3:]),
        what="run" if path.name == "run.json" else "train",
        method=record.method,
        dataset=dataset or "",
        state=word,
        ap=_score(record) if word == "done" else None,
        where=str(record.host.get("name", "")),
        reason=reason.splitlines()[0] if reason else "",
        directory=directory,
        changed=_changed(path),
        **facts,
    )


def _read(path: Path) -> _Record | None:
    try:
        return read_json(path, _Record, "a record")
    except DataError:
        return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def wait_for(
    jobs: Sequence[Job], poll_s: float = 2.0, patience_s: float = 600.0
) -> Iterator[list[JobStatus]]:
    """Poll jobs until all of them have ended.

    Args:
        jobs: the jobs to wait for.
        poll_s: seconds between polls, which grow to five times as much while nothing changes.
        patience_s: how many seconds a queue may leave queries unanswered.

    Yields:
        The status of the jobs, after every query.

    Raises:
        LaunchError: the queue has not answered for too long, or a job is not there.
    """
    queues = QueueClients()
    answered = time.monotonic()
    pause = poll_s
    before: list[JobStatus] = []
    while True:
        found, problems = query_statuses(jobs, queues)
        rows = [row for row, _ in found]
        if not problems:
            answered = time.monotonic()
        elif len(rows) < len(jobs) or time.monotonic() - answered > patience_s:
            raise LaunchError(problems[0])
        yield rows
        if all(row.is_ended for row in rows) and not problems:
            return
        pause = poll_s if rows != before else min(pause * 1.5, 5 * poll_s)
        before = rows
        time.sleep(pause)
