"""Score predictions with one engine, optionally cross-checked by a second."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdbench.api.extent import Extent, extent_of
from crowdbench.api.scores import CrossCheck, Scores
from crowdbench.api.scoring_protocol import ScoringProtocol
from crowdbench.api.types import KeypointSet
from crowdbench.errors import RunError
from crowdbench.scoring.engines import load_engine
from crowdbench.scoring.problem import Problem, read_problem
from crowdbench.scoring.statistics import rounded, statistic
from crowdbench.system.malloc import gc_paused

if TYPE_CHECKING:
    from crowdbench.api.dataset import Dataset

TOLERANCE = 1e-9
"""Two engines agree if no statistic differs by more."""


def score(
    predictions: str | Path | Sequence[Mapping[str, Any]],
    dataset: "str | Dataset",
    *,
    annotations: str | Path | None = None,
    split: str | None = None,
    root: str | Path | None = None,
    engine: str = "hotcoco",
    cross_check: str | None = None,
    keypoints: str = "all",
) -> Scores:
    """Score predictions on a dataset.

    Args:
        predictions: a results file in COCO format (``.json`` or ``.json.gz``), or its entries.
        dataset: the name of an installed dataset, or an opened one.
        annotations: a ground-truth file to use instead of the split's own; no dataset folder is needed then.
        split: of a dataset given by name; None takes its default.
        root: the dataset's folder, likewise.
        engine: one of `ENGINES`.
        cross_check: a second engine, which must agree to 1e-9.
        keypoints: ``"all"`` of the dataset's; or ``"common"``: the predictions have the keypoints of another
            dataset, and those that both have are scored (``"common:<dataset>"`` says which other).

    Raises:
        UnknownNameError: no such dataset, split or engine.
        MissingDataError: a file is not there.
        AnnotationError, PredictionError: a file cannot be scored; says where and why.
        EngineUnavailableError: an engine is not installed; says how to install it.
        RunError: the two engines disagree.
    """
    from crowdbench.scoring.common_keypoints import common_keypoints

    truth = _ground_truth(dataset, annotations, split, root)
    protocol = truth.protocol
    given = Path(predictions) if isinstance(predictions, str | Path) else predictions
    common = common_keypoints(keypoints, dataset if isinstance(dataset, str) else dataset.name)
    if common is not None:
        protocol = protocol.on_keypoints(common.names)
    scores = score_files(
        *(given, truth.file, protocol),
        engine=engine,
        cross_check=cross_check,
        predicted=None if common is None else common.predicted,
    )
    extent = truth.extent
    if truth.cls is not None:
        count = scores.counts["images"]
        extent = extent_of(truth.cls, truth.split, truth.file, images=count, listed=count)
    return replace(scores, split=f"{truth.name} {truth.split}", extent=extent)


@gc_paused()
def score_files(
    predictions: Path | Sequence[Mapping[str, Any]],
    annotations: Path,
    protocol: ScoringProtocol,
    *,
    engine: str = "hotcoco",
    cross_check: str | None = None,
    image_ids: Collection[int] | None = None,
    predicted: KeypointSet | None = None,
    in_protocols_order: bool = False,
) -> Scores:
    """Score predictions against a ground-truth file by the rules of a protocol.

    Args:
        predictions: a results file in COCO format (``.json`` or ``.json.gz``), or its entries.
        annotations: a ground-truth file in COCO format (``.json`` or ``.json.gz``).
        protocol: the rules.
        engine: one of `ENGINES`.
        cross_check: a second engine, which must agree to 1e-9.
        image_ids: restricts the ground truth to these images, for partial runs.
        predicted: the keypoints that the predictions have, where these are more than are scored.
        in_protocols_order: the predictions are crowdbench's own, whatever the annotation file's order of
            keypoints is.

    Raises:
        See `score`.
    """
    first = load_engine(engine)
    second = load_engine(cross_check) if cross_check is not None else None
    version = first.version()  # engines that are missing say so before the work begins
    second_version = second.version() if second else ""
    problem = read_problem(
        predictions, annotations, protocol, image_ids, predicted, in_protocols_order=in_protocols_order
    )
    found = first.statistics(problem)
    official = _rounded(found, protocol)
    check = None
    if second:
        expected = second.statistics(problem)
        if first.rounds_splits or second.rounds_splits:
            difference = _difference(first.name, official, second.name, _rounded(expected, protocol))
        else:
            difference = _difference(first.name, found, second.name, expected)
        check = CrossCheck(second.name, second_version, difference)
    return Scores(
        values=official,
        protocol=protocol.name,
        engine=first.name,
        engine_version=version,
        counts=_counts(problem),
        warnings=problem.warnings,
        doubts=problem.doubts,
        unrounded={n: found[n] for n in found if statistic(n, protocol).split and not first.rounds_splits},
        cross_check=check,
    )


@dataclass(frozen=True)
class _Truth:
    """The ground truth.

    Attributes:
        name, split: of the dataset.
        file, protocol: the annotations and the rules.
        extent: of an opened dataset.
        cls: of a dataset that was not opened, because the user named the file.
    """

    name: str
    split: str
    file: Path
    protocol: ScoringProtocol
    extent: Extent | None = None
    cls: "type[Dataset] | None" = None


def _ground_truth(
    dataset: "str | Dataset", annotations: str | Path | None, split: str | None, root: str | Path | None
) -> _Truth:
    from crowdbench.api.dataset import Dataset, dataset_class, load_dataset, require_ground_truth

    if annotations is not None:
        cls = dataset_class(dataset) if isinstance(dataset, str) else type(dataset)
        protocol = cls.protocol if isinstance(dataset, str) else dataset.protocol
        file = Path(annotations)
        of = split or (cls.split_of(file) if isinstance(dataset, str) else dataset.split)
        return _Truth(cls.name, of, file, protocol, cls=cls)
    if isinstance(dataset, str):
        dataset = load_dataset(dataset, split=split, root=root)
    require_ground_truth(dataset, "Send the predictions to the dataset's server, or choose another split.")
    extent = dataset.extent() if isinstance(dataset, Dataset) else None
    return _Truth(dataset.name, dataset.split, dataset.annotation_file, dataset.protocol, extent)


def _rounded(found: dict[str, float], protocol: ScoringProtocol) -> dict[str, float]:
    return {name: rounded(name, number, protocol) for name, number in found.items()}


def _difference(one: str, found: dict[str, float], other: str, expected: dict[str, float]) -> float:
    differences = {name: abs(found[name] - expected[name]) for name in found}
    worst = max(differences, key=lambda name: differences[name])
    if differences[worst] > TOLERANCE:
        raise RunError(
            f"the engines disagree: {worst} is {found[worst]!r} by {one} and {expected[worst]!r} by {other} "
            f"(difference {differences[worst]:.3g}, allowed {TOLERANCE:g}).\n"
            "Neither number should be reported; please report the files to crowdbench's authors."
        )
    return differences[worst]


def _counts(problem: Problem) -> dict[str, int]:
    return {
        "images": len(problem.images.ids),
        "persons": int(problem.counted.sum()),
        "predictions": len(problem.scores),
    }
