"""Boxes, crops and the maps between them, against numbers of the released I2R-Net's preparation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.errors import ShapeError
from crowdbench.vision.geometry import (
    centers_and_scales,
    clean_boxes,
    crop_affines,
    transform_points,
    warp_crops,
)

PIPELINES = [
    pytest.param("crowdpose_256x192", (256, 192), id="crowdpose"),
    pytest.param("ochuman_256x192", (256, 192), id="ochuman"),
    pytest.param("coco_256x192", (256, 192), id="coco"),
    pytest.param("coco_384x288", (384, 288), id="coco-large"),
    pytest.param("coco_detector_256x192", (256, 192), id="detector"),
]

sides = st.floats(1, 2000)
boxes = st.lists(
    st.tuples(st.floats(-500, 2000), st.floats(-500, 2000), sides, sides).map(list), min_size=1, max_size=6
)


@pytest.mark.parametrize(
    ("box", "cleaned"),
    [
        pytest.param([10, 20, 30, 40], [10, 20, 30, 40], id="inside stays"),
        pytest.param([-5, -6, 30, 40], [0, 0, 30, 40], id="moved, not cut, at the near edges"),
        pytest.param([90, 70, 30, 40], [90, 70, 10, 10], id="cut at the far edges"),
        pytest.param([5, 5, 0, 0], [5, 5, 1, 1], id="a box without size covers one pixel"),
    ],
)
def test_a_box_is_cut_to_the_image(box: list[float], cleaned: list[float]) -> None:
    got, keep = clean_boxes([box], width=100, height=80)
    assert keep.tolist() == [True]
    assert got.tolist() == [cleaned]


def test_a_box_beyond_the_image_is_not_kept() -> None:
    _, keep = clean_boxes([[100, 10, 20, 20], [10, 80, 20, 20], [99, 79, 20, 20]], width=100, height=80)
    assert keep.tolist() == [False, False, True]


@given(boxes)
def test_cleaning_a_clean_box_changes_nothing(given_boxes: list[list[float]]) -> None:
    once, keep = clean_boxes(given_boxes, width=640, height=480)
    twice, again = clean_boxes(once[keep], width=640, height=480)
    assert again.all()
    np.testing.assert_allclose(twice, once[keep], atol=1e-9)


def test_no_boxes_are_no_error() -> None:
    cleaned, keep = clean_boxes([], 10, 10)
    assert cleaned.shape == (0, 4)
    assert keep.shape == (0,)
    centers, scales = centers_and_scales([], (256, 192))
    assert crop_affines(centers, scales, (256, 192)).shape == (0, 2, 3)


def test_boxes_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(n, 4\).*\(2, 3\)"):
        clean_boxes([[1, 2, 3], [4, 5, 6]], 10, 10)


@pytest.mark.parametrize(("name", "size"), PIPELINES)
def test_centres_scales_and_affines_equal_the_released_ones_bit_for_bit(
    reference: Path, real_data: Path, name: str, size: tuple[int, int]
) -> None:
    golden = np.load(reference / f"i2rnet/pipeline_{name}.npz")
    centers, scales = centers_and_scales(golden["box_xywh"], size)
    np.testing.assert_array_equal(centers, golden["center"])
    np.testing.assert_array_equal(scales, golden["scale"])
    np.testing.assert_array_equal(crop_affines(centers, scales, size), golden["affine_input"])
    heatmap = (size[0] // 4, size[1] // 4)
    np.testing.assert_array_equal(crop_affines(centers, scales, heatmap), golden["affine_heatmap"])


def test_labelled_keypoints_land_where_the_released_code_puts_them(reference: Path, real_data: Path) -> None:
    golden = np.load(reference / "i2rnet/pipeline_crowdpose_256x192.npz")
    back = crop_affines(golden["center"], golden["scale"], (256, 192), inverse=True)
    there = crop_affines(golden["center"], golden["scale"], (256, 192))
    labelled = golden["joints_vis"][:, :, 0] > 0
    in_image = transform_points(golden["joints_input"][:, :, :2], back)
    # The annotations are whole pixels.
    np.testing.assert_allclose(in_image[labelled], np.rint(in_image[labelled]), atol=1e-4)
    again = transform_points(np.rint(in_image), there)
    np.testing.assert_allclose(again[labelled], golden["joints_input"][:, :, :2][labelled], atol=1e-4)


@given(boxes, st.floats(-90, 90))
def test_the_way_back_undoes_the_way_there(given_boxes: list[list[float]], rotation: float) -> None:
    centers, scales = centers_and_scales(given_boxes, (256, 192))
    there = crop_affines(centers, scales, (256, 192), rotation=rotation)
    back = crop_affines(centers, scales, (256, 192), rotation=rotation, inverse=True)
    corners = np.array([[0, 0], [191, 0], [0, 255], [95.5, 127.5]])
    points = np.repeat(corners[None], len(centers), axis=0)
    round_trip = transform_points(transform_points(points, back), there)
    # Three float32 points define each map: a part in a million of the image's coordinates, in crop pixels.
    tolerance = 2e-3 * np.maximum(1, 192 / (200 * scales[:, 0]))
    assert (np.abs(round_trip - points).max(axis=(1, 2)) < tolerance).all()


@given(boxes)
def test_the_middle_of_a_box_is_the_middle_of_its_crop(given_boxes: list[list[float]]) -> None:
    centers, scales = centers_and_scales(given_boxes, (256, 192))
    middles = transform_points(centers[:, None], crop_affines(centers, scales, (256, 192)))
    np.testing.assert_allclose(middles, np.broadcast_to([95.5, 127.5], middles.shape), atol=0.05)


def test_a_crop_shows_the_box_and_black_beyond_the_image() -> None:
    image = np.zeros((100, 100, 3), dtype=np.uint8)
    image[:, :, 0] = 200
    centers, scales = centers_and_scales([[0, 0, 75, 100]], (256, 192))
    (crop,) = warp_crops(image, crop_affines(centers, scales, (256, 192)), (256, 192))
    assert crop.shape == (256, 192, 3)
    assert crop[128, 96].tolist() == [200, 0, 0]
    assert crop[0, 0].tolist() == [0, 0, 0]
