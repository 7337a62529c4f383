"""Which persons of a crowded image are trained on, against the released choice."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.api.types import FloatArray
from crowdbench.errors import ShapeError
from crowdbench_i2rnet.person_sampling import draw_persons, nearest_persons

corners = st.tuples(st.floats(0, 1000), st.floats(0, 1000))
a_crowd = st.lists(corners, min_size=1, max_size=12).map(lambda xy: np.array([[*c, 50.0, 90.0] for c in xy]))


def test_the_persons_kept_are_the_released_ones(goldens: Path) -> None:
    cases = json.loads((goldens / "i2rnet/collate_nearest.json").read_text())
    assert cases
    for case in cases:
        everyone = nearest_persons(case["boxes"], case["target"], len(case["boxes"]))
        assert everyone.tolist() == case["order"]
        kept = nearest_persons(case["boxes"], case["target"], 4)
        assert kept.tolist() == case["kept_for_max_patch_4"]


def test_distance_is_between_top_left_corners_not_middles() -> None:
    boxes = [[0, 0, 100, 100], [40, 0, 20, 100], [30, 0, 900, 100]]
    assert nearest_persons(boxes, 0, 3).tolist() == [0, 2, 1]


def test_of_equally_near_persons_the_earlier_comes_first() -> None:
    boxes = [[10, 0, 5, 5], [0, 10, 5, 5], [0, 0, 5, 5], [0, 0, 9, 9]]
    assert nearest_persons(boxes, 3, 4).tolist() == [2, 3, 0, 1]


@given(boxes=a_crowd, limit=st.integers(1, 12), seed=st.integers(0, 99))
def test_as_many_persons_are_drawn_as_the_limit_allows_and_none_twice(
    boxes: FloatArray, limit: int, seed: int
) -> None:
    kept = draw_persons(np.random.default_rng(seed), boxes, limit)
    assert len(set(kept.tolist())) == len(kept) == min(limit, len(boxes))
    assert set(kept.tolist()) <= set(range(len(boxes)))


@given(boxes=a_crowd, seed=st.integers(0, 99))
def test_an_image_within_the_limit_keeps_its_persons_in_their_order_and_draws_nothing(
    boxes: FloatArray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    assert draw_persons(rng, boxes, len(boxes)).tolist() == list(range(len(boxes)))
    assert rng.bit_generator.state == np.random.default_rng(seed).bit_generator.state


def test_every_person_is_drawn_as_often_as_any_other() -> None:
    boxes = np.array([[100.0 * i * i, 0, 50, 90] for i in range(5)])
    rng = np.random.default_rng(0)
    counts = np.bincount([draw_persons(rng, boxes, 1)[0] for _ in range(5000)], minlength=5)
    np.testing.assert_allclose(counts / 5000, 0.2, atol=0.025)


def test_an_equal_seed_draws_the_same_persons() -> None:
    boxes = np.random.default_rng(0).uniform(0, 500, (40, 4))
    first, second = (draw_persons(np.random.default_rng(5), boxes, 6) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_boxes_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="x, y, width, height"):
        nearest_persons([[1, 2, 3]], 0, 1)
