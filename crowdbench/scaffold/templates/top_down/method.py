"""The method: persons are cut out of the image, the network draws heatmaps, their peaks are the keypoints.

Letters: n persons of an image, S persons of a batch, K keypoints, h and w of heatmaps.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crowdbench import KeypointSet, NetworkMethod, Pose, Sample
from crowdbench.api.recipe import Recipe
from crowdbench.errors import SettingsError
from crowdbench.vision.geometry import centers_and_scales, crop_affines, transform_points, warp_crops
from crowdbench.vision.heatmaps import average_flipped, decode_dark, gaussian_targets, rescore
from crowdbench.vision.oks_nms import oks_nms

from .crops import Crops, Lesson, joined, joined_lessons, normalised
from .network import STRIDE, Network
from .settings import CropSettings, TrainingRecipe


class MyMethod(NetworkMethod):
    """Heatmaps of a small U-Net. Replace what is not yours, one function at a time."""

    paradigm = "top-down"
    Settings = CropSettings
    settings: CropSettings
    recipe = TrainingRecipe()

    def build_network(self) -> nn.Module:
        """A new network, with random weights."""
        return Network(self.keypoints.count)

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """(h, w)."""
        height, width = self.settings.input_size
        return height // STRIDE, width // STRIDE

    # To predict: prepare → collate → predict.

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Crops | Lesson:
        """Cut out the persons of an image; with a generator, to train on. Runs in loader workers."""
        if rng is not None:
            return self._lesson(sample, rng)
        boxes, size = sample.boxes_xywh, self.settings.input_size
        centers, scales = centers_and_scales(boxes, size)
        pixels = warp_crops(sample.read(), crop_affines(centers, scales, size), size)
        scores = np.array([person.score for person in sample.instances], dtype=np.float64)
        return Crops(pixels, centers, scales, boxes, scores, (len(boxes),))

    def collate(self, examples: Sequence[Crops | Lesson]) -> Crops | Lesson:
        """Put the persons of several images one after the other."""
        lessons = [example for example in examples if isinstance(example, Lesson)]
        return joined_lessons(lessons) if lessons else joined([e for e in examples if isinstance(e, Crops)])

    def predict(self, network: nn.Module, batch: Crops) -> list[list[Pose]]:
        """The poses of each image, in its own coordinates."""
        if len(batch.pixels) == 0:
            return [[] for _ in batch.counts]
        positions, confidences = decode_dark(self._heatmaps(network, batch), self.settings.blur_kernel)
        # A heatmap has a map of its own to the image: not the crop's, divided by the stride.
        to_image = crop_affines(batch.centers, batch.scales, self.heatmap_size, inverse=True)
        located = transform_points(positions, to_image)
        keypoints = np.concatenate([located, confidences[..., None]], axis=2)  # (S, K, 3)
        scores = rescore(batch.scores, confidences)
        ends = np.cumsum(batch.counts)
        rows = [np.arange(end - count, end) for end, count in zip(ends, batch.counts, strict=True)]
        return [self._without_doubles(keypoints[own], scores[own], batch.boxes[own]) for own in rows]

    def _heatmaps(self, network: nn.Module, batch: Crops) -> NDArray[np.float32]:
        """``(S, K, h, w)``."""
        images = normalised(batch.pixels, next(network.parameters()))
        heatmaps: Tensor = network(images).float()
        if self.settings.flip_test:
            mirrored = network(images.flip(-1)).float()
            heatmaps = average_flipped(heatmaps, mirrored, self.keypoints.flip_order)
        return np.asarray(heatmaps.cpu(), dtype=np.float32)

    def _without_doubles(
        self, keypoints: NDArray[np.float64], scores: NDArray[np.float64], boxes: NDArray[np.float64]
    ) -> list[Pose]:
        """The poses of one image; where two persons' boxes led to the same pose, one of them."""
        areas = boxes[:, 2] * boxes[:, 3]
        kept = oks_nms(keypoints, scores, areas, self.keypoints.sigmas, self.settings.nms_threshold)
        return [Pose(keypoints[i], scores[i], boxes[i]) for i in kept]

    # To train: prepare, with a generator → collate → loss.

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TrainingRecipe:
        """The recipe that your paper uses on a dataset."""
        return TrainingRecipe()

    def configure_training(self, recipe: Recipe) -> None:
        """Receive the recipe, including the user's changes."""
        if not isinstance(recipe, TrainingRecipe):
            raise SettingsError(f"{self.name} is trained by a TrainingRecipe, got {type(recipe).__name__}.")
        self.recipe = recipe

    def _lesson(self, sample: Sample, rng: np.random.Generator) -> Lesson:
        """The labelled persons of an image, seen a little differently each time.

        All random numbers come from `rng`, so that training is reproducible and can be resumed exactly.
        """
        people = [person for person in sample.instances if (person.keypoints[:, 2] > 0).any()]
        keypoints = np.array([person.keypoints for person in people]).reshape(-1, self.keypoints.count, 3)
        boxes = np.array([person.box_xywh for person in people]).reshape(-1, 4)
        size, image = self.settings.input_size, sample.read()
        centers, scales = centers_and_scales(boxes, size)
        scales = scales * np.float32(self.recipe.scaling ** rng.uniform(-1, 1))
        rotation = rng.uniform(-self.recipe.rotation, self.recipe.rotation)
        if rng.random() < 0.5:
            # Pixel centres are at integers: the last column, width - 1, becomes column 0.
            image = np.ascontiguousarray(image[:, ::-1])
            centers[:, 0] = sample.width - 1 - centers[:, 0]
            keypoints = keypoints[:, list(self.keypoints.flip_order)]
            keypoints[..., 0] = sample.width - 1 - keypoints[..., 0]
        pixels = warp_crops(image, crop_affines(centers, scales, size, rotation=rotation), size)
        to_heatmap = crop_affines(centers, scales, self.heatmap_size, rotation=rotation)
        heatmaps, weights = gaussian_targets(
            transform_points(keypoints[..., :2], to_heatmap),
            keypoints[..., 2] > 0,
            self.heatmap_size,
            self.recipe.target_sigma,
        )
        crops = Crops(pixels, centers, scales, boxes, np.ones(len(boxes)), (len(boxes),))
        return Lesson(crops, heatmaps, weights)

    def loss(self, network: nn.Module, batch: Lesson) -> dict[str, Tensor]:
        """The squared distance of heatmaps from what they should be, of a person on average."""
        parameter = next(network.parameters())
        heatmaps = network(normalised(batch.crops.pixels, parameter)).float()
        targets, weights = (
            torch.from_numpy(array).to(parameter.device) for array in (batch.heatmaps, batch.weights)
        )
        distances = (heatmaps - targets).square().sum(dim=(2, 3)) * weights  # (S, K)
        return {"heatmap": distances.sum() / max(1, len(distances))}

    def count_targets(self, batch: Lesson) -> int:
        """The persons that the loss is a mean over."""
        return len(batch.weights)
