"""PINet as `crowdbench run` computes it, against its order of work (support.reference.pinet_inference):
one unused pass, eager float32 with batch norms as layers, loops over parts, keypoints and pairs of poses.

Weights are drawn and scaled so that an image of 512x512 has 90 candidates.
"""

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.reference import pinet_inference as plain

from crowdbench.api.load_method import load_method
from crowdbench.api.types import FloatArray, Pose
from crowdbench.system.malloc import retain_freed_memory
from crowdbench.vision.geometry import transform_points
from crowdbench_pinet.fusion import group_poses
from crowdbench_pinet.method import InputBatch, PINet, Stack
from crowdbench_pinet.network import PINetNetwork, Proposals
from crowdbench_pinet.preprocessing import input_affine
from crowdbench_pinet.rescoring import ScaleResult

SIZE = (512, 512)
# How many times faster at least.
WHOLE, SUPPRESSION = 1.5, 10.0
# Of one image after the network, on one core, at most.
AFTER_NETWORK_S = 0.015
REPEATS = 3


def pinet() -> PINet:
    method = load_method("pinet", "crowdpose")
    assert isinstance(method, PINet)
    return method


def drawn_network() -> PINetNetwork:
    """With so many and so strong peaks as a crowd has, from weights that are drawn."""
    torch.manual_seed(0)
    network = pinet().build_network()
    assert isinstance(network, PINetNetwork)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    network.eval()
    with torch.inference_mode():
        maps = network.maps(normalised_image())
    for head, map_, height in (
        (network.ppg.heatmap_head, maps.heatmaps, 0.5),
        (network.ppg.detkptmap_head, maps.parts, 0.3),
        (network.ppg.offset_head, maps.offsets, 6.0),
    ):
        assert head.bias is not None
        deviation, mean = torch.std_mean(map_)
        head.weight.data *= height / deviation
        head.bias.data -= mean * height / deviation
    with torch.inference_mode():
        maps = network.maps(normalised_image())
        some = Proposals(torch.zeros(100, dtype=torch.int64), torch.arange(0, 16000, 160)[None])
        corrections = network.poses(maps, some).corrections
    last = network.pr.gconv_pred[-1]
    assert isinstance(last, torch.nn.Conv1d)
    assert last.bias is not None
    for parameter in (last.weight, last.bias):
        parameter.data *= 0.6 / corrections.std()
    return network


def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, *SIZE, 3), generator=generator, dtype=torch.uint8)


def normalised_image() -> torch.Tensor:
    from crowdbench_backbones.top_down.crops import normalised

    return normalised(image()).contiguous()


