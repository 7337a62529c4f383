"""Peaks, rescoring, suppression and fusion against the released procedure, on drawn and random inputs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.reference.i2rnet_networks import filling
from support.reference.pinet_networks import golden, maps_of, pinet
from torch.nn import functional

from crowdbench.api.types import FloatArray
from crowdbench.vision.geometry import transform_points
from crowdbench_pinet.candidates import averaged_flipped, find_peaks, mirrored, propose
from crowdbench_pinet.fusion import fuse, group_poses
from crowdbench_pinet.network import PINetNetwork
from crowdbench_pinet.preprocessing import input_affine, input_size
from crowdbench_pinet.rescoring import ScaleResult, heatmap_values, rescore

TOLERANCE = {"rtol": 1e-5, "atol": 1e-4}


def random_input(rule: str) -> torch.Tensor:
    """What a golden file calls ``fill_input('name', (shape))``."""
    name, shape = rule.removeprefix("fill_input(").removesuffix(")").split(", ", 1)
    size = tuple(int(side) for side in shape.strip("()").split(","))
    return filling().input(name.strip("'"), size)


@pytest.mark.parametrize("case", range(8))
def test_peaks_and_their_poses_equal_the_released_ones(goldens: Path, case: int) -> None:
    expected = golden(goldens, "postprocess.json")["decode"][case]
    dataset, (height, width) = expected["dataset"], expected["hw"]
    method = pinet(dataset)
    keypoints = method.keypoints.count
    stem = f"pinet/decode/{case}/"
    draw = filling().input
    kernel, constant = re.fullmatch(
        r"fill_input.*avg_pool2d\(kernel (\d+), stride 1, padding \d+\) \+ (\S+)", expected["det"]
    ).groups()
    parts = draw(stem + "det", (2, 3, height, width))
    parts = functional.avg_pool2d(parts, int(kernel), 1, int(kernel) // 2) + float(constant)
    offsets = 8 * draw(stem + "off", (2, 6 * keypoints, height, width))
    maps = maps_of(parts, offsets, draw(stem + "heat", (2, keypoints, height, width)))
    heatmaps, averaged = averaged_flipped(maps, method.keypoints.flip_order)
    peaks = find_peaks(averaged, 30, 0.01)
    network = method.build_network()
    assert isinstance(network, PINetNetwork)
    (found,) = propose(network, maps, peaks, method.keypoints.flip_order, refine=False)

    assert [int((peaks.part == part).sum()) for part in range(3)] == expected["counts"]
    for part, listed in enumerate(expected["parts"]):
        assert peaks.pixel[0, peaks.part == part].tolist() == listed["flat_index"]
    np.testing.assert_allclose(found.scores, expected["scores"], **TOLERANCE)
    if not len(found.scores):
        assert not expected["scores"]
        return
    np.testing.assert_allclose(
        stats(found.keypoints), expected["poses_stats_sum_abs_min_max"], rtol=1e-5, atol=1e-2
    )
    np.testing.assert_allclose(stats(heatmaps), expected["heat_avg_stats"], rtol=1e-4, atol=1e-2)
    ends = np.cumsum(expected["counts"])
    shown = [row for end, n in zip(ends, expected["counts"], strict=True) if n for row in (end - n, end - 1)]
    np.testing.assert_allclose(
        found.keypoints[shown], expected["poses_first_and_last_of_each_part"], **TOLERANCE
    )


def stats(x: torch.Tensor) -> list[float]:
    own = x.double()
    return [own.sum().item(), own.abs().sum().item(), own.min().item(), own.max().item()]


@pytest.mark.parametrize("case", [0, 1])
def test_rescored_poses_equal_the_released_ones(goldens: Path, case: int) -> None:
    expected = golden(goldens, "postprocess.json")["rescoring"][case]
    drawn = random_input(expected["heat"].removeprefix("0.5 + 0.25 * "))
    heatmaps = (0.5 + 0.25 * drawn)[0].numpy()
    poses = np.array(expected["poses_heatmap_px"], dtype=np.float32)
    result = ScaleResult(1.0, heatmaps, poses, np.array(expected["scores"], dtype=np.float32))
    size = tuple(expected["heat_up_shape"][2:])
    keypoints, confidences = rescore([result], size, 0.9)

    wanted = np.array(expected["rescored_poses"])
    np.testing.assert_allclose(keypoints, wanted[..., :2], **TOLERANCE)
    np.testing.assert_allclose(confidences, wanted[..., 2], **TOLERANCE)
    assert (wanted[..., 2] == 0).any()  # keypoints outside the map are among the cases
    np.testing.assert_allclose(confidences.mean(axis=1), expected["rescored_scores"], **TOLERANCE)
    height, width = expected["raw_image_hw"]
    back = input_affine(height, width, size, inverse=True)
    located = transform_points(keypoints, np.broadcast_to(back, (len(keypoints), 2, 3)))
    np.testing.assert_allclose(located, np.array(expected["image_poses"])[..., :2], **TOLERANCE)
    compare_groups(located, confidences, expected, expected["dataset"], 0.7)


def test_values_between_pixels_are_those_of_upsampled_heatmaps() -> None:
    heatmaps = filling().input("some heatmaps", (1, 5, 12, 17))
    upsampled = functional.interpolate(
        heatmaps, (4 * 12 - 3, 4 * 17 - 3), mode="bilinear", align_corners=True
    )
    upsampled = functional.pad(upsampled, (0, 3, 0, 3), mode="replicate")[0].numpy()
    ys, xs = np.mgrid[0:47, 0:67]
    points = np.stack([xs.ravel(), ys.ravel()], axis=1)[:, None].repeat(5, axis=1).astype(np.float32)
    values = heatmap_values(heatmaps[0].numpy(), 4.0, points, (48, 68))
    np.testing.assert_allclose(values, upsampled[:, ys.ravel(), xs.ravel()].T, atol=1e-5)


@pytest.mark.parametrize("case", range(6))
def test_scales_are_joined_as_released(goldens: Path, case: int) -> None:
    expected = golden(goldens, "postprocess.json")["multiscale"][case]
    method = pinet(expected["dataset"], short_side=64, scales=(2.0, 1.0, 0.5))
    keypoints = method.keypoints.count
    results = [
        ScaleResult(
            given["scale"],
            random_input(given["heat"])[0].numpy(),
            np.array(given["poses"], dtype=np.float32).reshape(-1, keypoints, 2),
            np.array(given["scores"], dtype=np.float32),
        )
        for given in expected["inputs_in_processing_order"]
    ]
    positions, confidences = rescore(results[::-1], (64, 64), expected["scale_decrease"])
    wanted = np.array(expected["rescored_poses"])
    np.testing.assert_allclose(positions, wanted[..., :2], **TOLERANCE)
    np.testing.assert_allclose(confidences, wanted[..., 2], **TOLERANCE)
    np.testing.assert_allclose(confidences.mean(axis=1), expected["rescored_scores"], **TOLERANCE)

    back = input_affine(64, 64, (64, 64), inverse=True)
    poses = method.poses(results, (64, 64), back)
    np.testing.assert_allclose(sorted(p.score for p in poses), sorted(expected["fused_scores"]), **TOLERANCE)


@pytest.mark.parametrize("case", range(8))
def test_suppression_and_fusion_equal_the_released_ones(goldens: Path, case: int) -> None:
    document = golden(goldens, "postprocess.json")
    expected = document["nms"][case]
    sigmas = np.array(document["sigmas_times_10"][expected["sigmas"]]) / 10
    poses = np.array(expected["poses"]).reshape(-1, len(sigmas), 3)
    if not len(poses):
        assert expected["keep"] == []
        return
    groups = group_poses(poses, np.array(expected["scores"]), sigmas, expected["threshold"])
    assert [group[0] for group in groups] == expected["keep"]
    assert [group[1:].tolist() for group in groups] == expected["suppressed"]
    fused, scores = fuse(poses, groups)
    np.testing.assert_array_equal(fused, expected["fused_poses"])
    np.testing.assert_allclose(scores, expected["fused_scores"], rtol=1e-12)
    for row, pose in zip(expected["rows_without_fusion"], poses[expected["keep"]], strict=True):
        np.testing.assert_array_equal(np.reshape(row["keypoints"], (-1, 3)), pose)


def compare_groups(
    located: FloatArray, confidences: Any, expected: Any, dataset: str, threshold: float
) -> None:
    """Who is kept, and whom each of them suppresses; near ties may be in another order."""
    poses = np.concatenate([located, confidences[..., None]], axis=2)
    scores = confidences.mean(axis=1, dtype=np.float64)
    groups = group_poses(poses, scores, pinet(dataset).keypoints.sigmas, threshold)
    assert {int(g[0]): set(g[1:].tolist()) for g in groups} == {
        kept: set(gone) for kept, gone in zip(expected["keep"], expected["suppressed"], strict=True)
    }


def test_without_mirror_image_poses_are_the_images_own() -> None:
    method = pinet("coco")
    network = method.build_network()
    assert isinstance(network, PINetNetwork)
    parts = torch.zeros(1, 3, 32, 40)
    parts[0, 1, 20, 13] = 0.8
    offsets = torch.full((1, 6 * 17, 32, 40), 2.0)
    maps = maps_of(parts, offsets, torch.zeros(1, 17, 32, 40))
    peaks = find_peaks(parts, 30, 0.01)
    (found,) = propose(network, maps, peaks, None, refine=False)
    assert found.scores.tolist() == pytest.approx([0.8])
    assert (found.keypoints == torch.tensor([11.0, 18.0])).all()


def test_the_mirror_image_is_moved_by_three_pixels_and_filled_with_zeros() -> None:
    images = torch.arange(8.0).expand(1, 1, 1, 8)
    assert mirrored(images).flatten().tolist() == [4, 3, 2, 1, 0, 0, 0, 0]


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([0.5, 1.0, 1.5, 2.0]))
def test_inputs_suit_the_trunk_and_hold_the_whole_image(height: int, width: int, scale: float) -> None:
    size = input_size(height, width, 256, longest=4096, scale=scale)
    assert not size[0] % 32
    assert not size[1] % 32
    assert max(size) <= 4096 * scale
    affine = input_affine(height, width, size)
    corners = np.array([[[0, 0], [width, height]]], dtype=float)
    ((first, last),) = transform_points(corners, affine[None])
    # Rounding the middle moves an image by half a pixel, at each end; rounding sides cuts two of the input's.
    slack = affine[0, 0] / 2 + 2 * scale + 0.004 * max(size)
    assert (first >= -slack).all()
    assert (last <= np.array([size[1], size[0]]) + slack).all()


def test_released_sizes(goldens: Path) -> None:
    for image in golden(goldens, "pipeline.json")["sizes"]:
        # The others are of a smallest scale below 1, which the release never asks for.
        for result in (r for r in image["results"] if r["min_scale"] == 1):
            found = input_size(*image["hw"], 512, longest=8192, scale=result["scale_factor"])
            assert found == tuple(result["wh"][::-1])
