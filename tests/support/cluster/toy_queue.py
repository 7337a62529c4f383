"""A queue for tests, as a plugin would bring one: each job's processes are real, and outlive who started them.

Its folder holds a folder for each job, named by the job's number:

job         the path of the job's folder
first       when its first process was started; a running job's process ids are in ``pids``
status      how its first process ended
cancelled   it was called off
hopeless    it will never be started
max_parallel     how many of those that were handed over with it may run at the same time
0.log       what its processes write, a file for each

A file ``closed`` in the queue's folder lets it answer no question, and take no job; while there is a file
``held``, nothing is started.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from crowdbench.errors import LaunchError, SettingsError
from crowdbench.jobs.launcher import Job, JobOutcome, Queue, QueueStatus, Resources, Submission

NODE = "toy-node"
RUNNER = "runner"


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """What a profile may say."""

    folder: str | None = None
    device: str | None = None
    gpus: int = 1


class ToyQueue(Queue):
    """Starts a process of its own for every handing over, which starts the jobs."""

    name = "toy-queue"

    def __init__(self, profile: str, options: Mapping[str, Any]) -> None:
        super().__init__(profile, options)
        try:
            self.options = msgspec.convert(dict(options), Options)
        except msgspec.ValidationError as error:
            raise SettingsError(f"profile {profile}: {error}.") from error

    @property
    def device(self) -> str | None:
        return self.options.device

    def resolve_resources(self, resources: Resources) -> Resources:
        gpus = self.options.gpus if resources.gpus is None else resources.gpus
        nodes = resources.nodes or 1
        if gpus % nodes:
            raise SettingsError(f"{gpus} GPUs cannot be shared evenly among {nodes} nodes.")
        return Resources(gpus, nodes)

    def submit(self, jobs: Sequence[Job], resources: Resources, max_parallel: int | None) -> list[Submission]:
        if self.options.folder is None:
            raise LaunchError(f"profile {self.profile} does not say where the queue's folder is.")
        folder = Path(self.options.folder)
        folder.mkdir(parents=True, exist_ok=True)
        _require_open(folder)
        numbers = []
        for job in jobs:
            numbers.append(_new_number(folder))
            (folder / numbers[-1] / "job").write_text(str(job.folder.absolute()))
            (folder / numbers[-1] / "max_parallel").write_text(str(max_parallel))
        arguments = [str(folder), str(max_parallel or len(jobs)), str(max(1, resources.gpus or 1)), *numbers]
        # An orphan from its first moment: nobody has to wait for it. Its group is written down before it begins.
        script = ': > "$0-$$"; "$@" < /dev/null > /dev/null 2>&1 &'
        shell = ["sh", "-c", script, str(folder / RUNNER)]
        command = [*shell, sys.executable, "-m", "support.cluster.toy_queue", "runner", *arguments]
        subprocess.run(command, check=True, start_new_session=True)
        return [Submission(number, str(folder / number)) for number in numbers]

    def query(self, tickets: Sequence[Submission]) -> dict[str, QueueStatus]:
        found = {}
        for ticket in tickets:
            folder = Path(ticket.folder)
            _require_open(folder.parent)
            if folder.is_dir():
                found[ticket.job_id] = _seen(folder)
        return found

    def cancel(self, tickets: Sequence[Submission]) -> None:
        for ticket in tickets:
            folder = Path(ticket.folder)
            _require_open(folder.parent)
            (folder / "cancelled").touch()
            if not (folder / "status").exists():
                for pid in _pids(folder):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)

    def logs(self, ticket: Submission) -> list[Path]:
        return sorted(Path(ticket.folder).glob("*.log"), key=lambda path: int(path.stem))

    def explain_exit(self, ticket: Submission, seen: QueueStatus) -> str:
        known = self.query([ticket]).get(ticket.job_id)
        return known.reason if known is not None else "the queue has forgotten it"


def _require_open(folder: Path) -> None:
    if (folder / "closed").exists():
        raise LaunchError("the toy queue does not answer.")


def _new_number(folder: Path) -> str:
    number = 1
    while True:
        with suppress(FileExistsError):
            (folder / str(number)).mkdir()
            return str(number)
        number += 1


def _pids(folder: Path) -> list[int]:
    try:
        return [int(word) for word in (folder / "pids").read_text().split()]
    except FileNotFoundError:
        return []


def _seen(folder: Path) -> QueueStatus:
    if (folder / "status").exists():
        return QueueStatus("ended", NODE, _words(int((folder / "status").read_text())))
    if (folder / "first").exists():
        return QueueStatus("running", NODE)
    if (folder / "cancelled").exists():
        return QueueStatus("ended", "", "cancelled before it began")
    if (folder / "hopeless").exists():
        return QueueStatus("waiting", "", "no node is as large", never_starts=True)
    return QueueStatus("waiting", "", "others come first")


def _words(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"it ended with status {status}"


def _whole(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


class _Running:
    """A job whose processes run."""

    def __init__(self, folder: Path, tasks: int) -> None:
        self.folder, self.tasks = folder, tasks
        (folder / "first").touch()
        self._begin(0)

    def _begin(self, start: int) -> None:
        self.start = start
        self.ending = False
        self.processes = [self._process(task) for task in range(self.tasks)]
        _whole(self.folder / "pids", " ".join(str(process.pid) for process in self.processes))
        if (self.folder / "cancelled").exists():  # meanwhile
            for process in self.processes:
                process.terminate()

    def _process(self, task: int) -> "subprocess.Popen[bytes]":
        environment = dict(os.environ)
        if self.tasks > 1:
            place = {"RANK": task, "LOCAL_RANK": task, "WORLD_SIZE": self.tasks}
            environment |= {name: str(value) for name, value in place.items()}
            # As a cluster names a job's start; `crowdbench.system.distributed.launch_id` reads it.
            environment |= {"SLURM_JOB_ID": self.folder.name, "SLURM_RESTART_COUNT": str(self.start)}
        job = (self.folder / "job").read_text()
        command = [
            sys.executable,
            "-m",
            "support.cluster.toy_queue",
            "task",
            job,
            self.folder.name,
            str(self.start),
        ]
        with (self.folder / f"{task}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def is_over(self) -> bool:
        """Whether its slot is free; a job that wants to be started again is, here."""
        if any(process.poll() for process in self.processes) and not self.ending:
            # One that fails ends the others, who would wait for it.
            self.ending = True
            for process in self.processes:
                process.terminate()
        if any(process.poll() is None for process in self.processes):
            return False
        status = self.processes[0].returncode
        if status == JobOutcome.RETRY and not (self.folder / "cancelled").exists():
            self._begin(self.start + 1)
            return False
        _whole(self.folder / "status", str(status))
        return True


def _run_all(folder: Path, max_parallel: int, tasks: int, numbers: Sequence[str]) -> None:
    """Start jobs, so many at the same time, and wait for them."""
    waiting = [folder / number for number in numbers]
    running: list[_Running] = []
    while waiting or running:
        running = [job for job in running if not job.is_over()]
        while waiting and len(running) < max_parallel and not (folder / "held").exists():
            job = waiting.pop(0)
            if not (job / "cancelled").exists():
                running.append(_Running(job, tasks))
        time.sleep(0.02)


def kill_all(folder: Path) -> None:
    """End everything that a queue has started."""
    for mark in folder.glob(f"{RUNNER}-*"):
        with suppress(ProcessLookupError):
            os.killpg(int(mark.name.removeprefix(f"{RUNNER}-")), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "runner":
        folder, max_parallel, tasks, *numbers = sys.argv[2:]
        _run_all(Path(folder), int(max_parallel), int(tasks), numbers)
    else:
        folder, number, start = sys.argv[2:]
        from crowdbench.jobs.worker import CurrentJob, main

        this = CurrentJob(ToyQueue.name, number, int(start), NODE, (NODE,))
        sys.exit(main(Path(folder), this, [signal.SIGTERM]))
