"""A machine on which the queue of toy_queue.py is installed."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdbench.jobs.job import Job, JobState, Resources, Submission, job_for, new_order
from crowdbench.jobs.launcher import Queue, load_launcher
from crowdbench.jobs.request import EvaluationRequest

MakeJob = Callable[..., Job]
ALONE = Resources(1, 1)
# What the distribution "toy-queues" declares.
TOY_QUEUES = {
    "launchers": {"toy-queue": "support.cluster.toy_queue:ToyQueue"},
    "methods": {"toy-failing": "support.methods.failing:FailingToy"},
}


@dataclass(frozen=True)
class QueueMachine:
    """Where the toy queue is at home.

    Attributes:
        work: an empty folder to work in; runs go to ``runs/`` in it.
        queue: the queue's folder (see toy_queue.py).
        data: CrowdPose's folder, with three images.
        environment: in which `crowdbench` finds the queue as ``toys``, and the methods of
            support.methods.toy and support.methods.failing.
    """

    work: Path
    queue: Path
    data: Path
    environment: dict[str, str]

    @property
    def runs(self) -> Path:
        """Where all runs lie."""
        return self.work / "runs"

    def crowdbench(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command of crowdbench, to its end; `more` is added to the environment."""
        with self.started(*arguments, **more) as process:
            output, errors = process.communicate(timeout=120)
        assert "Traceback" not in errors, errors
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def started(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        """A command of crowdbench that has begun."""
        return subprocess.Popen(
            [sys.executable, "-m", "crowdbench", *arguments],
            cwd=self.work,
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def handed_over(self) -> list[Path]:
        """The folders of the jobs that the queue was ever given, by number."""
        return sorted(self.queue.glob("[0-9]*"), key=lambda path: int(path.name))

    def load(self, profile: str = "toys") -> Queue:
        """The queue, in this process."""
        found = load_launcher(profile)
        assert isinstance(found, Queue)
        return found


class Bookkeeper:
    """Writes jobs down, and what the queue knows of them, without anything being started."""

    def __init__(self, toys: QueueMachine) -> None:
        self.toys = toys
        self.last = 0

    def make(
        self,
        *,
        state: JobState | None = None,
        known: Mapping[str, str] | None = None,
        cancelled: bool = False,
        handed_over: bool = True,
        launcher: str = "toy-queue",
        **request: Any,
    ) -> Job:
        """A job.

        Args:
            state: its own.
            known: the files in the queue's folder of it, see toy_queue.py; None if it is not known there.
            cancelled: somebody called it off.
            handed_over: it has a ticket.
            launcher: that it was handed over to.
            request: fields of its request, where they are not m on d with a seed of its own.
        """
        self.last += 1
        number = str(self.last)
        asked = EvaluationRequest(
            **{"method": "m", "dataset": "d", "seed": self.last, "out": self.toys.runs, **request}
        )
        job = job_for(asked, ALONE)
        job.write(new_order(job, asked, launcher, "toys", ALONE))
        folder = self.toys.queue / number
        if handed_over:
            job.write(Submission(number, str(folder), "t", "me@here", "noon" if cancelled else None))
        if known is not None:
            folder.mkdir()
            for name, content in known.items():
                (folder / name).write_text(content)
        if state is not None:
            job.write(state)
        return job
