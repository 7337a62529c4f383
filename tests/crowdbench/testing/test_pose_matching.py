"""Systematic differences are found where they are, and not where there are none."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdbench.testing.pose_matching import Followed, follow, follow_free

PERSONS, KEYPOINTS = 8, 14


def followed(offset: float, noise: float, jumps: float, seed: int) -> Followed:
    rng = np.random.default_rng(seed)
    before = rng.uniform(0, 500, (PERSONS, 1, 2)) + rng.uniform(-30, 30, (PERSONS, KEYPOINTS, 2))
    after = before + offset + rng.normal(0, noise, before.shape)
    jumped = rng.random(before.shape[:2]) < jumps
    after[jumped] += rng.uniform(-60, 60, (int(jumped.sum()), 2))
    return follow(list(before), list(after), lambda p: p, before.mean(axis=1), 10.0)


@given(offset=st.sampled_from([-0.5, 0.5, 1.0]), seed=st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_an_offset_is_found_among_jumping_keypoints(offset: float, seed: int) -> None:
    found, error = followed(offset, 0.1, 0.4, seed).systematic()
    assert np.abs(found - offset).max() < 0.2
    assert (np.abs(found) > 4 * error).all()


@given(noise=st.sampled_from([0.0, 0.3, 2.0]), jumps=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_noise_is_not_taken_for_an_offset(noise: float, jumps: float, seed: int) -> None:
    found, error = followed(0.0, noise, jumps, seed).systematic()
    assert not (np.abs(found) > np.maximum(0.2, 6 * error)).any()


@given(seed=st.integers(0, 500))
@settings(max_examples=10, deadline=None)
def test_a_size_that_is_counted_otherwise_is_no_offset(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.uniform(0, 500, (PERSONS, 1, 2)) + rng.uniform(-30, 30, (PERSONS, KEYPOINTS, 2))
    centres = before.mean(axis=1)
    after = centres[:, None] + (before - centres[:, None]) * 1.02
    found, _ = follow(list(before), list(after), lambda p: p, centres, 10.0).systematic()
    assert np.abs(found).max() < 1e-6


def test_poses_in_any_order_are_compared_with_the_most_similar() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0, 500, (PERSONS, 1, 2)) + rng.uniform(-30, 30, (PERSONS, KEYPOINTS, 2))
    after = rng.permutation(before + [3.0, 4.0])
    found = follow_free(before, after, lambda p: p + [3.0, 4.0], np.zeros(2), 2.0)
    assert found.share == 1.0
    assert found.unmoved == 0.0


def test_persons_who_are_not_found_again_count_as_not_following() -> None:
    before = [np.zeros((KEYPOINTS, 2)), np.zeros((KEYPOINTS, 2))]
    found = follow(before, [before[0], None], lambda p: p, np.zeros((2, 2)), 1.0)
    assert found.share == 0.5
