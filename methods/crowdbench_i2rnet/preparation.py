"""From an image and its persons to crops and position masks, in a loader worker; and their batches.

Crops and masks stay bytes until they are on the network's device: a quarter of the memory to fill, to pass
between processes and to copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crowdbench.geometry import Float32Array, centers_and_scales, crop_affines, warp_crops
from crowdbench.types import FloatArray, Sample
from crowdbench_i2rnet.masks import position_masks
from crowdbench_i2rnet.settings import Settings

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


@dataclass(frozen=True, eq=False)
class Example:
    """One image's persons.

    Attributes:
        crops: ``(n, H, W, 3)`` uint8, RGB.
        masks: ``(n, H, W)`` uint8, 255 where the person's box is in the whole image.
        persons: the same n.
        grouped: the persons see each other.
    """

    crops: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    persons: Persons
    grouped: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """The persons of several images, one after the other; S in all.

    Attributes:
        crops: ``(S, H, W, 3)`` uint8.
        masks: ``(S, H, W)`` uint8.
        persons: all S.
        lengths: persons of each image.
        groups: persons of each group that see each other: `lengths`, or ones where an image is not grouped.
    """

    crops: Tensor
    masks: Tensor
    persons: Persons
    lengths: list[int]
    groups: list[int]

    def to(self, device: torch.device | str) -> "Batch":
        """The batch with its pixels on a device."""
        return replace(
            self,
            crops=self.crops.to(device, non_blocking=True),
            masks=self.masks.to(device, non_blocking=True),
        )

    def pin_memory(self) -> "Batch":
        """The batch with its pixels where a GPU can fetch them by itself; PyTorch's loader calls this."""
        return replace(self, crops=self.crops.pin_memory(), masks=self.masks.pin_memory())

    def network_input(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Normalise, as the release does in float32.

        Returns:
            images: ``(S, 3, H, W)``, in memory with the colours together ("channels last").
            masks: ``(S, 1, H, W)`` in [0, 1].
        """
        mean, std = (torch.tensor(values, device=self.crops.device) for values in (MEAN, STD))
        images = self.crops.to(torch.float32).div_(255).sub_(mean).div_(std)
        masks = self.masks.to(torch.float32).div_(255)
        return images.permute(0, 3, 1, 2).to(dtype), masks.unsqueeze(1).to(dtype)


def prepare(sample: Sample, settings: Settings) -> Example:
    """Cut out the persons of an image and draw where they stand.

    Boxes are taken as they are: datasets clean ground-truth boxes, detectors' boxes stay raw, as published.

    Raises:
        ImageError: the image cannot be read.
    """
    boxes = sample.boxes_xywh
    size = settings.input_size
    centers, scales = centers_and_scales(boxes, size, settings.box_enlargement)
    scores = np.array([instance.score for instance in sample.instances], dtype=np.float64)
    return Example(
        crops=warp_crops(sample.read(), crop_affines(centers, scales, size), size),
        masks=position_masks(boxes, sample.width, sample.height, size),
        persons=Persons(centers, scales, boxes, scores),
        grouped=settings.group_detections or sample.box_source == "gt",
    )


def collate(examples: Sequence[Example]) -> Batch:
    """Join the examples of several images."""
    lengths = [len(example.crops) for example in examples]
    groups: list[int] = []
    for example, length in zip(examples, lengths, strict=True):
        groups += [length] if example.grouped else [1] * length
    persons = [example.persons for example in examples]
    return Batch(
        crops=torch.from_numpy(np.concatenate([example.crops for example in examples])),
        masks=torch.from_numpy(np.concatenate([example.masks for example in examples])),
        persons=Persons(
            np.concatenate([p.centers for p in persons]),
            np.concatenate([p.scales for p in persons]),
            np.concatenate([p.boxes for p in persons]),
            np.concatenate([p.scores for p in persons]),
        ),
        lengths=lengths,
        groups=groups,
    )
