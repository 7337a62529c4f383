"""I2R-Net as the bench sees it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crowdbench import NetworkMethod
from crowdbench.errors import SettingsError
from crowdbench.geometry import SCALE_UNIT_PX, Float32Array, crop_affines, transform_points
from crowdbench.heatmaps import average_flipped, decode_dark, rescore
from crowdbench.suppression import oks_nms
from crowdbench.types import FloatArray, KeypointSet, Pose, Sample
from crowdbench_i2rnet import preparation
from crowdbench_i2rnet.network import I2RNetVanillaNetwork
from crowdbench_i2rnet.preparation import Batch, Example, Persons
from crowdbench_i2rnet.settings import VANILLA
from crowdbench_i2rnet.settings import Settings as I2RNetSettings


class I2RNetVanilla(NetworkMethod):
    """I2R-Net on HRNet-W48-S, the variant without an intra-human stage (Ding et al., IJCAI 2022)."""

    paradigm = "top-down"
    Settings = I2RNetSettings
    settings: I2RNetSettings

    def __init__(self, keypoints: KeypointSet, settings: I2RNetSettings, name: str | None = None) -> None:
        sigmas = settings.nms_sigmas
        if sigmas is not None and len(sigmas) != keypoints.count:
            raise SettingsError(
                f"nms_sigmas has {len(sigmas)} values; {keypoints.name} has {keypoints.count} keypoints.\n"
                "Give one per keypoint, or null for the dataset's own."
            )
        super().__init__(keypoints, settings, name)

    @classmethod
    def published_settings(cls, dataset: str, keypoints: KeypointSet) -> I2RNetSettings:
        """The release's settings for a dataset; the defaults for one that it does not know."""
        return VANILLA.get(dataset, I2RNetSettings())

    def network(self) -> nn.Module:
        """The network with the release's initialisation, without ImageNet's weights."""
        network = I2RNetVanillaNetwork(
            self.keypoints.count, self.settings.input_size, self.settings.use_position_mask
        )
        # The crops come with their colours together; kernels laid out alike save a tenth of the time.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Example:
        """Cut out the persons of an image and draw where they stand."""
        if rng is not None:
            raise SettingsError(f"{self.name} cannot be trained yet; it prepares images for evaluation only.")
        return preparation.prepare(sample, self.settings)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Join the examples of several images."""
        return preparation.collate(examples)

    def predict(self, network: nn.Module, batch: Batch) -> list[list[Pose]]:
        """Heatmaps of all persons, then poses, scores and suppression, image by image."""
        if not len(batch.crops):
            return [[] for _ in batch.lengths]
        positions, confidences = decode_dark(self._heatmaps(network, batch), self.settings.blur_kernel)
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

    def _heatmaps(self, network: nn.Module, batch: Batch) -> Float32Array:
        """``(S, K, h, w)`` float32, of the crops and, with flip test, their mirror images."""
        parameter = next(network.parameters())
        images, masks = batch.to(parameter.device).network_input(parameter.dtype)
        heatmaps: Tensor = network(images, masks, batch.groups)["inter"]
        if self.settings.flip_test:
            mirrored = network(images.flip(-1), masks.flip(-1), batch.groups)["inter"]
            heatmaps = average_flipped(heatmaps.float(), mirrored.float(), self.keypoints.flip_order)
        array: Float32Array = heatmaps.to(torch.float32).cpu().numpy()
        return array

    def _poses(self, keypoints: FloatArray, persons: Persons, rows: NDArray[np.int64]) -> list[Pose]:
        """The poses of one image, best first, without doubles."""
        scores = rescore(persons.scores[rows], keypoints[rows, :, 2], self.settings.confidence_threshold)
        areas = np.prod(persons.scales[rows] * np.float32(SCALE_UNIT_PX), axis=1)
        sigmas = self.settings.nms_sigmas or self.keypoints.sigmas
        kept = oks_nms(keypoints[rows], scores, areas, sigmas, self.settings.nms_threshold)
        return [Pose(keypoints[rows[i]], scores[i], persons.boxes[rows[i]]) for i in kept]
