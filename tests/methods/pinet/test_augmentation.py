"""Random square views of images, against the release's (../shared/reference/pinet/targets_loss.json).

The release's images were cut with OpenCV 5; OpenCV 4 differs from it by up to 5 grey levels.
"""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crowdbench.api.dataset import Dataset, load_dataset
from crowdbench.api.types import Sample
from crowdbench.errors import ShapeError
from crowdbench_datasets.keypoint_sets import COCO_17
from crowdbench_pinet.augmentation import Augmentation, Draws, View, draw, mirrored, view

SPLITS = {"crowdpose": "test", "ochuman": "val", "coco": "val2017"}
LEVELS = 0 if cv2.__version__.startswith("5.") else 5
FLIP_ORDER = COCO_17.flip_order

Case = tuple[dict[str, Any], Sample, Dataset, View]


@pytest.fixture(scope="module")
def golden(reference: Path) -> Any:
    return np.load(reference / "pinet/targets_loss.npz")


@pytest.fixture(scope="module")
def cases(reference: Path, real_data: Path) -> list[Case]:
    """What the release drew for real images, and the views that follow."""
    found = []
    facts = json.loads((reference / "pinet/targets_loss.json").read_text())["real"]
    for name, told in facts.items():
        dataset = load_dataset(name, split=SPLITS[name], root=real_data / name)
        samples = {sample.image_id: sample for sample in dataset}
        for case in told["samples"]:
            seen = View(tuple(case["center"]), 200 * case["scale_div_200"], case["rotation"], case["flipped"])
            found.append((case, samples[case["image_id"]], dataset, seen))
    assert len(found) == 18
    return found


def released_draws(seed: int, side: float) -> tuple[Draws, tuple[int, int]]:
    """What the release's two generators give, in its order; the shift as whole pixels."""
    numbers = np.random.RandomState(seed)
    scale, turn = numbers.random_sample(2).tolist()
    limit = int(40 * (side / 200))
    shift = int(numbers.randint(-limit, limit)), int(numbers.randint(-limit, limit))
    flips = random.Random(seed).random()
    return Draws(scale * 0.75 + 0.75, (2 * turn - 1) * 30, (0.0, 0.0), flips < 0.5), shift


def test_the_released_numbers_make_the_released_views(cases: list[Case]) -> None:
    for case, sample, _, expected in cases:
        draws, shift = released_draws(case["seed"], expected.side)
        seen = view(draws, sample.width, sample.height, Augmentation(translation=0))
        assert seen.side == pytest.approx(expected.side, rel=1e-12)
        assert seen.rotation == pytest.approx(expected.rotation, rel=1e-12)
        assert seen.mirrored == expected.mirrored
        assert (seen.center[0] + shift[0], seen.center[1] + shift[1]) == expected.center
        # The extremes of the release's shifts are ours.
        limit = int(40 * (expected.side / 200))
        for part, moved in ((0.0, -limit), (1 - 2**-53, limit - 1)):
            seen = view(replace(draws, shift=(part, part)), sample.width, sample.height, Augmentation())
            assert seen.center == (sample.width / 2 + moved, sample.height / 2 + moved)


def test_affines_are_the_released_ones(cases: list[Case], golden: Any) -> None:
    for case, _, _, seen in cases:
        for size, name in ((512, "affine_input"), (128, "affine_output")):
            np.testing.assert_allclose(seen.affine(size), golden[case["key"] + name], rtol=0, atol=1e-12)


