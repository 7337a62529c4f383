"""I2R-Net as a user meets it: loaded by name, configured, run on pictures."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crowdbench.api.settings import override
from crowdbench.api.types import Instance, KeypointSet, Sample
from crowdbench.errors import SettingsError
from crowdbench.vision.geometry import crop_affines, transform_points
from crowdbench.vision.heatmaps import gaussian_targets
from crowdbench_backbones.top_down.settings import CROWDPOSE_NMS_SIGMAS
from crowdbench_i2rnet import I2RNetVanilla
from crowdbench_i2rnet.settings import Settings

FOUR = KeypointSet(
    name="four",
    keypoints=("left_hand", "right_hand", "head", "foot"),
    flip_pairs=((0, 1),),
    skeleton=((0, 2), (1, 2), (2, 3)),
    sigmas=(0.06, 0.06, 0.08, 0.09),
    upper_body=(0, 1, 2),
)
SMALL = Settings(input_size=(64, 48))
BOXES = [[5.0, 5, 30, 40], [20, 10, 40, 45], [40, 2, 30, 50]]


def sample(folder: Path, boxes: list[list[float]], image_id: int = 1) -> Sample:
    file = folder / f"{image_id}.png"
    rng = np.random.default_rng(image_id)
    assert cv2.imwrite(str(file), rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    instances = tuple(Instance(np.array(box), np.zeros((4, 3)), area=1.0) for box in boxes)
    return Sample(image_id, file, 80, 60, instances)


class Oracle(nn.Module):
    """A network that knows where every keypoint of every crop is, and draws it; mirrored crops mirrored."""

    def __init__(self, positions: Tensor, flip_order: tuple[int, ...]) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.positions = positions  # (S, K, 2) in heatmap pixels
        self.flip_order = list(flip_order)
        self.seen: list[Tensor] = []

    def forward(
        self, images: Tensor, masks: Tensor, lengths: list[int], portion: int
    ) -> dict[str, Tensor | None]:
        height, width = images.shape[2] // 4, images.shape[3] // 4
        drawn = gaussian_targets(self.positions, np.ones(self.positions.shape[:2]), (height, width))[0]
        heatmaps = torch.from_numpy(drawn)
        mirrored = bool(self.seen) and torch.equal(images, self.seen[-1].flip(-1))
        self.seen.append(images)
        return {"intra": None, "inter": heatmaps.flip(-1)[:, self.flip_order] if mirrored else heatmaps}


def test_poses_land_where_the_network_says_in_the_image(tmp_path: Path) -> None:
    method = I2RNetVanilla(FOUR, Settings(nms_threshold=1.0))
    batch = method.collate([method.prepare(sample(tmp_path, BOXES))])
    truth = torch.tensor(np.random.default_rng(3).uniform([10, 10], [38, 54], (3, 4, 2)))
    (poses,) = method.predict(Oracle(truth, FOUR.flip_order), batch)
    back = crop_affines(batch.persons.centers, batch.persons.scales, (64, 48), inverse=True)
    expected = transform_points(truth, back)
    by_box = {tuple(pose.box_xywh): pose for pose in poses if pose.box_xywh is not None}
    for box, points in zip(BOXES, expected, strict=True):
        # A Gaussian's arg max plus one Newton step; a heatmap pixel is about an image pixel here.
        np.testing.assert_allclose(by_box[tuple(box)].keypoints[:, :2], points, atol=0.05)


def test_doubles_are_suppressed_within_an_image_and_not_across(tmp_path: Path) -> None:
    method = I2RNetVanilla(FOUR, Settings(flip_test=False))
    twice = [BOXES[0], BOXES[0]]
    batch = method.collate([method.prepare(sample(tmp_path, twice, i)) for i in (1, 2)])
    truth = torch.full((4, 4, 2), 20.0)
    truth[:, :, 1] = torch.tensor([12.0, 22, 32, 42])
    poses = method.predict(Oracle(truth, FOUR.flip_order), batch)
    assert [len(found) for found in poses] == [1, 1]


@pytest.fixture(scope="module")
def small() -> tuple[I2RNetVanilla, nn.Module]:
    torch.manual_seed(0)
    method = I2RNetVanilla(FOUR, SMALL)
    network = method.build_network().eval()
    for (
        parameter
    ) in network.parameters():  # the release's tiny initial weights would leave nothing to compare
        if parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter)
    return method, network


def test_the_flip_test_makes_poses_of_mirrored_images_mirrored(
    tmp_path: Path, small: tuple[I2RNetVanilla, nn.Module]
) -> None:
    method, network = small
    batch = method.collate([method.prepare(sample(tmp_path, BOXES))])
    with torch.inference_mode():
        heatmaps = method._averaged(network, batch)
        mirrored = method._averaged(
            network,
            dataclasses.replace(batch, pixels=batch.pixels.flip(2), mask_pixels=batch.mask_pixels.flip(2)),
        )
    np.testing.assert_allclose(mirrored[..., ::-1][:, list(FOUR.flip_order)], heatmaps, atol=1e-4)


def test_an_image_gets_the_same_poses_alone_and_in_a_batch(
    tmp_path: Path, small: tuple[I2RNetVanilla, nn.Module]
) -> None:
    method, network = small
    examples = [
        method.prepare(sample(tmp_path, boxes, i))
        for i, boxes in enumerate([BOXES[:2], BOXES, [], BOXES[1:]])
    ]
    with torch.inference_mode():
        together = method.predict(network, method.collate(examples))
        alone = [method.predict(network, method.collate([example]))[0] for example in examples]
    assert [len(poses) for poses in together] == [len(poses) for poses in alone]
    assert together[2] == []
    for poses, same in zip(together, alone, strict=True):
        for pose, other in zip(poses, same, strict=True):
            np.testing.assert_allclose(pose.score, other.score, rtol=1e-4)


def test_a_batch_without_any_person_has_no_poses(
    tmp_path: Path, small: tuple[I2RNetVanilla, nn.Module]
) -> None:
    method, network = small
    assert method.predict(network, method.collate([method.prepare(sample(tmp_path, []))])) == [[]]


def test_published_settings_follow_the_dataset() -> None:
    assert I2RNetVanilla.settings_for("crowdpose").nms_sigmas == CROWDPOSE_NMS_SIGMAS
    assert not I2RNetVanilla.settings_for("ochuman").use_position_mask
    assert not I2RNetVanilla.settings_for("coco").group_detections
    assert I2RNetVanilla.settings_for("never heard of") == Settings()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"input_size": "[250, 192]"}, "divisible by 16", id="odd size"),
        pytest.param({"blur_kernel": 10}, "odd", id="even kernel"),
        pytest.param({"flip_test": "perhaps"}, "flip_test", id="no truth value"),
        pytest.param({"flip_tets": "true"}, "flip_test", id="misspelt"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        override(Settings(), changes, of="i2rnet-vanilla")


def test_sigmas_of_another_layout_are_refused() -> None:
    with pytest.raises(SettingsError, match="14 values; four has 4 keypoints"):
        I2RNetVanilla(FOUR, Settings(nms_sigmas=CROWDPOSE_NMS_SIGMAS))
