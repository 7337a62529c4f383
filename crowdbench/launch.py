"""Where a request is carried out: here, or wherever a launcher plugin takes it.

A launcher of the simplest kind carries a request out and returns when it is done. A queue takes jobs and
returns at once; what becomes of them is read from their folders (`crowdbench.jobs`) and asked of the queue.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crowdbench import plugins
from crowdbench.errors import PluginError, SettingsError
from crowdbench.jobs import Job, Resources, Ticket
from crowdbench.profiles import LOCAL, find_profile
from crowdbench.requests import Request

if TYPE_CHECKING:
    from crowdbench.carrying_out import OnProgress
    from crowdbench.run_directory import Run


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
    def launch(self, request: Request, on_progress: "OnProgress | None" = None) -> "Run":
        """Carry out a request; returns when it is done."""


class LocalLauncher(Launcher):
    """Carries out requests in this process."""

    def launch(self, request: Request, on_progress: "OnProgress | None" = None) -> "Run":
        """Carry out a request here and now."""
        from crowdbench.carrying_out import evaluate_as_asked

        return evaluate_as_asked(request, on_progress)


@dataclass(frozen=True)
class Seen:
    """What a queue says of a job.

    Attributes:
        state: it waits; it runs; or it has ended, if the queue remembers it at all.
        node: where it runs, or ran.
        words: why it waits or how it ended, in the queue's own terms, and what they mean.
        hopeless: it will never start as it is.
        is_new: the queue has not looked at it yet.
        status: with which it ended, if the queue says so.
    """

    state: Literal["waiting", "running", "ended"]
    node: str = ""
    words: str = ""
    hopeless: bool = False
    is_new: bool = False
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
    def completed(self, resources: Resources) -> Resources:
        """What a job gets, with what the profile says where nothing was asked.

        Raises:
            SettingsError: it does not go together.
        """

    @property
    def device(self) -> str | None:
        """The device that the profile prescribes, as ``--device`` takes it; None prescribes none."""
        return None

    @abstractmethod
    def submit(self, jobs: Sequence[Job], resources: Resources, at_once: int | None) -> list[Ticket]:
        """Hand over jobs, which lie in their folders; all in one piece if there are several.

        Args:
            jobs: alike in what they need.
            resources: of each, complete.
            at_once: how many may run at the same time; None for as many as there is room for.

        Raises:
            LaunchError: the queue does not take them, or they would never start.
        """

    @abstractmethod
    def look(self, tickets: Sequence[Ticket]) -> dict[str, Seen]:
        """What has become of jobs, by number; those of which the queue knows nothing are left out.

        Raises:
            LaunchError: the queue does not answer.
        """

    @abstractmethod
    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """Call jobs off.

        Raises:
            LaunchError: the queue does not answer, or refuses.
        """

    @abstractmethod
    def logs(self, ticket: Ticket) -> list[Path]:
        """The files into which a job's processes write, the first process's first; only those that exist."""

    @abstractmethod
    def last_words(self, ticket: Ticket, seen: Seen) -> str:
        """Why a job has ended that could not say so itself, as far as its logs tell.

        Args:
            ticket: of the job.
            seen: what the queue says of it.
        """


def load_launcher(name: str) -> Launcher | Queue:
    """The launcher behind the ``--on`` option.

    Args:
        name: ``"local"``, a profile or an installed launcher.

    Raises:
        UnknownNameError: none of these.
        InputError: the profile's file or its options are wrong.
        PluginError: what is installed under the name is no launcher.
    """
    if name == LOCAL:
        return LocalLauncher()
    profile = find_profile(name)
    found = plugins.load("launcher", profile.launcher)
    if not (isinstance(found, type) and issubclass(found, Launcher | Queue)):
        raise PluginError(
            f"launcher {profile.launcher!r} stands for {found!r}, which is no subclass of crowdbench's "
            "Launcher or Queue."
        )
    return found(profile.name, profile.options)


def load_queue(name: str) -> Queue:
    """A queue by the name of its launcher, to ask it about jobs; without a profile's options.

    Raises:
        UnknownNameError: it is not installed.
        PluginError: it is no queue.
    """
    found = plugins.load("launcher", name)
    if not (isinstance(found, type) and issubclass(found, Queue)):
        raise PluginError(
            f"launcher {name!r} stands for {found!r}, which is no subclass of crowdbench's Queue."
        )
    return found(name, {})
