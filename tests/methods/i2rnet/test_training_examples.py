"""What `prepare` makes of an image to train on, against the same steps written plainly with OpenCV.

Single steps are held against the release in test_training_transforms.py; here they are held together.
"""

import pickle
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.reference.top_down_training import Plainly

from crowdbench.api.dataset import load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.types import Instance, Sample
from crowdbench_backbones.top_down.augmentation import Augmentation, Draws, draw
from crowdbench_backbones.top_down.method import TopDownMethod
from crowdbench_backbones.top_down.training_examples import Supervised
from crowdbench_i2rnet.person_sampling import draw_persons

SPLITS = {"crowdpose": "test", "ochuman": "val", "coco": "val2017"}
OPENCV_4 = int(cv2.__version__.split(".", maxsplit=1)[0]) == 4
# Masks are drawn as OpenCV 4 does, whatever is installed; OpenCV 5 rotates by some grey levels otherwise.
ROTATED_TOLERANCE = 0 if OPENCV_4 else 9


def configured(name: str, dataset: Any = "crowdpose", **changes: Any) -> TopDownMethod:
    method = load_method(name, dataset, **changes)
    assert isinstance(method, TopDownMethod)
    return method


def expected_persons(
    method: TopDownMethod, sample: Sample, rng: np.random.Generator
) -> tuple[list[Instance], Draws]:
    """Who is drawn, and what: in this order, which a training that is continued relies on."""
    persons = list(sample.instances)
    if hasattr(method.settings, "max_persons"):
        rows = draw_persons(rng, sample.boxes_xywh, method.settings.max_persons)
        persons = [persons[row] for row in rows]
    return persons, draw(rng, len(persons), method.augmentation)


