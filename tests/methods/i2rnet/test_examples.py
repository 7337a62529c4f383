"""Crops and masks of real images, against the released preparation's arrays.

OpenCV 4 and 5 cut crops that differ by up to 5 grey levels; the reference holds both.
"""

import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from crowdbench.api.dataset import load_dataset
from crowdbench.api.types import Instance, Sample
from crowdbench_i2rnet.examples import collate, prepare
from crowdbench_i2rnet.settings import Settings

PIPELINES = ["crowdpose_256x192", "ochuman_256x192", "coco_256x192", "coco_384x288", "coco_detector_256x192"]
# The reference has OCHuman's images under the names that the release expects.
RENAMED = {"000001.jpg": "003799.jpg", "000002.jpg": "000817.jpg", "000003.jpg": "003896.jpg"}


def samples(name: str, golden: Any, persons: list[dict[str, Any]], data: Path) -> list[Sample]:
    """The samples behind a golden file: consecutive persons of one image, or single detections."""
    folder = data / name.split("_", maxsplit=1)[0]
    box_source = "detector" if "detector" in name else "gt"
    found: dict[int, list[Instance]] = {}
    files: dict[int, Path] = {}
    for box, person in zip(golden["box_xywh"], persons, strict=True):
        file = RENAMED.get(person["image"], person["image"])
        (files[person["record"]],) = folder.rglob(file)
        instance = Instance(box, np.zeros((17, 3)), area=1.0, score=person["score"])
        found.setdefault(person["record"], []).append(instance)
    result = []
    for record, instances in found.items():
        height, width = cv2.imread(str(files[record])).shape[:2]
        result.append(Sample(record, files[record], width, height, tuple(instances), box_source=box_source))
    return result


@pytest.mark.parametrize("name", PIPELINES)
def test_crops_and_masks_equal_the_released_ones(reference: Path, real_data: Path, name: str) -> None:
    golden = np.load(reference / f"i2rnet/pipeline_{name}.npz")
    persons = json.loads((reference / f"i2rnet/pipeline_{name}.json").read_text())["persons"]
    settings = Settings(input_size=(384, 288) if "384" in name else (256, 192))
    examples = [prepare(sample, settings) for sample in samples(name, golden, persons, real_data)]
    batch = collate(examples)

    images, masks = batch.images(), batch.masks()
    five = int(cv2.__version__.split(".", maxsplit=1)[0]) >= 5
    crops = golden["crop_sub_opencv5" if five else "crop_sub"]
    np.testing.assert_allclose(images[:, :, ::4, ::4], crops, rtol=0, atol=1e-6)
    np.testing.assert_allclose(masks[:, :, ::4, ::4], golden["mask_sub"], rtol=0, atol=1e-7)
    for crop, mask, person in zip(batch.pixels.numpy(), batch.mask_pixels.numpy(), persons, strict=True):
        expected = person["opencv5"] if five else person
        assert zlib.crc32(np.ascontiguousarray(crop).tobytes()) == expected["crop_u8_crc32"]
        assert zlib.crc32(np.ascontiguousarray(mask).tobytes()) == person["mask_u8_crc32"]
    np.testing.assert_array_equal(batch.persons.centers, golden["center"])
    np.testing.assert_array_equal(batch.persons.scales, golden["scale"])
    assert sum(batch.lengths) == len(persons)


@pytest.mark.parametrize(
    ("dataset", "split"), [("crowdpose", "test"), ("ochuman", "val"), ("coco", "val2017")]
)
def test_the_installed_datasets_give_the_persons_and_boxes_of_the_release(
    reference: Path, real_data: Path, dataset: str, split: str
) -> None:
    golden = np.load(reference / f"i2rnet/pipeline_{dataset}_256x192.npz")
    persons = json.loads((reference / f"i2rnet/pipeline_{dataset}_256x192.json").read_text())["persons"]
    files = np.array([RENAMED.get(person["image"], person["image"]) for person in persons])
    by_file = {
        sample.path.name: sample for sample in load_dataset(dataset, split=split, root=real_data / dataset)
    }
    for file in np.unique(files):
        boxes = prepare(by_file[file], Settings()).persons.boxes
        np.testing.assert_allclose(boxes, golden["box_xywh"][files == file], rtol=0, atol=1e-9)


def picture(
    folder: Path, boxes: list[list[float]], source: Any = "gt", size: tuple[int, int] = (80, 60)
) -> Sample:
    width, height = size
    file = folder / "image.png"
    rng = np.random.default_rng(0)
    assert cv2.imwrite(str(file), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    instances = tuple(Instance(np.array(box), np.zeros((14, 3)), 1.0, score=0.5) for box in boxes)
    return Sample(1, file, width, height, instances, box_source=source)


BOXES = [[5.0, 5, 30, 40], [20, 10, 40, 45]]


@pytest.mark.parametrize(
    ("source", "grouped", "groups"),
    [
        pytest.param("gt", False, [2], id="annotated persons see each other"),
        pytest.param("detector", False, [1, 1], id="detections are alone, as in the release"),
        pytest.param("detector", True, [2], id="unless the settings group them"),
    ],
)
def test_who_sees_whom_depends_on_the_boxes(
    tmp_path: Path, source: str, grouped: bool, groups: list[int]
) -> None:
    example = prepare(picture(tmp_path, BOXES, source), Settings(group_detections=grouped))
    batch = collate([example, example])
    assert batch.lengths == [2, 2]
    assert batch.groups == groups * 2


def test_examples_and_batches_survive_the_way_between_processes(tmp_path: Path) -> None:
    example = pickle.loads(pickle.dumps(prepare(picture(tmp_path, BOXES), Settings())))  # noqa: S301
    batch = pickle.loads(pickle.dumps(collate([example])))  # noqa: S301
    assert batch.pixels.shape == (2, 256, 192, 3)
    assert batch.pixels.dtype == torch.uint8
    assert batch.to("cpu").images(torch.float64).dtype == torch.float64


def test_an_image_without_persons_makes_an_empty_example(tmp_path: Path) -> None:
    empty, full = prepare(picture(tmp_path, []), Settings()), prepare(picture(tmp_path, BOXES), Settings())
    batch = collate([empty, full, empty])
    assert batch.lengths == [0, 2, 0]
    assert batch.images().shape == (2, 3, 256, 192)
