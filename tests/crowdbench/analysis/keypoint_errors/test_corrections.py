"""Where corrected keypoints go, and what else is left as it was."""

from pathlib import Path

import numpy as np
import pytest

from crowdbench.analysis.keypoint_errors.analyse import diagnosed
from crowdbench.analysis.keypoint_errors.corrections import (
    CUMULATIVE,
    Diagnosis,
    with_best_scores,
    with_keypoints_corrected,
    without_background,
    without_persons_not_found,
)
from crowdbench.analysis.keypoint_errors.error_types import KINDS
from crowdbench.api.types import FloatArray
from crowdbench.scoring.problem import read_problem
from crowdbench_datasets.scoring_protocols import CROWDPOSE_PROTOCOL


@pytest.fixture(scope="module")
def diagnosis(goldens: Path) -> Diagnosis:
    folder = goldens / "metrics"
    return diagnosed(
        read_problem(
            folder / "crowd_small_bbox_preds.json", folder / "crowdpose_val_small_gt.json", CROWDPOSE_PROTOCOL
        )
    )


def offsets(diagnosis: Diagnosis, keypoints: list[list[float]]) -> FloatArray:
    """From the true keypoints of matched persons to the predicted ones, in units of 2 sigma sqrt(area)."""
    poses = np.array(keypoints).reshape(-1, 14, 3)[diagnosis.places]
    persons = diagnosis.pairing.person[diagnosis.places]
    units = (
        np.sqrt(diagnosis.problem.persons.areas[persons])[:, None]
        * 2
        * np.array(CROWDPOSE_PROTOCOL.keypoints.sigmas)
    )
    moved: FloatArray = (poses - diagnosis.truth[persons])[..., :2] / units[..., None]
    return moved


@pytest.mark.parametrize("kind", CUMULATIVE)
def test_a_corrected_keypoint_comes_nearer_on_a_straight_line(kind: str, diagnosis: Diagnosis) -> None:
    before = offsets(diagnosis, diagnosis.problem.keypoints)
    after = offsets(diagnosis, with_keypoints_corrected(diagnosis, [kind]).keypoints)
    chosen = diagnosis.kinds.codes == KINDS.index(kind)
    assert chosen.sum() > 20
    similarity = np.exp(-(after[chosen] ** 2).sum(axis=-1) / 2)
    wanted = {"jitter": 0.85, "miss": 0.5}.get(kind, diagnosis.kinds.similarity[chosen])
    assert similarity == pytest.approx(wanted, abs=1e-9)
    lengths = [np.linalg.norm(them[chosen], axis=-1) for them in (before, after)]
    assert (lengths[1] < lengths[0]).all()
    along = (before[chosen] * after[chosen]).sum(axis=-1)
    assert along == pytest.approx(lengths[0] * lengths[1])


@pytest.mark.parametrize("kinds", [("miss",), ("miss", "swap"), CUMULATIVE])
def test_other_keypoints_stay_where_they_are(kinds: tuple[str, ...], diagnosis: Diagnosis) -> None:
    corrected = with_keypoints_corrected(diagnosis, kinds)
    before, after = (
        np.array(them).reshape(-1, 14, 3) for them in (diagnosis.problem.keypoints, corrected.keypoints)
    )
    moved = (before != after).any(axis=-1)
    chosen = np.zeros_like(moved)
    chosen[diagnosis.places] = np.isin(diagnosis.kinds.codes, [KINDS.index(kind) for kind in kinds])
    assert np.array_equal(moved, chosen)
    assert np.array_equal(before[..., 2], after[..., 2])
    assert np.array_equal(corrected.scores, diagnosis.problem.scores)


def test_without_background_all_others_are_left_with_their_boxes(diagnosis: Diagnosis) -> None:
    problem, corrected = diagnosis.problem, without_background(diagnosis)
    keep = np.flatnonzero(diagnosis.pairing.person >= 0)
    assert 0 < len(keep) < len(problem.scores)
    assert corrected.keypoints == [problem.keypoints[place] for place in keep]
    assert problem.boxes is not None
    assert corrected.boxes == [problem.boxes[place] for place in keep]
    assert np.array_equal(corrected.prediction_images, problem.prediction_images[keep])


def test_persons_not_found_count_no_longer_and_all_others_do(diagnosis: Diagnosis) -> None:
    corrected = without_persons_not_found(diagnosis)
    found = set(diagnosis.pairing.person[diagnosis.pairing.person >= 0].tolist())
    assert 0 < diagnosis.is_not_found.sum() < len(diagnosis.truth)
    assert set(np.flatnonzero(corrected.counted)) == set(np.flatnonzero(diagnosis.problem.counted)) & found


def test_the_best_score_is_the_oks_with_the_matched_person(diagnosis: Diagnosis) -> None:
    scores = with_best_scores(diagnosis).scores
    matched = diagnosis.pairing.person >= 0
    assert (scores[matched] >= 0.1).all()
    assert (scores[~matched] <= 0).all()
    assert np.array_equal(scores[matched], diagnosis.oks[matched])