def best_of(function: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def plain_poses(network: PINetNetwork) -> list[tuple[FloatArray, float]]:
    """One image, all of the way."""
    method = pinet()
    with torch.inference_mode():
        poses = plain.found(network, normalised_image(), method.keypoints.flip_order)
    return plain_after(poses)


def plain_after(poses: plain.PlainPoses) -> list[tuple[FloatArray, float]]:
    keypoints, confidences = plain.rescored(poses)
    back = input_affine(*SIZE, SIZE, inverse=True)
    located = transform_points(keypoints, np.broadcast_to(back, (len(keypoints), 2, 3)))
    found = np.concatenate([located.astype(np.float32), confidences[..., None]], axis=2).astype(float)
    groups = plain.grouped(found, confidences.mean(axis=1), pinet().keypoints.sigmas, 0.7)
    return plain.fused(found, groups)


def timed_alone(weights: Path) -> float:
    """The specification's order of work in a process of its own, with the memory allocator as it finds it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, __file__, str(weights)], env=environment, check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout))


def test_an_image_is_faster_than_in_the_specified_order(benchmark: Any, tmp_path: Path) -> None:
    network = drawn_network()
    torch.save(network.state_dict(), tmp_path / "drawn.pth")
    slow = timed_alone(tmp_path / "drawn.pth")
    expected = plain_poses(network)
    retain_freed_memory()
    method = pinet()
    fast_network = method.optimize_for_inference(copy.deepcopy(network))
    batch = InputBatch([Stack(1.0, [0], image())], [SIZE], [input_affine(*SIZE, SIZE, inverse=True)])

    def predict() -> list[Pose]:
        with torch.inference_mode():
            return method.predict(fast_network, batch)[0]

    fast, poses = best_of(predict)
    benchmark.pedantic(predict, rounds=1)
    benchmark.extra_info |= {"specified_s": slow, "seconds": fast, "times": slow / fast, "poses": len(poses)}
    assert len(poses) == len(expected) > 40
    np.testing.assert_allclose(
        sorted(pose.score for pose in poses), sorted(score for _, score in expected), atol=2e-3
    )
    assert slow / fast >= WHOLE


@pytest.fixture(scope="module")
def crowd() -> tuple[plain.PlainPoses, ScaleResult]:
    """90 candidates whose keypoints lie around 30 persons, some outside the image."""
    rng = np.random.default_rng(0)
    keypoints = pinet().keypoints.count
    persons = rng.uniform(-4, 128, (30, 1, 2)) + rng.normal(0, 8, (30, keypoints, 2))
    positions = (persons[:, None] + rng.normal(0, 0.8, (30, 3, keypoints, 2))).reshape(90, keypoints, 2)
    scores = rng.uniform(0.1, 1, 90).astype(np.float32)
    heatmaps = rng.uniform(0, 1, (keypoints, 128, 128)).astype(np.float32)
    in_pixels: NDArray[np.float32] = positions.astype(np.float32)
    return (
        plain.PlainPoses(in_pixels, scores, torch.from_numpy(heatmaps[None])),
        ScaleResult(1.0, heatmaps, in_pixels, scores),
    )


def test_post_processing_of_90_candidates(benchmark: Any, crowd: Any) -> None:
    poses, result = crowd
    method, back = pinet(), input_affine(*SIZE, SIZE, inverse=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        slow, expected = best_of(lambda: plain_after(poses))
        fast, found = best_of(lambda: method.poses([result], SIZE, back), repeats=20)
    finally:
        torch.set_num_threads(threads)
    benchmark.pedantic(lambda: method.poses([result], SIZE, back), rounds=3)
    benchmark.extra_info |= {"specified_s": slow, "seconds": fast, "times": slow / fast, "poses": len(found)}
    assert len(found) == len(expected) < 90
    for pose, (keypoints, score) in zip(found, expected, strict=True):
        np.testing.assert_allclose(pose.keypoints, keypoints, rtol=1e-5, atol=1e-4)
        assert pose.score == pytest.approx(score, abs=1e-6)
    assert fast < AFTER_NETWORK_S


def test_suppression_is_faster_than_a_loop_over_pairs(benchmark: Any, crowd: Any) -> None:
    poses, _ = crowd
    sigmas = pinet().keypoints.sigmas
    found: NDArray[np.float64] = np.concatenate(
        [poses.keypoints * 4.0, np.ones((90, poses.keypoints.shape[1], 1))], axis=2
    )
    slow, expected = best_of(lambda: plain.grouped(found, poses.scores, sigmas, 0.7))
    fast, groups = best_of(lambda: group_poses(found, poses.scores, sigmas, 0.7), repeats=20)
    benchmark.pedantic(lambda: group_poses(found, poses.scores, sigmas, 0.7), rounds=3)
    benchmark.extra_info |= {"pairs_s": slow, "seconds": fast, "times": slow / fast}
    assert [group.tolist() for group in groups] == expected
    assert slow / fast >= SUPPRESSION


def _main(weights: str) -> None:
    network = pinet().build_network()
    assert isinstance(network, PINetNetwork)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    seconds, _ = best_of(lambda: plain_poses(network))
    print(json.dumps(seconds))  # noqa: T201  (read by the process that started this one)


if __name__ == "__main__":
    _main(sys.argv[1])
