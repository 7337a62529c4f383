"""The launcher ``slurm``, which submits jobs through submitit."""

import io
import re
import secrets
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdbench.errors import LaunchError
from crowdbench.jobs.launcher import Job, JobOutcome, Queue, QueueStatus, Resources, Submission
from crowdbench.system.job_environment import outside_any_job
from crowdbench.system.text import plain
from crowdbench_slurm import messages as explanations
from crowdbench_slurm import slurm_cli as commands
from crowdbench_slurm.options import read_options

if TYPE_CHECKING:
    import submitit

# An array of more tasks is refused by default; a longer one comes in pieces.
LONGEST_ARRAY = 1000
_FOREVER = 1_000_000
_MOMENT_S = 1.5
SUBMISSIONS = ".submissions"


class SlurmQueue(Queue):
    """Submits jobs to Slurm; `crowdbench_slurm.options.Options` says what a profile may say."""

    name = "slurm"

    def __init__(self, profile: str, options: Mapping[str, Any]) -> None:
        super().__init__(profile, options)
        self.options = read_options(profile, options)

    @property
    def device(self) -> str | None:
        """The profile's device."""
        return self.options.device

    def resolve_resources(self, resources: Resources) -> Resources:
        """Complete the requested resources with those of the profile; raises SettingsError."""
        return self.options.resolved(resources)

    def submit(self, jobs: Sequence[Job], resources: Resources, max_parallel: int | None) -> list[Submission]:
        """Submit one job, or several as an array; LaunchError if Slurm refuses or would never start them."""
        commands.require()
        tickets: list[Submission] = []
        for first in range(0, len(jobs), LONGEST_ARRAY):
            piece = jobs[first : first + LONGEST_ARRAY]
            tickets += self._submit(piece, resources, max_parallel)
        self._refuse_jobs_that_never_start(tickets)
        return tickets

    def _submit(
        self, jobs: Sequence[Job], resources: Resources, max_parallel: int | None
    ) -> list[Submission]:
        from crowdbench_slurm.worker import Task

        folder = self._new_folder(jobs[0])
        executor = self._executor(folder)
        parameters = self.options.parameters(resources)
        name = jobs[0].name if len(jobs) == 1 else f"crowdbench-{len(jobs)}"
        executor.update_parameters(
            job_name=name, array_parallelism=min(max_parallel or len(jobs), len(jobs)), **parameters
        )
        paths = [str(job.folder) for job in jobs]
        task = Task()
        try:
            # What sbatch says is said below, explained.
            with outside_any_job(), warnings.catch_warnings(), redirect_stderr(io.StringIO()):
                # It does not know yet what accounting says of a job that was just submitted.
                warnings.simplefilter("ignore")
                if len(jobs) == 1:
                    handed = [executor.submit(task, paths[0])]
                else:
                    handed = executor.map_array(task, paths)
        except Exception as error:
            if type(error).__name__ not in ("FailedJobError", "FailedSubmissionError", "CalledProcessError"):
                raise
            raise LaunchError(explanations.refusal(str(error), self.profile)) from error
        return [Submission(job.job_id, str(folder)) for job in handed]

    @staticmethod
    def _new_folder(job: Job) -> Path:
        # submitit names its files by the job's number, and controllers may hand out a number twice.
        stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        folder = job.folder.parent / SUBMISSIONS / stamp
        if "%" in str(folder):
            raise LaunchError(f"{folder}: Slurm takes % in a path for a placeholder; choose another --out.")
        folder.mkdir(parents=True)
        return folder

    def _executor(self, folder: Path) -> "submitit.SlurmExecutor":
        import submitit

        return submitit.SlurmExecutor(
            folder=folder, max_num_timeout=_FOREVER, python=self.options.interpreter
        )

    def _refuse_jobs_that_never_start(self, tickets: Sequence[Submission]) -> None:
        """Cancel jobs that Slurm has accepted and would never start, and raise LaunchError."""
        found = self._first_opinion(tickets[0])
        if found is None or not found.never_starts:
            return
        self.cancel(tickets)
        raise LaunchError(
            f"Slurm would never start the job ({found.reason}).\n"
            f"It was cancelled. Change the profile {self.profile}, or what you asked for."
        )

    def _first_opinion(self, ticket: Submission) -> QueueStatus | None:
        """What Slurm thinks of a job that has just arrived; it takes a moment to look at it."""
        deadline = time.monotonic() + _MOMENT_S
        while True:
            seen = self.query([ticket]).get(ticket.job_id)
            if seen is None or not seen.is_pending_decision or time.monotonic() > deadline:
                return seen
            time.sleep(0.1)

    def query(self, tickets: Sequence[Submission]) -> dict[str, QueueStatus]:
        """Query all jobs by one `squeue`; raises LaunchError if Slurm does not answer."""
        if not tickets:
            return {}
        lines = commands.queue(ticket.job_id for ticket in tickets)
        return {number: explanations.seen(line) for number, line in lines.items()}

    def cancel(self, tickets: Sequence[Submission]) -> None:
        """Cancel jobs; raises LaunchError if Slurm does not answer, or refuses."""
        if tickets:
            commands.cancel(ticket.job_id for ticket in tickets)

    def logs(self, ticket: Submission) -> list[Path]:
        """A file for each task, the first one's first; it has the batch script's words too."""
        pattern = re.compile(rf"{re.escape(ticket.job_id)}_(\d+)_log\.out")
        found = [
            (int(match.group(1)), path)
            for path in Path(ticket.folder).glob(f"{ticket.job_id}_*_log.out")
            if (match := pattern.fullmatch(path.name))
        ]
        return [path for _, path in sorted(found)]

    def explain_exit(self, ticket: Submission, seen: QueueStatus) -> str:
        """Explain from a job's exit status and logs why it ended without reporting a state."""
        logs = self.logs(ticket)
        if seen.status == JobOutcome.DISK_FULL:
            return explanations.DISK_IS_FULL
        for words in (_explained_by, _said_by_slurm):
            for path in logs:
                explanation = words(path)
                if explanation:
                    return explanation
        node = f" on {seen.node}" if seen.node else ""
        if not logs:
            return (
                f"it left nothing in {ticket.folder}: the node{node} does not see this folder, or cannot "
                "write to it. Put --out on a file system that all nodes share"
            )
        return f"{seen.reason or 'killed'}{node}"


