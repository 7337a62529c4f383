"""What top-down heatmap methods share: crops in; decoding, scoring and suppression of poses."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crowdbench import NetworkMethod
from crowdbench.api.recipe import Recipe
from crowdbench.api.types import Float32Array, FloatArray, KeypointSet, Pose, Precision, Sample
from crowdbench.errors import SettingsError
from crowdbench.vision.geometry import SCALE_UNIT_PX, crop_affines, transform_points
from crowdbench.vision.heatmaps import average_flipped, decode_dark, rescore
from crowdbench.vision.oks_nms import oks_nms
from crowdbench_backbones.networks.chunking import PORTION, in_chunks
from crowdbench_backbones.networks.fuse import optimize
from crowdbench_backbones.top_down.augmentation import draw
from crowdbench_backbones.top_down.crops import CropBatch, Persons, cut_out, join
from crowdbench_backbones.top_down.losses import keypoint_loss
from crowdbench_backbones.top_down.recipes import AUGMENTATION, TopDownRecipe
from crowdbench_backbones.top_down.settings import TopDownSettings, require_sigma_per_keypoint
from crowdbench_backbones.top_down.training_examples import (
    Supervised,
    SupervisedBatch,
    annotated,
    cut_out_augmented,
    heatmap_size,
    join_supervised,
)


class TopDownMethod(NetworkMethod):
    """Crops of all persons through a network, heatmaps to poses.

    Subclasses give the network; `joined`, `heatmaps`, `augmented` and `supervised_heatmaps` if it wants more
    than crops; and a recipe.

    Attributes:
        augmentation, target_sigma: of training; see `TopDownRecipe`.
    """

    paradigm = "top-down"
    Settings: ClassVar[type[Any]] = TopDownSettings
    settings: TopDownSettings

    def __init__(self, keypoints: KeypointSet, settings: TopDownSettings, name: str | None = None) -> None:
        require_sigma_per_keypoint(settings.nms_sigmas, keypoints)
        super().__init__(keypoints, settings, name)
        self.augmentation, self.target_sigma = AUGMENTATION, TopDownRecipe.target_sigma
        self.portion = PORTION

    def configure_training(self, recipe: Recipe) -> None:
        """Take augmentation and targets from the recipe; raises SettingsError if it has none."""
        if not isinstance(recipe, TopDownRecipe):
            raise SettingsError(
                f"{self.name} is trained with a TopDownRecipe, got a {type(recipe).__name__}."
            )
        self.augmentation, self.target_sigma = recipe.augmentation, recipe.target_sigma

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Any:
        """Cut out the persons of an image; with a generator, those that are annotated, augmented."""
        return cut_out(sample, self.settings) if rng is None else self.augmented(sample, rng)

    def augmented(self, sample: Sample, rng: np.random.Generator) -> Supervised[Any]:
        """An example to train on; maybe of no persons."""
        rows = annotated(sample)
        draws = draw(rng, len(rows), self.augmentation)
        return cut_out_augmented(sample, rows, draws, self.augmentation, self.keypoints, self.settings)

    def collate(self, examples: Sequence[Any]) -> Any:
        """Join the examples of several images."""
        if isinstance(examples[0], Supervised):
            return join_supervised(examples, self.joined, heatmap_size(self.settings.input_size))
        return self.joined(examples)

    def joined(self, examples: Sequence[Any]) -> CropBatch:
        """Join the crops of several images."""
        return join(examples)

    def optimize_for_inference(
        self, network: nn.Module, *, precision: Precision = "fp32", compiled: bool = False
    ) -> nn.Module:
        """Fold batch norms into convolutions, lay kernels out for crops whose colors are together."""
        return optimize(network, precision=precision, compiled=compiled)

    def set_batch_limit(self, size: int) -> None:
        """An image with more persons than this is computed in portions."""
        self.portion = size

    def heatmaps(self, network: nn.Module, batch: Any, mirrored: bool, dtype: torch.dtype) -> Tensor:
        """Run the network.

        Args:
            network: on the batch's device.
            batch: what `collate` made.
            mirrored: on the crops' mirror images.
            dtype: of the network.

        Returns:
            ``(S, K, h, w)``, a quarter of the crops' size.
        """
        images = batch.images(dtype)
        return in_chunks(network, images.flip(-1) if mirrored else images, self.portion)

    def loss(self, network: nn.Module, batch: SupervisedBatch[Any]) -> dict[str, Tensor]:
        """The losses of all stages of the network, which count equally and as much as one stage by itself."""
        parameter = next(network.parameters())
        batch = batch.to(parameter.device)
        stages = self.supervised_heatmaps(network, batch.crops, parameter.dtype)
        targets, weights = batch.targets(self.target_sigma)
        return {
            name: keypoint_loss(heatmaps, targets, weights) / len(stages) for name, heatmaps in stages.items()
        }

    def supervised_heatmaps(self, network: nn.Module, batch: Any, dtype: torch.dtype) -> dict[str, Tensor]:
        """All heatmaps that are trained, ``(S, K, h, w)`` each, by what they are called; as `heatmaps`."""
        return {"heatmap": network(batch.images(dtype))}

    def count_targets(self, batch: SupervisedBatch[Any]) -> int:
        """The persons of a batch."""
        return len(batch.visible)

    def predict(self, network: nn.Module, batch: CropBatch) -> list[list[Pose]]:
        """Heatmaps of all persons, then poses, scores and suppression, image by image."""
        if not len(batch.pixels):
            return [[] for _ in batch.lengths]
        positions, confidences = decode_dark(self._averaged(network, batch), self.settings.blur_kernel)
        height, width = self.settings.input_size
        back = crop_affines(
            batch.persons.centers, batch.persons.scales, (height // 4, width // 4), inverse=True
        )
        # float32, as the release keeps its coordinates
        located = transform_points(positions, back).astype(np.float32)
        keypoints = np.concatenate([located, confidences[:, :, None]], axis=2, dtype=np.float64)
        ends = np.cumsum(batch.lengths)
        return [
            self._poses(keypoints, batch.persons, np.arange(end - length, end))
            for end, length in zip(ends, batch.lengths, strict=True)
        ]

    def _averaged(self, network: nn.Module, batch: CropBatch) -> Float32Array:
        """``(S, K, h, w)`` float32, of the crops and, with flip test, their mirror images."""
        parameter = next(network.parameters())
        batch = batch.to(parameter.device)
        heatmaps = self.heatmaps(network, batch, False, parameter.dtype)
        if self.settings.flip_test:
            mirrored = self.heatmaps(network, batch, True, parameter.dtype).float()
            if self.settings.flip_shift:  # right, after mirroring back
                mirrored = torch.cat([mirrored[..., 1:], mirrored[..., -1:]], dim=-1)
            heatmaps = average_flipped(heatmaps.float(), mirrored, self.keypoints.flip_order)
        array: Float32Array = heatmaps.to(torch.float32).cpu().numpy()
        return array

    def _poses(self, keypoints: FloatArray, persons: Persons, rows: NDArray[np.int64]) -> list[Pose]:
        """The poses of one image, best first, without doubles."""
        scores = rescore(persons.scores[rows], keypoints[rows, :, 2], self.settings.confidence_threshold)
        areas = (
            np.prod(persons.scales[rows] * np.float32(SCALE_UNIT_PX), axis=1)
            if self.settings.nms_area == "crop"
            else np.prod(persons.boxes[rows, 2:], axis=1)
        )
        sigmas = self.settings.nms_sigmas or self.keypoints.sigmas
        kept = oks_nms(keypoints[rows], scores, areas, sigmas, self.settings.nms_threshold)
        return [Pose(keypoints[rows[i]], scores[i], persons.boxes[rows[i]]) for i in kept]
