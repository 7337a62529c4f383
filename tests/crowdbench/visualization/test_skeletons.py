"""Skeletons on pixels and as SVG: what is told apart, what is left out, what cannot be smuggled in."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from crowdbench.api.types import KeypointSet, Pose
from crowdbench.errors import ShapeError
from crowdbench.visualization import plots as figures
from crowdbench.visualization.skeletons import (
    COLOURS,
    draw_on,
    line_width,
    person_colours,
    sides,
)

# A left limb, a right limb, and one between the sides.
LAYOUT = KeypointSet(
    name="four",
    keypoints=("left_hand", "right_hand", "left_hip", "right_hip"),
    flip_pairs=((0, 1), (2, 3)),
    skeleton=((0, 2), (1, 3), (2, 3)),
    sigmas=(0.1,) * 4,
    upper_body=(0, 1),
)
SQUARE = ((70.0, 20.0), (20.0, 20.0), (70.0, 80.0), (20.0, 80.0))


def person(confidences: Sequence[float] = (1, 1, 1, 1), shift: float = 0.0, score: float = 1.0) -> Pose:
    return Pose(np.c_[np.array(SQUARE) + shift, confidences], score)


def canvas(height: int = 100, width: int = 100) -> Any:
    return np.full((height, width, 3), 128, np.uint8)


def rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


def test_the_image_that_is_given_stays_as_it_is() -> None:
    image = canvas()
    drawn = draw_on(image, [person()], LAYOUT)
    assert (image == 128).all()
    assert not np.array_equal(drawn, image)
    assert np.array_equal(draw_on(image, [], LAYOUT), image)


def test_a_person_has_its_colour_and_its_right_side_a_white_core() -> None:
    drawn = draw_on(canvas(), [person()], LAYOUT, colours=["#0072B2"])
    assert drawn[50, 70].tolist() == rgb("#0072B2")
    assert (drawn[50, 20] > 220).all()
    assert drawn[80, 45].tolist() == rgb("#0072B2")  # from hip to hip: neither side
    assert drawn[50, 45].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(("left_eye", "right_eye", "nose"), ("left", "right", "middle"), id="left first"),
        pytest.param(("RightEye", "LeftEye", "nose"), ("right", "left", "middle"), id="right first"),
        pytest.param(("a", "b", "c"), ("left", "right", "middle"), id="names that say nothing"),
    ],
)
def test_sides_are_those_of_the_names(names: tuple[str, str, str], expected: tuple[str, ...]) -> None:
    assert sides(KeypointSet("x", names, ((0, 1),), (), (0.1,) * 3, ())) == expected


def test_low_confidence_is_faint_and_below_the_threshold_nothing() -> None:
    sure = draw_on(canvas(), [person()], LAYOUT, colours=["#000000"])
    unsure = draw_on(canvas(), [person((0.1, 1, 1, 1))], LAYOUT, colours=["#000000"])
    absent = draw_on(canvas(), [person((0.1, 1, 1, 1))], LAYOUT, colours=["#000000"], threshold=0.2)
    assert sure[50, 70, 0] < unsure[50, 70, 0] < absent[50, 70, 0] == 128
    assert (sure[80, 45] == absent[80, 45]).all()


def test_the_better_pose_lies_above() -> None:
    for scores, above in (((0.9, 0.1), 0), ((0.1, 0.9), 1)):
        poses = [person(score=score) for score in scores]
        drawn = draw_on(canvas(), poses, LAYOUT, colours=COLOURS[:2])
        assert drawn[50, 70].tolist() == rgb(COLOURS[above])


@pytest.mark.parametrize("away", [-1e9, -300.0, 60.0, 500.0, 1e300])
def test_poses_partly_or_far_outside_the_image_are_drawn_as_far_as_it_goes(away: float) -> None:
    drawn = draw_on(canvas(), [person(shift=away)], LAYOUT)
    assert drawn.shape == (100, 100, 3)
    assert (drawn == 128).all() == (away != 60.0)
    keypoints = person().keypoints.copy()
    keypoints[2, :2] = away
    assert not (draw_on(canvas(), [Pose(keypoints, 1.0)], LAYOUT) == 128).all()


def test_an_image_that_is_a_view_in_another_order_is_drawn_on() -> None:
    flipped = canvas()[:, ::-1, ::-1]
    assert not np.array_equal(draw_on(flipped, [person()], LAYOUT), flipped)


def test_larger_persons_have_wider_lines_within_limits() -> None:
    widths = [line_width(np.array(SQUARE) * scale) for scale in (0.1, 1, 6, 8, 100)]
    assert widths == sorted(widths)
    assert widths[0] == widths[1] < widths[2] < widths[3] < widths[4] == line_width([[0, 0], [1e9, 1e9]])
    assert line_width(np.zeros((0, 2))) == widths[0]


def test_neighbours_differ_in_colour_as_long_as_there_are_colours() -> None:
    colours = person_colours([person(shift=10.0 * i) for i in range(len(COLOURS))])
    assert sorted(colours) == sorted(COLOURS)
    again = person_colours([person(shift=10.0 * i) for i in range(3 * len(COLOURS))])
    assert all(a != b for a, b in itertools.pairwise(again))


def test_persons_keep_their_colours_from_frame_to_frame() -> None:
    one, two = person(), person(shift=200)
    before = list(zip([one, two], person_colours([one, two]), strict=True))
    moved = [person(shift=205), person(shift=-4), person(shift=900)]
    colours = person_colours(moved, before)
    assert colours[:2] == [before[1][1], before[0][1]]


def test_the_palette_is_that_of_figures_but_for_black() -> None:
    assert set(COLOURS) - set(figures.COLOURS) == {"#F0E442"}
    assert "#000000" not in COLOURS
    assert len(set(COLOURS)) == len(COLOURS) == 7


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"keypoints of four must be \(4, 3\), got \(3, 3\)"):
        draw_on(canvas(), [Pose(person().keypoints[:3], 1.0)], LAYOUT)
    with pytest.raises(ShapeError, match="2 poses need 2 colours, got 1"):
        draw_on(canvas(), [person(), person()], LAYOUT, colours=["#000000"])
    with pytest.raises(ShapeError, match="must be #rrggbb, got 'red'"):
        draw_on(canvas(), [person()], LAYOUT, colours=["red"])
