"""What the release does can be turned off, and each switch does what it says. Its own ways are the defaults; the
golden numbers of the other tests hold for them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from support.reference.i2rnet_networks import Filling, filling
from torch import Tensor, nn

from crowdbench import evaluate, load_dataset
from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench.api.types import Instance, Sample
from crowdbench.errors import SettingsError
from crowdbench_i2rnet.examples import Batch, prepare
from crowdbench_i2rnet.settings import Settings as VanillaSettings

SIZE = (64, 64)


def method_of(name: str, dataset: str = "ochuman", **settings: Any) -> Any:
    return load_method(name, dataset, input_size=SIZE, **settings)


@pytest.fixture(scope="module")
def fill() -> Filling:
    return filling()


def filled(method: NetworkMethod, fill: Filling) -> nn.Module:
    """In float64: what is equal there is equal to the last bits."""
    return fill.into(method.build_network().eval()).double()


BOXES = [[10, 10, 60, 90], [40, 20, 70, 80], [90, 5, 50, 100]]


def a_sample(
    tmp_path: Path,
    source: Literal["gt", "detector"],
    width: int = 160,
    height: int = 120,
    boxes: Sequence[Sequence[float]] = BOXES,
    scores: Sequence[float] = (1, 1, 1),
) -> Sample:
    import cv2

    rng = np.random.default_rng(0)
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    instances = tuple(
        Instance(np.array(box, dtype=np.float64), np.zeros((17, 3)), area=box[2] * box[3], score=score)
        for box, score in zip(boxes, scores, strict=True)
    )
    return Sample(1, path, width, height, instances, box_source=source)


def heatmaps(method: Any, network: nn.Module, batch: Batch, mirrored: bool = False) -> Tensor:
    with torch.inference_mode():
        found: Tensor = method.heatmaps(network, batch, mirrored, torch.float64)
    return found


@pytest.mark.parametrize("grouped", [False, True])
def test_detections_of_an_image_see_each_other_only_if_they_are_grouped(
    tmp_path: Path, fill: Filling, grouped: bool
) -> None:
    method = method_of("i2rnet-vanilla", group_detections=grouped)
    network = filled(method, fill)
    moved = [[15, 5, 60, 90], *BOXES[1:]]
    before, after = (
        heatmaps(
            method, network, method.collate([method.prepare(a_sample(tmp_path, "detector", boxes=boxes))])
        )
        for boxes in (BOXES, moved)
    )
    difference = (after - before).abs().amax(dim=(1, 2, 3))
    assert difference[0] > 1e-6
    assert bool((difference[1:] > 1e-9).all()) == grouped
    if not grouped:
        assert (difference[1:] == 0).all()


def test_detections_that_are_grouped_keep_their_scores(tmp_path: Path, fill: Filling) -> None:
    """The release rounds scores down where it groups: all that are below 1 to 0."""
    found = {}
    for scores in ((1, 1, 1), (0.9, 0.3, 0.6)):
        method = method_of("i2rnet-vanilla", group_detections=True, nms_threshold=1)
        network = filled(method, fill)
        sample = a_sample(tmp_path, "detector", scores=scores)
        with torch.inference_mode():
            (poses,) = method.predict(network, method.collate([method.prepare(sample)]))
        found[scores] = {tuple(pose.box_xywh): pose.score for pose in poses}
    certain, detected = found.values()
    for box, score in zip(BOXES, (0.9, 0.3, 0.6), strict=True):
        assert certain[tuple(box)] > 0.2
        np.testing.assert_allclose(detected[tuple(box)], score * certain[tuple(box)], rtol=1e-6)


def test_persons_with_ground_truth_boxes_always_see_each_other(tmp_path: Path) -> None:
    method = method_of("i2rnet-vanilla", group_detections=False)
    assert method.collate([method.prepare(a_sample(tmp_path, "gt"))]).groups == [3]


def test_masks_of_odd_images_are_moved_by_half_a_pixel_unless_told_otherwise(tmp_path: Path) -> None:
    sample = a_sample(tmp_path, "gt", width=161, height=121)
    moved, unmoved = (
        prepare(sample, VanillaSettings(shift_position_mask=shift)).masks.astype(np.int64)
        for shift in (True, False)
    )
    for axis, (resized, length) in {1: (256, 121), 2: (192, 161)}.items():
        middle, unmoved_middle = (
            (masks.sum(axis=3 - axis) * np.arange(resized)).sum(axis=1) / masks.sum(axis=(1, 2))
            for masks in (moved, unmoved)
        )
        # In pixels of the image, half of which a mask's pixel is.
        np.testing.assert_allclose((middle - unmoved_middle) * length / resized, 0.5, atol=0.05)
    even = a_sample(tmp_path, "gt")
    shifted, unshifted = (
        prepare(even, VanillaSettings(shift_position_mask=shift)).masks for shift in (True, False)
    )
    np.testing.assert_array_equal(shifted, unshifted)


def test_the_flip_shift_moves_mirrored_heatmaps_right_by_one_and_repeats_the_first_column(
    tmp_path: Path, fill: Filling
) -> None:
    method, shifting = (method_of("i2rnet-vanilla", flip_shift=shift) for shift in (False, True))
    network = filled(method, fill)
    batch = method.collate([method.prepare(a_sample(tmp_path, "gt"))])
    straight = heatmaps(method, network, batch)
    back = heatmaps(method, network, batch, mirrored=True).flip(-1)[:, method.keypoints.flip_order]
    right = torch.cat([back[..., :1], back[..., :-1]], dim=-1)
    with torch.inference_mode():
        np.testing.assert_allclose(method._averaged(network, batch), (straight + back) / 2, atol=1e-5)
        np.testing.assert_allclose(shifting._averaged(network, batch), (straight + right) / 2, atol=1e-5)


def test_the_sigmas_of_suppression_are_the_releases_or_the_datasets() -> None:
    released, own = (method_of("i2rnet-vanilla", "crowdpose", **s) for s in ({}, {"nms_sigmas": "null"}))
    keypoints = released.keypoints
    assert own.settings.nms_sigmas is None
    differing = [
        name
        for name, ours, theirs in zip(
            keypoints.keypoints, released.settings.nms_sigmas, keypoints.sigmas, strict=True
        )
        if ours != theirs
    ]
    assert len(differing) == 1
    assert "head" in differing[0]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("i2rnet-vanilla", "relation_layers"),
        ("i2rnet-transpose", "intra_layers"),
        ("i2rnet-hrformer", "relation_layers"),
    ],
)
def test_fewer_than_no_layers_are_refused(name: str, setting: str) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must not be negative, got -1"):
        load_method(name, "coco", **{setting: -1})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("group_detections", True),
        ("shift_position_mask", False),
        ("flip_shift", True),
        ("relative_position_bias", True),
        ("mask_window_padding", True),
        ("use_position_mask", True),
        ("nms_sigmas", None),
    ],
)
@pytest.mark.slow
def test_the_record_of_a_run_has_every_switch_and_the_protocol_those_that_were_turned(
    tmp_path: Path, setting: str, value: Any
) -> None:
    dataset = load_dataset("synthcrowd")
    method = load_method("i2rnet-hrformer", dataset, input_size=SIZE, **{setting: value})
    run = evaluate(method, dataset, weights="none", out=tmp_path, limit=1, workers=0)
    assert run.record.settings[setting] == value
    changed = run.record.protocol.changed_settings
    assert changed.keys() - {"input_size"} == ({setting} if setting != "nms_sigmas" else set())
