"""YOLO pose: the image fitted into the input, and back; by models whose persons are known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.data import onnx_models

from crowdbench.api.load_method import load_method
from crowdbench.api.settings import override
from crowdbench.api.types import KeypointSet
from crowdbench.errors import SettingsError, WeightsError
from crowdbench_datasets.keypoint_sets import CROWDPOSE_14
from crowdbench_wrappers.yolo_pose import YoloPose, YoloPoseSettings

PAIR = KeypointSet("pair", ("left", "right"), ((0, 1),), (), (0.1, 0.1), ())
SIZE = (64, 64)
NOBODY = np.empty((0, 4))


def loaded(path: Path, keypoints: KeypointSet = PAIR, **changes: object) -> YoloPose:
    method = YoloPose(keypoints, override(YoloPoseSettings(input_size=SIZE), changes, of="yolo-pose"))
    method.load_weights(path)
    return method


def raw(persons: list[list[float]]) -> dict[str, np.ndarray]:
    """Middle x, y, width, height, score and keypoints of each; as a network gives it, one column a person."""
    return {"output0": np.array(persons).T[None]}


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> YoloPose:
    return loaded(onnx_models.yolo_spot(tmp_path_factory.mktemp("models") / "spot.onnx", 2))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        pytest.param(64, 64, [20, 30], id="as it is"),
        pytest.param(128, 64, [(20 - 16) * 2, 60], id="16 columns of padding on either side"),
        pytest.param(32, 64, [20, 30 - 16], id="16 rows of padding above and below"),
        # 128x86 becomes 64x43: 10.5 columns of padding, 10 of them on the left, and columns 2 pixels wide.
        pytest.param(128, 86, [(20 - 10) * 2, 60], id="a column more on the right"),
        # 99x100 becomes 63x64: rows are 99/63 pixels high, columns 100/64 wide; no row above, one below.
        pytest.param(99, 100, [20 * 100 / 64, 30 * 99 / 63], id="a rounded side"),
    ],
)
@pytest.mark.parametrize("kind", ["raw", "end-to-end"])
def test_what_the_model_finds_comes_back_in_pixels_of_the_image(
    tmp_path: Path, kind: str, height: int, width: int, expected: list[float]
) -> None:
    points = [20.0, 30, 0.75, 20, 30, 0.25]
    found = (
        raw([[25, 35, 10, 10, 0.5, *points]])
        if kind == "raw"
        else {"output0": np.array([[[20, 30, 30, 40, 0.5, 0, *points]]])}
    )
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), found)
    (pose,) = loaded(path).estimate(np.zeros((height, width, 3), dtype=np.uint8), NOBODY)
    np.testing.assert_allclose(pose.keypoints[:, :2], [expected] * 2)
    np.testing.assert_allclose(pose.keypoints[:, 2], [0.75, 0.25])
    assert pose.box_xywh is not None
    np.testing.assert_allclose(pose.box_xywh[:2], expected)
    assert pose.score == pytest.approx(0.5)


def test_keypoints_and_boxes_outside_the_image_are_moved_to_its_edge(tmp_path: Path) -> None:
    path = onnx_models.constant(
        tmp_path / "m.onnx", (1, 3, *SIZE), raw([[5, 10, 20, 20, 0.5, -7, 10, 1, 70, 60, 1]])
    )
    (pose,) = loaded(path).estimate(np.zeros((64, 48, 3), dtype=np.uint8), NOBODY)
    np.testing.assert_allclose(pose.keypoints[:, :2], [[0, 10], [48, 60]])
    np.testing.assert_allclose(pose.box_xywh, [0, 0, 7, 20])


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), place=st.tuples(*[st.floats(0, 1)] * 2))
def test_a_spot_is_found_to_one_input_pixel(
    spot: YoloPose, height: int, width: int, place: tuple[float, float]
) -> None:
    x, y = round(place[0] * (width - 1)), round(place[1] * (height - 1))
    pixel = max(height, width) / 64  # of the input, in those of the image
    assume(min(height, width) >= pixel)  # or a row of the input is higher than the image
    (pose,) = spot.estimate(onnx_models.painted(height, width, x, y, sigma=max(1.5, 1.5 * pixel)), NOBODY)
    np.testing.assert_allclose(pose.keypoints[:, :2], [[x, y]] * 2, atol=1.01 * max(1, pixel) + 0.5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 1), (3, 1000)], ids=str)
def test_images_of_any_size_have_finite_poses(spot: YoloPose, height: int, width: int) -> None:
    (pose,) = spot.estimate(np.full((height, width, 3), 255, dtype=np.uint8), NOBODY)
    assert np.isfinite(pose.keypoints).all()


def test_red_goes_in_first(tmp_path: Path) -> None:
    red = loaded(onnx_models.yolo_spot(tmp_path / "red.onnx", 2, channel=0))
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[10, 20] = 255, 0, 0
    image[40, 5] = 0, 0, 255
    np.testing.assert_array_equal(red.estimate(image, NOBODY)[0].keypoints[0, :2], [20, 10])


def test_pixels_go_in_from_0_to_1(tmp_path: Path) -> None:
    # A model whose score is the image's brightest value.
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMax", ["input"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["brightest", "shape"], ["score"]),
        helper.make_node("Concat", ["box", "score", "points"], ["output0"], axis=1),
    ]
    constants = {
        "shape": np.array([1, 1, 1]),
        "box": np.full((1, 4, 1), 20, dtype=np.float32),
        "points": np.zeros((1, 6, 1), dtype=np.float32),
    }
    path = onnx_models.save(tmp_path / "m.onnx", nodes, (1, 3, *SIZE), {"output0": (1, 11, 1)}, constants)
    (pose,) = loaded(path).estimate(np.full((64, 64, 3), 51, dtype=np.uint8), NOBODY)
    assert pose.score == pytest.approx(51 / 255)


PERSONS = [
    [10, 10, 10, 10, 0.25, *[0] * 6],
    [11, 10, 10, 10, 0.75, *[0] * 6],
    [40, 40, 10, 20, 0.5, *[0] * 6],
    [40, 10, 10, 20, 0.0005, *[0] * 6],
]


def scores(path: Path, **changes: object) -> list[float]:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    return [pose.score for pose in loaded(path, **changes).estimate(image, NOBODY)]


def test_improbable_persons_and_doubles_are_dropped_and_the_best_comes_first(tmp_path: Path) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), raw(PERSONS))
    assert scores(path) == [0.75, 0.5]
    assert scores(path, nms_threshold=0.9) == [0.75, 0.5, 0.25]  # they share 90 of 110
    assert scores(path, score_threshold=0.6) == [0.75]
    assert scores(path, max_persons=1) == [0.75]


def test_end_to_end_models_have_suppressed_by_themselves(tmp_path: Path) -> None:
    rows = [[*person[:5], 0, *person[5:]] for person in PERSONS]
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), {"output0": np.array([rows])})
    assert scores(path) == [0.75, 0.5, 0.25]
    assert scores(path, max_persons=2) == [0.75, 0.5]


def test_nobody_above_the_threshold_gives_no_poses(tmp_path: Path) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), raw(PERSONS))
    assert scores(path, score_threshold=1) == []


@pytest.mark.parametrize("shape", [(1, 56, 84), (1, 84, 57)], ids=["raw", "end-to-end"])
def test_a_model_of_17_keypoints_is_refused_for_14(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), {"output0": np.zeros(shape)})
    with pytest.raises(WeightsError, match="17 keypoints a person; crowdpose.* has 14: left_shoulder"):
        loaded(path, CROWDPOSE_14)


def test_other_models_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    detector = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), {"output0": np.zeros((1, 84, 8400))})
    with pytest.raises(
        WeightsError, match=r"output0 \(1, 84, 8400\); expected one output \(1, 11, anchors\)"
    ):
        loaded(detector)
    with pytest.raises(WeightsError, match="expected one output"):
        loaded(onnx_models.rtmo_spot(tmp_path / "rtmo.onnx", 2))
    with pytest.raises(SettingsError, match="--set input_size=64x64"):
        loaded(onnx_models.yolo_spot(tmp_path / "spot.onnx", 2), input_size="32x64")
    with pytest.raises(SettingsError, match="max_persons"):
        load_method("yolo-pose", "coco", max_persons=0)
