"""Augmentation: what is drawn, and where keypoints, crops and heatmaps end up.

The released numbers are compared in tests/methods/i2rnet/test_training_transforms.py.
"""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crowdbench.api.types import FloatArray, KeypointSet
from crowdbench.errors import ShapeError
from crowdbench.vision.geometry import centers_and_scales, crop_affines, warp_crops
from crowdbench_backbones.top_down.augmentation import (
    Augmentation,
    Draws,
    Views,
    augment,
    draw,
    mirrored_centers,
    mirrored_image,
    mirrored_keypoints,
)

SIZE, HEATMAP = (256, 192), (64, 48)
WIDTH, HEIGHT = 320, 240
NAMES = ("nose", "left hand", "right hand", "left hip", "right hip", "left foot", "right foot")
KEYPOINTS = KeypointSet(
    name="seven",
    keypoints=NAMES,
    flip_pairs=((1, 2), (3, 4), (5, 6)),
    skeleton=(),
    sigmas=(0.1,) * 7,
    upper_body=(0, 1, 2),
)
STILL = Draws(flip=False, rotation=0.0, scale=1.0, half_body=False, prefers_upper=np.array([True]))
HALVES = Augmentation(half_body_keypoints=3)

any_draws = st.builds(
    Draws,
    flip=st.booleans(),
    rotation=st.floats(-90, 90),
    scale=st.floats(0.65, 1.35),
    half_body=st.booleans(),
    prefers_upper=st.booleans().map(lambda upper: np.array([upper])),
)
positions = st.tuples(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1))
a_person = st.lists(st.tuples(positions, st.sampled_from([0, 1, 2])), min_size=7, max_size=7).map(
    lambda seven: np.array([[[x, y, v] for (x, y), v in seven]], dtype=np.float64)
)


def seen(persons: FloatArray, draws: Draws, boxes: Any = ((100, 60, 90, 120),), **changes: Any) -> Views:
    centers, scales = centers_and_scales(np.array(boxes, dtype=np.float64), SIZE)
    arguments: dict[str, Any] = {
        "width": WIDTH,
        "keypoint_set": KEYPOINTS,
        "input_size": SIZE,
        "augmentation": HALVES,
        **changes,
    }
    return augment(persons, centers, scales, draws, **arguments)


def person(*visible: int) -> FloatArray:
    """Seven keypoints, each 20 pixels below the last, left and right in turn, of which some are visible."""
    x, y = 130 + 40.0 * (np.arange(7) % 2), 60 + 20.0 * np.arange(7)
    return np.stack([x, y, np.isin(np.arange(7), visible)], axis=1)[None]


def test_an_equal_seed_draws_the_same_and_asks_no_global_generator() -> None:
    before = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    first, second = (draw(np.random.default_rng(7), 5, Augmentation()) for _ in range(2))
    assert (first.flip, first.rotation, first.scale) == (second.flip, second.rotation, second.scale)
    assert first.half_body == second.half_body
    np.testing.assert_array_equal(first.prefers_upper, second.prefers_upper)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before  # noqa: NPY002


