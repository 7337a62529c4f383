"""Cut crops of persons from an image in a loader worker, and batch them.

Crops stay bytes until they are on the network's device: a quarter of the memory to fill, to pass between
processes and to copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crowdbench.api.types import Float32Array, FloatArray, Sample
from crowdbench.vision.geometry import centers_and_scales, crop_affines, warp_crops
from crowdbench_backbones.tensor_batch import TensorBatch
from crowdbench_backbones.top_down.settings import TopDownSettings

# ImageNet's statistics of red, green, blue.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Persons:
    """What is known of n persons beside their pixels.

    Attributes:
        centers: ``(n, 2)`` float32, of the crops, in image pixels.
        scales: ``(n, 2)`` float32, of the crops, in units of 200 pixels.
        boxes: ``(n, 4)`` float64, x, y, w, h in image pixels.
        scores: ``(n,)`` float64, of the boxes.
    """

    centers: Float32Array
    scales: Float32Array
    boxes: FloatArray
    scores: FloatArray

    @classmethod
    def joined(cls, groups: "Sequence[Persons]") -> "Persons":
        """The persons of several images, one after the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(group, name) for group in groups]) for name in names))


@dataclass(frozen=True, eq=False)
class Crops:
    """One image's persons.

    Attributes:
        pixels: ``(n, H, W, 3)`` uint8, RGB.
        persons: the same n.
    """

    pixels: NDArray[np.uint8]
    persons: Persons


@dataclass(frozen=True, eq=False)
class CropBatch(TensorBatch):
    """The persons of several images, one after the other; S in all.

    Attributes:
        pixels: ``(S, H, W, 3)`` uint8.
        persons: all S.
        lengths: persons of each image.
    """

    pixels: Tensor
    persons: Persons
    lengths: list[int]

    def images(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """``(S, 3, H, W)``; see `normalised`."""
        return normalised(self.pixels, dtype)


def normalised(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Take ImageNet's mean from images and divide by its deviation, in float32.

    Args:
        pixels: ``(n, H, W, 3)`` uint8, RGB.
        dtype: of the result.

    Returns:
        ``(n, 3, H, W)``, in memory with the colors together ("channels last").
    """
    mean, std = (torch.tensor(values, device=pixels.device) for values in (MEAN, STD))
    images = pixels.to(torch.float32).div_(255).sub_(mean).div_(std)
    return images.permute(0, 3, 1, 2).to(dtype)


def cut_out(sample: Sample, settings: TopDownSettings) -> Crops:
    """Cut out the persons of an image.

    Boxes are taken as they are: datasets clean ground-truth boxes, detectors' boxes stay raw, as published.

    Raises:
        ImageError: the image cannot be read.
    """
    boxes = sample.boxes_xywh
    size = settings.input_size
    centers, scales = centers_and_scales(boxes, size, settings.box_enlargement)
    scores = np.array([instance.score for instance in sample.instances], dtype=np.float64)
    pixels = warp_crops(sample.read(), crop_affines(centers, scales, size), size)
    return Crops(pixels, Persons(centers, scales, boxes, scores))


def join(examples: Sequence[Crops]) -> CropBatch:
    """Join the crops of several images."""
    return CropBatch(
        torch.from_numpy(np.concatenate([example.pixels for example in examples])),
        Persons.joined([example.persons for example in examples]),
        [len(example.pixels) for example in examples],
    )
