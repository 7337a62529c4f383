"""Augmented crops, masks and targets of real images, against the released pipeline with forced draws.

The reference was made with OpenCV 4; crops cut with OpenCV 5 differ by up to 5 grey levels.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crowdbench.api.dataset import Dataset, load_dataset
from crowdbench.api.types import Sample
from crowdbench.vision.geometry import centers_and_scales, warp_crops
from crowdbench_backbones.top_down.augmentation import Augmentation, Draws, Views, augment, mirrored_image
from crowdbench_i2rnet.position_masks import position_masks

SPLITS = {"crowdpose": "test", "ochuman": "val", "coco": "val2017"}
FORCED = ["flip_rot-20", "flip_rot15_half_upper", "flip_scale0.8", "half_lower", "rot30_scale1.1"]
# The reference has OCHuman's images under the names that the release expects.
RENAMED = {"000001.jpg": "003799.jpg", "000002.jpg": "000817.jpg", "000003.jpg": "003896.jpg"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
SIZE, HEATMAP = (256, 192), (64, 48)
OPENCV_4 = int(cv2.__version__.split(".", maxsplit=1)[0]) == 4


@dataclass(frozen=True, eq=False)
class Prepared:
    """One image's persons, augmented; `golden` and `persons` are the reference's rows for them."""

    sample: Sample
    views: Views
    crops: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    golden: dict[str, NDArray[Any]]
    persons: list[dict[str, Any]]


def forced_draws(forced: dict[str, list[float]], persons: int) -> Draws:
    """What the release makes of the random numbers that it was given, in the order in which it asks."""
    rotates, flips = forced["random_random"]
    normal = iter(forced["np_randn"])
    rotation = np.clip(next(normal) * 45, -90, 90) if rotates <= 0.6 else 0.0
    scale = np.clip(next(normal) * 0.35 + 1, 0.65, 1.35)
    # The rest are equal, one for each person whose half is chosen; how many ask depends on the persons.
    rest = set(normal) or {0.0}
    assert len(rest) == 1
    return Draws(
        flip=flips <= 0.5,
        rotation=float(rotation),
        scale=float(scale),
        half_body=forced["np_rand"][0] < 0.3,
        prefers_upper=np.full(persons, rest.pop() < 0.5),
    )


def prepared(sample: Sample, dataset: Dataset, forced: dict[str, list[float]]) -> dict[str, Any]:
    draws = forced_draws(forced, len(sample.instances))
    centers, scales = centers_and_scales(sample.boxes_xywh, SIZE)
    views = augment(
        np.array([instance.keypoints for instance in sample.instances]),
        centers,
        scales,
        draws,
        width=sample.width,
        keypoint_set=dataset.keypoints,
        input_size=SIZE,
        augmentation=Augmentation(half_body_keypoints=8),
    )
    image = mirrored_image(sample.read()) if draws.flip else sample.read()
    masks = position_masks(
        sample.boxes_xywh, sample.width, sample.height, SIZE, mirrored=draws.flip, rotation=draws.rotation
    )
    return {
        "sample": sample,
        "views": views,
        "crops": warp_crops(image, views.affines(SIZE), SIZE),
        "masks": masks,
    }


@pytest.fixture(
    scope="module", params=[(d, f) for d in SPLITS for f in FORCED], ids=lambda p: f"{p[0]}-{p[1]}"
)
def images(request: pytest.FixtureRequest, reference: Path, real_data: Path) -> list[Prepared]:
    """All images of one golden file."""
    name, forced = request.param
    golden = np.load(reference / f"i2rnet/pipeline_train_{name}_{forced}.npz")
    facts = json.loads((reference / f"i2rnet/pipeline_train_{name}_{forced}.json").read_text())
    dataset = load_dataset(name, split=SPLITS[name], root=real_data / name)
    samples = {sample.path.name: sample for sample in dataset}
    files = np.array([RENAMED.get(person["image"], person["image"]) for person in facts["persons"]])
    found = []
    for file in dict.fromkeys(files.tolist()):
        rows = np.flatnonzero(files == file)
        found.append(
            Prepared(
                **prepared(samples[file], dataset, facts["forced"]),
                golden={key: golden[key][rows] for key in golden},
                persons=[facts["persons"][row] for row in rows],
            )
        )
    return found


def test_boxes_and_angles_are_those_of_the_reference(images: list[Prepared]) -> None:
    for image in images:
        np.testing.assert_allclose(image.sample.boxes_xywh, image.golden["box_xywh"], rtol=0, atol=1e-9)
        angles = [person["rotation"] for person in image.persons]
        np.testing.assert_allclose(angles, image.views.rotation, rtol=0, atol=1e-9)


def test_centres_scales_and_affines_equal_the_released_ones(images: list[Prepared]) -> None:
    for image in images:
        np.testing.assert_array_equal(image.views.centers, image.golden["center"])
        np.testing.assert_allclose(image.views.scales, image.golden["scale"], rtol=2e-7)
        # The reference was made with numpy 2, which keeps drawn scales in float64 where the release has
        # float32: that moves its matrices by up to 7.5e-5.
        for affines, which in (
            (image.views.affines(SIZE), "input"),
            (image.views.affines(HEATMAP), "heatmap"),
        ):
            np.testing.assert_allclose(affines, image.golden[f"affine_{which}"], rtol=0, atol=8e-5)


def test_keypoints_land_where_the_released_pipeline_puts_them(images: list[Prepared]) -> None:
    for image in images:
        placed, golden = image.views.keypoints_in(SIZE), image.golden["joints_input"]
        np.testing.assert_allclose(placed[..., :2], golden[..., :2], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(placed[..., 2], image.golden["joints_vis"][..., 0])


def test_targets_and_weights_equal_the_released_ones(images: list[Prepared]) -> None:
    for image in images:
        targets, weights = image.views.targets(HEATMAP)
        np.testing.assert_array_equal(weights, image.golden["target_weight"][..., 0])
        np.testing.assert_allclose(targets.sum(axis=(2, 3)), image.golden["target_sum"], rtol=0, atol=2e-5)
        peaks = targets.reshape(*weights.shape, -1).argmax(axis=2)
        np.testing.assert_array_equal(peaks, image.golden["target_argmax"])


def test_position_masks_equal_the_released_ones_under_any_opencv(images: list[Prepared]) -> None:
    for image in images:
        subsampled = image.masks[:, None, ::8, ::8] / np.float32(255)
        np.testing.assert_allclose(subsampled, image.golden["mask_sub"], rtol=0, atol=1e-7)
        checksums = [zlib.crc32(np.ascontiguousarray(mask).tobytes()) for mask in image.masks]
        assert checksums == [person["mask_u8_crc32"] for person in image.persons]


def test_crops_equal_the_released_ones(images: list[Prepared]) -> None:
    for image in images:
        normalised = (image.crops.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(
            STD, np.float32
        )
        difference = normalised.transpose(0, 3, 1, 2)[:, :, ::8, ::8] - image.golden["crop_sub"]
        # Within OpenCV 4 a few pixels round to the next grey level, because of the matrices' last bits.
        one_level, five_levels = 1.01 / 255 / min(STD), 5.01 / 255 / min(STD)
        assert np.abs(difference).max() <= (one_level if OPENCV_4 else five_levels)
        assert np.abs(difference).mean() <= (1e-4 if OPENCV_4 else 5e-3)


def test_whole_crops_are_as_bright_as_the_released_ones(images: list[Prepared]) -> None:
    # The pixels compared above are one of 64; the sums are over all. On average over a crop:
    one_hundredth_of_a_level = 0.01 * SIZE[0] * SIZE[1]
    for image in images:
        for crop, person in zip(image.crops, image.persons, strict=True):
            np.testing.assert_allclose(
                crop.sum(axis=(0, 1), dtype=np.int64),
                person["crop_u8_sum_per_channel"],
                rtol=0,
                atol=one_hundredth_of_a_level * (1 if OPENCV_4 else 2),
            )
