"""Where a request is carried out: here, or wherever a launcher plugin takes it.

A launcher of the simplest kind carries a request out and returns when it is done. A queue takes jobs and
returns at once; what becomes of them is read from their folders (`crowdbench.jobs.job`) and from the queue.
"""

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from crowdbench import plugins
from crowdbench.errors import PluginError, SettingsError
from crowdbench.jobs.job import Job, Resources, Submission
from crowdbench.jobs.profiles import LOCAL, find_profile
from crowdbench.jobs.request import EvaluationRequest
from crowdbench.system.plugin_calls import calling, refuse_renamed_hooks

if TYPE_CHECKING:
    from crowdbench.jobs.execute import OnProgress
    from crowdbench.run_store.run import Run

T = TypeVar("T")


class Launcher(ABC):
    """Takes requests to where they are carried out.

    Args:
        profile: the name under which it was asked for.
        options: of the profile.
    """

    def __init__(self, profile: str = "", options: Mapping[str, Any] | None = None) -> None:
        self.profile = profile
        if options:
            raise SettingsError(f"profile {profile}: {type(self).__name__} has no options.")

    @abstractmethod
    def launch(self, request: EvaluationRequest, on_progress: "OnProgress | None" = None) -> "Run":
        """Carry out a request; returns when it is done."""


class LocalLauncher(Launcher):
    """Carries out requests in this process."""

    def launch(self, request: EvaluationRequest, on_progress: "OnProgress | None" = None) -> "Run":
        """Carry out a request here and now."""
        from crowdbench.jobs.execute import run_evaluation

        return run_evaluation(request, on_progress)


@dataclass(frozen=True)
class QueueStatus:
    """What a queue says of a job.

    Attributes:
        state: it waits; it runs; or it has ended, if the queue remembers it at all.
        node: where it runs, or ran.
        reason: why it waits or how it ended, in the queue's own terms, and what they mean.
        never_starts: it will never start as it is.
        is_pending_decision: the queue has not looked at it yet.
        status: with which it ended, if the queue says so.
    """

    state: Literal["waiting", "running", "ended"]
    node: str = ""
    reason: str = ""
    never_starts: bool = False
    is_pending_decision: bool = False
    status: int | None = None


class Queue(ABC):
    """A launcher that takes jobs and returns at once.

    Args:
        profile: the name under which it was asked for.
        options: of the profile; a launcher refuses those that it does not know.
    """

    #: The name under which it is installed.
    name: str

    def __init__(self, profile: str, options: Mapping[str, Any]) -> None:
        self.profile = profile
        self.given = options

    @abstractmethod
    def resolve_resources(self, resources: Resources) -> Resources:
        """What a job gets, with what the profile says where nothing was asked.

        Raises:
            SettingsError: it does not go together.
        """

    @property
    def device(self) -> str | None:
        """The device that the profile prescribes, as ``--device`` takes it; None prescribes none."""
        return None

    @abstractmethod
    def submit(self, jobs: Sequence[Job], resources: Resources, max_parallel: int | None) -> list[Submission]:
        """Submit jobs, each in its folder; several of them together.

        Args:
            jobs: alike in what they need.
            resources: of each, complete.
            max_parallel: how many may run at the same time; None for as many as there is room for.

        Raises:
            LaunchError: the queue does not take them, or they would never start.
        """

    @abstractmethod
    def query(self, tickets: Sequence[Submission]) -> dict[str, QueueStatus]:
        """What has become of jobs, by number; those of which the queue knows nothing are left out.

        Raises:
            LaunchError: the queue does not answer.
        """

    @abstractmethod
    def cancel(self, tickets: Sequence[Submission]) -> None:
        """Call jobs off.

        Raises:
            LaunchError: the queue does not answer, or refuses.
        """

    @abstractmethod
    def logs(self, ticket: Submission) -> list[Path]:
        """The files into which a job's processes write, the first process's first; only those that exist."""

    @abstractmethod
    def explain_exit(self, ticket: Submission, seen: QueueStatus) -> str:
        """Why a job has ended that could not say so itself, as far as its logs tell.

        Args:
            ticket: of the job.
            seen: what the queue says of it.
        """


class _Guarded:
    """A launcher's code, called so that whatever happens in it is reported as the plugin's doing."""

    def __init__(self, cls: type[Any], name: str, profile: str, options: Mapping[str, Any]) -> None:
        self._plugin = f"launcher {name!r}"
        refuse_renamed_hooks(self._plugin, cls, _RENAMED)
        with calling(self._plugin, "__init__"):
            self.plugin = cls(profile, options)

    def ask(self, hook: str, kind: type[T], *arguments: Any) -> T:
        """What a hook returns.

        Raises:
            PluginError: it failed, or returned something of another kind.
        """
        with calling(self._plugin, hook):
            found = getattr(self.plugin, hook)(*arguments)
        if not isinstance(found, kind):
            raise PluginError(
                f"{self._plugin}: {hook} returned {type(found).__name__}, not {kind.__name__} as it has to."
            )
        return found


