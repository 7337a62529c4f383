"""RTMO: the image fitted into the input, and back; by models whose persons are known."""

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
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_wrappers.rtmo import RTMO, RTMOSettings

PAIR = KeypointSet("pair", ("left", "right"), ((0, 1),), (), (0.1, 0.1), ())
SIZE = (64, 64)
NOBODY = np.empty((0, 4))


def loaded(path: Path, keypoints: KeypointSet = PAIR, **changes: object) -> RTMO:
    method = RTMO(keypoints, override(RTMOSettings(input_size=SIZE), changes, of="rtmo"))
    method.load_weights(path)
    return method


def persons(
    dets: list[list[float]], keypoints: list[list[list[float]]] | None = None
) -> dict[str, np.ndarray]:
    points = np.zeros((len(dets), 2, 3)) if keypoints is None else np.array(keypoints)
    return {"dets": np.array(dets).reshape(1, -1, 5), "keypoints": points.reshape(1, -1, 2, 3)}


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> RTMO:
    return loaded(onnx_models.rtmo_spot(tmp_path_factory.mktemp("models") / "spot.onnx", 2))


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [(64, 64, 1), (128, 100, 2), (32, 16, 0.5), (20, 640, 10)],
    ids=["as it is", "larger", "smaller", "panorama"],
)
def test_what_the_model_finds_comes_back_in_pixels_of_the_image(
    tmp_path: Path, height: int, width: int, factor: float
) -> None:
    found = persons([[4, 5, 14, 25, 0.5]], [[[7, 8, 0.75], [9, 10, 0.25]]])
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), found)
    (pose,) = loaded(path).estimate(np.zeros((height, width, 3), dtype=np.uint8), NOBODY)
    np.testing.assert_allclose(
        pose.keypoints, [[7 * factor, 8 * factor, 0.75], [9 * factor, 10 * factor, 0.25]]
    )
    assert pose.box_xywh is not None
    np.testing.assert_allclose(pose.box_xywh, np.array([4, 5, 10, 20]) * factor)
    assert pose.score == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), place=st.tuples(*[st.floats(0, 1)] * 2))
def test_a_spot_is_found_to_two_input_pixels(
    spot: RTMO, height: int, width: int, place: tuple[float, float]
) -> None:
    x, y = round(place[0] * (width - 1)), round(place[1] * (height - 1))
    pixel = max(height, width) / 64  # of the input, in those of the image
    assume(min(height, width) >= pixel)  # or a row of the input is higher than the image
    (pose,) = spot.estimate(onnx_models.painted(height, width, x, y, sigma=max(1.5, 1.5 * pixel)), NOBODY)
    # As in rtmlib the side that is rounded down counts as if it were not, which moves its far end by a pixel.
    np.testing.assert_allclose(pose.keypoints[:, :2], [[x, y]] * 2, atol=2.01 * max(1, pixel) + 0.5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 1), (3, 1000)], ids=str)
def test_images_of_any_size_have_finite_poses(spot: RTMO, height: int, width: int) -> None:
    (pose,) = spot.estimate(np.full((height, width, 3), 255, dtype=np.uint8), NOBODY)
    assert np.isfinite(pose.keypoints).all()


def test_blue_goes_in_first_and_the_padding_is_grey(tmp_path: Path) -> None:
    blue = loaded(onnx_models.rtmo_spot(tmp_path / "blue.onnx", 2, channel=0))
    image = np.zeros((64, 32, 3), dtype=np.uint8)
    image[10, 20] = 0, 0, 255
    image[40, 5] = 255, 0, 0
    np.testing.assert_array_equal(blue.estimate(image, NOBODY)[0].keypoints[0, :2], [20, 10])
    image[10, 20] = 0, 0, 113  # darker than the padding, which begins at column 32
    assert blue.estimate(image, NOBODY)[0].keypoints[0, 0] == 32
    image[10, 20] = 0, 0, 115
    np.testing.assert_array_equal(blue.estimate(image, NOBODY)[0].keypoints[0, :2], [20, 10])


