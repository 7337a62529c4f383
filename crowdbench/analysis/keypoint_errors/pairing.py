"""Which prediction belongs to which person: the matching of scoring, at a low threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.scoring.matching import match
from crowdbench.scoring.problem import Problem

THRESHOLD = 0.1
"""OKS from which a prediction is matched with a person. It is lower than in scoring, so that a pose with many
wrong keypoints is analyzed as such and does not count as background."""
UNMATCHED = -1


@dataclass(frozen=True, eq=False)
class Pairing:
    """Predictions matched with persons.

    Attributes:
        person: ``(P,)`` int64, position of the person that each prediction is matched with, or `UNMATCHED`.
        takes_part: ``(P,)`` bool; false beyond the 20 best predictions of an image.
        matched_counted: ``(P,)`` bool; matched with a person that counts, not with one that scoring ignores.
        counted: ``(N,)`` bool, the persons that scoring does not ignore.
    """

    person: NDArray[np.int64]
    takes_part: NDArray[np.bool_]
    matched_counted: NDArray[np.bool_]
    counted: NDArray[np.bool_]


def paired(problem: Problem) -> Pairing:
    """Match predictions with persons as in scoring, at an OKS of 0.1."""
    count = len(problem.scores)
    person = np.full(count, UNMATCHED, dtype=np.int64)
    takes_part, matched_counted = np.zeros((2, count), dtype=bool)
    matches = match(problem, thresholds=(THRESHOLD,))
    person[matches.predictions] = matches.taken[0]
    takes_part[matches.predictions] = True
    matched_counted[matches.predictions] = matches.true[0]
    return Pairing(person, takes_part, matched_counted, matches.counted)
