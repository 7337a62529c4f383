"""``--on``, ``--gpus``, ``--nodes``, ``--wait``: what commands that can hand work to a queue share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json
from crowdbench.system.text import plain

if TYPE_CHECKING:
    from crowdbench.jobs.job import Job, Resources
    from crowdbench.jobs.launcher import Queue
    from crowdbench.jobs.request import Request
    from crowdbench.jobs.status import JobStatus
    from crowdbench.jobs.submit import SubmissionResult

_OPTIONS = (
    click.option(
        "--on",
        "where",
        default="local",
        show_default=True,
        help="Where to run: local, slurm, or a profile of yours.",
    ),
    click.option(
        "--gpus", type=click.IntRange(0, 10_000), help="On a cluster: of each job; a task for each."
    ),
    click.option("--nodes", type=click.IntRange(1, 10_000), help="On a cluster: shared evenly by the GPUs."),
    click.option("--wait", is_flag=True, help="On a cluster: show how it goes until it has ended."),
)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_queue_options(gpus: int | None, nodes: int | None, wait: bool) -> None:
    """Options that mean nothing here must not look as if they did.

    Raises:
        UsageError: one was given.
    """
    given = [
        name
        for name, value in (("--gpus", gpus), ("--nodes", nodes), ("--wait", wait or None))
        if value is not None
    ]
    if given:
        verb = "goes" if len(given) == 1 else "go"
        raise click.UsageError(
            f"{' and '.join(given)} {verb} with --on slurm, or a profile. To use several GPUs of this "
            "machine: torchrun --nproc-per-node N -m crowdbench ..."
        )


def hand_over(
    queue: "Queue",
    requests: "Sequence[Request]",
    resources: "Resources",
    *,
    as_json: bool,
    quiet: bool = False,
) -> "list[SubmissionResult]":
    """Hand requests over, and say what became of each."""
    from crowdbench.jobs.submit import submit

    found = submit(queue, requests, resources)
    if as_json:
        rows = [
            {"name": it.job.name, "state": it.how, "number": it.number, "folder": str(it.job.folder)}
            for it in found
        ]
        say_json(rows[0] if len(rows) == 1 else rows)
        return found
    words = {
        "submitted": "handed over",
        "waiting": "waits already",
        "running": "runs already",
        "done": "is done",
    }
    for it in found:
        number = f" as {queue.name} job {it.number}" if it.how == "submitted" else ""
        say(f"{it.job.name}: {words.get(it.how, it.how)}{number}", err=quiet)
    if not quiet and any(it.how != "done" for it in found):
        out = "" if requests[0].out == Path("runs") else f" --out {requests[0].out}"
        say(f"crowdbench status{out} shows how it goes; crowdbench logs -f{out} NAME what it says.")
    return found


def wait_for_jobs(jobs: "Sequence[Job]") -> "list[JobStatus]":
    """Show on stderr how jobs go, until all have ended: a bar each, or a line at every change."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from crowdbench.jobs.status import wait_for

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    rows: list[JobStatus] = []
    told: dict[str, str] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}
        for rows in wait_for(jobs):
            for row in rows:
                words = in_words(row)
                if console.is_terminal:
                    if row.name not in tasks:
                        tasks[row.name] = bars.add_task(plain(row.name), words="")
                    bars.update(tasks[row.name], completed=row.done, total=row.of or None, words=words)
                elif told.get(row.name) != words:
                    told[row.name] = words
                    say(f"{row.name}: {words}", err=True)
    return rows


def in_words(row: "JobStatus") -> str:
    """State, progress and reason, in a line."""
    if row.state == "running" and row.of:
        return ", ".join(filter(None, (f"{row.done}/{row.of} {row.unit}", row.words, left(row.eta_s))))
    if row.state == "done" and row.ap is not None:
        return f"done, AP {100 * row.ap:.1f}"
    # What follows brings its own full stop.
    return f"{row.state}: {row.reason.removesuffix('.')}" if row.reason else row.state


def left(seconds: float | None) -> str:
    """A time that is left, in words."""
    if seconds is None:
        return ""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s left"
    return f"{minutes:.0f} min left" if minutes < 90 else f"{minutes / 60:.1f} h left"