def test_draws_follow_the_published_distributions() -> None:
    rng = np.random.default_rng(0)
    many = [draw(rng, 2, Augmentation()) for _ in range(20_000)]
    rotations = np.array([d.rotation for d in many])
    scales = np.array([d.scale for d in many])
    # Four standard errors of 20,000 draws are below 0.015.
    assert np.mean([d.flip for d in many]) == pytest.approx(0.5, abs=0.015)
    assert np.mean([d.half_body for d in many]) == pytest.approx(0.3, abs=0.015)
    assert np.mean([d.prefers_upper for d in many]) == pytest.approx(0.6915, abs=0.015)
    assert np.mean(rotations != 0) == pytest.approx(0.6, abs=0.015)
    # A normal variable is beyond two sigmas 4.6 % of the time, beyond one 31.7 %: there angles and factors pile up.
    assert np.abs(rotations).max() == 90
    assert np.mean(np.abs(rotations) == 90) == pytest.approx(0.6 * 0.0455, abs=0.015)
    assert (scales.min(), scales.max()) == (0.65, 1.35)
    assert np.mean((scales == 0.65) | (scales == 1.35)) == pytest.approx(0.3173, abs=0.015)
    assert np.median(np.abs(rotations[(rotations != 0)])) == pytest.approx(45 * 0.6745, abs=2)
    assert rotations.mean() == pytest.approx(0, abs=1.5)
    assert np.corrcoef(rotations, scales)[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("changed", ["flip", "rotation", "half_body", "upper_half"])
def test_changing_one_probability_changes_nothing_else_that_is_drawn(changed: str) -> None:
    def outcome(probability: float) -> dict[str, Any]:
        augmentation = replace(Augmentation(), **{f"{changed}_probability": probability})  # type: ignore[arg-type]
        draws = draw(np.random.default_rng(3), 4, augmentation)
        upper = draws.prefers_upper.tolist()
        everything = {"flip": draws.flip, "rotation": draws.rotation, "half_body": draws.half_body}
        return {**everything, "upper_half": upper, "scale": draws.scale}

    never, always = outcome(0.0), outcome(1.0)
    assert never.pop(changed) != always.pop(changed)
    assert never == always


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("flip_probability", 1.1),
        ("rotation_probability", -0.1),
        ("rotation_std", -1.0),
        ("scale_limit", 1.0),
        ("half_body_enlargement", 0.0),
        ("half_body_probability", float("nan")),
    ],
)
def test_an_impossible_augmentation_is_refused_by_the_name_of_its_setting(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        Augmentation(**{setting: value})  # type: ignore[arg-type]


@given(a_person)
def test_mirroring_twice_gives_visible_keypoints_and_centres_back(keypoints: FloatArray) -> None:
    keypoints[..., 2] = keypoints[..., 2] > 0
    twice = mirrored_keypoints(
        mirrored_keypoints(keypoints, WIDTH, KEYPOINTS.flip_order), WIDTH, KEYPOINTS.flip_order
    )
    visible = keypoints[..., 2] > 0
    np.testing.assert_allclose(twice[visible], keypoints[visible], rtol=0, atol=1e-9)
    assert not twice[~visible].any()
    centers = keypoints[0, :, :2].astype(np.float32)
    np.testing.assert_allclose(
        mirrored_centers(mirrored_centers(centers, WIDTH), WIDTH), centers, rtol=0, atol=1e-4
    )


def test_the_left_hand_is_the_right_hand_in_a_mirror() -> None:
    keypoints = person(0, 1, 2, 3)
    mirrored = mirrored_keypoints(keypoints, WIDTH, KEYPOINTS.flip_order)[0]
    assert mirrored[0].tolist() == [WIDTH - 1 - 130, 60, 1]
    assert mirrored[2].tolist() == [WIDTH - 1 - 170, 80, 1]  # was keypoint 1
    assert mirrored[4].tolist() == [WIDTH - 1 - 170, 120, 1]  # was keypoint 3
    assert mirrored[3].tolist() == [0, 0, 0]  # invisible


def test_a_mirrored_image_has_its_columns_in_reverse() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    mirrored = mirrored_image(image)
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    assert mirrored.flags.c_contiguous


def test_without_augmentation_persons_are_seen_as_in_evaluation() -> None:
    keypoints = person(0, 1, 2, 3, 4, 5, 6)
    view = seen(keypoints, STILL)
    centers, scales = centers_and_scales([[100, 60, 90, 120]], SIZE)
    np.testing.assert_array_equal(view.centers, centers)
    np.testing.assert_array_equal(view.scales, scales)
    np.testing.assert_array_equal(view.affines(SIZE), crop_affines(centers, scales, SIZE))
    np.testing.assert_array_equal(view.keypoints, keypoints)


@settings(deadline=None, max_examples=150)
@given(draws=any_draws, index=st.integers(0, 6), offset=st.tuples(st.floats(-30, 30), st.floats(-40, 40)))
def test_a_keypoint_goes_where_the_image_goes(draws: Draws, index: int, offset: tuple[float, float]) -> None:
    keypoints = person(*range(7))
    spot = keypoints[0, index, :2] = np.array([145.0, 120.0]) + offset
    x, y = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    dot = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 3**2))
    image = np.repeat(np.rint(dot).astype(np.uint8)[..., None], 3, axis=2)

    view = seen(keypoints, draws)
    index = KEYPOINTS.flip_order[index] if draws.flip else index
    for size in (SIZE, HEATMAP):
        expected = view.keypoints_in(size)[0, index, :2]
        height, width = size
        margin = width / 4  # beyond it the border would cut the dot
        assume((expected > margin).all() and (expected < (width - margin, height - margin)).all())
        (crop,) = warp_crops(mirrored_image(image) if draws.flip else image, view.affines(size), size)
        brightness = crop[..., 0].astype(np.float64)
        columns, rows = np.arange(width), np.arange(height)
        total = brightness.sum()
        middle = (brightness.sum(axis=0) @ columns) / total, (brightness.sum(axis=1) @ rows) / total
        np.testing.assert_allclose(middle, expected, rtol=0, atol=0.15)


