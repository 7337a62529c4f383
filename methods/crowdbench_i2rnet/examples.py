"""Crops and position masks of an image's persons, made in a loader worker, and their batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crowdbench.api.types import KeypointSet, Sample
from crowdbench_backbones.top_down.augmentation import Augmentation, Draws
from crowdbench_backbones.top_down.crops import CropBatch, Crops, cut_out, join
from crowdbench_backbones.top_down.training_examples import Supervised, cut_out_augmented
from crowdbench_i2rnet.position_masks import position_masks
from crowdbench_i2rnet.settings import Settings


@dataclass(frozen=True, eq=False)
class Example(Crops):
    """One image's persons.

    Attributes:
        masks: ``(n, H, W)`` uint8, 255 where the person's box is in the whole image.
        grouped: the persons see each other.
    """

    masks: NDArray[np.uint8]
    grouped: bool


@dataclass(frozen=True, eq=False)
class Batch(CropBatch):
    """The persons of several images, one after the other; S in all.

    Attributes:
        mask_pixels: ``(S, H, W)`` uint8.
        groups: persons of each group that see each other: `lengths`, or ones where an image is not grouped.
    """

    mask_pixels: Tensor
    groups: list[int]

    def masks(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """``(S, 1, H, W)`` in [0, 1]."""
        return self.mask_pixels.to(torch.float32).div_(255).unsqueeze(1).to(dtype)


def prepare(sample: Sample, settings: Settings) -> Example:
    """Cut out the persons of an image and draw their position masks; raises ImageError."""
    return _example(cut_out(sample, settings), sample, settings)


def _example(
    crops: Crops, sample: Sample, settings: Settings, *, mirrored: bool = False, rotation: float = 0.0
) -> Example:
    masks = position_masks(
        crops.persons.boxes,
        sample.width,
        sample.height,
        settings.input_size,
        mirrored=mirrored,
        rotation=rotation,
        shifted=settings.shift_position_mask,
    )
    grouped = settings.group_detections or sample.box_source == "gt"
    return Example(crops.pixels, crops.persons, masks, grouped)


def prepare_augmented(
    sample: Sample,
    rows: NDArray[np.int64],
    draws: Draws,
    augmentation: Augmentation,
    keypoint_set: KeypointSet,
    settings: Settings,
) -> Supervised[Example]:
    """The same for some persons of an image, as they are seen after an augmentation.

    Masks follow the image, which is mirrored and turned; a crop's size and half bodies leave them alone. The
    arguments are those of `crowdbench_backbones.top_down.training_examples.cut_out_augmented`.

    Raises:
        ImageError: the image cannot be read.
    """
    found = cut_out_augmented(sample, rows, draws, augmentation, keypoint_set, settings)
    example = _example(found.crops, sample, settings, mirrored=draws.flip, rotation=draws.rotation)
    return Supervised(example, found.positions, found.visible)


def collate(examples: Sequence[Example]) -> Batch:
    """Join the examples of several images."""
    crops = join(examples)
    groups: list[int] = []
    for example, length in zip(examples, crops.lengths, strict=True):
        groups += [length] if example.grouped else [1] * length
    return Batch(
        pixels=crops.pixels,
        persons=crops.persons,
        lengths=crops.lengths,
        mask_pixels=torch.from_numpy(np.concatenate([example.masks for example in examples])),
        groups=groups,
    )
