"""Where a run is carried out: here, or wherever a launcher plugin takes it.

A request holds names and paths only. It can be pickled, sent to another machine and carried out there, and it
says everything that the command line said.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowdbench import plugins
from crowdbench.boxes import box_source
from crowdbench.dataset import Dataset, dataset_class, load_dataset
from crowdbench.errors import PluginError, SettingsError, UnknownNameError
from crowdbench.evaluation import Progress, evaluate
from crowdbench.method import Precision, load_method
from crowdbench.run_directory import Run
from crowdbench.weights import Transfer

OnProgress = Callable[[Progress | Transfer], None]


@dataclass(frozen=True)
class Request:
    """An evaluation that somebody asked for; the fields are those of `crowdbench.evaluate`.

    `crowding` is a level at which the dataset draws its scenes (`Dataset.at_crowding`), or None.
    """

    method: str
    dataset: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    root: Path | None = None
    boxes: str = "gt"
    annotations: Path | None = None
    crowding: float | None = None
    weights: str = "published"
    out: Path = Path("runs")
    limit: int | None = None
    batch_size: int | None = None
    workers: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compiled: bool = False
    again: bool = False
    save_every_s: float = 5.0
    command: tuple[str, ...] = ()


def carry_out(request: Request, on_progress: OnProgress | None = None) -> Run:
    """Do in this process what was asked."""
    dataset = _opened(request)
    return evaluate(
        load_method(request.method, dataset, **request.settings),
        dataset,
        weights=request.weights,
        out=request.out,
        limit=request.limit,
        batch_size=request.batch_size,
        workers=request.workers,
        seed=request.seed,
        device=request.device,
        precision=request.precision,
        compiled=request.compiled,
        again=request.again,
        save_every_s=request.save_every_s,
        command=request.command or None,
        on_progress=on_progress,
    )


def _opened(request: Request) -> Dataset:
    if request.crowding is None:
        return load_dataset(
            request.dataset,
            split=request.split,
            root=request.root,
            boxes=request.boxes,
            annotations=request.annotations,
        )
    if request.root is not None or request.annotations is not None:
        raise SettingsError(
            "crowding: the scenes of a level are drawn, not read. Leave --root and --annotations out."
        )
    cls = dataset_class(request.dataset)
    split = request.split or cls.default_split
    if split not in cls.splits:
        raise UnknownNameError(f"split of {request.dataset}", split, cls.splits)
    return cls.at_crowding(request.crowding, split, box_source(request.boxes))


class Launcher(ABC):
    """Takes requests to where they are carried out."""

    @abstractmethod
    def launch(self, request: Request, on_progress: OnProgress | None = None) -> Run:
        """Carry out a request; returns when it is done."""


class LocalLauncher(Launcher):
    """Carries out requests in this process."""

    def launch(self, request: Request, on_progress: OnProgress | None = None) -> Run:
        """Carry out a request here and now."""
        return carry_out(request, on_progress)


def load_launcher(name: str) -> Launcher:
    """The launcher behind the ``--on`` option.

    Raises:
        UnknownNameError: neither ``local`` nor an installed launcher.
    """
    if name == "local":
        return LocalLauncher()
    if name not in plugins.installed("launcher"):
        raise UnknownNameError("launcher", name, ["local", *plugins.installed("launcher")])
    found = plugins.load("launcher", name)
    if not (isinstance(found, type) and issubclass(found, Launcher)):
        raise PluginError(
            f"launcher {name!r} stands for {found!r}, which is no subclass of crowdbench's Launcher."
        )
    return found()
