"""Training examples: targets of one image, made in loader workers, and of a batch, for the losses.

Maps do not travel: of heatmaps only the peaks do, of offsets only the pixels that have some.

Letters: B images, n persons of an image, K keypoints, P body parts, m proposals of an image, R pixels that
have offsets, h the height and width of heatmaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crowdbench.api.types import FloatArray, IntArray, KeypointSet, Sample
from crowdbench_backbones.tensor_batch import TensorBatch
from crowdbench_pinet.augmentation import View
from crowdbench_pinet.body_parts import part_keypoints
from crowdbench_pinet.losses import heatmap_loss, offset_loss
from crowdbench_pinet.network import Maps, Poses, Proposals
from crowdbench_pinet.recipe import Losses, PINetRecipe, Targets
from crowdbench_pinet.targets import draw_heatmaps, inside, offset_targets, part_centers
from crowdbench_pinet.training_proposals import Candidates, candidates, choose


@dataclass(frozen=True, eq=False)
class Points:
    """Where maps of one image have their peaks.

    Attributes:
        positions: ``(k, 2)`` float64, x, y in heatmap pixels, within the maps.
        channels: ``(k,)`` int64, which map.
    """

    positions: FloatArray
    channels: IntArray


@dataclass(frozen=True, eq=False)
class Supervised:
    """One image, augmented.

    Attributes:
        pixels: ``(4 h, 4 h, 3)`` uint8, RGB.
        counted: ``(h, h)`` bool, the pixels whose heatmaps count.
        keypoints: the peaks of K maps.
        centers: the peaks of P maps.
        candidates: the offsets, and which of their pixels propose first.
    """

    pixels: NDArray[np.uint8]
    counted: NDArray[np.bool_]
    keypoints: Points
    centers: Points
    candidates: Candidates


def supervise(sample: Sample, view: View, keypoint_set: KeypointSet, recipe: PINetRecipe) -> Supervised:
    """Look at an image as it is seen in a view, and say what the network shall find there.

    Args:
        sample: the image and its persons.
        view: of it.
        keypoint_set: of the sample's keypoints.
        recipe: the sizes and the targets are read from it.

    Raises:
        ImageError: the image cannot be read.
        AnnotationError: where unknown persons are cannot be read.
    """
    size, targets = recipe.heatmap_size, recipe.targets
    persons = [person.keypoints for person in sample.instances]
    given = np.array(persons, dtype=np.float64).reshape(-1, keypoint_set.count, 3)
    keypoints = view.keypoints(given, size, keypoint_set.flip_order)
    areas = np.array([view.area(i.box_area, recipe.input_size) for i in sample.instances], dtype=np.float64)
    parts = part_keypoints(keypoint_set)
    centers = part_centers(keypoints, areas, parts, targets.smallest_area)
    offsets = offset_targets(keypoints, centers, areas, size, targets.offset_radius)
    peaks = _peaks(centers, size)
    part_maps, _ = _drawn(peaks, len(parts), size, targets.part_sigma)
    return Supervised(
        view.image(sample.read(), recipe.input_size),
        view.mask(_known(sample, mask_ignored=targets.mask_ignored), size),
        _peaks(keypoints, size),
        peaks,
        candidates(offsets, part_maps.numpy()),
    )


def _known(sample: Sample, *, mask_ignored: bool) -> NDArray[np.bool_]:
    """``(H, W)``: where it is known who is there."""
    known = np.ones((sample.height, sample.width), dtype=np.bool_)
    if mask_ignored:
        for person in sample.ignored:
            known &= ~person.mask(sample.height, sample.width)
    return known


def _peaks(points: FloatArray, size: int) -> Points:
    person, channel = np.nonzero(inside(points, size))
    return Points(points[person, channel, :2], channel)


def _drawn(points: Points, count: int, size: int, sigma: float) -> tuple[Tensor, Tensor]:
    return draw_heatmaps(
        torch.from_numpy(points.positions), torch.from_numpy(points.channels), count, size, sigma
    )


@dataclass(frozen=True, eq=False)
class Peaks:
    """Where the maps of a batch have their peaks.

    Attributes:
        positions: ``(k, 2)`` float64, x, y in heatmap pixels, within the maps.
        maps: ``(k,)`` int64, which of all images' maps: ``image * count + channel``.
        count: maps of an image.
    """

    positions: Tensor
    maps: Tensor
    count: int

    def drawn(self, images: int, size: int, sigma: float) -> tuple[Tensor, Tensor]:
        """``(images, count, size, size)`` twice: the maps, and which pixels are near a peak."""
        drawn, near = draw_heatmaps(self.positions, self.maps, images * self.count, size, sigma)
        shape = (images, self.count, size, size)
        return drawn.view(shape), near.view(shape)


@dataclass(frozen=True, eq=False)
class Rows:
    """The pixels of a batch that have offsets.

    Attributes:
        images, parts, pixels: ``(R,)`` int64 each; a pixel is ``y * h + x``.
        values: ``(R, K, 2)`` float32, from the keypoint to the pixel, x and y in heatmap pixels.
        weights: ``(R, K)`` float32, of both axes.
    """

    images: Tensor
    parts: Tensor
    pixels: Tensor
    values: Tensor
    weights: Tensor

    def read(self, offsets: Tensor) -> Tensor:
        """What a network predicts there: ``(B, P * K * 2, h, h)`` to ``(R, K, 2)``."""
        keypoints = self.weights.shape[1]
        width = offsets.shape[-1]
        columns = torch.arange(2 * keypoints, device=offsets.device)
        channels = self.parts[:, None] * (2 * keypoints) + columns
        y, x = self.pixels // width, self.pixels % width
        found = offsets[self.images[:, None], channels, y[:, None], x[:, None]]
        return found.view(-1, keypoints, 2)


@dataclass(frozen=True, eq=False)
class SupervisedBatch(TensorBatch):
    """Several images.

    Attributes:
        pixels: ``(B, 4 h, 4 h, 3)`` uint8, RGB.
        counted: ``(B, h, h)`` bool, the pixels whose heatmaps count.
        keypoints: the peaks of K maps of each image.
        centers: the peaks of P maps of each image.
        rows: the offsets.
        proposals: the poses that the network is asked for; m of each image.
        proposed_values: ``(B, m, K, 2)`` float32, the offsets of these.
        proposed_weights: ``(B, m, K)`` float32, 0 for those that only fill up.
    """

    pixels: Tensor
    counted: Tensor
    keypoints: Peaks
    centers: Peaks
    rows: Rows
    proposals: Proposals
    proposed_values: Tensor
    proposed_weights: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def heatmaps(self, targets: Targets) -> tuple[Tensor, Tensor]:
        """Heatmaps to train towards, ``(B, K + P, h, h)`` float32, and their pixels' weights, likewise."""
        size = self.counted.shape[-1]
        of_keypoints, near_keypoints = self.keypoints.drawn(len(self), size, targets.sigma)
        of_parts, near_parts = self.centers.drawn(len(self), size, targets.part_sigma)
        near = torch.cat([near_keypoints, near_parts], dim=1)
        weights = torch.full_like(near, targets.background, dtype=torch.float32).masked_fill_(near, 1)
        weights *= self.counted[:, None]
        return torch.cat([of_keypoints, of_parts], dim=1), weights


