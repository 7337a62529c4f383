"""Decode the network's maps to candidate poses in heatmap pixels, with and without the flip test.

Wang et al., NeurIPS 2021, section 3.4, and the test procedure of the authors' release.
Letters in shape comments: B images, P body parts, m candidates an image, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from crowdbench_pinet.network import Maps, PINetNetwork, Proposals

# Mirrored images are moved this many pixels to the left, the input's stride minus 1: then column c of the
# heatmaps shows what column w - 1 - c of the image's own shows.
FLIP_SHIFT = 3


@dataclass(frozen=True, eq=False)
class Candidates:
    """Poses of one image at one scale.

    Attributes:
        keypoints: ``(m, K, 2)`` float32, x, y in heatmap pixels.
        scores: ``(m,)`` float32, of the body parts' centers; part after part, best first.
    """

    keypoints: Tensor
    scores: Tensor


@dataclass(frozen=True, eq=False)
class Peaks:
    """Local maxima of part maps, as many of each image as the image with most has of that part.

    Attributes:
        part: ``(m,)`` int64.
        pixel: ``(B, m)`` int64, ``y * W + x``.
        score: ``(B, m)``.
        counts: ``(B, m)`` bool, whether it is one of the image's.
    """

    part: Tensor
    pixel: Tensor
    score: Tensor
    counts: Tensor


def mirrored(images: Tensor) -> Tensor:
    """Mirror ``(B, 3, H, W)`` normalized images and shift them three pixels to the left, padding with 0."""
    return functional.pad(images.flip(-1)[..., FLIP_SHIFT:], (0, FLIP_SHIFT))


def averaged_flipped(maps: Maps, flip_order: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Average what the network says about images and about their mirror images.

    Args:
        maps: of the images, then of the mirrored ones, 2 B in all.
        flip_order: `KeypointSet.flip_order`.

    Returns:
        heatmaps: ``(B, K, H, W)`` float32.
        parts: ``(B, P, H, W)`` float32.
    """
    heatmaps, flipped_heatmaps = maps.heatmaps.float().chunk(2)
    parts, flipped_parts = maps.parts.float().chunk(2)
    return (
        (heatmaps + flipped_heatmaps.flip(-1)[:, list(flip_order)]) / 2,
        (parts + flipped_parts.flip(-1)) / 2,
    )


def find_peaks(parts: Tensor, per_part: int, threshold: float) -> Peaks:
    """The highest local maxima of every part's map.

    Args:
        parts: ``(B, P, H, W)`` float32.
        per_part: at most so many of each part.
        threshold: peaks at or below it do not count.
    """
    height, width = parts.shape[-2:]
    mean_side = (height + width) / 2
    kernel = 7 if mean_side > 300 else 5 if mean_side > 200 else 3
    highest = functional.max_pool2d(parts, kernel, stride=1, padding=kernel // 2)
    flat = torch.where(parts == highest, parts, 0).flatten(2)  # (B, P, H * W)
    score, pixel = flat.topk(min(per_part, flat.shape[-1]))  # (B, P, n), best first
    counts = score > threshold
    used = counts.any(0).flatten()
    part = torch.arange(parts.shape[1], device=parts.device)[:, None].expand(-1, score.shape[-1]).flatten()
    return Peaks(part[used], *(x.flatten(1)[:, used] for x in (pixel, score, counts)))


def propose(
    network: PINetNetwork, maps: Maps, peaks: Peaks, flip_order: Sequence[int] | None, refine: bool
) -> list[Candidates]:
    """The poses of all peaks.

    A mirrored image proposes and refines poses of its own, at mirrored peaks; the mean counts.

    Args:
        network: that computed the maps.
        maps: of B images, or of these and their mirror images.
        peaks: of B images.
        flip_order: `KeypointSet.flip_order` if there are mirror images, else None.
        refine: correct the poses.

    Returns:
        The candidates of each of the B images.
    """
    pixel = peaks.pixel
    width = maps.parts.shape[-1]
    if flip_order is not None:
        pixel = torch.cat([pixel, pixel - pixel % width + (width - 1 - pixel % width)])
    keypoints = network.poses(maps, Proposals(peaks.part, pixel), refine).keypoints
    if flip_order is not None:
        keypoints, flipped = keypoints.chunk(2)
        flipped = flipped[:, :, list(flip_order)]
        flipped[..., 0] = width - 1 - flipped[..., 0]
        keypoints = (keypoints + flipped) / 2
    return [
        Candidates(keypoints[i, counts].cpu(), peaks.score[i, counts].cpu())
        for i, counts in enumerate(peaks.counts)
    ]
