"""Submit jobs to a queue, each at most once, even if several processes submit the same ones at once."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crowdbench.errors import DataError, LaunchError, MachineError
from crowdbench.jobs.job import Job, JobSpec, Resources, job_for, jobs_folder, new_order
from crowdbench.jobs.launcher import Queue, QueueStatus
from crowdbench.jobs.request import EvaluationRequest, Request
from crowdbench.run_store.run import Run
from crowdbench.system.files.os_errors import writing

_LOCK_PATIENCE_S = 120.0
_ALIVE = ("waiting", "running")


@dataclass(frozen=True)
class SubmissionResult:
    """The outcome of a request.

    Attributes:
        job: its job.
        how: just submitted; already waiting or running; done; or failed, and would fail again.
        number: the queue's, if it has one.
        reason: why it failed.
    """

    job: Job
    how: Literal["submitted", "waiting", "running", "done", "failed"]
    number: str | None = None
    reason: str | None = None


def submit(
    queue: Queue,
    requests: Sequence[Request],
    asked: Resources,
    *,
    max_parallel: int | None = None,
    retry: bool = True,
) -> list[SubmissionResult]:
    """Submit what is neither done nor in progress.

    Args:
        queue: the queue.
        requests: the requests, for one folder of runs.
        asked: the resources of each; the queue's profile completes them.
        max_parallel: how many may run at the same time.
        retry: also submit what failed through its own fault: in its input, or a bug.

    Returns:
        The outcome of each request, in their order.

    Raises:
        LaunchError: the queue refuses them.
    """
    resources = queue.resolve_resources(asked)
    requests = [_prescribed(request, queue) for request in requests]
    jobs = [job_for(request, resources) for request in requests]
    with _submission_lock(request.out for request in requests):
        asked_for = dict(zip((job.folder for job in jobs), requests, strict=True))
        known = {
            job.folder: _known(job, seen, retry, asked_for[job.folder]) for job, seen in look(queue, jobs)
        }
        fresh: dict[Path, tuple[Job, Request]] = {}
        for job, request in zip(jobs, requests, strict=True):
            found = known[job.folder]
            again = isinstance(request, EvaluationRequest) and request.again
            if found is None or (again and found.how not in _ALIVE):
                fresh[job.folder] = (job, request)
        for job, request in fresh.values():
            _rewrite_job(job, new_order(job, request, queue.name, queue.profile, resources))
        new_jobs = [job for job, _ in fresh.values()]
        tickets = queue.submit(new_jobs, resources, max_parallel) if new_jobs else []
        for job, ticket in zip(new_jobs, tickets, strict=True):
            job.write(ticket)
            known[job.folder] = SubmissionResult(job, "submitted", ticket.job_id)
    found_all = [known[job.folder] for job in jobs]
    return [found for found in found_all if found is not None]


def _prescribed(request: Request, queue: Queue) -> Request:
    if queue.device is not None and request.device == "auto":
        return dataclasses.replace(request, device=queue.device)
    return request


@contextmanager
def _submission_lock(folders: Iterable[Path]) -> Iterator[None]:
    """Let no other process submit meanwhile; raises LaunchError after minutes of waiting."""
    from filelock import FileLock, Timeout

    outs = {folder.absolute() for folder in folders}
    if len(outs) != 1:
        raise LaunchError("jobs that are submitted together must have the same directory for runs.")
    folder = jobs_folder(outs.pop())
    lock = FileLock(folder / ".lock", timeout=_LOCK_PATIENCE_S)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise LaunchError(
            f"{folder}: another process has been submitting jobs for {_LOCK_PATIENCE_S:.0f} s.\n"
            f"If none is running, remove {folder / '.lock'}."
        ) from None
    except OSError as error:
        raise LaunchError(f"{folder}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


def look(queue: Queue, jobs: Sequence[Job]) -> Iterator[tuple[Job, QueueStatus | None]]:
    """What a queue says of jobs; one question for all."""
    tickets = {job.folder: ticket for job in jobs if (ticket := job.ticket()) is not None}
    seen = queue.query(list(tickets.values())) if tickets else {}
    for job in jobs:
        ticket = tickets.get(job.folder)
        yield job, seen.get(ticket.job_id) if ticket is not None else None


def _known(job: Job, seen: QueueStatus | None, retry: bool, request: Request) -> SubmissionResult | None:
    """What is known of a job that need not be submitted; None if it must be."""
    ticket, state = job.ticket(), job.state()
    number = ticket.job_id if ticket else None
    # First: the queue may not know yet that it has ended.
    if state is not None and state.state == "done" and state.run is not None:
        if _is_there(state.run, request):
            return SubmissionResult(job, "done", number)
        state = None  # of other code, or other images: to be done anew
    if seen is not None and seen.state != "ended":
        return SubmissionResult(job, "waiting" if seen.state == "waiting" else "running", number)
    if state is not None and state.state == "failed" and state.cause in ("input", "bug") and not retry:
        return SubmissionResult(job, "failed", number, state.reason)
    return None


def _is_there(run: Path, request: Request) -> bool:
    """Whether what was made is still there, and would be made of the same code and images now."""
    if not isinstance(request, EvaluationRequest) or not (run / "run.json").is_file():
        return (run / "run.json").is_file() or (run / "training.json").is_file()
    from crowdbench.jobs.run_matcher import is_made_of_what_is_here

    try:
        return is_made_of_what_is_here(Run.read(run), request)
    except DataError:
        return True  # it cannot be read now; what reads it reports that


def _rewrite_job(job: Job, order: JobSpec) -> None:
    """Write the new request, and remove the state of an earlier submission."""
    try:
        with writing(job.folder):
            for name in ("ticket.json", "state.json"):
                (job.folder / name).unlink(missing_ok=True)
            job.write(order)
    except MachineError as error:
        raise LaunchError(str(error)) from error
