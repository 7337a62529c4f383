"""Runs → what a report shows of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdbench import __version__
from crowdbench.api.extent import extent_of_run
from crowdbench.api.types import FloatArray
from crowdbench.errors import InputError
from crowdbench.leaderboard.table import sentence
from crowdbench.report.data import (
    KINDS,
    Chart,
    DrawnPose,
    Errors,
    Line,
    PageData,
    Panel,
    Picture,
    RunPart,
    Section,
)
from crowdbench.report.image_choice import chosen_images
from crowdbench.report.run_facts import protocol_sentences, provenance, speed
from crowdbench.run_store.integrity import doubt_about
from crowdbench.run_store.run import Run

if TYPE_CHECKING:
    from crowdbench.analysis import Analysis, Part, PredictedPerson
    from crowdbench.api.dataset import Dataset
    from crowdbench.scoring.matching import Matches
    from crowdbench.scoring.problem import Problem

_TENTHS = tuple((n / 10, f"{n / 10:g}") for n in range(0, 11, 2))
THRESHOLDS = (0.5, 0.75)
"""OKS thresholds of the precision-recall curves."""

# A level of crowding with fewer images says nothing.
_FEWEST_IMAGES = 5


@dataclass(frozen=True, eq=False)
class _Measured:
    """What is known of a run beside its record."""

    problem: "Problem"
    matches: "Matches"
    analysis: "Analysis"
    interval: tuple[float, float] | None


def report_data(
    runs: Sequence[Run],
    dataset: "Dataset | None" = None,
    *,
    pictures: int = 12,
    seed: int = 0,
    command: str = "",
    on_progress: Callable[[str], None] | None = None,
) -> PageData:
    """Collect what a report of some runs shows.

    Args:
        runs: done, on the same images of the same dataset. One that is named twice is shown once.
        dataset: that they were measured on; None opens it as the records name it.
        pictures: in each part of the gallery.
        seed: of those that are drawn at random.
        command: that made the page.
        on_progress: told what is being done.

    Raises:
        InputError: no run, one that is not done, or runs of different images.
        MissingDataError: the dataset, or predictions, are not there.
    """
    runs = list({run.directory.resolve(): run for run in runs}.values())
    _require_equal_images(runs)
    if dataset is None:
        from crowdbench.scoring.run_inputs import reopened

        dataset = reopened(runs[0].record.protocol)
    tell = on_progress or (lambda _: None)
    measured = []
    for run in runs:
        tell(f"{run.record.method} {run.record.id}")
        measured.append(_measured(run, dataset))
    sentences = [protocol_sentences(run.record) for run in runs]
    common = tuple(s for s in sentences[0] if all(s in of_run for of_run in sentences))
    tell("pictures")
    return PageData(
        dataset=dataset.name,
        split=runs[0].record.protocol.split,
        extent=extent_of_run(runs[0].record).words,
        keypoints=dataset.keypoints,
        runs=tuple(
            _run_part(run, it, [s for s in of_run if s not in common])
            for run, it, of_run in zip(runs, measured, sentences, strict=True)
        ),
        protocol=common,
        notes=tuple(
            sentence(f"The scores of {run.record.method} {run.record.id} are in doubt: {doubt}")
            for run in runs
            for doubt in run.record.doubts
        ),
        notes_against_ranking=tuple(_against_ranking(runs)),
        charts=tuple(_charts(measured)),
        gallery=_gallery(measured, dataset, pictures, seed) if pictures else (),
        made_by=f"crowdbench {__version__}",
        command=command,
    )


def _require_equal_images(runs: Sequence[Run]) -> None:
    if not runs:
        raise InputError("no run: name the folder of at least one.")
    for run in runs:
        if run.record.state != "done" or run.record.scores is None:
            raise InputError(
                f"{run.directory}: the run is {run.record.state} and has no scores. "
                "The command that began it goes on with it."
            )
        doubt = doubt_about(run)
        if doubt is not None:
            raise InputError(doubt)
    first = runs[0].record.protocol
    for run in runs[1:]:
        other = run.record.protocol
        for name in ("dataset", "split", "annotations", "images"):
            if getattr(first, name) != getattr(other, name):
                raise InputError(
                    f"{runs[0].directory} and {run.directory} are of different images: {name} "
                    f"{getattr(first, name)} and {getattr(other, name)}.\n"
                    "A page shows runs side by side on the same images; make one for each."
                )


def _against_ranking(runs: Sequence[Run]) -> list[str]:
    boxes = list(dict.fromkeys(run.record.protocol.boxes for run in runs))
    if len(boxes) == 1:
        return []
    told = {"gt": "annotated boxes", "none": "no boxes"}
    named = ", ".join(told.get(it, it.replace("detector:", "boxes of detector file ")) for it in boxes)
    return [
        f"These runs may not be ranked against each other: their persons come from different places "
        f"({named}). A method that is given people has an easier task than one that has to find them."
    ]


def _measured(run: Run, dataset: "Dataset") -> _Measured:
    from crowdbench.analysis import analyse
    from crowdbench.analysis.bootstrap import interval, stored_interval
    from crowdbench.scoring.matching import match
    from crowdbench.scoring.run_inputs import problem_of

    problem = problem_of(run, dataset)
    matches = match(problem)
    bounds = stored_interval(run, compute=False) or interval(matches)
    return _Measured(
        problem,
        matches,
        analyse(run, dataset),
        (bounds.low, bounds.high) if bounds.low >= 0 else None,
    )


def _run_part(run: Run, measured: _Measured, protocol: Sequence[str]) -> RunPart:
    return RunPart(
        method=run.record.method,
        id=run.record.id,
        directory=str(run.directory),
        scores=run.record.scores or {},
        interval=measured.interval,
        protocol=tuple(protocol),
        speed=speed(run),
        provenance=provenance(run),
        errors=_errors(measured.analysis),
        warnings=tuple(run.record.warnings),
    )


def _errors(analysis: "Analysis") -> Errors:
    whole = analysis.whole

    def gained(after: float, before: float) -> float:
        return math.nan if after < 0 or before < 0 else 100 * (after - before)

    steps = [whole.ap, *whole.cumulative.values()]
    return Errors(
        keypoints={kind: whole.total(kind) for kind in KINDS},
        by_keypoint={
            name: {kind: whole.kinds[kind][index] for kind in KINDS}
            for index, name in enumerate(analysis.keypoints)
        },
        alone={name: gained(after, whole.ap) for name, after in whole.alone.items()},
        together={
            name: gained(after, before)
            for name, before, after in zip(whole.cumulative, steps, steps[1:], strict=False)
        },
        false_positives=whole.background,
        false_negatives=whole.not_found,
        advice=analysis.advice,
    )


# --- Curves


def _charts(measured: Sequence[_Measured]) -> list[Chart]:
    charts = [
        Chart(
            title=f"Precision over recall at OKS {threshold:g}",
            x_label="recall",
            y_label="precision",
            lines=tuple(_precision_line(run, it.matches, threshold) for run, it in enumerate(measured)),
            x_range=(0, 1),
            y_top=1,
            x_ticks=_TENTHS,
        )
        for threshold in THRESHOLDS
    ]
    return [*charts, *_crowding_chart(measured)]


def _precision_line(run: int, matches: "Matches", threshold: float) -> Line:
    recall, precision = matches.precision_recall(threshold)
    # Past the highest recall precision is 0 by definition: one step down, and no line along the axis.
    last = int(np.flatnonzero(precision > 0)[-1]) + 1 if (precision > 0).any() else 0
    x, y = recall[:last].tolist(), precision[:last].tolist()
    if 0 < last < len(recall):
        x, y = [*x, x[-1]], [*y, 0.0]
    return Line(run, tuple(x), tuple(y))


def _crowding_chart(measured: Sequence[_Measured]) -> list[Chart]:
    parts = measured[0].analysis.bins
    chosen = [index for index, part in enumerate(parts) if part.images >= _FEWEST_IMAGES and part.ap >= 0]
    if len(chosen) < 2:
        return []
    places = [_place(parts[index]) for index in chosen]
    centres = tuple(centre for centre, _ in places)
    lines = tuple(
        Line(
            run,
            centres,
            tuple(
                100 * part.ap if part.ap >= 0 else math.nan for part in (it.analysis.bins[i] for i in chosen)
            ),
        )
        for run, it in enumerate(measured)
    )
    images = [parts[index].images for index in chosen]
    measure = measured[0].analysis.measure
    return [
        Chart(
            title=f"AP over {measure}",
            x_label=f"{measure} of the images",
            y_label="AP",
            lines=lines,
            x_range=(0, max(1.0, centres[-1] + 0.05)),
            y_top=100,
            x_ticks=tuple(places),
            dots=True,
            note=f"Images in each tenth, from the left: {', '.join(map(str, images))}. Tenths of fewer than "
            f"{_FEWEST_IMAGES} images are left out.",
        )
    ]


def _place(part: "Part") -> tuple[float, str]:
    """Where a tenth stands on the axis, and its label."""
    low = part.low or 0.0
    if part.high is None or not math.isfinite(part.high):
        return low + 0.05, f"≥{low:g}"
    return (low + part.high) / 2, f"{(low + part.high) / 2:.2f}".removeprefix("0")


# --- The gallery


@dataclass(frozen=True, eq=False)
class _OfImages:
    """A run's predictions by image, and how good they are.

    Attributes:
        instances: by position of the image.
        poses: ``(P, K, 3)``.
        quality: ``(M,)``, NaN where there is nobody to find.
        swapped: ``(M,)``.
        found: ``(M,)``, how many persons are.
    """

    instances: "list[list[PredictedPerson]]"
    poses: FloatArray
    quality: FloatArray
    swapped: NDArray[np.int64]
    found: NDArray[np.int64]


def _of_images(measured: _Measured, places: dict[int | str, int], persons: NDArray[np.int64]) -> _OfImages:
    instances: list[list[PredictedPerson]] = [[] for _ in places]
    oks, swapped = np.zeros(len(places)), np.zeros(len(places), dtype=np.int64)
    found = np.zeros(len(places), dtype=np.int64)
    for person in measured.analysis.instances:
        place = places[person.image_id]
        instances[place].append(person)
        if person.outcome == "matched":
            oks[place] += person.oks or 0.0
            swapped[place] += person.count("swap")
            found[place] += 1
    quality = np.divide(oks, persons, out=np.full(len(places), math.nan), where=persons > 0)
    poses = np.array(measured.problem.keypoints, dtype=np.float64)
    count = measured.problem.protocol.keypoints.count
    return _OfImages(instances, poses.reshape(-1, count, 3), quality, swapped, found)


def _gallery(
    measured: Sequence[_Measured], dataset: "Dataset", pictures: int, seed: int
) -> tuple[Section, ...]:
    problem = measured[0].problem
    ids = problem.images.ids
    places = {image_id: place for place, image_id in enumerate(ids)}
    persons = np.bincount(problem.person_images[problem.counted] - 1, minlength=len(ids))
    of_runs = [_of_images(it, places, persons) for it in measured]
    parts = chosen_images(
        np.array([it.quality for it in of_runs]), np.array([it.swapped for it in of_runs]), pictures, seed
    )
    wanted = {ids[place] for part in parts for place in part.images}
    samples = {sample.image_id: sample for sample in dataset if sample.image_id in wanted}
    truth = np.array(problem.persons.keypoints, dtype=np.float64).reshape(-1, dataset.keypoints.count, 3)

    def picture(place: int) -> Picture:
        sample = samples[ids[place]]  # type: ignore[index]  # equal ids are found, of whatever kind
        numbers: dict[int | str, int] = {}
        crowding = [] if sample.crowd_index is None else [f"crowdIndex {sample.crowd_index:.2f}"]
        return Picture(
            image_id=ids[place],
            name=sample.path.name,
            width=sample.width,
            height=sample.height,
            words=" · ".join(
                [f"{sample.path.name} (id {ids[place]})", _persons(int(persons[place])), *crowding]
            ),
            read=sample.read,
            truth=tuple(truth[problem.person_images == place + 1]),
            panels=tuple(
                _panel(run, it, place, int(persons[place]), numbers) for run, it in enumerate(of_runs)
            ),
        )

    return tuple(Section(part.title, part.words, tuple(map(picture, part.images))) for part in parts)


def _persons(count: int) -> str:
    return "1 person" if count == 1 else f"{count} persons"


def _panel(run: int, it: _OfImages, place: int, persons: int, numbers: dict[int | str, int]) -> Panel:
    shown = _worth_showing(it.instances[place])
    background = sum(person.outcome == "background" for person in shown)
    words = [f"mean OKS {it.quality[place]:.2f}", f"{it.found[place]} of {persons} found"]
    if it.swapped[place]:
        words.append(f"{it.swapped[place]} swapped")
    if background:
        words.append(f"{background} false")
    return Panel(
        run,
        " · ".join(words),
        tuple(
            DrawnPose(
                it.poses[person.prediction],
                None if person.person is None else numbers.setdefault(person.person, len(numbers)),
                tuple(person.kind(index) or "" for index in range(len(person.kinds))),
            )
            for person in shown
        ),
    )


def _worth_showing(instances: "Sequence[PredictedPerson]") -> "list[PredictedPerson]":
    """Whoever is somebody, and of the others those that are scored as high as somebody who is right.

    Bottom-up methods add dozens of faint guesses to every image, which count for next to nothing.
    """
    right = [person.score for person in instances if person.outcome == "matched"]
    scores = sorted((person.score for person in instances), reverse=True)
    least = min(right, default=scores[0] if scores else 0.0)
    return [
        person
        for person in instances
        if person.outcome in ("matched", "ignored")
        or (person.outcome == "background" and person.score >= least)
    ]
