"""RTMPose: crops, decoding and scores, by models whose keypoints are known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data import onnx_models

from crowdbench.api.load_method import load_method
from crowdbench.api.settings import override
from crowdbench.api.types import Instance, KeypointSet, Sample
from crowdbench.errors import SettingsError, WeightsError
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_wrappers.rtmpose import RTMPose, RTMPoseSettings

PAIR = KeypointSet("pair", ("left", "right"), ((0, 1),), (), (0.1, 0.1), ())
SIZE = (64, 48)


def loaded(path: Path, keypoints: KeypointSet = PAIR, **changes: object) -> RTMPose:
    method = RTMPose(keypoints, override(RTMPoseSettings(input_size=SIZE), changes, of="rtmpose"))
    method.load_weights(path)
    return method


def peaks(x: list[int], y: list[int], heights: tuple[float, float] = (0.8, 0.6)) -> dict[str, np.ndarray]:
    """SimCC outputs with peaks at these bins, one of each list a keypoint."""
    along_x, along_y = np.zeros((1, len(x), 2 * SIZE[1])), np.zeros((1, len(y), 2 * SIZE[0]))
    along_x[0, range(len(x)), x] = heights[0]
    along_y[0, range(len(y)), y] = heights[1]
    return {"simcc_x": along_x, "simcc_y": along_y}


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> RTMPose:
    return loaded(onnx_models.rtmpose_spot(tmp_path_factory.mktemp("models") / "spot.onnx", 2))


def test_peaks_come_out_at_the_place_in_the_image_that_their_bins_stand_for(tmp_path: Path) -> None:
    # The box's sides times 1.25 are 96x128, twice the crop's, around (100, 200): the crop begins at (52, 136),
    # and a bin is one image pixel.
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), peaks([0, 95], [10, 127]))
    box = np.array([[100 - 38.4, 200 - 51.2, 76.8, 102.4]])
    (pose,) = loaded(path).estimate(np.zeros((300, 300, 3), dtype=np.uint8), box)
    np.testing.assert_allclose(pose.keypoints[:, :2], [[52, 146], [147, 263]], atol=1e-9)
    np.testing.assert_array_equal(pose.box_xywh, box[0])


@pytest.mark.parametrize(("confidence", "expected"), [("min", 0.6), ("mean", 0.7)])
def test_a_keypoints_confidence_is_that_of_both_axes(
    tmp_path: Path, confidence: str, expected: float
) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), peaks([4, 5], [6, 7]))
    method = loaded(path, confidence=confidence)
    (pose,) = method.estimate(np.zeros((9, 9, 3), dtype=np.uint8), np.array([[1.0, 1, 5, 5]]))
    np.testing.assert_allclose(pose.keypoints[:, 2], expected, rtol=1e-6)
    assert pose.score == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(
    x=st.integers(8, 191),
    y=st.integers(8, 141),
    offset=st.tuples(st.floats(-15, 15), st.floats(-20, 20)),
)
def test_a_spot_is_found_to_half_a_crop_pixel(
    spot: RTMPose, x: int, y: int, offset: tuple[float, float]
) -> None:
    # 38.4x51.2 enlarged is 48x64: crop and image have pixels of one size.
    box = np.array([[x + offset[0] - 19.2, y + offset[1] - 25.6, 38.4, 51.2]])
    (pose,) = spot.estimate(onnx_models.painted(150, 200, x, y, sigma=1.5), box)
    # A little more, because whole grey levels flatten the spot.
    np.testing.assert_allclose(pose.keypoints[:, :2], [[x, y]] * 2, atol=0.55)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 400), (400, 1), (97, 2000), (33, 31)], ids=str)
def test_images_of_any_size_have_poses_where_their_spot_is(spot: RTMPose, height: int, width: int) -> None:
    x, y = 2 * width // 3, height // 3
    image = onnx_models.painted(height, width, x, y, sigma=2)
    (pose,) = spot.estimate(image, np.array([[x - 9.2, y - 29.6, 38.4, 51.2]]))
    np.testing.assert_allclose(pose.keypoints[:, :2], [[x, y]] * 2, atol=1e-4)


def test_no_boxes_give_no_poses(spot: RTMPose) -> None:
    assert spot.estimate(np.zeros((20, 20, 3), dtype=np.uint8), np.empty((0, 4))) == []


@pytest.mark.parametrize("size", [(0, 0), (0, 20), (20, 0), (1e-9, 1e-9)], ids=str)
def test_a_box_of_no_size_has_a_finite_pose(spot: RTMPose, size: tuple[float, float]) -> None:
    (pose,) = spot.estimate(np.full((50, 50, 3), 255, dtype=np.uint8), np.array([[7, 9, *size]]))
    assert np.isfinite(pose.keypoints).all()


def test_red_goes_in_first(tmp_path: Path) -> None:
    path = onnx_models.rtmpose_spot(tmp_path / "red.onnx", 2, channel=0)
    image = onnx_models.painted(64, 48, 30, 20, sigma=1)
    image[:, :, 1:] = 0
    image[40, 10, 2] = 255  # a blue pixel elsewhere
    (pose,) = loaded(path).estimate(image, np.array([[4.8, 6.4, 38.4, 51.2]]))
    np.testing.assert_allclose(pose.keypoints[:, :2], [[30, 20]] * 2, atol=1e-6)


def test_a_model_of_one_image_at_a_time_gives_what_one_of_many_gives(tmp_path: Path, spot: RTMPose) -> None:
    one = loaded(onnx_models.rtmpose_spot(tmp_path / "one.onnx", 2, batch=1))
    image = onnx_models.painted(200, 300, 140, 90, sigma=4)
    # The last two boxes do not show the spot.
    boxes = np.array([[100.0, 40, 70, 90], [120, 60, 40, 60], [0, 0, 30, 40], [250, 0, 40, 40]])
    alone, together = one.estimate(image, boxes), spot.estimate(image, boxes)
    assert len(alone) == len(together) > 1
    for mine, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(mine.keypoints, other.keypoints)


def test_more_boxes_than_are_computed_at_a_time_all_have_a_pose(tmp_path: Path) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", ("n", 3, *SIZE), peaks([4, 60], [6, 90]), rows=True)
    boxes = np.array([[30.0 * i, 30.0 * i, 20, 20] for i in range(150)])
    poses = loaded(path).estimate(np.zeros((40, 40, 3), dtype=np.uint8), boxes)
    assert sorted(pose.box_xywh[0] for pose in poses if pose.box_xywh is not None) == [
        30.0 * i for i in range(150)
    ]


def test_the_flip_test_takes_the_mirrored_crop_for_the_other_side(tmp_path: Path) -> None:
    # Whatever is seen, left is found at bin 10. Mirrored back, that is right at bin 85.
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), peaks([10, 40], [20, 20], (1, 1)))
    box = np.array([[-19.2, -25.6, 38.4, 51.2]])
    image = np.zeros((9, 9, 3), dtype=np.uint8)
    (plain,) = loaded(path).estimate(image, box)
    (flipped,) = loaded(path, flip_test=True).estimate(image, box)
    np.testing.assert_allclose(plain.keypoints[:, 0], [10 / 2 - 24, 40 / 2 - 24])
    # Of two equal maxima the first counts: left at 10 or 95 - 40, right at 40 or 95 - 10.
    np.testing.assert_allclose(flipped.keypoints[:, 0], [10 / 2 - 24, 40 / 2 - 24])
    np.testing.assert_allclose(flipped.keypoints[:, 2], [0.5, 0.5])


def test_the_flip_test_changes_nothing_where_the_model_sees_both_sides_alike(spot: RTMPose) -> None:
    flipping = RTMPose(PAIR, RTMPoseSettings(input_size=SIZE, flip_test=True))
    flipping.load_weights(spot.model.path)
    image = onnx_models.painted(100, 100, 61, 33, sigma=3)
    box = np.array([[30.0, 10, 50, 60]])
    np.testing.assert_allclose(
        flipping.estimate(image, box)[0].keypoints, spot.estimate(image, box)[0].keypoints, rtol=1e-6
    )


def sample(tmp_path: Path, persons: list[tuple[tuple[float, float, float, float], float]]) -> Sample:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((80, 90, 3), dtype=np.uint8))
    instances = tuple(Instance(np.array(box), np.zeros((2, 3)), 1.0, score=score) for box, score in persons)
    return Sample(1, tmp_path / "a.png", 90, 80, instances, box_source="detector")


def test_a_pose_scores_its_box_times_its_confidence_and_doubles_go(tmp_path: Path) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), peaks([4, 60], [6, 90]))
    boxes = [((5, 5, 20, 40), 0.5), ((5.1, 5, 20, 40), 0.9), ((60, 20, 20, 40), 0.25)]
    poses = loaded(path).estimate_sample(sample(tmp_path, boxes))
    assert [pose.score for pose in poses] == pytest.approx([0.9 * 0.6, 0.25 * 0.6])
    assert len(loaded(path, nms_threshold=1).estimate_sample(sample(tmp_path, boxes))) == 3


def test_a_model_of_other_keypoints_is_refused_with_both_layouts(tmp_path: Path) -> None:
    path = onnx_models.rtmpose_spot(tmp_path / "m.onnx", 2)
    with pytest.raises(WeightsError, match=r"2 keypoints a person; coco.* has 17: nose") as caught:
        loaded(path, COCO_17)
    assert "m.onnx" in str(caught.value)


def test_a_model_of_another_size_is_refused_with_the_setting_to_pass(tmp_path: Path) -> None:
    path = onnx_models.rtmpose_spot(tmp_path / "m.onnx", 2, size=(96, 72))
    with pytest.raises(SettingsError, match=r"--set input_size=96x72"):
        loaded(path)
    assert loaded(path, input_size="96x72").model.size == (96, 72)


def test_other_outputs_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), {"heatmaps": np.zeros((1, 2, 16, 12))})
    with pytest.raises(WeightsError, match=r"heatmaps \(1, 2, 16, 12\); expected simcc_x \(n, K, 96\)"):
        loaded(path)
    with pytest.raises(WeightsError, match="split_ratio of 3"):
        loaded(onnx_models.rtmpose_spot(tmp_path / "two.onnx", 2), split_ratio=3)


@pytest.mark.parametrize(
    "change",
    [{"input_size": "0x48"}, {"split_ratio": 0}, {"confidence": "max"}, {"nms_threshold": 2}],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        load_method("rtmpose", "coco", **change)


def test_poses_are_those_of_rtmlib(tmp_path: Path) -> None:
    """Against the owners' library, where somebody has installed it: it brings an OpenCV of its own."""
    rtmlib = pytest.importorskip("rtmlib")
    path = onnx_models.rtmpose_spot(tmp_path / "m.onnx", 2)
    theirs = rtmlib.RTMPose(str(path), model_input_size=SIZE[::-1], backend="onnxruntime")
    mine = loaded(path, confidence="mean", nms_threshold=1, confidence_threshold=-1e9)
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    boxes = np.array([[30.5, 20.25, 100, 70], [200, 100, 33, 150], [-20, 250, 90, 90]])
    expected, confidences = theirs(image, np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1))
    poses = mine.estimate(image, boxes)
    for box, points, confidence in zip(boxes, expected, confidences, strict=True):
        (pose,) = [pose for pose in poses if np.array_equal(pose.box_xywh, box)]
        np.testing.assert_allclose(pose.keypoints[:, :2], points, atol=1e-4)
        np.testing.assert_allclose(pose.keypoints[:, 2], confidence, rtol=1e-5)
