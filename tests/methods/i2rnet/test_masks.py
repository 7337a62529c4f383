"""Position masks, against the released arrays and against drawing them whole with OpenCV."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crowdbench_i2rnet.masks import position_masks


def drawn(box: NDArray[np.float64], width: int, height: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The straightforward way: draw, rotate by nothing about the middle, resize."""
    x, y, w, h = box.tolist()
    canvas = np.zeros((height, width), dtype=np.uint8)
    cv2.rectangle(canvas, (int(x), int(y)), (int(x + w), int(y + h)), 255, thickness=-1)
    rotation = cv2.getRotationMatrix2D((width // 2, height // 2), 0, 1.0)
    rotation[0, 2] += width / 2 - width // 2
    rotation[1, 2] += height / 2 - height // 2
    return np.asarray(
        cv2.resize(cv2.warpAffine(canvas, rotation, (width, height)), size[::-1]), dtype=np.uint8
    )


@settings(deadline=None, max_examples=300)
@given(
    image=st.tuples(st.integers(20, 1300), st.integers(20, 1300)),
    corner=st.tuples(st.floats(-0.2, 1), st.floats(-0.2, 1)),
    sides=st.tuples(st.floats(0, 1.3), st.floats(0, 1.3)),
    size=st.sampled_from([(256, 192), (384, 288), (64, 48)]),
)
def test_a_mask_equals_the_one_drawn_rotated_and_resized(
    image: tuple[int, int], corner: tuple[float, float], sides: tuple[float, float], size: tuple[int, int]
) -> None:
    box = np.array([*corner, *sides]) * np.array([*image, *image])
    (mask,) = position_masks(box[None], *image, size)
    np.testing.assert_array_equal(mask, drawn(box, *image, size))


@pytest.mark.parametrize(("width", "height"), [(384, 512), (192, 256), (768, 1024), (384, 500), (641, 427)])
def test_round_ratios_and_odd_sides_are_no_exception(width: int, height: int) -> None:
    boxes = np.array([[0, 0, width, height], [10.7, 20.2, 99.9, 100.1], [-50, -60, 70, 80], [0, 0, 0, 0]])
    masks = position_masks(boxes, width, height, (256, 192))
    for mask, box in zip(masks, boxes, strict=True):
        np.testing.assert_array_equal(mask, drawn(box, width, height, (256, 192)))


def test_a_box_outside_the_image_leaves_the_mask_empty() -> None:
    outside = np.array([[700.0, 10, 50, 50], [-100, -100, 50, 50]])
    assert position_masks(outside, 640, 480, (256, 192)).max() == 0


def test_no_persons_have_no_masks() -> None:
    assert position_masks(np.zeros((0, 4)), 640, 480, (256, 192)).shape == (0, 256, 192)
