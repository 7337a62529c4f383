"""The interface of scoring engines: third-party implementations of OKS-based AP."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module, metadata
from types import ModuleType
from typing import ClassVar

import numpy as np

from crowdbench.api.types import IntArray
from crowdbench.errors import EngineUnavailableError
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import Curves, images_of, statistic, trivial_curves, value


class Engine(ABC):
    """Computes the statistics of a problem.

    Attributes:
        name: the name of the distribution and of its import package.
        install: how to install it.
        rounds_splits: whether it rounds the AP of crowding splits to four decimals.
    """

    name: ClassVar[str]
    install: ClassVar[str]
    rounds_splits: ClassVar[bool] = False

    @abstractmethod
    def statistics(self, problem: Problem) -> dict[str, float]:
        """The protocol's statistics in its order, unrounded if possible; raises EngineUnavailableError."""

    def version(self) -> str:
        """The installed version; raises EngineUnavailableError."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            raise self._unavailable("no such package is installed") from None

    def load(self, module: str) -> ModuleType:
        """Import a module of the engine; raises EngineUnavailableError."""
        try:
            return import_module(module)
        except Exception as error:  # a wheel built for another numpy fails with ValueError, among others
            raise self._unavailable(f"importing {module} gives {type(error).__name__}: {error}") from error

    def _unavailable(self, reason: str) -> EngineUnavailableError:
        return EngineUnavailableError(
            f"the scoring engine {self.name} is not available: {reason}.\nInstall it: {self.install}"
        )


class CurveEngine(Engine):
    """An engine that gives precision and recall curves for any set of images."""

    def statistics(self, problem: Problem) -> dict[str, float]:
        """See `Engine`; evaluates once for all images and once for each crowding split."""
        evaluate: Callable[[IntArray], Curves] | None = None
        done: dict[str | None, Curves] = {}
        found = {}
        for name in problem.protocol.statistics:
            what = statistic(name, problem.protocol)
            if what.split not in done:
                images = images_of(what, problem)
                curves = trivial_curves(problem, images)
                if curves is None:
                    evaluate = evaluate or self.prepare(problem)
                    curves = evaluate(images)
                done[what.split] = curves
            found[name] = value(done[what.split], what)
        return found

    @abstractmethod
    def prepare(self, problem: Problem) -> Callable[[IntArray], Curves]:
        """Load the problem; the function that comes back evaluates on some images, never on none."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep an engine's messages off standard output, and numpy's warnings about overflow silent."""
    with redirect_stdout(io.StringIO()), np.errstate(over="ignore", invalid="ignore"):
        yield
