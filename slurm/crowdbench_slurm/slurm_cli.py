"""Calls of Slurm's programs, as few as possible: one for all jobs, and none to the accounting database."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import NamedTuple

from crowdbench.errors import LaunchError

_PATIENCE_S = 60
# Columns, and how wide: `squeue` cuts off what is longer.
_COLUMNS = {"JobArrayID": 40, "State": 24, "exit_code": 12, "Reason": 120, "NodeList": 1000}


class Line(NamedTuple):
    """What `squeue` says of a job.

    Attributes:
        number: with the place in its array, as in ``"12_3"``.
        state: as in ``"PENDING"``.
        status: with which it ended; 0 before that.
        reason: as in ``"Resources"``.
        nodes: as in ``"node[1-2]"``.
    """

    number: str
    state: str
    status: int
    reason: str
    nodes: str


def require() -> None:
    """Raise LaunchError if Slurm's programs are not here."""
    missing = [program for program in ("sbatch", "srun", "squeue") if shutil.which(program) is None]
    if missing:
        raise LaunchError(
            f"there is no Slurm on this machine: {', '.join(missing)} not found in PATH.\n"
            "Run the command on a login node, load the cluster's Slurm module, or leave --on out."
        )


def ask(*command: str) -> str:
    """What a program answers; raises LaunchError if it is missing, fails, or does not answer."""
    require()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{command[0]} has not answered for {_PATIENCE_S} s; try again later.") from None
    if done.returncode != 0:
        raise LaunchError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def queue(numbers: Iterable[str]) -> dict[str, Line]:
    """What Slurm knows of jobs, by number, including those that just ended; raises LaunchError."""
    wanted = set(numbers)
    # With a single number, one that is forgotten is an error; with two, it is left out.
    listed = ",".join(sorted({number.split("_")[0] for number in wanted}))
    columns = ",".join(f"{name}:{width}" for name, width in _COLUMNS.items())
    text = ask(
        "squeue", "--noheader", "--array", "--states=all", "-O", columns, "--jobs", f"{listed},{listed}"
    )
    lines = [_line(row) for row in text.splitlines()]
    return {line.number: line for line in lines if line.number in wanted}


def _line(row: str) -> Line:
    ends = list(accumulate(_COLUMNS.values(), initial=0))
    number, state, code, reason, nodes = (row[start:end].strip() for start, end in pairwise(ends))
    # As `wait` gives it: the status is in the second byte.
    return Line(number, state, int(code or 0) >> 8, reason, nodes)


def cancel(numbers: Iterable[str]) -> None:
    """Cancel jobs, ignoring those that have ended; raises LaunchError."""
    ask("scancel", "--quiet", *sorted(set(numbers)))


def requeue(number: str) -> None:
    """Requeue the job in which this process runs; LaunchError without `scontrol`, or if Slurm refuses."""
    if shutil.which("scontrol") is None:
        raise LaunchError(
            f"scontrol is not on {os.environ.get('SLURMD_NODENAME', 'this node')}, so the job cannot queue "
            "itself again.\nRun the same command again to resume."
        )
    ask("scontrol", "requeue", number)


def job_state(number: str) -> str:
    """As in ``"RUNNING"``; empty if Slurm does not say."""
    try:
        found = queue([number])
    except LaunchError:
        return ""
    return found[number].state if number in found else ""


def partitions() -> list[str]:
    """Their names; empty if Slurm does not say."""
    try:
        return sorted(set(ask("sinfo", "-h", "-o", "%R").split()))
    except LaunchError:
        return []
