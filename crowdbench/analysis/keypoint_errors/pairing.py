"""Which prediction belongs to which person: the engine's own matching, at a low threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdbench.scoring.engines.coco_format import ground_truth, results
from crowdbench.scoring.engines.hotcoco import Hotcoco
from crowdbench.scoring.problem import Problem
from crowdbench.scoring.statistics import MAX_DETECTIONS, area_bounds

THRESHOLD = 0.1
"""OKS from which a prediction is matched with a person. Lower than in scoring: a pose with many wrong
keypoints shall be found out as such, and not be taken for background."""
NOBODY = -1


@dataclass(frozen=True, eq=False)
class Pairing:
    """Predictions matched with persons.

    Attributes:
        person: ``(P,)`` int64, position of the person that each prediction is matched with, or `NOBODY`.
        takes_part: ``(P,)`` bool; false beyond the 20 best predictions of an image.
        counted: ``(P,)`` bool; matched with a person that counts, not with one that scoring ignores.
    """

    person: NDArray[np.int64]
    takes_part: NDArray[np.bool_]
    counted: NDArray[np.bool_]


def paired(problem: Problem) -> Pairing:
    """Match predictions with persons as in scoring, at an OKS of 0.1."""
    count = len(problem.scores)
    person = np.full(count, NOBODY, dtype=np.int64)
    takes_part = np.zeros(count, dtype=bool)
    if not count:
        return Pairing(person, takes_part, takes_part.copy())
    hotcoco = Hotcoco().load("hotcoco")
    truth = hotcoco.COCO(ground_truth(problem))
    evaluation = hotcoco.COCOeval(truth, truth.load_res(results(problem)), "keypoints")
    # Attributes read back as copies: they are assigned whole.
    parameters = evaluation.params
    parameters.kpt_oks_sigmas = list(problem.protocol.keypoints.sigmas)
    parameters.area_rng = [list(area_bounds(problem.protocol)[0])]
    parameters.area_rng_lbl = ["all"]
    parameters.max_dets = [MAX_DETECTIONS]
    parameters.iou_thrs = [THRESHOLD]
    parameters.img_ids = list(range(1, len(problem.images.ids) + 1))
    evaluation.evaluate()
    for image in evaluation.eval_imgs:
        if image is not None and image["dtIds"]:
            # Predictions and persons were numbered from 1, in the problem's order; 0 is unmatched.
            places = np.array(image["dtIds"]) - 1
            takes_part[places] = True
            person[places] = np.array(image["dtMatches"][0], dtype=np.int64) - 1
    counted = person != NOBODY
    counted[counted] = counted_persons(problem)[person[counted]]
    return Pairing(person, takes_part, counted)


def counted_persons(problem: Problem) -> NDArray[np.bool_]:
    """``(N,)``, the persons that scoring does not ignore; those of absurd size it does."""
    low, high = area_bounds(problem.protocol)[0]
    counted: NDArray[np.bool_] = (
        problem.counted & (problem.persons.areas >= low) & (problem.persons.areas <= high)
    )
    return counted
