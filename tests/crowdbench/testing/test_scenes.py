"""Drawn scenes: their maps are exact, and their files hold what was drawn."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdbench.system.images import read_rgb
from crowdbench.testing.drawn_people import body, colours, pair_of
from crowdbench.testing.image_files import write_image, write_palette_png
from crowdbench.testing.scenes import Scene, draw_crowd
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14


def scene(seed: int = 0) -> Scene:
    return draw_crowd(CROWDPOSE_14, columns=2, rows=1, cell=(60, 90), margin=(9, 7), seed=seed)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_persons_are_drawn_inside_their_boxes_and_boxes_inside_the_image(seed: int) -> None:
    drawn = scene(seed)
    corner = drawn.boxes[:, None, :2]
    inside = (drawn.points >= corner) & (drawn.points <= corner + drawn.boxes[:, None, 2:] - 1)
    assert inside.all()
    assert (drawn.boxes[:, :2] >= 0).all()
    assert (drawn.boxes[:, :2] + drawn.boxes[:, 2:] <= [drawn.width, drawn.height]).all()


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_mirroring_twice_is_the_scene_itself(seed: int) -> None:
    drawn = scene(seed)
    twice = drawn.mirrored(CROWDPOSE_14).mirrored(CROWDPOSE_14)
    np.testing.assert_array_equal(twice.image, drawn.image)
    np.testing.assert_allclose(twice.points, drawn.points)
    np.testing.assert_array_equal(twice.boxes, drawn.boxes)


@pytest.mark.parametrize("factor", [2, 3])
def test_a_dot_is_where_the_map_says_it_is(factor: int) -> None:
    """A single light pixel, found again by its centre of mass."""
    image = np.zeros((20, 30, 3), np.uint8)
    image[7, 11] = 255
    point = np.array([[[11.0, 7.0]]])
    alone = Scene(image, np.array([[11.0, 7.0, 1.0, 1.0]]), point)
    for changed in (
        alone.enlarged(factor),
        alone.window(3, 2, 20, 15),
        alone.enlarged(factor).averaged(factor),
    ):
        y, x = np.nonzero(changed.image[..., 0])
        weights = changed.image[y, x, 0].astype(float)
        middle = np.average(x, weights=weights), np.average(y, weights=weights)
        np.testing.assert_allclose(changed.points[0, 0], middle, atol=0.02)


@pytest.mark.parametrize("keypoints", [CROWDPOSE_14, COCO_17])
def test_left_is_on_the_viewers_right_and_pairs_share_their_colour(keypoints) -> None:  # type: ignore[no-untyped-def]
    places = body(keypoints, np.random.default_rng(0))
    for left, right in keypoints.flip_pairs:
        assert places[left, 0] > places[right, 0]
    groups = np.array(pair_of(keypoints))
    palette = colours(keypoints)
    for one in range(keypoints.count):
        for other in range(keypoints.count):
            assert (groups[one] == groups[other]) == bool((palette[one] == palette[other]).all())


def test_files_hold_what_was_drawn(tmp_path: Path) -> None:
    drawn = scene()
    np.testing.assert_array_equal(read_rgb(write_image(tmp_path / "a.png", drawn.image)), drawn.image)
    grey = drawn.image[..., 1].copy()
    plain = np.repeat(grey[..., None], 3, axis=2)
    deep = grey.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_rgb(write_image(tmp_path / "grey.png", grey)), plain)
    np.testing.assert_array_equal(read_rgb(write_image(tmp_path / "deep.png", deep)), plain)
    palette = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
    found = read_rgb(write_palette_png(tmp_path / "palette.png", grey, palette))
    np.testing.assert_array_equal(found, palette[grey])
