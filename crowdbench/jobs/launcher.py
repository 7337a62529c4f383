"""Queues, which launcher plugins implement: they take jobs and return at once.

The outcome of a job is read from its folder (`crowdbench.jobs.job`) and from the queue. A launcher plugin
imports this module for its queue, and `crowdbench.jobs.worker.main` for the processes of a job.
"""

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from crowdbench import plugins
from crowdbench.errors import PluginError
from crowdbench.jobs.job import Job, JobOutcome, Resources, Submission
from crowdbench.jobs.profiles import LOCAL, find_profile
from crowdbench.system.plugin_calls import calling, refuse_renamed_hooks

__all__ = [
    "Job",
    "JobOutcome",
    "Queue",
    "QueueStatus",
    "Resources",
    "Submission",
    "load_launcher",
    "load_queue",
]

T = TypeVar("T")


@dataclass(frozen=True)
class QueueStatus:
    """What a queue reports about a job.

    Attributes:
        state: "ended" also if the queue no longer knows the job.
        node: the node on which the job runs, or ran.
        reason: why the job waits or how it ended, in the queue's terms, and what they mean.
        never_starts: the job will never start as it is.
        is_pending_decision: the queue has not considered the job yet.
        status: the exit status, if the queue knows it.
    """

    state: Literal["waiting", "running", "ended"]
    node: str = ""
    reason: str = ""
    never_starts: bool = False
    is_pending_decision: bool = False
    status: int | None = None


class Queue(ABC):
    """A cluster's queue, to which jobs are submitted.

    Args:
        profile: the name of the profile.
        options: the profile's options; a queue refuses those that it does not know.
    """

    #: The name under which the launcher is installed.
    name: str

    def __init__(self, profile: str, options: Mapping[str, Any]) -> None:
        self.profile = profile
        self.given = options

    @abstractmethod
    def resolve_resources(self, resources: Resources) -> Resources:
        """Complete the requested resources with those of the profile.

        Raises:
            SettingsError: the queue cannot allocate them.
        """

    @property
    def device(self) -> str | None:
        """The device that the profile prescribes, as ``--device`` takes it; None if it prescribes none."""
        return None

    @abstractmethod
    def submit(self, jobs: Sequence[Job], resources: Resources, max_parallel: int | None) -> list[Submission]:
        """Submit jobs together.

        Args:
            jobs: the jobs, which need equal resources.
            resources: the resources of each job, complete.
            max_parallel: how many jobs may run at the same time; None for no limit.

        Returns:
            A submission for each job, in their order.

        Raises:
            LaunchError: the queue refuses them, or they would never start.
        """

    @abstractmethod
    def query(self, tickets: Sequence[Submission]) -> dict[str, QueueStatus]:
        """Return the status of jobs by `Submission.job_id`, without those that the queue does not know.

        Raises:
            LaunchError: the queue does not answer.
        """

    @abstractmethod
    def cancel(self, tickets: Sequence[Submission]) -> None:
        """Cancel jobs.

        Raises:
            LaunchError: the queue does not answer, or refuses.
        """

    @abstractmethod
    def logs(self, ticket: Submission) -> list[Path]:
        """Return the existing log files of a job's processes, ordered by rank."""

    @abstractmethod
    def explain_exit(self, ticket: Submission, seen: QueueStatus) -> str:
        """Explain why a job ended without writing its state, as far as its logs tell.

        Args:
            ticket: the job's submission.
            seen: what the queue reports about the job.
        """


# Hooks of queues by the names that they had before version 0.1.0.
_RENAMED = {"look": "query", "completed": "resolve_resources", "last_words": "explain_exit"}


class _GuardedQueue(Queue):
    """A plugin's queue: its errors are reported as the plugin's, and what it returns is checked."""

    def __init__(self, cls: type[Queue], name: str, profile: str, options: Mapping[str, Any]) -> None:
        super().__init__(profile, options)
        self.name = name
        refuse_renamed_hooks(f"launcher {name!r}", cls, _RENAMED)
        with calling(f"launcher {name!r}", "__init__"):
            self.plugin = cls(profile, options)

    def _call(self, hook: str, kind: type[T], *arguments: Any) -> T:
        """Call a hook; raises PluginError if it fails or returns another type."""
        with calling(f"launcher {self.name!r}", hook):
            found = getattr(self.plugin, hook)(*arguments)
        if not isinstance(found, kind):
            raise PluginError(
                f"launcher {self.name!r}: {hook} returned {type(found).__name__}, not {kind.__name__} as it "
                "has to."
            )
        return found

    def resolve_resources(self, resources: Resources) -> Resources:
        return self._call("resolve_resources", Resources, resources)

    @property
    def device(self) -> str | None:
        with calling(f"launcher {self.name!r}", "device"):
            return self.plugin.device

    def submit(self, jobs: Sequence[Job], resources: Resources, max_parallel: int | None) -> list[Submission]:
        tickets = self._call("submit", list, jobs, resources, max_parallel)
        if len(tickets) != len(jobs) or not all(isinstance(ticket, Submission) for ticket in tickets):
            raise PluginError(
                f"launcher {self.name!r}: submit took {len(jobs)} jobs and returned {reprlib.repr(tickets)}, "
                "not a Submission for each."
            )
        return tickets

    def query(self, tickets: Sequence[Submission]) -> dict[str, QueueStatus]:
        seen = self._call("query", dict, tickets)
        for number, what in seen.items():
            if not (isinstance(number, str) and isinstance(what, QueueStatus)):
                raise PluginError(
                    f"launcher {self.name!r}: query returned {number!r}: {reprlib.repr(what)}, not a job's "
                    "number and a QueueStatus."
                )
        return seen

    def cancel(self, tickets: Sequence[Submission]) -> None:
        self._call("cancel", object, tickets)

    def logs(self, ticket: Submission) -> list[Path]:
        return self._call("logs", list, ticket)

    def explain_exit(self, ticket: Submission, seen: QueueStatus) -> str:
        return self._call("explain_exit", str, ticket, seen)


def load_launcher(name: str) -> Queue | None:
    """Load the queue that ``--on`` names; None for ``"local"``, which runs in this process.

    Args:
        name: ``"local"``, a profile or an installed launcher.

    Raises:
        UnknownNameError: there is nothing of this name.
        InputError: the profile's file or its options are wrong.
        PluginError: what is installed under the name is not a queue.
    """
    if name == LOCAL:
        return None
    profile = find_profile(name)
    return _load(profile.launcher, profile.name, profile.options)


def load_queue(name: str) -> Queue:
    """Load a queue by the name of its launcher, without a profile's options, to query jobs.

    Raises:
        UnknownNameError: it is not installed.
        PluginError: it is not a queue.
    """
    return _load(name, name, {})


def _load(launcher: str, profile: str, options: Mapping[str, Any]) -> Queue:
    found = plugins.load("launcher", launcher)
    if not (isinstance(found, type) and issubclass(found, Queue)):
        raise PluginError(
            f"launcher {launcher!r} refers to {found!r}, which is not a subclass of crowdbench's Queue."
        )
    return _GuardedQueue(found, launcher, profile, options)
