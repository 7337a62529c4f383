import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_method import KEYPOINTS

from crowdbench import Instance, KeypointSet, Pose
from crowdbench.errors import ShapeError


def test_mirroring_twice_is_no_change() -> None:
    order = np.array(KEYPOINTS.flip_order)
    assert list(order) == [1, 0]
    assert list(order[order]) == [0, 1]


@pytest.mark.parametrize(
    "change",
    [{"sigmas": (0.1,)}, {"skeleton": ((0, 2),)}, {"upper_body": (2,)}, {"flip_pairs": ((0, 1), (1, 0))}],
    ids=lambda change: next(iter(change)),
)
def test_a_keypoint_set_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    good = {
        "name": "two",
        "keypoints": ("left", "right"),
        "flip_pairs": ((0, 1),),
        "skeleton": ((0, 1),),
        "sigmas": (0.1, 0.1),
        "upper_body": (0,),
    }
    with pytest.raises(ShapeError, match="two"):
        KeypointSet(**{**good, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1, 2, 3)])
def test_keypoints_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\(K, 3\)"):
        Pose(np.zeros(shape), 1.0)
    with pytest.raises(ShapeError, match=r"\(K, 3\)"):
        Instance(np.zeros(4), np.zeros(shape), 1.0)


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 6))
def test_a_pose_is_finite(bad: float, place: int) -> None:
    keypoints = np.zeros((2, 3))
    score = 0.0
    if place == 6:
        score = bad
    else:
        keypoints.flat[place] = bad
    with pytest.raises(ShapeError, match="finite"):
        Pose(keypoints, score)


def test_arrays_of_an_instance_cannot_be_changed_and_are_copies() -> None:
    box = np.array([1.0, 2, 3, 4])
    instance = Instance(box, np.zeros((2, 3)), 12)
    box[0] = 99
    assert instance.box_xywh[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        instance.box_xywh[0] = 5
