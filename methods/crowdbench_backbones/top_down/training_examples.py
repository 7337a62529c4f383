"""Training examples and batches: crops with the keypoints in them.

It stands beside the crops, whatever those are to a method, not among them: predictions know nothing of it.

Letters: n persons of an image, S persons of a batch, K keypoints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crowdbench.api.types import FloatArray, KeypointSet, Sample
from crowdbench.vision.geometry import centers_and_scales, transform_points, warp_crops
from crowdbench_backbones.tensor_batch import TensorBatch
from crowdbench_backbones.top_down.augmentation import Augmentation, Draws, augment, mirrored_image
from crowdbench_backbones.top_down.crops import CropBatch, Crops, Persons
from crowdbench_backbones.top_down.settings import TopDownSettings
from crowdbench_backbones.top_down.targets import separable_targets

CropsT = TypeVar("CropsT", bound=Crops)
BatchT = TypeVar("BatchT", bound=CropBatch)


@dataclass(frozen=True, eq=False)
class Supervised(Generic[CropsT]):
    """One image's persons, augmented.

    Attributes:
        crops: the network's input.
        positions: ``(n, K, 2)`` float64, of the keypoints, x, y in heatmap pixels.
        visible: ``(n, K)`` bool, which of them are labelled.
    """

    crops: CropsT
    positions: FloatArray
    visible: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SupervisedBatch(TensorBatch, Generic[BatchT]):
    """The persons of several images, one after the other; S in all, or none.

    Attributes:
        crops: the network's input.
        positions: ``(S, K, 2)`` float64, of the keypoints, x, y in heatmap pixels.
        visible: ``(S, K)`` bool, which of them are labelled.
        size: (height, width) of the heatmaps.
    """

    crops: BatchT
    positions: Tensor
    visible: Tensor
    size: tuple[int, int]

    def targets(self, sigma: float) -> tuple[Tensor, Tensor]:
        """Heatmaps to train towards, ``(S, K, *size)`` float32, and their weights ``(S, K)`` float32."""
        return separable_targets(self.positions, self.visible, self.size, sigma)


def annotated(sample: Sample) -> NDArray[np.int64]:
    """The persons whose keypoints an annotator wrote down, which a detector's boxes have not.

    A person none of whose keypoints is visible stays, as in I2R-Net's release: others see it.
    """
    return np.array([i for i, own in enumerate(sample.instances) if own.keypoints.any()], dtype=np.int64)


def cut_out_augmented(
    sample: Sample,
    rows: NDArray[np.int64],
    draws: Draws,
    augmentation: Augmentation,
    keypoint_set: KeypointSet,
    settings: TopDownSettings,
) -> Supervised[Crops]:
    """Cut out persons of an image, as they are seen after an augmentation.

    Args:
        sample: the image.
        rows: which of its persons, in which order; n of them.
        draws: for these n persons.
        augmentation: the numbers of half bodies are read from it.
        keypoint_set: of the sample's keypoints.
        settings: what crops are like.

    Returns:
        The crops, with the boxes as they are in the image that is not mirrored.

    Raises:
        ImageError: the image cannot be read.
    """
    size, instances = settings.input_size, [sample.instances[row] for row in rows]
    boxes = sample.boxes_xywh[rows]
    views = augment(
        np.array([instance.keypoints for instance in instances]),
        *centers_and_scales(boxes, size, settings.box_enlargement),
        draws,
        width=sample.width,
        keypoint_set=keypoint_set,
        input_size=size,
        augmentation=augmentation,
    )
    image = sample.read()
    pixels = warp_crops(mirrored_image(image) if draws.flip else image, views.affines(size), size)
    scores = np.array([instance.score for instance in instances], dtype=np.float64)
    return Supervised(
        Crops(pixels, Persons(views.centers, views.scales, boxes, scores)),
        transform_points(views.keypoints[..., :2], views.affines(heatmap_size(size))),
        views.keypoints[..., 2] > 0,
    )


def heatmap_size(input_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the heatmaps of crops of a size: a quarter, for all networks here."""
    return input_size[0] // 4, input_size[1] // 4


def join_supervised(
    examples: Sequence[Supervised[Any]],
    join: Callable[[Sequence[Any]], BatchT],
    size: tuple[int, int],
) -> SupervisedBatch[BatchT]:
    """Join the examples of several images.

    Args:
        examples: of the images.
        join: joins their crops.
        size: (height, width) of the heatmaps.
    """
    return SupervisedBatch(
        join([example.crops for example in examples]),
        torch.from_numpy(np.concatenate([example.positions for example in examples])),
        torch.from_numpy(np.concatenate([example.visible for example in examples])),
        size,
    )
