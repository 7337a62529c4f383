"""Collect the gallery: images, persons and poses of every run, with their matches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.report.data import DrawnPose, GalleryImage, Panel, Section
from crowdbench.report.image_choice import chosen_images

if TYPE_CHECKING:
    from crowdbench.analysis import Analysis, PredictedPerson
    from crowdbench.api.dataset import Dataset
    from crowdbench.scoring.matching import Matches
    from crowdbench.scoring.problem import Problem


@dataclass(frozen=True, eq=False)
class _Measured:
    """What is known of a run beside its record."""

    problem: "Problem"
    matches: "Matches"
    analysis: "Analysis"
    interval: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class PredictionsByImage:
    """A run's predictions by image, and their quality.

    Attributes:
        instances: by position of the image.
        poses: ``(P, K, 3)``.
        quality: ``(M,)``, NaN where there is no person to find.
        swapped: ``(M,)``, swapped keypoints.
        found: ``(M,)``, persons found.
    """

    instances: "list[list[PredictedPerson]]"
    poses: FloatArray
    quality: FloatArray
    swapped: NDArray[np.int64]
    found: NDArray[np.int64]


def _of_images(
    measured: _Measured, places: dict[int | str, int], persons: NDArray[np.int64]
) -> PredictionsByImage:
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
    return PredictionsByImage(instances, poses.reshape(-1, count, 3), quality, swapped, found)


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

    def picture(place: int) -> GalleryImage:
        sample = samples[ids[place]]  # type: ignore[index]  # equal ids are found, of whatever kind
        numbers: dict[int | str, int] = {}
        crowding = [] if sample.crowd_index is None else [f"crowdIndex {sample.crowd_index:.2f}"]
        return GalleryImage(
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


def _panel(
    run: int, it: PredictionsByImage, place: int, persons: int, numbers: dict[int | str, int]
) -> Panel:
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
    """Matched poses, plus false positives scored at least as high as the lowest match."""
    right = [person.score for person in instances if person.outcome == "matched"]
    scores = sorted((person.score for person in instances), reverse=True)
    least = min(right, default=scores[0] if scores else 0.0)
    return [
        person
        for person in instances
        if person.outcome in ("matched", "ignored")
        or (person.outcome == "background" and person.score >= least)
    ]
