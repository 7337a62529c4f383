"""A machine on which the queue of toy_queue.py is installed."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from crowdbench.launch import Queue, load_launcher


@dataclass(frozen=True)
class QueueMachine:
    """Where the toy queue is at home.

    Attributes:
        work: an empty folder to work in; runs go to ``runs/`` in it.
        queue: the queue's folder (see toy_queue.py).
        data: CrowdPose's folder, with three images.
        environment: in which `crowdbench` finds the queue as ``toys``, and the methods of toy_method.py and
            failing_toy.py.
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