_END_BYTES = 65536


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _END_BYTES))
        return file.read().decode(errors="replace").splitlines()


def _said_by_slurm(log: Path) -> str:
    """What Slurm's own programs complain of at the end of a log, as they say it."""
    lines = _last_lines(log)
    for kind in _COMPLAINTS:
        for line in lines:
            found = re.match(kind, line)
            if found and not _FOLLOWS.search(line):
                return f"Slurm says: {plain(found.group())[:300].rstrip('. ')}"
    return ""


# The graver first. That a task ended is what followed, not what went wrong.
_COMPLAINTS = (r"(?:srun|slurmstepd|sbatch): fatal: .+", r"(?:srun|slurmstepd|sbatch): error: .+")
_FOLLOWS = re.compile(
    r"error: \S+: tasks? [-\d,\s]+: (?:Exited|Terminated|Killed)|\*\*\* (?:STEP|JOB)|Terminating|step killed"
)


def _explained_by(log: Path) -> str:
    """A line at the end of a log that says what went wrong, if there is one, and what it means."""
    for line in reversed(_last_lines(log)):
        for pattern, meaning in _MEANINGS:
            found = re.search(pattern, line)
            if found:
                return meaning.format(*found.groups())
    return ""


_MEANINGS = [
    (
        r"error: (\S+): task .*Out Of Memory|oom[-_]kill",
        "the node's memory ran out; raise `memory`, or lower --workers or --batch-size",
    ),
    (
        r"execve\(\): (\S+): No such file or directory",
        "{0} is not on the node: the environment must lie on a file system that all nodes share, or be named "
        "by `python` in the profile",
    ),
    (
        r"(?:No module named|ModuleNotFoundError:.*) '?((?:crowdbench|submitit)\w*)",
        "{0} is not installed in the environment that the node sees; see `python` and `setup` in the profile",
    ),
    (r"No space left on device|Disk quota exceeded", explanations.DISK_IS_FULL),
    (r"srun: error: (\S+): tasks? .*: Killed", "killed on {0}, perhaps because memory ran out"),
    (
        r"srun: error: (\S+): tasks? .*: (Segmentation fault|Bus error|Illegal instruction)",
        "the process crashed on {0} ({1})",
    ),
    (
        r"Waited for \d+ seconds but could not find submitted jobs in path",
        "the node does not see the folder of runs; put --out on a file system that all nodes share",
    ),
    (r"(?:CANCELLED|CANCELED) AT \S+ DUE TO TIME LIMIT", explanations.TOO_LATE),
    (r"(?:CANCELLED|CANCELED) AT \S+ DUE TO NODE FAILURE", "the node failed"),
]
