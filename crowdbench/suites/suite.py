"""Suites: files that name runs which belong together, and the result each should reproduce.

Packages ship them in ``suites/*.toml`` (see `crowdbench.plugins`); any other file works
as well. A file is read strictly: a misspelled field must not quietly change what is measured.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import msgspec

from crowdbench.api.boxes import DETECTOR
from crowdbench.errors import InputError, UnknownNameError
from crowdbench.plugins import Percent, Text, package_data_files
from crowdbench.system.files.reading import read_toml_as

PATTERN = "suites/*.toml"
MOST_RUNS = 10_000  # of a suite

Seed = Annotated[int, msgspec.Meta(ge=0)]
Boxes = Annotated[str, msgspec.Meta(pattern=f"^(gt|none|{DETECTOR}.+)$")]


class Detector(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"origin": "from"}
):
    """A file of detections that a suite means.

    Attributes:
        description: what the detections are.
        file: where it usually lies, relative to the dataset's folder.
        origin: pages that have it; ``from`` in the file.
    """

    description: Text
    file: Text
    origin: tuple[Text, ...] = ()


class SuiteRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of a suite.

    Attributes:
        method: as `crowdbench methods` lists it.
        dataset: as `crowdbench datasets` lists it.
        split: None takes the dataset's default.
        boxes: ``"gt"``, ``"none"``, or ``"detector:<name>"`` with a name under ``[detector]``.
        box_score: the least score of the detector's boxes; None takes all.
        settings: where they differ from the method's published settings for this dataset.
        weights: as ``crowdbench run --weights`` takes them.
        seed: of random weights, or of the training; None takes the command's.
        train: train the method first; the run is that of its weights.
        recipe: of the training, where it differs from the published one.
        ap: the published AP that the run should reproduce, in percent.
        table: where that figure is printed.
    """

    method: Text
    dataset: Text
    split: Text | None = None
    boxes: Boxes = "gt"
    box_score: float | None = None
    settings: dict[str, Any] = {}
    weights: Text = "published"
    seed: Seed | None = None
    train: bool = False
    recipe: dict[str, Any] = {}
    ap: Percent | None = None
    table: str = ""

    def __post_init__(self) -> None:
        if self.box_score is not None and self.detector is None:
            raise ValueError('box_score is for the boxes of a detector: boxes = "detector:NAME"')
        if self.recipe and not self.train:
            raise ValueError("a recipe is for training: set train = true, or leave it out")
        if self.train and (self.boxes != "gt" or self.weights != "published" or self.split is not None):
            raise ValueError("a training has ground-truth boxes, its recipe's split and its own weights")

    @property
    def detector(self) -> str | None:
        """The name of the detector whose boxes are used."""
        return self.boxes.removeprefix(DETECTOR) if self.boxes.startswith(DETECTOR) else None


class Grid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs of each method on each dataset with each seed (None: the command's); otherwise as `SuiteRun`."""

    methods: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    datasets: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], msgspec.Meta(min_length=1)] | None = None
    split: Text | None = None
    boxes: Boxes = "gt"
    box_score: float | None = None
    settings: dict[str, Any] = {}
    weights: Text = "published"
    train: bool = False
    recipe: dict[str, Any] = {}
    table: str = ""

    def __post_init__(self) -> None:
        if self.seeds is not None and len(self.seeds) > 1 and not self.train and self.weights != "none":
            raise ValueError(
                'seeds make no difference: set train = true or weights = "none", or leave them out'
            )

    @property
    def count(self) -> int:
        """How many runs there are."""
        return len(self.methods) * len(self.datasets) * len(self.seeds or (None,))

    def runs(self) -> list[SuiteRun]:
        """One for each combination, seeds next to each other."""
        common = {name: getattr(self, name) for name in self.__struct_fields__}
        methods, datasets, seeds = (common.pop(name) for name in ("methods", "datasets", "seeds"))
        axes = (methods, datasets, seeds or (None,))
        return [SuiteRun(method=m, dataset=d, seed=s, **common) for m, d, s in product(*axes)]


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"runs": "run"}):
    """Runs that belong together.

    Attributes:
        name: what the suite is called; an installed suite's file has the same name.
        description: what it measures, in one sentence.
        runs: those that stand alone, in the order of the file, where each is a ``[[run]]``.
        grid: many at once; each is a ``[[grid]]``.
        source: where the published figures were read.
        detector: files of detections, by the name that the runs use.
    """

    name: Text
    description: Text
    runs: tuple[SuiteRun, ...] = ()
    grid: tuple[Grid, ...] = ()
    source: str = ""
    detector: dict[str, Detector] = {}

    @property
    def count(self) -> int:
        """How many runs there are, counted without making them."""
        return len(self.runs) + sum(grid.count for grid in self.grid)

    @property
    def all_runs(self) -> tuple[SuiteRun, ...]:
        """Those that stand alone, then those of the grids."""
        return (*self.runs, *(run for grid in self.grid for run in grid.runs()))

    def __post_init__(self) -> None:
        if self.count > MOST_RUNS:
            raise ValueError(f"it has {self.count} runs; a suite may have {MOST_RUNS}. Split it")
        if not self.all_runs:
            raise ValueError("it names no run: write a [[run]] or a [[grid]]")
        named = {run.detector for run in self.all_runs if run.detector is not None}
        for name in sorted(named - self.detector.keys()):
            raise ValueError(f"a run takes the boxes of {name!r}, and there is no [detector.{name}]")


def read_suite(path: Path) -> Suite:
    """Read a suite's file; raises InputError, which says where the file is wrong."""
    return read_toml_as(path, Suite, "a suite", error=InputError)


def installed_suites() -> Mapping[str, tuple[Path, ...]]:
    """The files of all installed suites by name; more than one where packages ship the same name."""
    found: dict[str, tuple[Path, ...]] = {}
    for file in package_data_files(PATTERN):
        found[file.path.stem] = (*found.get(file.path.stem, ()), file.path)
    return found


def load_suite(name: str | Path) -> Suite:
    """Load an installed suite by its name, or any suite by its path.

    Args:
        name: ends in ``.toml`` if it is a path.

    Raises:
        UnknownNameError: no package ships a suite of that name.
        InputError: two packages do, or the file is not a suite.
    """
    if str(name).endswith(".toml"):
        return read_suite(Path(name))
    suites = installed_suites()
    if str(name) not in suites:
        raise UnknownNameError("suite", str(name), suites, hint="Your own is named by its .toml file.")
    path, *others = suites[str(name)]
    if others:
        raise InputError(
            f"two packages ship a suite {name!r}: {path} and {others[0]}.\nPass the path of one."
        )
    return read_suite(path)
