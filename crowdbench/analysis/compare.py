"""Test whether two results differ significantly.

Both are evaluated on the same resamples of images (`crowdbench.analysis.bootstrap`), so that the difficulty
of an image cancels out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crowdbench.analysis.bootstrap import LEVEL, RESAMPLES, Difference, differences
from crowdbench.analysis.operands import Operand, disambiguate, require_comparable
from crowdbench.analysis.verdict import verdict
from crowdbench.api.boxes import NoBoxes
from crowdbench.api.dataset import load_dataset, require_ground_truth
from crowdbench.api.extent import Extent
from crowdbench.errors import InputError
from crowdbench.run_store.record import Protocol, extent_of_run
from crowdbench.scoring.matching import Matches, match
from crowdbench.scoring.problem import Problem, read_problem
from crowdbench.scoring.run_inputs import load_run_problem, reopen_dataset
from crowdbench.system.files.digests import file_digest
from crowdbench.system.text import sentence

if TYPE_CHECKING:
    from crowdbench.api.dataset import Dataset

FEW_IMAGES = 50
"""With fewer images, bootstrap intervals are too narrow: docs/comparing.md has the measurement."""


@dataclass(frozen=True)
class ComparisonRow:
    """The comparison on all images, or on those of a crowding level.

    Attributes:
        images: the number of images.
        persons: the number of persons that count.
        result: both AP and their difference.
    """

    images: int
    persons: int
    result: Difference


@dataclass(frozen=True)
class Comparison:
    """Two results side by side. AP and differences are in [0, 1]; a difference is first minus second.

    Attributes:
        first, second: the names of the two.
        dataset, split: the data that both were measured on.
        boxes: the source of both runs' boxes, as in records; None if one is a results file.
        overall: the comparison on all images.
        levels: the comparisons by crowding level.
        conclusion: what can be concluded, as text.
        notes: caveats.
        resamples, seed, level: the settings of the bootstrap.
        extent: which part of the published split was measured.
    """

    first: str
    second: str
    dataset: str
    split: str
    boxes: str | None
    overall: ComparisonRow
    levels: dict[str, ComparisonRow]
    conclusion: str
    notes: tuple[str, ...]
    resamples: int
    seed: int
    level: float = LEVEL
    extent: Extent | None = None


def compare(
    first: Operand,
    second: Operand,
    *,
    dataset: str | None = None,
    split: str | None = None,
    root: Path | None = None,
    annotations: Path | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two results on the same images.

    Args:
        first, second: runs, or results files (`crowdbench.analysis.operands.resolve_operand` finds them).
        dataset: the dataset's name; needed if both are files.
        split: the split; None uses the dataset's default.
        root, annotations: the dataset's folder, and an annotation file to use instead of the split's own.
        resamples, seed: of the bootstrap.

    Raises:
        InputError: the two cannot be compared; the message names the differences.
        MissingDataError: the predictions or the dataset are missing.
        AnnotationError, PredictionError: a file cannot be scored.
    """
    first, second = disambiguate(first, second)
    require_comparable(first, second)
    runs = [one.run for one in (first, second) if one.run is not None]
    protocols = [run.record.protocol for run in runs]
    protocol = protocols[0] if protocols else None
    if protocol is not None:
        _require_same(protocol, dataset, split)
        opened = reopen_dataset(protocol, root, annotations)
    elif dataset is not None:
        opened = _opened(dataset, split, root, annotations)
    else:
        raise InputError(
            f"{first.path} and {second.path} are results files.\n"
            "Choose their dataset with --dataset NAME, and --split if it is not the default."
        )
    problems = [_problem(given, opened, protocol) for given in (first, second)]
    one, other = map(match, problems)
    found = differences(one, other, resamples=resamples, seed=seed)
    overall = _part(one, found.overall)
    levels = {name: _part(one.of_level(name), result) for name, result in found.levels.items()}
    extent = extent_of_run(runs[0].record) if runs else opened.extent()
    notes = [*_few({"all": overall, **levels}), *_notes(first, second)]
    for given, problem in zip((first, second), problems, strict=True):
        notes += [sentence(f"{given.name}: {warning}") for warning in problem.warnings]
    return Comparison(
        first=first.name,
        second=second.name,
        dataset=opened.name,
        split=opened.split,
        boxes=protocol.boxes if protocol is not None and len(protocols) == 2 else None,
        extent=extent,
        overall=overall,
        levels=levels,
        conclusion=verdict(first.name, second.name, len(one.image_ids), found),
        notes=tuple(notes),
        resamples=resamples,
        seed=seed,
    )


def _require_same(protocol: Protocol, dataset: str | None, split: str | None) -> None:
    """Check that the options agree with the run."""
    for what, said, known in (("dataset", dataset, protocol.dataset), ("split", split, protocol.split)):
        if said not in (None, known):
            raise InputError(f"the run was measured on the {what} {known}, not on {said}. Omit --{what}.")


def _opened(dataset: str, split: str | None, root: Path | None, annotations: Path | None) -> "Dataset":
    opened = load_dataset(dataset, split=split, root=root, boxes=NoBoxes(), annotations=annotations)
    require_ground_truth(opened)
    return opened


def _problem(given: Operand, opened: "Dataset", protocol: Protocol | None) -> Problem:
    if given.run is not None:
        return load_run_problem(given.run, opened)
    images = None
    if protocol is not None and not protocol.complete:  # of the run beside it
        images = [opened[index].image_id for index in range(protocol.images)]
    return read_problem(given.path, opened.annotation_file, opened.protocol, images)


def _part(matches: Matches, result: Difference) -> ComparisonRow:
    return ComparisonRow(len(matches.image_ids), int(matches.counted.sum()), result)


def _few(parts: dict[str, ComparisonRow]) -> list[str]:
    few = [f"{part.images} ({name})" for name, part in parts.items() if 0 < part.images < FEW_IMAGES]
    if not few:
        return []
    return [f"{', '.join(few)} images are few: intervals from so few are too narrow, and p is too small."]


def _notes(first: Operand, second: Operand) -> list[str]:
    notes = []
    silent = [given.name for given in (first, second) if given.run is None]
    if silent:
        notes.append(
            f"{' and '.join(silent)}: a results file does not state which boxes were used. If they differ, "
            "the difference says nothing about the methods."
        )
    for given in (first, second):
        if given.run is not None and given.run.record.weights.source == "none":
            notes.append(f"{given.name} has random weights.")
    if file_digest(first.predictions) == file_digest(second.predictions):
        notes.append("Both have the same predictions, to the byte.")
    return notes