@settings(deadline=None)
@given(keypoints=a_person, draws=any_draws)
def test_a_target_peaks_where_the_keypoint_is_in_heatmap_coordinates(
    keypoints: FloatArray, draws: Draws
) -> None:
    view = seen(keypoints, draws)
    targets, weights = view.targets(HEATMAP)
    assert targets.shape == (1, 7, *HEATMAP)
    places = view.keypoints_in(HEATMAP)[0]
    for target, weight, (x, y, visible) in zip(targets[0], weights[0], places, strict=True):
        inside = 0 <= x <= HEATMAP[1] - 1 and 0 <= y <= HEATMAP[0] - 1
        assert weight <= visible
        assert target.any() == (weight > 0) or not inside
        if visible and inside:
            assert weight == 1
            row, column = np.unravel_index(target.argmax(), HEATMAP)
            assert abs(row - y) <= 0.5001
            assert abs(column - x) <= 0.5001


@given(keypoints=a_person, draws=any_draws)
def test_rotation_moves_nothing_but_the_content_of_the_crop(keypoints: FloatArray, draws: Draws) -> None:
    turned, upright = seen(keypoints, draws), seen(keypoints, replace(draws, rotation=0.0))
    np.testing.assert_array_equal(turned.centers, upright.centers)
    np.testing.assert_array_equal(turned.scales, upright.scales)
    np.testing.assert_array_equal(turned.keypoints, upright.keypoints)


def test_a_positive_rotation_turns_the_image_counterclockwise() -> None:
    # A keypoint right of the centre appears above it.
    keypoints = person(0)
    keypoints[0, 0, :2] = seen(keypoints, STILL).centers[0] + (20, 0)
    moved = seen(keypoints, replace(STILL, rotation=90.0)).keypoints_in(SIZE)[0, 0, :2]
    middle = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])
    assert abs(moved[0] - middle[0]) < 1e-3
    assert moved[1] < middle[1] - 20


def test_a_larger_scale_shows_a_smaller_person() -> None:
    keypoints = person(0, 6)

    def distance(scale: float) -> float:
        ends = seen(keypoints, replace(STILL, scale=scale)).keypoints_in(SIZE)[0, [0, 6], :2]
        return float(np.linalg.norm(ends[1] - ends[0]))

    assert distance(1.25) == pytest.approx(distance(1.0) / 1.25, rel=0.01)


def test_invisible_keypoints_are_not_mapped() -> None:
    view = seen(person(0), replace(STILL, rotation=30.0))
    np.testing.assert_array_equal(view.keypoints_in(SIZE)[0, 1:], view.keypoints[0, 1:])
    assert (view.keypoints_in(SIZE)[0, 0, :2] != view.keypoints[0, 0, :2]).all()


