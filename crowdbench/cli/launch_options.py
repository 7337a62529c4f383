"""``--on``, ``--gpus``, ``--nodes``, ``--wait``: what commands that can submit jobs share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crowdbench.cli.echo import say, say_json

if TYPE_CHECKING:
    from crowdbench.jobs.job import Resources
    from crowdbench.jobs.launcher import Queue
    from crowdbench.jobs.request import Request
    from crowdbench.jobs.submit import SubmissionResult

_OPTIONS = (
    click.option(
        "--on",
        "where",
        default="local",
        show_default=True,
        help="Where to run: local, slurm, or one of your profiles.",
    ),
    click.option(
        "--gpus", type=click.IntRange(0, 10_000), help="GPUs per job, one process each. On a cluster only."
    ),
    click.option(
        "--nodes",
        type=click.IntRange(1, 10_000),
        help="Nodes per job; the GPUs are spread evenly over them. On a cluster only.",
    ),
    click.option("--wait", is_flag=True, help="Show progress until the job has ended. On a cluster only."),
)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_queue_options(gpus: int | None, nodes: int | None, wait: bool) -> None:
    """Raise UsageError if an option is given that has no effect in a local run."""
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


def submit_requests(
    queue: "Queue",
    requests: "Sequence[Request]",
    resources: "Resources",
    *,
    as_json: bool,
    quiet: bool = False,
) -> "list[SubmissionResult]":
    """Submit requests, and report what became of each."""
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
        "submitted": "submitted",
        "waiting": "is waiting already",
        "running": "is running already",
        "done": "is done",
    }
    for it in found:
        number = f" as {queue.name} job {it.number}" if it.how == "submitted" else ""
        say(f"{it.job.name}: {words.get(it.how, it.how)}{number}", err=quiet)
    if not quiet and any(it.how != "done" for it in found):
        out = "" if requests[0].out == Path("runs") else f" --out {requests[0].out}"
        say(f"crowdbench status{out} shows how it goes; crowdbench logs -f{out} NAME what it says.")
    return found