@pytest.mark.parametrize("dataset", SPLITS)
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        pytest.param("i2rnet-transpose", {"max_persons": 2}, id="i2rnet-transpose"),
        pytest.param("i2rnet-tiny", {}, id="i2rnet-tiny"),
        pytest.param("hrnet-w48-s", {}, id="hrnet-w48-s"),
    ],
)
def test_an_example_is_what_the_plain_steps_make_of_the_image(
    real_data: Path, name: str, changes: dict[str, Any], dataset: str
) -> None:
    opened = load_dataset(dataset, split=SPLITS[dataset], root=real_data / dataset)
    method = configured(name, opened, **changes)
    method.augmentation = Augmentation(half_body_probability=0.5, half_body_keypoints=6)
    seen: list[Draws] = []
    for position, sample in enumerate(opened):
        if not sample.instances:
            continue
        for seed in range(3):
            example = method.prepare(sample, np.random.default_rng([position, seed]))
            persons, draws = expected_persons(method, sample, np.random.default_rng([position, seed]))
            plain = Plainly(method, sample, draws)
            seen.append(draws)
            assert len(example.visible) == len(persons)
            for row, (person, upper) in enumerate(zip(persons, draws.prefers_upper, strict=True)):
                np.testing.assert_array_equal(example.crops.pixels[row], plain.crop(person, upper))
                places = plain.places(person, upper)
                assert np.flatnonzero(example.visible[row]).tolist() == [k for k, _, _ in places]
                for k, x, y in places:
                    np.testing.assert_allclose(example.positions[row, k], (x, y), rtol=0, atol=1e-9)
                if name.startswith("i2rnet"):
                    difference = example.crops.masks[row].astype(int) - plain.mask(person)
                    assert np.abs(difference).max() <= (ROTATED_TOLERANCE if draws.rotation else 0)
    assert {True, False} == {d.flip for d in seen} == {d.half_body for d in seen}
    assert {True, False} == {d.rotation == 0 for d in seen}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, 120 x 90."""
    file = tmp_path_factory.mktemp("pictures") / "noise.png"
    assert cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    return file


def crowd(picture: Path, boxes: Any, visible: Any = None) -> Sample:
    """Persons with keypoints all over their boxes, of which some are visible."""
    instances = []
    for index, box in enumerate(boxes):
        own = np.random.default_rng(index)
        keypoints = np.empty((14, 3))
        keypoints[:, :2] = box[:2] + own.random((14, 2)) * box[2:]
        keypoints[:, 2] = own.integers(0, 3, 14) if visible is None else visible[index]
        instances.append(Instance(np.array(box), keypoints, 1.0))
    return Sample(1, picture, 120, 90, tuple(instances))


boxes = st.lists(
    st.tuples(st.floats(0, 80), st.floats(0, 50), st.floats(3, 60), st.floats(3, 60)), min_size=0, max_size=9
).map(lambda found: np.array(found).reshape(-1, 4))
NAMES = ["i2rnet-tiny", "hrnet-tiny"]


def content(example: Supervised[Any]) -> list[NDArray[Any]]:
    crops = example.crops
    parts = [crops.pixels, example.positions, example.visible, crops.persons.boxes, crops.persons.scales]
    return [*parts, crops.masks] if hasattr(crops, "masks") else parts


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(boxes=boxes, seed=st.integers(0, 2**32))
def test_an_equal_generator_gives_an_equal_example_and_nothing_else_is_asked(
    picture: Path, name: str, boxes: Any, seed: int
) -> None:
    method, sample = configured(name, input_size=(64, 64)), crowd(picture, boxes)
    first = content(method.prepare(sample, np.random.default_rng(seed)))
    np.random.seed(seed % 1000)  # noqa: NPY002
    random.seed(seed)
    torch.manual_seed(seed)
    before = np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist()  # noqa: NPY002
    second = content(method.prepare(sample, np.random.default_rng(seed)))
    assert before == (
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
        torch.get_rng_state().tolist(),
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=60)
@given(boxes=boxes, limit=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_of_a_crowd_one_person_is_taken_and_the_nearest_in_order_of_distance(
    picture: Path, boxes: Any, limit: int, seed: int
) -> None:
    method = configured("i2rnet-tiny", input_size=(32, 32), max_persons=limit)
    sample = crowd(picture, boxes, visible=[[2] * 14] * 9)
    taken = method.prepare(sample, np.random.default_rng(seed)).crops.persons.boxes
    assert len(taken) == min(limit, len(boxes))
    if len(boxes) <= limit:
        np.testing.assert_array_equal(taken, boxes)
        return
    distances = np.linalg.norm(taken[:, :2] - taken[0, :2], axis=1)
    assert (np.diff(distances) >= 0).all()
    others = np.linalg.norm(boxes[:, :2] - taken[0, :2], axis=1)
    assert distances[-1] <= np.sort(others)[limit - 1]


@pytest.mark.parametrize("name", NAMES)
def test_other_generators_give_other_examples(picture: Path, name: str) -> None:
    method, sample = configured(name, input_size=(64, 64)), crowd(picture, [[20, 10, 40, 60]])
    crops = {method.prepare(sample, np.random.default_rng(seed)).crops.pixels.tobytes() for seed in range(20)}
    assert len(crops) > 15  # not all: a third of the factors are cut to the limits


def test_single_person_networks_take_everybody(picture: Path) -> None:
    sample = crowd(picture, [[5.0 * i, 5, 30, 60] for i in range(9)])
    example = configured("hrnet-tiny", input_size=(32, 32)).prepare(sample, np.random.default_rng(0))
    assert len(example.crops.pixels) == 9


@pytest.mark.parametrize("name", NAMES)
def test_persons_whom_nobody_annotated_are_not_trained_on(picture: Path, name: str) -> None:
    full = crowd(picture, [[5, 5, 30, 60], [30, 5, 30, 60], [60, 5, 30, 60]], [[2] * 14, [2] * 14, [0] * 14])
    detected = Instance(full.instances[0].box_xywh, np.zeros((14, 3)), 1.0)
    sample = Sample(1, picture, 120, 90, (detected, *full.instances[1:]))
    example = configured(name).prepare(sample, np.random.default_rng(0))
    # The last one is annotated, with places and without a visible keypoint: the release keeps it too.
    assert example.crops.persons.boxes[:, 0].tolist() == [30, 60]
    assert example.visible.sum(axis=1).tolist() == [14, 0]


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_examples_survive_the_way_between_processes(picture: Path, name: str) -> None:
    method = configured(name)
    sample, nobody = crowd(picture, [[5, 5, 30, 60], [30, 5, 30, 60]]), crowd(picture, [])
    examples = [method.prepare(s, np.random.default_rng(1)) for s in (nobody, sample, nobody, sample)]
    batch = pickle.loads(pickle.dumps(method.collate(pickle.loads(pickle.dumps(examples)))))  # noqa: S301
    assert batch.crops.lengths == [0, 2, 0, 2]
    assert method.count_targets(batch) == 4
    targets, weights = batch.to("cpu").targets(2.0)
    assert tuple(targets.shape) == (4, 14, 32, 24)
    torch.testing.assert_close(targets[:2], targets[2:], rtol=0, atol=0)
    assert weights.sum() == batch.visible.sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_without_a_generator_an_image_is_prepared_as_for_prediction(picture: Path, name: str) -> None:
    method, sample = configured(name), crowd(picture, [[5, 5, 30, 60]])
    method.augmentation = Augmentation(
        flip_probability=0, rotation_probability=0, scale_std=0, half_body_probability=0
    )
    plain, supervised = method.prepare(sample), method.prepare(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(plain.pixels, supervised.crops.pixels)
    if name == "i2rnet-tiny":
        np.testing.assert_array_equal(plain.masks, supervised.crops.masks)


@pytest.mark.parametrize("flip", [False, True])
def test_a_mask_stands_where_the_person_is_in_the_augmented_image(picture: Path, flip: bool) -> None:
    method = configured("i2rnet-tiny")
    method.augmentation = Augmentation(
        flip_probability=float(flip), rotation_probability=0, scale_std=0, half_body_probability=0
    )
    (mask,) = method.prepare(crowd(picture, [[0, 0, 30, 90]]), np.random.default_rng(0)).crops.masks
    lit = mask.mean(axis=0) > 127
    assert lit[:20].all() != flip
    assert lit[-20:].all() == flip