class _GuardedLauncher(Launcher):
    """A launcher plugin."""

    def __init__(self, guarded: _Guarded, profile: str) -> None:
        super().__init__(profile)
        self.guarded = guarded

    def launch(self, request: EvaluationRequest, on_progress: "OnProgress | None" = None) -> "Run":
        """As the plugin does."""
        from crowdbench.run_store.run import Run

        return self.guarded.ask("launch", Run, request, on_progress)


class _GuardedQueue(Queue):
    """A queue plugin; what it says is checked."""

    def __init__(self, guarded: _Guarded, name: str, profile: str, options: Mapping[str, Any]) -> None:
        super().__init__(profile, options)
        self.name = name
        self.guarded = guarded

    def resolve_resources(self, resources: Resources) -> Resources:
        """As the plugin says."""
        return self.guarded.ask("resolve_resources", Resources, resources)

    @property
    def device(self) -> str | None:
        """As the plugin says."""
        with calling(f"launcher {self.name!r}", "device"):
            found: str | None = self.guarded.plugin.device
        return found

    def submit(self, jobs: Sequence[Job], resources: Resources, max_parallel: int | None) -> list[Submission]:
        """As the plugin does, a ticket for each job."""
        tickets = self.guarded.ask("submit", list, jobs, resources, max_parallel)
        if len(tickets) != len(jobs) or not all(isinstance(ticket, Submission) for ticket in tickets):
            raise PluginError(
                f"launcher {self.name!r}: submit took {len(jobs)} jobs and returned {reprlib.repr(tickets)}, "
                "not a Submission for each."
            )
        return tickets

    def query(self, tickets: Sequence[Submission]) -> dict[str, QueueStatus]:
        """As the plugin says."""
        seen = self.guarded.ask("query", dict, tickets)
        for number, what in seen.items():
            if not (isinstance(number, str) and isinstance(what, QueueStatus)):
                raise PluginError(
                    f"launcher {self.name!r}: query returned {number!r}: {reprlib.repr(what)}, not a job's "
                    "number and a QueueStatus."
                )
        return seen

    def cancel(self, tickets: Sequence[Submission]) -> None:
        """As the plugin does."""
        self.guarded.ask("cancel", object, tickets)

    def logs(self, ticket: Submission) -> list[Path]:
        """As the plugin says."""
        return self.guarded.ask("logs", list, ticket)

    def explain_exit(self, ticket: Submission, seen: QueueStatus) -> str:
        """As the plugin says."""
        return self.guarded.ask("explain_exit", str, ticket, seen)


# Hooks of queues by the names that they had before version 0.1.0.
_RENAMED = {"look": "query", "completed": "resolve_resources", "last_words": "explain_exit"}


def load_launcher(name: str) -> Launcher | Queue:
    """The launcher behind the ``--on`` option.

    Args:
        name: ``"local"``, a profile or an installed launcher.

    Raises:
        UnknownNameError: none of these.
        InputError: the profile's file or its options are wrong.
        PluginError: what is installed under the name is not a launcher.
    """
    if name == LOCAL:
        return LocalLauncher()
    profile = find_profile(name)
    found = plugins.load("launcher", profile.launcher)
    if not (isinstance(found, type) and issubclass(found, Launcher | Queue)):
        raise PluginError(
            f"launcher {profile.launcher!r} refers to {found!r}, which is not a subclass of crowdbench's "
            "Launcher or Queue."
        )
    guarded = _Guarded(found, profile.launcher, profile.name, profile.options)
    if issubclass(found, Queue):
        return _GuardedQueue(guarded, profile.launcher, profile.name, profile.options)
    return _GuardedLauncher(guarded, profile.name)


def load_queue(name: str) -> Queue:
    """A queue by the name of its launcher, to ask it about jobs; without a profile's options.

    Raises:
        UnknownNameError: it is not installed.
        PluginError: it is not a queue.
    """
    found = plugins.load("launcher", name)
    if not (isinstance(found, type) and issubclass(found, Queue)):
        raise PluginError(
            f"launcher {name!r} refers to {found!r}, which is not a subclass of crowdbench's Queue."
        )
    return _GuardedQueue(_Guarded(found, name, name, {}), name, name, {})
