"""OKS between poses and its suppression, against outputs of the released I2R-Net's post-processing."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.errors import ShapeError
from crowdbench.vision.heatmaps import rescore
from crowdbench.vision.oks_nms import oks_nms, pose_oks

SIGMAS = (0.05, 0.1, 0.05)
POSE = np.array([[10.0, 10.0], [50.0, 20.0], [30.0, 90.0]])


@pytest.mark.parametrize("name", ["crowdpose_gtbox", "crowdpose_det", "coco_gtbox", "coco_det"])
def test_scores_and_kept_poses_equal_the_released_ones(goldens: Path, name: str) -> None:
    golden = json.loads((goldens / f"i2rnet/postprocess_{name}.json").read_text())
    ties = json.loads((goldens / "i2rnet/postprocess_ties.json").read_text())
    tied = ties[f"postprocess_{name}.json"]["oks_nms"]
    keypoints = np.array(golden["inputs"]["keypoints"], dtype=np.float32)
    areas = np.array(golden["inputs"]["area"])
    images = np.array(golden["inputs"]["image_id"])
    sigmas = np.array(golden["sigmas"]) / golden["sigmas_divisor"]
    scores = rescore(golden["inputs"]["box_score"], keypoints[:, :, 2], golden["in_vis_thre"])
    for image in np.unique(images):
        rows = np.flatnonzero(images == image)
        kept = rows[oks_nms(keypoints[rows], scores[rows], areas[rows], sigmas, golden["oks_thre"])]
        if str(image) in tied:  # upstream's order is its processor's; this is its order without AVX-512
            assert kept.tolist() == tied[str(image)]["later_first"]
            continue
        written = [o for o in golden["outputs"]["oks_nms"] if o["image_id"] == image]
        np.testing.assert_array_equal(
            keypoints[kept].reshape(len(kept), -1),
            np.array([o["keypoints"] for o in written], dtype=np.float32),
        )
        np.testing.assert_allclose(scores[kept], [o["score"] for o in written], rtol=1e-6)


def test_oks_is_one_for_identical_poses() -> None:
    assert pose_oks([POSE], [1000], [POSE], [1000], SIGMAS) == [[1.0]]


def test_oks_of_a_known_displacement() -> None:
    moved = POSE.copy()
    moved[1, 0] += 4
    expected = (2 + np.exp(-16 / (4 * 0.1**2) / 1500 / 2)) / 3
    np.testing.assert_allclose(pose_oks([POSE], [1000], [moved], [2000], SIGMAS), [[expected]])


poses = st.lists(
    st.lists(st.tuples(st.floats(0, 200), st.floats(0, 200)), min_size=3, max_size=3), min_size=1, max_size=8
)


@given(poses, st.floats(-1000, 1000))
def test_oks_is_symmetric_and_does_not_see_a_common_shift(
    values: list[list[tuple[float, float]]], by: float
) -> None:
    keypoints, areas = np.array(values), np.full(len(values), 4000.0)
    similarity = pose_oks(keypoints, areas, keypoints, areas, SIGMAS)
    np.testing.assert_allclose(similarity, similarity.T)
    shifted = keypoints + by
    np.testing.assert_allclose(pose_oks(shifted, areas, shifted, areas, SIGMAS), similarity, atol=1e-9)


@given(poses, st.randoms(use_true_random=False))
def test_kept_poses_are_no_doubles_and_dropped_ones_are(
    values: list[list[tuple[float, float]]], random
) -> None:  # type: ignore[no-untyped-def]
    keypoints, areas = np.array(values), np.full(len(values), 4000.0)
    scores = np.array([random.random() for _ in values])
    kept = oks_nms(keypoints, scores, areas, SIGMAS, 0.5)
    similarity = pose_oks(keypoints, areas, keypoints, areas, SIGMAS)
    among = similarity[np.ix_(kept, kept)] - np.eye(len(kept))
    assert among.max() <= 0.5
    for dropped in set(range(len(values))) - set(kept.tolist()):
        better = [k for k in kept if scores[k] >= scores[dropped]]
        assert similarity[dropped, better].max() > 0.5
    assert (np.diff(scores[kept]) <= 0).all()


def test_of_equal_scores_the_later_pose_survives() -> None:
    assert oks_nms([POSE, POSE, POSE + 500], [0.5, 0.5, 0.5], [1000] * 3, SIGMAS, 0.9).tolist() == [2, 1]


def test_no_poses_are_no_error() -> None:
    assert oks_nms(np.zeros((0, 3, 3)), [], [], SIGMAS, 0.9).tolist() == []


def test_sigmas_of_another_keypoint_set_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"3 and 3 keypoints.*got 17"):
        pose_oks([POSE], [1], [POSE], [1], [0.1] * 17)
