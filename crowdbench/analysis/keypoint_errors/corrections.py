"""Correct errors of one or several kinds in a scoring problem, to measure the AP gained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from crowdbench.analysis.keypoint_errors.error_types import GOOD_FROM, KINDS, NEAR_FROM, KeypointKinds
from crowdbench.analysis.keypoint_errors.pairing import UNMATCHED, Pairing
from crowdbench.api.types import FloatArray, IntArray
from crowdbench.scoring.engines import load_engine
from crowdbench.scoring.engines.base import CurveEngine
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import statistic, trivial_curves, value

CUMULATIVE = ("miss", "swap", "inversion", "jitter")
"""The order of cumulative corrections."""
BACKGROUND, NOT_FOUND, SCORE = "background", "not found", "score"
CORRECTIONS = (*CUMULATIVE, BACKGROUND, NOT_FOUND, SCORE)
"""The individual corrections: keypoint errors, unmatched predictions, persons not found, and scores."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A scoring problem with its matches and keypoint errors.

    Attributes:
        problem: predictions and ground truth.
        poses: ``(P, K, 3)``, the predictions.
        truth: ``(N, K, 3)``, the persons.
        pairing: which prediction is matched with which person.
        places: ``(M,)``, indices of the predictions matched with a counted person.
        kinds: the kinds of their keypoints.
        oks: ``(P,)``, the OKS of each prediction with its person; NaN if unmatched.
    """

    problem: Problem
    poses: FloatArray
    truth: FloatArray
    pairing: Pairing
    places: NDArray[np.int64]
    kinds: KeypointKinds
    oks: FloatArray

    @property
    def is_background(self) -> NDArray[np.bool_]:
        """``(P,)``, predictions that take part and are unmatched."""
        without: NDArray[np.bool_] = self.pairing.takes_part & (self.pairing.person == UNMATCHED)
        return without

    @property
    def is_not_found(self) -> NDArray[np.bool_]:
        """``(N,)``, persons that count and are unmatched."""
        lost = self.pairing.counted.copy()
        lost[self.pairing.person[self.places]] = False
        return lost


def with_keypoints_corrected(diagnosis: Diagnosis, kinds: Sequence[str]) -> Problem:
    """Move keypoints with some kinds of error just far enough to correct the error.

    Jitter moves to the similarity where it is just good, a miss to where it is just near, and an inverted or
    swapped keypoint as near to its own place as it is to the wrong one. The direction is kept.
    """
    problem, found = diagnosis.problem, diagnosis.kinds
    wanted = np.isin(found.codes, [KINDS.index(kind) for kind in kinds])
    rows, columns = np.nonzero(wanted)
    if not len(rows):
        return problem
    code = found.codes[rows, columns]
    similarity = found.similarity[rows, columns]
    similarity = np.where(code == KINDS.index("jitter"), GOOD_FROM, similarity)
    similarity = np.where(code == KINDS.index("miss"), NEAR_FROM, similarity)
    persons = diagnosis.pairing.person[diagnosis.places[rows]]
    spread = 2 * np.array(problem.protocol.keypoints.sigmas)[columns]
    area = problem.persons.areas[persons] + np.spacing(1)
    distance = np.sqrt(-2 * np.log(similarity) * area) * spread
    own = diagnosis.truth[persons, columns, :2]
    away = diagnosis.poses[diagnosis.places[rows], columns, :2] - own
    # Never zero: a keypoint in its own place is good. Overflow of absurd coordinates ends at the own place.
    with np.errstate(over="ignore"):
        away /= np.hypot(away[:, 0], away[:, 1])[:, None]
    poses = diagnosis.poses[diagnosis.places]
    poses[rows, columns, :2] = own + away * distance[:, None]
    keypoints = list(problem.keypoints)
    for row in np.flatnonzero(wanted.any(axis=1)):
        keypoints[diagnosis.places[row]] = poses[row].ravel().tolist()
    return replace(problem, keypoints=keypoints)


def with_best_scores(diagnosis: Diagnosis) -> Problem:
    """Score every prediction by its OKS with its person: unmatched ones rank behind, surplus ones last."""
    scores = np.nan_to_num(diagnosis.oks, nan=0.0)
    scores[~diagnosis.pairing.takes_part] = -1
    return replace(diagnosis.problem, scores=scores)


def without_background(diagnosis: Diagnosis) -> Problem:
    """Leave out the unmatched predictions."""
    problem, keep = diagnosis.problem, ~diagnosis.is_background
    return replace(
        problem,
        keypoints=list(compress(problem.keypoints, keep)),
        scores=problem.scores[keep],
        boxes=None if problem.boxes is None else list(compress(problem.boxes, keep)),
        prediction_images=problem.prediction_images[keep],
    )


def without_persons_not_found(diagnosis: Diagnosis) -> Problem:
    """Ignore the persons that are unmatched."""
    problem = diagnosis.problem
    counts = np.where(diagnosis.is_not_found, 0, problem.persons.num_keypoints)
    return replace(problem, persons=replace(problem.persons, num_keypoints=counts))


def alone(diagnosis: Diagnosis) -> Iterator[tuple[str, Problem]]:
    """Every correction by itself, in the order of `CORRECTIONS`."""
    for kind in CUMULATIVE:
        yield kind, with_keypoints_corrected(diagnosis, [kind])
    yield BACKGROUND, without_background(diagnosis)
    yield NOT_FOUND, without_persons_not_found(diagnosis)
    yield SCORE, with_best_scores(diagnosis)


def one_by_one(diagnosis: Diagnosis) -> Iterator[tuple[str, Problem]]:
    """Cumulative corrections in the order of `CUMULATIVE`, from the second on."""
    for last, kind in enumerate(CUMULATIVE[1:], start=2):
        yield kind, with_keypoints_corrected(diagnosis, CUMULATIVE[:last])


def average_precisions(problem: Problem, groups: Sequence[IntArray]) -> list[float]:
    """AP on groups of images, by the engine that scores; -1 where there is no person to find."""
    engine = load_engine("hotcoco")
    assert isinstance(engine, CurveEngine)
    what = statistic("AP", problem.protocol)
    evaluate = None
    found = []
    for images in groups:
        curves = trivial_curves(problem, images)
        if curves is None:
            evaluate = evaluate or engine.prepare(problem)
            curves = evaluate(images)
        found.append(value(curves, what))
    return found
