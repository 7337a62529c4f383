"""Jobs on disk, in ``runs/jobs/<name>/``: what was submitted to a queue, and its state.

job.json        the request and its queue; written on submission
ticket.json     the queue's answer
state.json      the job's state, written by its first process
failure.json    why another process has failed, until that is in the state

The name follows from the request, so that the same command finds its job again, for every user.
"""

import enum
import getpass
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from crowdbench.errors import DataError, LaunchError
from crowdbench.jobs.request import (
    EvaluationRequest,
    Request,
    decode,
    encode,
    fingerprint,
    with_absolute_paths,
)
from crowdbench.run_store.scan import JOBS
from crowdbench.system.files.json_text import encoded_json
from crowdbench.system.files.reading import read_json
from crowdbench.system.files.writing import write_whole
from crowdbench.system.stop_signal import EXIT_STOPPED
from crowdbench.system.text import utc_now

SCHEMA = 1
Cause = Literal["machine", "input", "bug"]


class JobOutcome(enum.IntEnum):
    """How a job's process ended, as its exit status: all that is left when the disk is full."""

    DONE = 0
    FAILED = 1
    DISK_FULL = 28  # ENOSPC
    SUPERSEDED = 75  # a later start of this job, or another process, has taken over
    RETRY = 76  # the machine failed, and the job has not been given up yet
    STOPPED = EXIT_STOPPED  # as requested; the job can resume


def user_at_host() -> str:
    """Return ``user@host`` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, in containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


class Resources(msgspec.Struct, frozen=True):
    """The resources of a job; None leaves a value to the profile."""

    gpus: int | None = None
    nodes: int | None = None


class JobSpec(msgspec.Struct, frozen=True):
    """``job.json``: the request.

    Attributes:
        request: as `crowdbench.jobs.request.encode` returns it.
        launcher, profile: where it runs, and with which options.
        by: user and host.
        at: UTC.
    """

    name: str
    request: dict[str, Any]
    launcher: str
    profile: str
    resources: Resources
    by: str
    at: str
    schema: int = SCHEMA


class Submission(msgspec.Struct, frozen=True, rename={"job_id": "number"}):
    """``ticket.json``: a queue's answer to a submission.

    Attributes:
        job_id: the queue's name for the job; ``number`` on disk.
        folder: the directory of the queue's files for the job.
        at: when it was submitted, UTC. `by`: user and host.
        cancelled: when it was cancelled; None if it was not.
    """

    job_id: str
    folder: str
    at: str = msgspec.field(default_factory=utc_now)
    by: str = msgspec.field(default_factory=user_at_host)
    cancelled: str | None = None


class Attempt(msgspec.Struct, frozen=True):
    """One start of a job.

    Attributes:
        number: the queue's; with `start` it is unique.
        start: how often the queue had started it before.
        node, at: where and when (UTC).
        reached: the progress at that time.
        ended: how it ended; None while it runs, and if it was killed.
    """

    number: str
    start: int
    node: str
    at: str
    reached: int = 0
    ended: Literal["done", "stopped", "failed"] | None = None


class JobState(msgspec.Struct, frozen=True):
    """``state.json``: the state of a job.

    Attributes:
        runs: the directories it works in, the current one last: a training's, then its run's.
        reason: why it failed or stopped; `cause`: whose fault that is.
        starts: the latest ones, in order.
        completed: how often it was completed.
    """

    state: Literal["running", "done", "failed", "stopped"]
    runs: list[str] = []
    reason: str | None = None
    cause: Cause | None = None
    starts: list[Attempt] = []
    completed: int = 0
    finished: str | None = None

    @property
    def run(self) -> Path | None:
        """The directory it works in, or has worked in last."""
        return Path(self.runs[-1]) if self.runs else None


class Failure(msgspec.Struct, frozen=True):
    """``failure.json``: why another process than the first has failed, in which start of the job."""

    number: str
    start: int
    reason: str
    cause: Cause


T = TypeVar("T", JobSpec, Submission, JobState, Failure)


@dataclass(frozen=True)
class Job:
    """A job's folder."""

    folder: Path

    @property
    def name(self) -> str:
        """The job's name."""
        return self.folder.name

    def order(self) -> JobSpec:
        """Read ``job.json``; raises LaunchError."""
        path = self.folder / "job.json"
        if not path.exists():
            raise LaunchError(f"{path}: no job here. Check the name and the folder of runs.")
        found = read_json(path, JobSpec, "a job of this version of crowdbench", error=LaunchError)
        if found.schema > SCHEMA:
            raise LaunchError(f"{path}: a newer version of crowdbench wrote this job; use that one.")
        return found

    def request(self) -> Request:
        """Return the request to run."""
        return decode(self.order().request)

    def ticket(self) -> Submission | None:
        """Read ``ticket.json``; None before the job is submitted."""
        return _read(self.folder / "ticket.json", Submission)

    def state(self) -> JobState | None:
        """Read ``state.json``; None before the first start."""
        return _read(self.folder / "state.json", JobState)

    def failure(self) -> Failure | None:
        """Why another process than the first has failed, the last time that one did."""
        return _read(self.folder / "failure.json", Failure)

    def write(self, content: JobSpec | Submission | JobState | Failure) -> None:
        """Replace ``job.json``, ``ticket.json``, ``state.json`` or ``failure.json``."""
        name = {JobSpec: "job", Submission: "ticket", JobState: "state", Failure: "failure"}[type(content)]
        encoded = msgspec.json.format(encoded_json(content), indent=2)
        write_whole(self.folder / f"{name}.json", encoded + b"\n")

    @property
    def log(self) -> Path:
        """What crowdbench said, over all starts. The queue's own logs have everything."""
        return self.folder / "log.txt"


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return read_json(path, kind, "a note of a job")
    except DataError:
        return None


def jobs_folder(root: Path) -> Path:
    """Return the directory of the jobs in a directory of runs."""
    return root / JOBS


def job_for(request: Request, resources: Resources) -> Job:
    """The job of a request; asked for a second time it is the same."""
    asked = with_absolute_paths(request)
    if isinstance(asked, EvaluationRequest):
        kind, digits = "", fingerprint(asked)
    else:
        # In other processes a training is another training.
        kind, digits = "train-", fingerprint(asked, processes=resources.gpus or 1)
    return Job(jobs_folder(asked.out) / f"{kind}{asked.method}-{asked.dataset}-{digits}")


def new_order(job: Job, request: Request, launcher: str, profile: str, resources: Resources) -> JobSpec:
    """The specification of a job that is submitted."""
    return JobSpec(
        job.name,
        encode(with_absolute_paths(request)),
        launcher,
        profile,
        resources,
        by=user_at_host(),
        at=utc_now(),
    )


def find_jobs(root: Path) -> Iterator[Job]:
    """All jobs of a folder of runs, by name."""
    for path in sorted(jobs_folder(root).glob("*/job.json")):
        yield Job(path.parent)
