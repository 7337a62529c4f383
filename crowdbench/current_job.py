"""The cluster's job that this process belongs to, if it belongs to one.

Whoever starts processes on a cluster says so in one environment variable; the harness asks nobody else.
"""

import os
from typing import Any

import msgspec

VARIABLE = "CROWDBENCH_JOB"


class CurrentJob(msgspec.Struct, frozen=True):
    """What a launcher says of the job in which a process runs.

    Attributes:
        launcher: its name.
        job: the cluster's number of the job.
        start: how often it was started before.
        node: this process's. `nodes`: all of the job.
        gpus: that were asked for, on all nodes.
        facts: what else is worth recording.
    """

    launcher: str
    job: str
    start: int = 0
    node: str = ""
    nodes: tuple[str, ...] = ()
    gpus: int = 0
    facts: dict[str, Any] = {}


def current_job() -> CurrentJob | None:
    """This process's job; None outside."""
    text = os.environ.get(VARIABLE)
    return msgspec.json.decode(text, type=CurrentJob) if text else None


def enter(job: CurrentJob) -> None:
    """Say it, for this process and those that it starts."""
    os.environ[VARIABLE] = msgspec.json.encode(job).decode()