def test_images_are_the_released_ones(cases: list[Case], golden: Any) -> None:
    mean, std = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for case, sample, _, seen in cases:
        pixels = seen.image(sample.read(), 512)
        assert (pixels.shape, pixels.dtype) == ((512, 512, 3), np.uint8)
        normalised = ((pixels.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)
        kept = golden[case["key"] + "image"]
        unit = 1 / 255 / std.min()
        np.testing.assert_allclose(normalised[:, ::16, ::16], kept, rtol=0, atol=LEVELS * unit + 1e-6)
        if not LEVELS:
            stats = golden[case["key"] + "image.stats"]
            assert normalised.sum(dtype=np.float64) == pytest.approx(stats[0], abs=0.5)
            assert np.abs(normalised).sum(dtype=np.float64) == pytest.approx(stats[1], abs=0.5)


def test_keypoints_and_areas_are_the_released_ones(cases: list[Case], golden: Any) -> None:
    for case, sample, dataset, seen in cases:
        released = golden[case["key"] + "joints"]
        somewhere = (released[..., 2] > 0).any(axis=1)  # the release keeps persons without keypoints
        given = np.array([person.keypoints for person in sample.instances])
        found = seen.keypoints(given, 128, dataset.keypoints.flip_order)
        np.testing.assert_allclose(found, released[somewhere], rtol=0, atol=1e-10)
        areas = [seen.area(person.box_area, 512) for person in sample.instances]
        np.testing.assert_allclose(areas, golden[case["key"] + "area"][somewhere, 0], rtol=1e-12)


def test_masks_are_the_released_ones(cases: list[Case], golden: Any) -> None:
    covered = 0
    for case, sample, dataset, seen in cases:
        known = np.ones((sample.height, sample.width), dtype=bool)
        if dataset.name == "coco":
            for somebody in sample.ignored:
                known &= ~somebody.mask(sample.height, sample.width)
        released = np.unpackbits(golden[case["key"] + "mask"]).reshape(128, 128).astype(bool)
        differing = np.count_nonzero(seen.mask(known, 128) != released)
        assert differing <= (0 if not LEVELS else 20), case["key"]
        everything = seen.mask(np.ones_like(known), 128)
        covered += np.count_nonzero(everything & ~released)
    assert covered > 100  # some persons without keypoints were seen at all


any_draws = st.builds(
    Draws,
    side=st.floats(0.75, 1.5),
    rotation=st.floats(-30, 30),
    shift=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
    flip=st.booleans(),
)
any_points = st.lists(
    st.tuples(st.floats(-50, 700), st.floats(-50, 700), st.sampled_from([0.0, 1.0, 2.0])),
    min_size=17,
    max_size=17,
).map(lambda points: np.array([points]))
sizes = st.integers(1, 700)


def test_an_equal_seed_draws_the_same_and_asks_no_global_generator() -> None:
    before = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert draw(np.random.default_rng(7), Augmentation()) == draw(np.random.default_rng(7), Augmentation())
    assert before == (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002


def test_as_many_numbers_are_drawn_whatever_the_augmentation_is() -> None:
    after = set()
    for augmentation in (Augmentation(), Augmentation(rotation_limit=0, flip_probability=0, translation=0)):
        rng = np.random.default_rng(3)
        draw(rng, augmentation)
        after.add(rng.random())
    assert len(after) == 1


def test_drawings_fill_their_ranges_evenly() -> None:
    augmentation = Augmentation(flip_probability=0.25)
    draws = [draw(np.random.default_rng(seed), augmentation) for seed in range(4000)]
    for values, low, high in (
        ([d.side for d in draws], 0.75, 1.5),
        ([d.rotation for d in draws], -30, 30),
        ([d.shift[0] for d in draws], 0, 1),
        ([d.shift[1] for d in draws], 0, 1),
    ):
        counts, _ = np.histogram(values, bins=10, range=(low, high))
        assert counts.sum() == len(draws)
        assert counts.min() > 320
    assert np.mean([d.flip for d in draws]) == pytest.approx(0.25, abs=0.03)


@given(draws=any_draws, width=sizes, height=sizes)
def test_the_centre_of_the_square_is_seen_in_the_middle(draws: Draws, width: int, height: int) -> None:
    seen = view(draws, width, height, Augmentation())
    assert seen.side == min(width, height) * draws.side
    np.testing.assert_allclose(seen.affine(512) @ [*seen.center, 1], (256, 256), atol=1e-9)
    limit = 40 * seen.side / 200
    for moved in (seen.center[0] - width / 2, seen.center[1] - height / 2):
        assert moved == int(moved)
        assert -limit <= moved <= max(0, limit - 1)


@given(draws=any_draws, points=any_points)
def test_distances_grow_alike_and_areas_by_the_square(draws: Draws, points: NDArray[np.float64]) -> None:
    seen = view(draws, 640, 480, Augmentation())
    found = seen.keypoints(points, 128, FLIP_ORDER)
    zoom = math.sqrt(seen.area(1, 128))
    before = points[0, FLIP_ORDER] if draws.flip else points[0]
    steps, own = np.diff(before[:, :2], axis=0), np.diff(found[0, :, :2], axis=0)
    np.testing.assert_allclose(np.linalg.norm(own, axis=1), zoom * np.linalg.norm(steps, axis=1), atol=1e-9)
    np.testing.assert_array_equal(found[0, :, 2], before[:, 2])


@given(points=any_points, exact=st.booleans())
def test_mirrored_twice_is_not_mirrored(points: NDArray[np.float64], exact: bool) -> None:
    once = mirrored(points, 128, FLIP_ORDER, exact=exact)
    np.testing.assert_allclose(mirrored(once, 128, FLIP_ORDER, exact=exact), points, atol=1e-12)
    np.testing.assert_array_equal(once[..., 1:], points[:, FLIP_ORDER, 1:])


@pytest.mark.parametrize(("exact", "left_by"), [(True, 0.0), (False, 3.0)])
def test_a_mirrored_keypoint_lies_on_its_pixel_or_as_released_three_left_of_it(
    exact: bool, left_by: float
) -> None:
    image = np.zeros((512, 512, 3), dtype=np.uint8)
    image[100, 40] = 255
    seen = View((256.0, 256.0), 512.0, 0.0, mirrored=True, exact_mirror=exact)
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, 0] = (40, 100, 2)
    rows, columns, _ = np.nonzero(seen.image(image, 512))
    x, y, _ = seen.keypoints(keypoints, 128, FLIP_ORDER)[0, 0]
    assert {rows.min(), rows.max()} == {4 * y}
    assert {columns.min(), columns.max()} == {4 * x + left_by}


def test_a_tiny_image_is_not_moved() -> None:
    draws = Draws(1.0, 0.0, (0.99, 0.0), flip=False)
    assert view(draws, 4, 3, Augmentation()).center == (2.0, 1.5)


def test_outside_the_image_nothing_counts_and_all_is_black() -> None:
    seen = View((0.0, 0.0), 100.0, 0.0, mirrored=False)
    mask = seen.mask(np.ones((200, 200), dtype=bool), 128)
    assert not mask[:63].any()
    assert not mask[:, :63].any()
    assert mask[65:, 65:].all()
    pixels = seen.image(np.full((200, 200, 3), 255, dtype=np.uint8), 512)
    assert not pixels[:250].any()
    assert not pixels[:, :250].any()
    assert (pixels[257:, 257:] == 255).all()


def test_keypoints_of_another_layout_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(n, 17, 3\)"):
        View((0.0, 0.0), 1.0, 0.0, mirrored=False).keypoints(np.zeros((1, 14, 3)), 128, FLIP_ORDER)


NONSENSE: list[dict[str, float]] = [
    {"smallest_side": 0},
    {"smallest_side": 2},
    {"largest_side": math.nan},
    {"rotation_limit": -1},
    {"translation": math.inf},
    {"flip_probability": 1.1},
]


@pytest.mark.parametrize("values", NONSENSE, ids=str)
def test_augmentations_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="side|limit|translation|probability"):
        Augmentation(**values)  # type: ignore[arg-type]  # mypy sees the one bool among the floats
