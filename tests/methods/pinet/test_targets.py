"""Part centres, heatmaps and offsets: against the release's (pinet/targets_loss.npz), and against plain
loops.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.reference import pinet_targets as plain_pinet

from crowdbench_datasets.keypoint_sets import COCO_17, CROWDPOSE_14
from crowdbench_pinet.body_parts import part_keypoints
from crowdbench_pinet.targets import Offsets, draw_heatmaps, inside, offset_targets, part_centers

Array = NDArray[Any]
SETS = {"crowdpose": CROWDPOSE_14, "ochuman": COCO_17, "coco": COCO_17}
BACKGROUND = np.float32(0.1)


@pytest.fixture(scope="module")
def golden(goldens: Path) -> Any:
    return np.load(goldens / "pinet/targets_loss.npz")


def cases(golden: Any) -> Iterator[tuple[str, str, int]]:
    """Name, dataset and size of the maps of every image of the release's."""
    for name in golden.files:
        if name.endswith("/joints"):
            case = name.removesuffix("joints")
            yield case, case.split("/")[1], 32 if "/image" in case else 128


def dense(offsets: Offsets, parts: int, size: int) -> tuple[Array, Array]:
    """``(P, K, 2, size, size)`` and ``(P, K, size, size)``."""
    keypoints = offsets.weights.shape[1]
    values = np.zeros((parts, keypoints, 2, size * size), dtype=np.float32)
    weights = np.zeros((parts, keypoints, size * size), dtype=np.float32)
    values[offsets.parts, :, :, offsets.pixels] = offsets.values
    weights[offsets.parts, :, offsets.pixels] = offsets.weights
    return values.reshape(*values.shape[:3], size, size), weights.reshape(*values.shape[:2], size, size)


def drawn(points: Array, size: int, sigma: float = 2.0) -> tuple[Array, Array]:
    """Heatmaps of ``(n, K, 3)`` points, and which pixels are near one."""
    person, channel = np.nonzero(inside(points, size))
    maps, near = draw_heatmaps(
        torch.from_numpy(points[person, channel, :2]),
        torch.from_numpy(channel),
        points.shape[1],
        size,
        sigma,
    )
    return maps.numpy(), near.numpy()


