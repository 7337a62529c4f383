"""The cluster job that this process belongs to, if any.

A launcher that starts processes on a cluster describes the job in one environment variable.
"""

import os
from typing import Any

import msgspec

from crowdbench.errors import SettingsError

VARIABLE = "CROWDBENCH_JOB"


class CurrentJob(msgspec.Struct, frozen=True, rename={"restart_count": "start"}):
    """What a launcher says of the job in which a process runs.

    Attributes:
        launcher: its name.
        job: the cluster's number of the job.
        restart_count: how often it was started before; ``start`` in the variable and in records.
        node: this process's. `nodes`: all of the job.
        gpus: that were asked for, on all nodes.
        facts: what else is worth recording.
    """

    launcher: str
    job: str
    restart_count: int = 0
    node: str = ""
    nodes: tuple[str, ...] = ()
    gpus: int = 0
    facts: dict[str, Any] = {}


def current_job() -> CurrentJob | None:
    """This process's job, or None; raises SettingsError if the variable is not what a launcher sets."""
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=CurrentJob)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise SettingsError(
            f"the environment variable {VARIABLE} does not describe a job ({error}).\n"
            f"Launchers set it for the processes they start; elsewhere, `unset {VARIABLE}`."
        ) from None


def export(job: CurrentJob) -> None:
    """Set the variable, for this process and those that it starts."""
    os.environ[VARIABLE] = msgspec.json.encode(job).decode()
