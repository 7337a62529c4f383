"""Poses become short paths that a browser draws as the bones they are."""

import re

import numpy as np
import pytest

from crowdbench.api.types import KeypointSet
from crowdbench.report.svg_poses import FARTHEST, bones_path, marks_path, view_size
from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14

TRIANGLE = KeypointSet("triangle", ("a", "b", "c", "d"), (), ((0, 1), (1, 2), (2, 0)), (0.1,) * 4, ())


def drawn(path: str) -> set[frozenset[tuple[int, int]]]:
    """The lines of a path of ``M`` and ``l`` as pairs of places."""
    lines = set()
    for x, y, steps in re.findall(r"M(-?\d+)[ ]?(-?\d+)l([^M]*)", path):
        place = (int(x), int(y))
        numbers = [int(number) for number in re.findall(r"-?\d+", steps)]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            end = (place[0] + dx, place[1] + dy)
            lines.add(frozenset((place, end)))
            place = end
    return lines


@pytest.mark.parametrize("layout", [CROWDPOSE_14, COCO_17], ids=lambda layout: layout.name)
def test_every_bone_is_drawn_and_nothing_else(layout: KeypointSet) -> None:
    rng = np.random.default_rng(1)
    points = np.c_[
        rng.permutation(500)[: layout.count], rng.permutation(500)[: layout.count], np.ones(layout.count)
    ]
    places = [(int(x), int(y)) for x, y, _ in points]
    assert drawn(bones_path(points, layout, 1.0)) == {
        frozenset((places[a], places[b])) for a, b in layout.skeleton
    }


def test_bones_of_a_keypoint_that_is_not_there_are_not_drawn() -> None:
    points = np.array([[0, 0, 2], [10, 0, 2], [10, 10, 0], [30, 30, 0]], dtype=float)
    assert drawn(bones_path(points, TRIANGLE, 1.0)) == {frozenset(((0, 0), (10, 0)))} | {frozenset(((0, 0),))}


def test_a_keypoint_without_bones_is_a_dot() -> None:
    points = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [30, 40, 1]], dtype=float)
    assert bones_path(points, TRIANGLE, 0.5) == "M15 20l0 0"


def test_a_person_whose_keypoints_nobody_knows_has_no_path() -> None:
    assert bones_path(np.zeros((4, 3)), TRIANGLE, 1.0) == ""


def test_absurd_coordinates_stay_numbers_that_svg_knows() -> None:
    points = np.array([[1e200, -1e200, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
    assert str(FARTHEST) in bones_path(points, TRIANGLE, 1.0)
    assert "e" not in bones_path(points, TRIANGLE, 1.0)


def test_marks_stand_on_the_keypoints_of_their_kind() -> None:
    points = np.array([[1, 2, 1], [3, 4, 1], [5, 6, 1], [7, 8, 1]], dtype=float)
    kinds = ("swap", "good", "swap", "")
    assert re.findall(r"M(\d+) (\d+)", marks_path(points, kinds, "swap", 10.0)) == [
        ("10", "20"),
        ("50", "60"),
    ]
    assert marks_path(points, kinds, "miss", 10.0) == ""


def test_the_view_keeps_the_pictures_shape() -> None:
    assert view_size(1000, 500, 320) == (320, 160)
    assert view_size(3, 30000, 320) == (1, 320)
