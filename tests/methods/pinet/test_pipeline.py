"""The whole procedure on real images, against the released one's numbers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.reference.pinet_networks import golden, pinet, released_network

from crowdbench.api.types import Sample
from crowdbench.engine.batching import default_batch_size
from crowdbench.system.images import read_rgb
from crowdbench_backbones.top_down.crops import normalised
from crowdbench_pinet.candidates import mirrored
from crowdbench_pinet.fusion import group_poses
from crowdbench_pinet.method import InputBatch, PINet
from crowdbench_pinet.preprocessing import input_affine, input_size, resize
from crowdbench_pinet.rescoring import rescore

TOLERANCE = {"rtol": 1e-5, "atol": 1e-4}
IMAGES = [
    *("crowdpose/106848/", "crowdpose/103319/", "ochuman/1/", "ochuman/2/", "ochuman/3/"),
    *("coco/785/", "coco/40083/", "coco/196141/", "coco/197388/"),
]


def sample_of(reference: Path, real_data: Path, image: str) -> Sample:
    facts = golden(reference, "pipeline.json")["images"][image]
    (file,) = real_data.rglob(facts["file"])
    height, width = facts["hw"]
    return Sample(1, file, width, height)


@pytest.mark.parametrize("image", IMAGES)
def test_inputs_equal_the_released_ones(reference: Path, real_data: Path, image: str) -> None:
    expected = golden(reference, "pipeline.npz")
    sample = sample_of(reference, real_data, image)
    decoded = read_rgb(sample.path)
    assert decoded.sum(dtype=np.int64) == expected[image + "decoded.stats"][0]
    for scale in (0.5, 1.0, 2.0):
        stem = f"{image}x{scale}."
        size = input_size(sample.height, sample.width, 512, longest=8192, scale=scale)
        affine = input_affine(sample.height, sample.width, size)
        np.testing.assert_allclose(affine, expected[stem + "affine"], atol=1e-12)
        pixels = resize(decoded, affine, size)
        # Versions of OpenCV warp up to 5 grey levels apart; these numbers are version 5's.
        same = cv2.__version__.startswith("5.")
        difference = np.abs(pixels[::16, ::16].astype(int) - expected[stem + "resized"].astype(int))
        assert difference.max() <= (0 if same else 5)
        total = pytest.approx(expected[stem + "resized.stats"][0], rel=0 if same else 1e-3)
        assert pixels.sum(dtype=np.int64) == total


@pytest.mark.parametrize("image", IMAGES)
def test_mirrored_inputs_equal_the_released_ones(reference: Path, real_data: Path, image: str) -> None:
    expected = golden(reference, "pipeline.npz")
    example = pinet(image.partition("/")[0]).prepare(sample_of(reference, real_data, image))
    flipped = mirrored(normalised(torch.from_numpy(example.pixels[1.0][None])))[0]
    np.testing.assert_allclose(flipped[:, ::16, ::16], expected[image + "flipped_tensor"], atol=1e-4)
    np.testing.assert_allclose(flipped[:, ::32, -8:], expected[image + "flipped_tensor.last8"], atol=1e-4)
    back = example.back
    points = expected[image + "backproject.in"] @ back[:, :2].T + back[:, 2]
    np.testing.assert_allclose(points, expected[image + "backproject.out"], rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("image", IMAGES)
def test_poses_on_real_images_equal_the_released_ones(reference: Path, real_data: Path, image: str) -> None:
    dataset = image.partition("/")[0]
    compare(reference, real_data, image, image + "e2e.", pinet(dataset), None)


@pytest.mark.slow
def test_poses_from_two_scales_equal_the_released_ones(reference: Path, real_data: Path) -> None:
    facts = golden(reference, "pipeline.json")["multiscale"]
    method = pinet("crowdpose", scales=tuple(facts["scale_factor"]), scale_decrease=facts["scale_decrease"])
    stem = facts["image"] + "multiscale."
    compare(reference, real_data, facts["image"], stem, method, facts["candidates_per_scale"])


def compare(
    reference: Path, real_data: Path, image: str, stem: str, method: PINet, counts: list[int] | None
) -> None:
    expected = golden(reference, "pipeline.npz")
    network = released_network(image.partition("/")[0])
    example = method.prepare(sample_of(reference, real_data, image))
    batch = method.collate([example])
    assert isinstance(batch, InputBatch)
    with torch.inference_mode():
        results = [method._at_scale(network, s.scale, s.pixels)[0] for s in batch.stacks]
    results.sort(key=lambda result: -result.scale)
    if counts is not None:
        assert [len(r.scores) for r in results] == counts
    else:
        np.testing.assert_allclose(results[0].keypoints, expected[stem + "poses"], **TOLERANCE)
        np.testing.assert_allclose(results[0].scores, expected[stem + "scores"], **TOLERANCE)
    positions, confidences = rescore(results, example.size, method.settings.scale_decrease)
    image_poses = expected[stem + "img_pose"]
    located = positions @ example.back[:, :2].T + example.back[:, 2]
    np.testing.assert_allclose(located, image_poses[..., :2], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(confidences, image_poses[..., 2], **TOLERANCE)

    poses = np.concatenate([located, confidences[..., None]], axis=2)
    scores = confidences.mean(axis=1, dtype=np.float64)
    groups = group_poses(poses, scores, method.keypoints.sigmas, 0.7)
    assert {int(group[0]) for group in groups} == set(expected[stem + "keep"].tolist())
    if counts is None:
        kept = zip(expected[stem + "keep"], expected[stem + "groups"], strict=True)
        wanted = {int(keeper): {int(i) for i in group if i >= 0} for keeper, group in kept}
        assert {int(group[0]): set(group[1:].tolist()) for group in groups} == wanted

    fused = expected[stem + "fused_pose"]
    by_keeper = dict(zip(expected[stem + "keep"].tolist(), fused, strict=True))
    ours = method.poses(results, example.size, example.back)
    for group, pose in zip(groups, ours, strict=True):
        np.testing.assert_allclose(pose.keypoints, by_keeper[int(group[0])], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(
        sorted(pose.score for pose in ours), sorted(expected[stem + "fused_score"]), **TOLERANCE
    )


@pytest.mark.slow
def test_images_do_not_see_each_other_in_a_batch(reference: Path, real_data: Path) -> None:
    method = pinet("coco", short_side=128)
    method.set_batch_limit(default_batch_size(method.paradigm, "cpu"))
    network = released_network("coco")
    samples = [sample_of(reference, real_data, image) for image in (*IMAGES[5:], IMAGES[5])]
    examples = [method.prepare(sample) for sample in samples]
    with torch.inference_mode():
        together = method.predict(network, method.collate(examples))
        alone = [method.predict(network, method.collate([example]))[0] for example in examples]
    assert [len(poses) for poses in together] == [len(poses) for poses in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose([p.score for p in one], [p.score for p in other], **TOLERANCE)