@pytest.mark.parametrize(
    ("visible", "prefers_upper", "taken"),
    [
        pytest.param(range(7), True, [0, 1, 2], id="the upper half if it is preferred"),
        pytest.param(range(7), False, [3, 4, 5, 6], id="the lower half if it is preferred"),
        pytest.param([0, 1, 3, 4, 5], True, [3, 4, 5], id="the lower half if the upper has two keypoints"),
        pytest.param([0, 1, 2, 3, 4], False, [0, 1, 2], id="the upper half if the lower has two keypoints"),
        pytest.param([0, 1, 3, 4], False, [0, 1], id="the upper half if both have two"),
        pytest.param([0, 1, 2], True, None, id="none with too few visible keypoints"),
    ],
)
def test_a_half_body_is(visible: Any, prefers_upper: bool, taken: list[int] | None) -> None:
    keypoints = person(*visible)
    draws = replace(STILL, half_body=True, scale=1.2, prefers_upper=np.array([prefers_upper]))
    view, whole = seen(keypoints, draws), seen(keypoints, replace(draws, half_body=False))
    if taken is None:
        np.testing.assert_array_equal(view.centers, whole.centers)
        np.testing.assert_array_equal(view.scales, whole.scales)
        return
    points = keypoints[0, taken, :2]
    np.testing.assert_allclose(view.centers[0], points.mean(axis=0), rtol=1e-6)
    width, height = np.ptp(points, axis=0) + 1
    width, height = max(width, height * 0.75), max(height, width / 0.75)
    np.testing.assert_allclose(view.scales[0] * 200, np.array([width, height]) * 1.5, rtol=1e-6)


def test_one_upper_keypoint_and_two_lower_ones_are_no_half_body() -> None:
    keypoints = person(0, 3, 4)
    draws = replace(STILL, half_body=True)
    view = seen(keypoints, draws, augmentation=Augmentation(half_body_keypoints=2))
    np.testing.assert_array_equal(view.scales, seen(keypoints, STILL).scales)


def test_persons_of_one_image_are_cut_to_halves_one_by_one() -> None:
    persons = np.concatenate([person(*range(7)), person(0, 1), person(*range(7))])
    boxes = [[100, 60, 90, 120], [20, 30, 50, 90], [100, 60, 90, 120]]
    draws = Draws(True, 12.0, 0.9, True, np.array([True, True, False]))
    together = seen(persons, draws, boxes)
    for index in range(3):
        alone = replace(draws, prefers_upper=draws.prefers_upper[[index]])
        one = seen(persons[[index]], alone, boxes[index : index + 1])
        np.testing.assert_array_equal(together.centers[index], one.centers[0])
        np.testing.assert_array_equal(together.scales[index], one.scales[0])
        np.testing.assert_array_equal(together.affines(SIZE)[index], one.affines(SIZE)[0])


def test_an_image_without_persons_has_no_views() -> None:
    draws = draw(np.random.default_rng(0), 0, Augmentation(half_body_probability=1.0, flip_probability=1.0))
    view = seen(np.zeros((0, 7, 3)), draws, np.zeros((0, 4)))
    assert view.keypoints_in(SIZE).shape == (0, 7, 3)
    assert view.targets(HEATMAP)[0].shape == (0, 7, *HEATMAP)


def test_keypoints_of_another_set_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(n, 7, 3\) for seven, got \(1, 5, 3\)"):
        seen(np.zeros((1, 5, 3)), STILL)


def test_draws_for_other_persons_are_refused() -> None:
    with pytest.raises(ShapeError, match="draws for 2 persons"):
        seen(person(0), replace(STILL, prefers_upper=np.array([True, False])))


@pytest.mark.parametrize("flip", [True, False])
def test_the_inputs_stay_as_they_were(flip: bool) -> None:
    keypoints = person(*range(7)) * (1, 1, 2)
    centers, scales = centers_and_scales([[100, 60, 90, 120]], SIZE)
    copies = keypoints.copy(), centers.copy(), scales.copy()
    draws = Draws(flip, 20.0, 1.3, True, np.array([True]))
    augment(
        keypoints, centers, scales, draws,
        width=WIDTH, keypoint_set=KEYPOINTS, input_size=SIZE, augmentation=HALVES,
    )  # fmt: skip
    for now, before in zip((keypoints, centers, scales), copies, strict=True):
        np.testing.assert_array_equal(now, before)
