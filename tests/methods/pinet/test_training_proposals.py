"""The pixels that the refinement is trained on, against the release's and against plain sorting."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.reference import pinet_targets as plain_pinet

from crowdbench_pinet.recipe import Proposing
from crowdbench_pinet.targets import Offsets, offset_targets
from crowdbench_pinet.training_proposals import Candidates, Chosen, candidates, choose

Array = NDArray[Any]
DATASETS = ["crowdpose", "coco"]


@pytest.fixture(scope="module")
def golden(goldens: Path) -> Any:
    return np.load(goldens / "pinet/targets_loss.npz")


def released_candidates(golden: Any, case: str, part_maps: Array) -> Candidates:
    size = part_maps.shape[-1]
    arrays = [golden[f"{case}{name}"] for name in ("joints", "part_joints")]
    return candidates(offset_targets(*arrays, golden[f"{case}area"].ravel(), size, 2), part_maps)


def shown(golden: Any, case: str, chosen: Chosen) -> None:
    """Assert that the release chose the same pixels, and trains towards the same offsets there."""
    targets, weights = (
        golden[f"{case}proposals.{name}"].reshape(len(chosen.pixel), len(chosen.part), -1, 2)
        for name in ("gt_offset", "weight")
    )
    for part in range(3):
        released = golden[f"{case}proposals.part{part}"].reshape(len(chosen.pixel), -1)
        (columns,) = np.nonzero(chosen.part == part)
        for image, pixels in enumerate(released):
            order, released_order = chosen.pixel[image, columns].argsort(), pixels.argsort()
            np.testing.assert_array_equal(
                chosen.pixel[image, columns][order], pixels[released_order], err_msg=case
            )
            own, theirs = columns[order], columns[released_order]
            np.testing.assert_array_equal(chosen.values[image, own], targets[image, theirs])
            both = np.repeat(chosen.weights[image, own, :, None], 2, axis=-1)
            np.testing.assert_array_equal(both, weights[image, theirs])


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_batch_is_asked_for_the_released_pixels(golden: Any, dataset: str) -> None:
    images = [f"synthetic/{dataset}/image{image}/" for image in (0, 1)]
    found = [released_candidates(golden, case, golden[f"{case}partmap"]) for case in images]
    shown(golden, f"synthetic/{dataset}/batch/", choose(found, 3, Proposing()))


def test_real_images_are_asked_for_the_released_pixels(reference: Path, real_data: Path) -> None:
    golden = np.load(reference / "pinet/targets_loss.npz")
    cases = sorted({"/".join([*name.split("/")[:3], ""]) for name in golden.files if name[:4] == "real"})
    assert len(cases) == 18
    for case in cases:
        part_maps, _ = plain_pinet.heatmaps(golden[f"{case}part_joints"], 128, 2.0)
        shown(golden, case, choose([released_candidates(golden, case, part_maps)], 3, Proposing()))


def image_of(scores: dict[int, list[tuple[int, float]]], keypoints: int = 2) -> Candidates:
    """An image, by part: pixels and their scores; an offset tells the pixel it is of."""
    rows = [(part, pixel, score) for part, found in scores.items() for pixel, score in found]
    parts, pixels = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
    values = np.zeros((len(rows), keypoints, 2), dtype=np.float32)
    values[:, :, 0] = pixels[:, None]
    offsets = Offsets(parts, pixels, values, np.ones((len(rows), keypoints), dtype=np.float32))
    return Candidates(offsets, np.array([score for *_, score in rows], dtype=np.float32))


NOBODY = image_of({})


def pixels_of(chosen: Chosen, image: int, part: int) -> list[int]:
    pixels: list[int] = chosen.pixel[image, chosen.part == part].tolist()
    return pixels


def test_the_image_with_the_fewest_pixels_limits_the_batch() -> None:
    many = image_of({0: [(n, 1 + n) for n in range(9)], 1: [(5, 1.0)]})
    few = image_of({0: [(50, 0.2), (60, 0.9)], 1: [(n, 1.0) for n in range(9)]})
    chosen = choose([many, few], 2, Proposing(limit=5))
    assert [pixels_of(chosen, image, 0) for image in (0, 1)] == [[8, 7], [60, 50]]
    assert [pixels_of(chosen, image, 1) for image in (0, 1)] == [[5], [0]]
    assert chosen.weights.all()


def test_the_image_with_the_most_pixels_decides_if_told_so() -> None:
    many, few = image_of({0: [(n, 1 + n) for n in range(3)]}), image_of({0: [(1, 1.0)]})
    chosen = choose([many, few], 1, Proposing(limit=5, count="maximum"))
    assert [pixels_of(chosen, image, 0) for image in (0, 1)] == [[2, 1, 0], [1, 0, 2]]
    np.testing.assert_array_equal(chosen.weights[:, :, 0], [[1, 1, 1], [1, 0, 0]])
    assert choose([NOBODY], 1, Proposing(count="maximum")).pixel.shape == (1, 40)


def test_an_image_without_persons_makes_the_whole_batch_take_the_limit() -> None:
    somebody = image_of({0: [(n, 1.0) for n in range(60)], 1: [(7, 1.0)]})
    chosen = choose([somebody, NOBODY], 3, Proposing())
    assert np.bincount(chosen.part).tolist() == [40, 40, 40]
    np.testing.assert_array_equal(chosen.weights[0].any(axis=-1).reshape(3, 40).sum(axis=1), [40, 1, 0])
    assert not chosen.weights[1].any()
    assert not chosen.values[1].any()


def test_pixels_without_a_score_are_not_chosen() -> None:
    image = image_of({0: [(3, 0.0), (4, 1.0)]})
    assert pixels_of(choose([image], 1, Proposing()), 0, 0) == [4]


parts_and_scores = st.dictionaries(
    st.sampled_from([0, 1, 2]),
    st.dictionaries(st.integers(0, 63), st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=12),
)


@settings(deadline=None)
@given(
    images=st.lists(parts_and_scores, min_size=1, max_size=4),
    limit=st.integers(1, 8),
    rule=st.sampled_from(["minimum", "maximum"]),
)
def test_what_is_chosen_is_what_plain_sorting_finds(images: Any, limit: int, rule: Any) -> None:
    found = [image_of({part: list(scores.items()) for part, scores in sorted(i.items())}) for i in images]
    chosen = choose(found, 3, Proposing(limit, rule))
    for part in range(3):
        maps = np.zeros((len(images), 64))
        for image, scores in enumerate(images):
            for pixel, score in scores.get(part, {}).items():
                maps[image, pixel] = score
        counts = (maps > 0).sum(axis=1)
        count = min(counts.max() if rule == "maximum" else counts.min(), limit) or limit
        for image, scores in enumerate(maps):
            pixels = pixels_of(chosen, image, part)
            assert len(set(pixels)) == len(pixels) == count
            positive = {pixel for pixel in pixels if scores[pixel] > 0}
            assert plain_pinet.best_pixels(scores, min(count, counts[image])) <= set(pixels)
            # Nothing is learnt from those that fill up.
            weights = chosen.weights[image, chosen.part == part].any(axis=-1)
            assert {p for p, weight in zip(pixels, weights, strict=True) if weight} <= positive
            assert weights.sum() == min(count, counts[image])
