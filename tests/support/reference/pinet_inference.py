"""PINet's test procedure, step by step as its specification orders the work; slow, for comparison.

The network runs once on the image, which nothing uses, then on the image and its mirror image; the refinement
runs once for each part and pass; heatmaps are upsampled; keypoints and pairs of poses are looped over.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from crowdbench_pinet.candidates import averaged_flipped, mirrored
from crowdbench_pinet.network import Maps, PINetNetwork, Proposals

FloatArray = NDArray[np.float64]


@dataclass
class PlainPoses:
    """Poses of one image in heatmap pixels, with the upsampled heatmaps."""

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    heatmaps: Tensor


def found(network: PINetNetwork, image: Tensor, flip_order: tuple[int, ...]) -> PlainPoses:
    """Network, candidates, refinement.

    Args:
        network: in eval mode.
        image: ``(1, 3, H, W)``, normalised.
        flip_order: `KeypointSet.flip_order`.
    """
    network.maps(image)
    maps = network.maps(torch.cat([image, mirrored(image)]))
    heatmaps, parts = averaged_flipped(maps, flip_order)
    keypoints, scores = [], []
    for part in range(parts.shape[1]):
        pixel, score = _peaks(parts[0, part])
        if not len(pixel):
            continue
        poses = []
        width = parts.shape[-1]
        for row, at in enumerate((pixel, pixel - pixel % width + width - 1 - pixel % width)):
            own = Maps(*(x[row : row + 1] for x in (maps.features, maps.heatmaps, maps.parts, maps.offsets)))
            asked = Proposals(torch.full((len(at),), part), at[None])
            poses.append(network.poses(own, asked).keypoints[0])
        flipped = poses[1][:, list(flip_order)]
        flipped[..., 0] = width - 1 - flipped[..., 0]
        keypoints.append((poses[0] + flipped) / 2)
        scores.append(score)
    return PlainPoses(torch.cat(keypoints).numpy(), torch.cat(scores).numpy(), heatmaps)


def _peaks(part: Tensor) -> tuple[Tensor, Tensor]:
    mean_side = sum(part.shape) / 2
    kernel = 7 if mean_side > 300 else 5 if mean_side > 200 else 3
    highest = functional.max_pool2d(part[None], kernel, 1, kernel // 2)[0]
    score, pixel = (part * (part == highest)).flatten().topk(30)
    return pixel[score > 0.01], score[score > 0.01]


def rescored(poses: PlainPoses) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keypoints in the input's pixels ``(n, K, 2)``, and their confidences ``(n, K)``."""
    height, width = poses.heatmaps.shape[-2:]
    upsampled = functional.interpolate(
        poses.heatmaps, (4 * height - 3, 4 * width - 3), mode="bilinear", align_corners=True
    )
    maps = functional.pad(upsampled, (0, 3, 0, 3), mode="replicate")[0].numpy()
    keypoints = poses.keypoints * 4
    confidences = np.zeros(keypoints.shape[:2], dtype=np.float32)
    for n, pose in enumerate(keypoints):
        for k, (x, y) in enumerate(pose):
            confidences[n, k] = poses.scores[n] * _bilinear(maps[k], float(x), float(y))
    return keypoints, confidences


def _bilinear(heatmap: NDArray[np.float32], x: float, y: float) -> float:
    kx, ky = math.trunc(x), math.trunc(y)
    if not (kx >= 0 and kx + 1 < heatmap.shape[1] and ky >= 0 and ky + 1 < heatmap.shape[0]):
        return 0.0
    u, v = x - kx, y - ky
    upper = (1 - u) * heatmap[ky, kx] + u * heatmap[ky, kx + 1]
    lower = (1 - u) * heatmap[ky + 1, kx] + u * heatmap[ky + 1, kx + 1]
    return float((1 - v) * upper + v * lower)


def grouped(poses: FloatArray, scores: FloatArray, sigmas: Any, threshold: float) -> list[list[int]]:
    """Greedy suppression, a pair at a time: of each kept pose, itself and whom it suppresses."""
    areas = [float(np.prod(np.ptp(pose[:, :2], axis=0))) for pose in poses]
    variances = (2 * np.asarray(sigmas)) ** 2
    rest = list(np.argsort(scores, kind="stable")[::-1])
    groups = []
    while rest:
        best, rest = rest[0], rest[1:]
        taken = [
            other
            for other in rest
            if _oks(poses[best], poses[other], (areas[best] + areas[other]) / 2, variances) > threshold
        ]
        groups.append([int(best), *map(int, taken)])
        rest = [other for other in rest if other not in taken]
    return groups


def _oks(one: FloatArray, other: FloatArray, area: float, variances: FloatArray) -> float:
    squared = (one[:, 0] - other[:, 0]) ** 2 + (one[:, 1] - other[:, 1]) ** 2
    return float(np.mean(np.exp(-squared / variances / (area + np.spacing(1)) / 2)))


def fused(poses: FloatArray, groups: list[list[int]]) -> list[tuple[FloatArray, float]]:
    """Every kept pose with its group's most confident keypoints, and the mean of their confidences."""
    result = []
    for group in groups:
        pose = poses[group[0]].copy()
        for member in group[1:]:
            for k in range(len(pose)):
                if poses[member, k, 2] > pose[k, 2]:
                    pose[k] = poses[member, k]
        result.append((pose, float(pose[:, 2].mean())))
    return result