def test_improbable_persons_and_doubles_are_dropped_and_the_best_comes_first(tmp_path: Path) -> None:
    dets = [[0, 0, 10, 10, 0.3], [1, 0, 11, 10, 0.9], [40, 40, 50, 60, 0.5], [20, 0, 30, 10, 0.05]]
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), persons(dets))
    image = np.zeros((64, 64, 3), dtype=np.uint8)

    def scores(**changes: object) -> list[float]:
        return [round(pose.score, 5) for pose in loaded(path, **changes).estimate(image, NOBODY)]

    assert scores() == [0.9, 0.5]
    assert scores(nms_threshold=1) == [0.9, 0.5, 0.3]
    assert scores(score_threshold=0, nms_threshold=1) == [0.9, 0.5, 0.3, 0.05]


def test_an_image_without_anybody_has_no_poses(tmp_path: Path) -> None:
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), persons([]))
    assert loaded(path).estimate(np.zeros((50, 60, 3), dtype=np.uint8), NOBODY) == []


def test_boxes_are_not_looked_at(spot: RTMO) -> None:
    image = onnx_models.painted(64, 64, 20, 30)
    (with_boxes,) = spot.estimate(image, np.array([[0.0, 0, 5, 5]]))
    np.testing.assert_array_equal(with_boxes.keypoints, spot.estimate(image, NOBODY)[0].keypoints)


def test_models_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = onnx_models.rtmo_spot(tmp_path / "m.onnx", 2)
    with pytest.raises(WeightsError, match=r"2 keypoints a person; coco.* has 17: nose"):
        loaded(path, COCO_17)
    with pytest.raises(SettingsError, match="--set input_size=64x64"):
        loaded(path, input_size="96x96")
    other = onnx_models.rtmpose_spot(tmp_path / "other.onnx", 2, size=SIZE)
    with pytest.raises(WeightsError, match=r"simcc_x .*; expected dets \(1, N, 5\) and keypoints"):
        loaded(other)
    single = onnx_models.constant(tmp_path / "one.onnx", (1, 3, *SIZE), {"dets": np.zeros((1, 4, 5))})
    with pytest.raises(WeightsError, match="expected dets"):
        loaded(single)
    with pytest.raises(SettingsError, match="score_threshold"):
        load_method("rtmo", "coco", score_threshold=2)


def test_poses_are_those_of_rtmlib(tmp_path: Path) -> None:
    """Against the owners' library, where somebody has installed it: it brings an OpenCV of its own."""
    rtmlib = pytest.importorskip("rtmlib")
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (60, 2))
    dets = np.concatenate(
        [corners, corners + rng.uniform(5, 24, (60, 2)), rng.uniform(0, 1, (60, 1))], axis=1
    )
    found = {"dets": dets[None], "keypoints": rng.uniform(0, 64, (1, 60, 2, 3))}
    path = onnx_models.constant(tmp_path / "m.onnx", (1, 3, *SIZE), found)
    image = rng.integers(0, 256, (150, 111, 3), dtype=np.uint8)
    theirs = rtmlib.RTMO(str(path), model_input_size=SIZE, backend="onnxruntime", nms_thr=0.45, score_thr=0.5)
    expected, confidences = theirs(image)
    poses = loaded(path, nms_threshold=0.45, score_threshold=0.5).estimate(image, NOBODY)
    assert 5 < len(poses) < np.sum(dets[:, 4] > 0.5)
    np.testing.assert_allclose([pose.keypoints[:, :2] for pose in poses], expected, rtol=1e-5)
    np.testing.assert_allclose([pose.keypoints[:, 2] for pose in poses], confidences, rtol=1e-5)
    # What goes into the network, too.
    seen = theirs.preprocess(image[:, :, ::-1])[0]
    from crowdbench_wrappers.rtmo import _fitted

    np.testing.assert_array_equal(_fitted(image, SIZE)[0][0].transpose(1, 2, 0), seen)
