"""Position masks, against the released arrays and against drawing them whole with OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crowdbench_i2rnet.position_masks import position_masks

OPENCV_4 = int(cv2.__version__.split(".", maxsplit=1)[0]) == 4
# Masks are rotated as OpenCV 4 does it. OpenCV 5 does not round positions to 1/32 pixel: where a sharp edge is
# resized little, that is 1/64 of 255 along x and as much along y.
ROTATED_TOLERANCE = 0 if OPENCV_4 else 9

a_corner = st.tuples(st.floats(-0.2, 1), st.floats(-0.2, 1))
two_sides = st.tuples(st.floats(0, 1.3), st.floats(0, 1.3))
a_size = st.sampled_from([(256, 192), (384, 288), (64, 48)])


def drawn(
    box: NDArray[np.float64],
    width: int,
    height: int,
    size: tuple[int, int],
    mirrored: bool = False,
    rotation: float = 0.0,
) -> NDArray[np.uint8]:
    """The straightforward way: draw, mirror, rotate about the middle into a larger canvas, resize."""
    x, y, w, h = box.tolist()
    canvas = np.zeros((height, width), dtype=np.uint8)
    cv2.rectangle(canvas, (int(x), int(y)), (int(x + w), int(y + h)), 255, thickness=-1)
    turn = cv2.getRotationMatrix2D((width // 2, height // 2), rotation, 1.0)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    larger = int(height * sin + width * cos), int(height * cos + width * sin)
    turn[0, 2] += larger[0] / 2 - width // 2
    turn[1, 2] += larger[1] / 2 - height // 2
    if mirrored:
        canvas = canvas[:, ::-1].copy()
    return np.asarray(cv2.resize(cv2.warpAffine(canvas, turn, larger), size[::-1]), dtype=np.uint8)


@settings(deadline=None, max_examples=100)
@given(
    image=st.tuples(st.integers(20, 1300), st.integers(20, 1300)),
    corner=a_corner,
    sides=two_sides,
    size=a_size,
)
def test_a_mask_that_is_not_shifted_equals_the_one_drawn_and_resized(
    image: tuple[int, int], corner: tuple[float, float], sides: tuple[float, float], size: tuple[int, int]
) -> None:
    width, height = image
    box = np.array([*corner, *sides]) * np.array([*image, *image])
    x, y, w, h = box.tolist()
    canvas = np.zeros((height, width), dtype=np.uint8)
    cv2.rectangle(canvas, (int(x), int(y)), (int(x + w), int(y + h)), 255, thickness=-1)
    (mask,) = position_masks(box[None], width, height, size, shifted=False)
    np.testing.assert_array_equal(mask, cv2.resize(canvas, size[::-1]))


@settings(deadline=None, max_examples=300)
@given(
    image=st.tuples(st.integers(20, 1300), st.integers(20, 1300)),
    corner=a_corner,
    sides=two_sides,
    size=a_size,
    mirrored=st.booleans(),
)
def test_a_mask_equals_the_one_drawn_rotated_and_resized(
    image: tuple[int, int],
    corner: tuple[float, float],
    sides: tuple[float, float],
    size: tuple[int, int],
    mirrored: bool,
) -> None:
    box = np.array([*corner, *sides]) * np.array([*image, *image])
    (mask,) = position_masks(box[None], *image, size, mirrored=mirrored)
    np.testing.assert_array_equal(mask, drawn(box, *image, size, mirrored))


@settings(deadline=None, max_examples=200)
@given(
    image=st.tuples(st.integers(20, 900), st.integers(20, 900)),
    corner=a_corner,
    sides=two_sides,
    size=a_size,
    mirrored=st.booleans(),
    rotation=st.floats(-90, 90) | st.sampled_from([90.0, -90.0, 45.0, 1e-9, 1e-306]),
)
def test_a_rotated_mask_equals_the_one_drawn_rotated_and_resized(
    image: tuple[int, int],
    corner: tuple[float, float],
    sides: tuple[float, float],
    size: tuple[int, int],
    mirrored: bool,
    rotation: float,
) -> None:
    box = np.array([*corner, *sides]) * np.array([*image, *image])
    (mask,) = position_masks(box[None], *image, size, mirrored=mirrored, rotation=rotation)
    expected = drawn(box, *image, size, mirrored, rotation)
    np.testing.assert_allclose(mask.astype(int), expected.astype(int), rtol=0, atol=ROTATED_TOLERANCE)


@pytest.mark.parametrize(
    ("width", "height", "rotation"),
    [
        pytest.param(512, 384, 90.0, id="canvas of exactly twice the mask's size"),
        pytest.param(256, 192, -90.0, id="canvas of exactly the mask's size"),
        pytest.param(641, 427, 90.0, id="odd sides"),
        pytest.param(641, 427, 1e-12, id="hardly rotated"),
    ],
)
def test_round_angles_are_no_exception(width: int, height: int, rotation: float) -> None:
    boxes = np.array([[0, 0, width, height], [10.7, 20.2, 99.9, 100.1], [-50, -60, 70, 80], [0, 0, 0, 0]])
    masks = position_masks(boxes, width, height, (256, 192), rotation=rotation)
    for mask, box in zip(masks.astype(int), boxes, strict=True):
        expected = drawn(box, width, height, (256, 192), rotation=rotation).astype(int)
        np.testing.assert_allclose(mask, expected, rtol=0, atol=ROTATED_TOLERANCE)


def test_a_mirrored_mask_of_an_even_image_is_the_mirrored_mask() -> None:
    boxes = np.array([[100.0, 80, 150, 300], [-20, 10, 90, 90], [600, 400, 90, 90]])
    mirrored = position_masks(boxes, 640, 480, (256, 192), mirrored=True)
    assert mirrored.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(mirrored, position_masks(boxes, 640, 480, (256, 192))[:, :, ::-1])


def test_a_mask_turns_the_way_the_crop_does() -> None:
    # A person right of the middle is above it after a turn by 90 degrees, as in a crop.
    (mask,) = position_masks(np.array([[500.0, 200, 60, 80]]), 640, 480, (256, 192), rotation=90.0)
    rows, columns = mask.nonzero()
    assert rows.max() < 128
    assert abs(columns.mean() - 95.5) < 2


@pytest.mark.parametrize(("width", "height"), [(384, 512), (192, 256), (768, 1024), (384, 500), (641, 427)])
def test_round_ratios_and_odd_sides_are_no_exception(width: int, height: int) -> None:
    boxes = np.array([[0, 0, width, height], [10.7, 20.2, 99.9, 100.1], [-50, -60, 70, 80], [0, 0, 0, 0]])
    masks = position_masks(boxes, width, height, (256, 192))
    for mask, box in zip(masks, boxes, strict=True):
        np.testing.assert_array_equal(mask, drawn(box, width, height, (256, 192)))


def test_a_box_outside_the_image_leaves_the_mask_empty() -> None:
    outside = np.array([[700.0, 10, 50, 50], [-100, -100, 50, 50], [640, 10, 50, 50], [100, -51, 50, 50]])
    assert position_masks(outside, 640, 480, (256, 192)).max() == 0
    assert position_masks(outside, 640, 480, (256, 192), mirrored=True).max() == 0
    assert position_masks(outside, 640, 480, (256, 192), rotation=20.0).max() == 0


def test_no_persons_have_no_masks() -> None:
    for rotation in (0.0, 30.0):
        masks = position_masks(np.zeros((0, 4)), 640, 480, (256, 192), rotation=rotation)
        assert masks.shape == (0, 256, 192)