def shown(golden: Any, name: str, maps: Array) -> None:
    """Assert that maps are the release's, of which some pixels are kept, and sums over all."""
    kept = golden[name]
    step = -(-maps.shape[1] // kept.shape[1])
    np.testing.assert_array_equal(maps[:, ::step, ::step], kept, err_msg=name)
    if f"{name}.stats" in golden.files:
        total, _, smallest, largest = golden[f"{name}.stats"].tolist()
        assert (maps.min(), maps.max()) == (np.float32(smallest), np.float32(largest)), name
        # The release's sum was made in float32.
        assert maps.sum(dtype=np.float64) == pytest.approx(total, rel=1e-6), name


def test_part_centres_are_the_released_ones(golden: Any) -> None:
    for case, dataset, _ in cases(golden):
        gated = dataset != "crowdpose" and "full128" not in case
        centers = part_centers(
            golden[f"{case}joints"],
            golden[f"{case}area"].ravel(),
            part_keypoints(SETS[dataset]),
            1024.0 if gated else 0.0,
        )
        released = golden[f"{case}part_joints"]
        there = released[..., 2] > 0
        np.testing.assert_array_equal(centers[..., 2] > 0, there, err_msg=case)
        np.testing.assert_array_equal(centers[there, :2], released[there, :2], err_msg=case)


def test_heatmaps_and_their_weights_are_the_released_ones_bit_by_bit(golden: Any) -> None:
    for case, _, size in cases(golden):
        counted: Any = 1
        if f"{case}mask" in golden.files:
            mask = golden[f"{case}mask"]
            counted = mask if mask.dtype == bool else np.unpackbits(mask).reshape(size, size)
        for points, heatmap in (("joints", "heatmap"), ("part_joints", "partmap")):
            maps, near = drawn(golden[f"{case}{points}"], size)
            shown(golden, f"{case}{heatmap}", maps)
            if f"{case}{heatmap}_mask" in golden.files:
                shown(golden, f"{case}{heatmap}_mask", np.where(near, np.float32(1), BACKGROUND) * counted)


def test_offsets_and_their_weights_are_the_released_ones_bit_by_bit(golden: Any) -> None:
    met = 0
    for case, _, size in cases(golden):
        offsets = offset_targets(
            golden[f"{case}joints"], golden[f"{case}part_joints"], golden[f"{case}area"].ravel(), size, 2
        )
        values, weights = dense(offsets, 3, size)
        both_axes = np.repeat(weights[:, :, None], 2, axis=2)
        for name, maps in (("offset", values), ("weight", both_axes)):
            if f"{case}{name}" in golden.files:
                expected = golden[f"{case}{name}"].ravel()
            else:
                expected = np.zeros(maps.size, dtype=np.float32)
                expected[golden[f"{case}{name}.index"]] = golden[f"{case}{name}.value"]
            np.testing.assert_array_equal(maps.ravel(), expected, err_msg=f"{case}{name}")
            met += np.count_nonzero(expected)
    assert met > 30_000


# Few places and few areas, so that persons meet, sit on pixels, and are equally large; and areas that float32
# rounds down and up.
AREAS = [400.0, 400.00001, 1600.0, 1600.0000001, 1234.5678, 1234.5679]
coordinates = st.one_of(st.integers(-2, 25).map(float), st.floats(-3, 26, width=16), st.floats(8, 13))
point = st.tuples(coordinates, coordinates, st.sampled_from([0, 1, 2]))
people = st.lists(
    st.tuples(st.lists(point, min_size=14, max_size=14), st.sampled_from(AREAS)), min_size=0, max_size=5
)
PARTS = part_keypoints(CROWDPOSE_14)


def arrays(people: list[Any]) -> tuple[Array, Array]:
    keypoints = np.array([points for points, _ in people], dtype=np.float64).reshape(-1, 14, 3)
    return keypoints, np.array([area for _, area in people], dtype=np.float64)


@settings(deadline=None, max_examples=150)
@given(people=people, radius=st.sampled_from([1, 2, 3]), smallest=st.sampled_from([0.0, 1000.0]))
def test_offsets_are_those_of_the_plain_loops(people: Any, radius: int, smallest: float) -> None:
    keypoints, areas = arrays(people)
    centers = part_centers(keypoints, areas, PARTS, smallest)
    np.testing.assert_array_equal(centers, plain_pinet.part_centers(keypoints, areas, PARTS, smallest))
    found = dense(offset_targets(keypoints, centers, areas, 24, radius), len(PARTS), 24)
    for own, plain in zip(found, plain_pinet.offsets(keypoints, centers, areas, 24, radius), strict=True):
        np.testing.assert_array_equal(own, plain)


@settings(deadline=None, max_examples=40)
@given(people=people, sigma=st.sampled_from([1.0, 1.5, 2.0, 2.7]))
def test_heatmaps_are_those_of_the_plain_loops(people: Any, sigma: float) -> None:
    keypoints, _ = arrays(people)
    maps, near = drawn(keypoints, 24, sigma)
    plain, plain_near = plain_pinet.heatmaps(keypoints, 24, sigma)
    np.testing.assert_array_equal(near, plain_near)
    # PyTorch's exponential and numpy's may differ in the last bit.
    np.testing.assert_allclose(maps, plain, rtol=2e-7, atol=0)


@settings(deadline=None)
@given(people=people, seed=st.integers(0, 2**32))
def test_the_order_of_persons_matters_only_where_they_meet(people: Any, seed: int) -> None:
    keypoints, areas = arrays(people)
    order = np.random.default_rng(seed).permutation(len(areas))
    centers = part_centers(keypoints, areas, PARTS, 0.0)
    np.testing.assert_array_equal(drawn(keypoints, 24)[0], drawn(keypoints[order], 24)[0])
    values, weights = dense(offset_targets(keypoints, centers, areas, 24, 2), len(PARTS), 24)
    others = offset_targets(keypoints[order], centers[order], areas[order], 24, 2)
    other_values, other_weights = dense(others, len(PARTS), 24)
    writers = np.zeros((len(PARTS), 24, 24), dtype=int)
    for person in range(len(areas)):
        alone = offset_targets(keypoints[person, None], centers[person, None], areas[person, None], 24, 2)
        writers[alone.parts, alone.pixels // 24, alone.pixels % 24] += 1
    differ = (values != other_values).any(axis=(1, 2)) | (weights != other_weights).any(axis=1)
    assert not (differ & (writers < 2)).any()
    # Whoever wrote last, it is told that somebody's keypoint is there.
    np.testing.assert_array_equal(weights > 0, other_weights > 0)


def person(*keypoints: tuple[int, float, float], of: int = 14) -> Array:
    """One person of whom some keypoints are labelled: index, x, y."""
    points = np.zeros((1, of, 3))
    for k, x, y in keypoints:
        points[0, k] = (x, y, 2)
    return points


HEAD, NECK, LEFT_WRIST = 12, 13, 4


def told(people: list[Array], areas: list[float], at: tuple[int, int] = (10, 10)) -> Array:
    """Offset and weight of the left wrist that the head's pixel tells: x, y, weight."""
    keypoints, sizes = np.concatenate(people), np.array(areas)
    centers = part_centers(keypoints, sizes, PARTS, 0.0)
    values, weights = dense(offset_targets(keypoints, centers, sizes, 24, 2), len(PARTS), 24)
    x, y = at
    return np.array([*values[0, LEFT_WRIST, :, y, x], weights[0, LEFT_WRIST, y, x]])


def test_the_smaller_of_two_persons_keeps_the_pixel() -> None:
    small = person((HEAD, 10, 10), (LEFT_WRIST, 4, 7))
    large = person((HEAD, 11, 11), (LEFT_WRIST, 20, 20))
    expected = [6, 3, np.float32(1 / 10)]
    np.testing.assert_array_equal(told([small, large], [100, 900]), expected)
    np.testing.assert_array_equal(told([large, small], [900, 100]), expected)


def test_a_wrist_on_the_very_pixel_is_written_over_by_anybody() -> None:
    on_it = person((HEAD, 10, 10), (LEFT_WRIST, 10, 10))
    large = person((HEAD, 11, 11), (LEFT_WRIST, 20, 20))
    np.testing.assert_array_equal(told([on_it, large], [100, 900]), [-10, -10, np.float32(1 / 30)])


def test_of_equally_large_persons_the_later_one_is_told() -> None:
    first, second = person((HEAD, 10, 10), (LEFT_WRIST, 4, 7)), person((HEAD, 10, 10), (LEFT_WRIST, 20, 20))
    np.testing.assert_array_equal(told([first, second], [100, 100])[:2], [-10, -10])
    np.testing.assert_array_equal(told([second, first], [100, 100])[:2], [6, 3])


@pytest.mark.parametrize(
    ("position", "told_of"),
    [(-0.01, False), (0.0, True), (23.99, True), (24.0, False)],
)
def test_keypoints_outside_the_map_are_not_told_of(position: float, told_of: bool) -> None:
    keypoints = person((HEAD, 10, 10), (LEFT_WRIST, position, 5))
    centers = part_centers(keypoints, np.array([100.0]), PARTS, 0.0)
    offsets = offset_targets(keypoints, centers, np.array([100.0]), 24, 2)
    assert offsets.weights[:, LEFT_WRIST].any() == told_of
    assert drawn(keypoints, 24)[0][LEFT_WRIST].any() == told_of


def test_someone_who_is_nowhere_in_the_map_and_nobody_at_all_tell_nothing() -> None:
    outside = person((HEAD, 40, 40), (NECK, -9, -9))
    for keypoints in (outside, outside[:0]):
        areas = np.full(len(keypoints), 100.0)
        offsets = offset_targets(keypoints, part_centers(keypoints, areas, PARTS, 0.0), areas, 24, 2)
        assert offsets.values.shape == (0, 14, 2)
        assert offsets.weights.shape == (0, 14)
        assert not drawn(keypoints, 24)[0].any()


def test_someone_without_an_area_has_no_centres() -> None:
    assert not part_centers(person((HEAD, 10, 10)), np.zeros(1), PARTS, 0.0).any()


def test_targets_of_a_crowd_take_a_fifth_of_the_plain_loops_time() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(10, 118, (12, 1, 2)) + rng.normal(0, 6, (12, 17, 2))
    keypoints = np.concatenate([places, np.full((12, 17, 1), 2.0)], axis=2)
    areas = rng.uniform(100, 4000, 12)
    centers = part_centers(keypoints, areas, part_keypoints(COCO_17), 0.0)

    def fast() -> None:
        offset_targets(keypoints, centers, areas, 128, 2)
        drawn(keypoints, 128)
        drawn(centers, 128)

    def plain() -> None:
        plain_pinet.offsets(keypoints, centers, areas, 128, 2)
        plain_pinet.heatmaps(keypoints, 128, 2.0)
        plain_pinet.heatmaps(centers, 128, 2.0)

    assert best_of(3, plain) > 5 * best_of(10, fast)


def best_of(times: int, work: Any) -> float:
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return min(durations)