def join(examples: Sequence[Supervised], keypoint_set: KeypointSet, recipe: PINetRecipe) -> SupervisedBatch:
    """Join the examples of several images, and choose what the refinement is trained on.

    Args:
        examples: of the images, at least one.
        keypoint_set: of their keypoints.
        recipe: how many proposals are chosen is read from it.
    """
    parts = len(part_keypoints(keypoint_set))
    chosen = choose([example.candidates for example in examples], parts, recipe.proposing)
    offsets = [example.candidates.offsets for example in examples]
    images = np.repeat(np.arange(len(examples)), [len(rows.parts) for rows in offsets])
    return SupervisedBatch(
        pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
        counted=torch.from_numpy(np.stack([example.counted for example in examples])),
        keypoints=_joined([example.keypoints for example in examples], keypoint_set.count),
        centers=_joined([example.centers for example in examples], parts),
        rows=Rows(
            torch.from_numpy(images),
            _concatenated([rows.parts for rows in offsets]),
            _concatenated([rows.pixels for rows in offsets]),
            _concatenated([rows.values for rows in offsets]),
            _concatenated([rows.weights for rows in offsets]),
        ),
        proposals=chosen.asked(),
        proposed_values=torch.from_numpy(chosen.values),
        proposed_weights=torch.from_numpy(chosen.weights),
    )


def _joined(points: Sequence[Points], count: int) -> Peaks:
    maps = [index * count + image.channels for index, image in enumerate(points)]
    return Peaks(_concatenated([image.positions for image in points]), _concatenated(maps), count)


def _concatenated(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays))


def training_losses(
    maps: Maps, poses: Poses, batch: SupervisedBatch, targets: Targets, losses: Losses
) -> dict[str, Tensor]:
    """All that is minimized, each loss times its factor.

    The refinement learns to correct the offsets as they are: its loss has no gradient into them.

    Args:
        maps: what the network says of the batch.
        poses: what it makes of ``batch.proposals``.
        batch: on the network's device.
        targets: how heatmaps are drawn.
        losses: their factors.
    """
    heatmaps = torch.cat([maps.heatmaps, maps.parts], dim=1)
    rows = batch.rows
    refined = poses.offsets.detach() + poses.corrections
    return {
        "heatmap": losses.heatmap * heatmap_loss(heatmaps, *batch.heatmaps(targets)),
        "offset": losses.offset
        * offset_loss(rows.read(maps.offsets), rows.values, rows.weights, losses.beta),
        "refine": losses.refine
        * offset_loss(refined, batch.proposed_values, batch.proposed_weights, losses.beta),
    }
