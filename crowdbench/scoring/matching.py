"""Match predictions with persons, once for a whole results file.

Engines match and count in one pass and discard the matches. Here they are kept. Matching is per image, so AP
of any selection of images follows without matching again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowdbench.api.types import FloatArray
from crowdbench.errors import UnknownNameError
from crowdbench.scoring.averaging import RECALLS, Ranking, average_precisions, curve
from crowdbench.scoring.oks import similarities
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import MAX_DETECTIONS, THRESHOLDS, area_bounds

if TYPE_CHECKING:
    from crowdbench.api.dataset import Dataset
    from crowdbench.run_store.run import Run

Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

# The last threshold that a perfect match must reach (COCO's tool: min(t, 1 - 1e-10)).
_HIGHEST = 1 - 1e-10


@dataclass(frozen=True, eq=False)
class Matches:
    """D predictions matched with N persons on M images, at T OKS thresholds, by default the 10 of COCO.

    Only the 20 best-scored predictions of each image are included, as no others count.

    Attributes:
        image_ids: M ids as the annotation file has them, ascending.
        crowd_index: ``(M,)`` float64; None where the protocol has no crowding levels.
        levels: names of the crowding levels, from the emptiest.
        image_levels: ``(M,)``, each image's position in `levels`; -1 where it is in none.
        images: ``(D,)``, the image of each prediction. Predictions are in the order in which they are
            counted: best score first, ties as the engines break them.
        scores: ``(D,)`` float64.
        predictions: ``(D,)``, the position of each in the results file.
        taken: ``(T, D)``, the person that a prediction is matched with, or -1.
        true: ``(T, D)``, whether the prediction counts as right: it is matched with a person that counts.
        ignored: ``(T, D)``, whether it counts neither way: matched with a person that does not count, or
            unmatched and outside the area range.
        person_images: ``(N,)``, the image of each person, in file order.
        counted: ``(N,)``, whether the person counts.
    """

    image_ids: list[int | str]
    crowd_index: FloatArray | None
    levels: tuple[str, ...]
    image_levels: Indices
    images: Indices
    scores: FloatArray
    predictions: Indices
    taken: Indices
    true: Flags
    ignored: Flags
    person_images: Indices
    counted: Flags

    @property
    def false(self) -> Flags:
        """``(T, D)``, whether the prediction is a false positive."""
        return ~(self.true | self.ignored)

    @cached_property
    def persons_per_image(self) -> NDArray[np.int64]:
        """``(M,)``, how many persons count on each image."""
        return np.bincount(self.person_images[self.counted], minlength=len(self.image_ids))

    @cached_property
    def ranking(self) -> Ranking:
        """What AP needs of the matches."""
        return Ranking(self.images, self.true, self.ignored, self.persons_per_image)

    def average_precision(self, weights: NDArray[np.integer] | None = None) -> float:
        """AP over all thresholds, in [0, 1], or -1 without persons; `weights` ``(M,)`` counts each image."""
        if weights is None:
            weights = np.ones(len(self.image_ids), dtype=np.int64)
        return float(average_precisions(self.ranking, np.asarray(weights)[None])[0])

    def precision_recall(self, threshold: float) -> tuple[FloatArray, FloatArray]:
        """The curve whose mean precision is the AP at a threshold.

        Args:
            threshold: an OKS of .5, .55, ... .95.

        Returns:
            Recall and precision, ``(101,)`` each; precision is -1 where there is no person to find.

        Raises:
            ValueError: that is none of the thresholds.
        """
        near = np.flatnonzero(np.isclose(THRESHOLDS, threshold))
        if not len(near):
            raise ValueError(f"OKS thresholds are .5, .55, ... .95; got {threshold}")
        return RECALLS, curve(self.ranking, int(near[0]))

    def of_level(self, level: str) -> "Matches":
        """The matches on the images of a crowding level; raises UnknownNameError."""
        if level not in self.levels:
            raise UnknownNameError("crowding level", level, self.levels)
        return self.of_images(self.image_levels == self.levels.index(level))

    def of_images(self, chosen: Flags) -> "Matches":
        """The matches on the images of a mask ``(M,)``."""
        numbers = np.cumsum(chosen) - 1
        seen, persons = chosen[self.images], chosen[self.person_images]
        person_numbers = np.append(np.cumsum(persons) - 1, -1)  # the last for unmatched, at -1
        return replace(
            self,
            image_ids=[image_id for image_id, wanted in zip(self.image_ids, chosen, strict=True) if wanted],
            crowd_index=None if self.crowd_index is None else self.crowd_index[chosen],
            image_levels=self.image_levels[chosen],
            images=numbers[self.images[seen]],
            scores=self.scores[seen],
            predictions=self.predictions[seen],
            taken=person_numbers[self.taken[:, seen]],
            true=self.true[:, seen],
            ignored=self.ignored[:, seen],
            person_images=numbers[self.person_images[persons]],
            counted=self.counted[persons],
        )


def match_run(run: "Run", dataset: "Dataset | None" = None) -> Matches:
    """Match the predictions of a finished run.

    Args:
        run: done, with its predictions.
        dataset: that it was measured on; None opens it again as the record names it.

    Raises:
        MissingDataError: the run has no predictions, or the dataset's files are not there.
        InputError: the dataset's annotations are not those that the run was scored against.
        AnnotationError, PredictionError: a file cannot be scored.
    """
    from crowdbench.scoring.run_inputs import load_run_problem

    return match(load_run_problem(run, dataset))


def match(problem: Problem, thresholds: Sequence[float] = tuple(THRESHOLDS)) -> Matches:
    """Match predictions with persons as COCO's tool does, at each OKS threshold.

    In order of score, each prediction of an image is matched with the free person of highest OKS that reaches
    the threshold; ties go to the later person in the file. Persons that do not count are matched only if no
    other is left; a group (iscrowd) can be matched any number of times.
    """
    kept, ranks = _best_of_each_image(problem)
    images = problem.prediction_images[kept] - 1
    low, high = area_bounds(problem.protocol)[0]
    areas = problem.persons.areas
    counted = problem.counted & (areas >= low) & (areas <= high)
    taken = _matched_persons(problem, kept, images, ranks, counted, np.array(thresholds))
    unmatched = taken < 0
    own_areas = _prediction_areas(problem)[kept]
    outside = (own_areas < low) | (own_areas > high)
    # An unmatched prediction indexes the last person (-1); the mask leaves it out.
    true = ~unmatched & counted[taken] if len(counted) else np.zeros_like(unmatched)
    ignored = (unmatched & outside) | (~unmatched & ~true)
    # Images come by ascending number already; a stable sort by score breaks ties as engines do.
    order = np.argsort(-problem.scores[kept], kind="stable")
    names, levels = _levels(problem)
    return Matches(
        image_ids=problem.images.ids,
        crowd_index=problem.images.crowd_index,
        levels=names,
        image_levels=levels,
        images=images[order],
        scores=problem.scores[kept][order],
        predictions=kept[order],
        taken=taken[:, order],
        true=true[:, order],
        ignored=ignored[:, order],
        person_images=problem.person_images - 1,
        counted=counted,
    )


def _levels(problem: Problem) -> tuple[tuple[str, ...], Indices]:
    levels = np.full(len(problem.images.ids), -1)
    names = tuple(name for name, _, _ in problem.protocol.crowding_splits)
    for position, name in enumerate(names):
        levels[problem.split(name) - 1] = position
    return names, levels


def _best_of_each_image(problem: Problem) -> tuple[Indices, Indices]:
    """The 20 best-scored predictions of each image, by image, and their ranks in it."""
    # The last key is the primary one; a stable sort keeps file order for equal scores.
    order = np.lexsort((-problem.scores, problem.prediction_images))
    ranks = _positions(np.unique(problem.prediction_images[order], return_counts=True)[1])
    best = ranks < MAX_DETECTIONS
    return order[best], ranks[best]


def _positions(counts: NDArray[np.integer]) -> Indices:
    """0, 1, ... count - 1 for each count, one after the other."""
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    found: Indices = np.arange(len(begins)) - begins
    return found


def _matched_persons(
    problem: Problem,
    kept: Indices,
    images: Indices,
    ranks: Indices,
    counted: Flags,
    thresholds: FloatArray,
) -> Indices:
    """``(T, D)``: the person matched with each prediction, or -1.

    Vectorized over images and thresholds, from the best prediction of every image to the twentieth.
    """
    persons_by_image = np.argsort(problem.person_images, kind="stable")
    per_image = np.bincount(problem.person_images - 1, minlength=len(problem.images.ids))
    first_of_image = np.cumsum(per_image) - per_image
    taken = np.full((len(thresholds), len(kept)), -1)
    is_free = np.ones((len(thresholds), len(problem.person_images)), dtype=bool)
    reached = np.minimum(thresholds, _HIGHEST)[:, None]
    # Every prediction paired with every person of its image: P pairs, sorted by rank.
    takers = np.argsort(ranks, kind="stable")
    takers = takers[per_image[images[takers]] > 0]
    counts = per_image[images[takers]]
    taker = np.repeat(takers, counts)
    person = persons_by_image[np.repeat(first_of_image[images[takers]], counts) + _positions(counts)]
    similarity = similarities(problem, kept[taker], person)
    # Rank pairs by preference; integer ranks break ties of OKS as COCO's tool does.
    order = np.lexsort((np.arange(len(person)), similarity, counted[person]))
    preference = np.empty_like(order)
    preference[order] = np.arange(len(person))
    ends = np.searchsorted(ranks[taker], np.arange(MAX_DETECTIONS), side="right")
    for pairs in map(slice, [0, *ends], ends):
        if pairs.start == pairs.stop:
            continue
        starts = np.flatnonzero(np.diff(taker[pairs], prepend=-1))
        possible = is_free[:, person[pairs]] & (similarity[pairs] >= reached)
        best = np.maximum.reduceat(np.where(possible, preference[pairs], -1), starts, axis=1)
        threshold, which = np.nonzero(best >= 0)
        pair = order[best[threshold, which]]
        taken[threshold, taker[pair]] = person[pair]
        is_free[threshold, person[pair]] = problem.persons.is_crowd[person[pair]]
    return taken


def _prediction_areas(problem: Problem) -> FloatArray:
    """``(P,)``, square pixels: of the box if the file has boxes, else of the extent of all keypoints."""
    with np.errstate(over="ignore", invalid="ignore"):
        if problem.boxes is not None:
            boxes = np.array(problem.boxes, dtype=np.float64).reshape(-1, 4)
            areas: FloatArray = boxes[:, 2] * boxes[:, 3]
            return areas
        shape = (-1, problem.protocol.keypoints.count, 3)
        points = np.array(problem.keypoints, dtype=np.float64).reshape(shape)[..., :2]
        extent = points.max(axis=1) - points.min(axis=1)
        areas = extent[:, 0] * extent[:, 1]
        return areas
