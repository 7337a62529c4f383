"""I2R-Net as the bench sees it: three networks, one way to run them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from crowdbench.types import KeypointSet, Sample
from crowdbench_backbones.hrformer import HRFormerPose
from crowdbench_backbones.top_down import TopDownMethod
from crowdbench_backbones.transpose_h import TransPoseHNetwork
from crowdbench_i2rnet import settings as published
from crowdbench_i2rnet.preparation import Batch, Example, collate, prepare
from crowdbench_i2rnet.settings import HRFormerSettings, TinySettings, TransPoseSettings
from crowdbench_i2rnet.settings import Settings as VanillaSettings
from crowdbench_i2rnet.two_stage import TwoStageNetwork, two_stage_tiny
from crowdbench_i2rnet.vanilla import VanillaNetwork


class I2RNet(TopDownMethod):
    """What the three networks share: position masks, and persons of an image that see each other."""

    settings: VanillaSettings

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Example:
        """Cut out the persons of an image and draw where they stand."""
        self.require_evaluation(rng)
        return prepare(sample, self.settings)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Join the examples of several images."""
        return collate(examples)

    def heatmaps(self, network: nn.Module, batch: Batch, mirrored: bool, dtype: torch.dtype) -> Tensor:
        """The second stage's heatmaps ``(S, K, h, w)``; mirrored persons stand in a mirrored image."""
        images, masks = batch.images(dtype), batch.masks(dtype)
        if mirrored:
            images, masks = images.flip(-1), masks.flip(-1)
        heatmaps: Tensor = network(images, masks, batch.groups, self.portion)["inter"]
        return heatmaps


class I2RNetVanilla(I2RNet):
    """I2R-Net on HRNet-W48-S, the variant without an intra-human stage (Ding et al., IJCAI 2022)."""

    Settings = VanillaSettings

    @classmethod
    def published_settings(cls, dataset: str, keypoints: KeypointSet) -> VanillaSettings:
        """The release's settings for a dataset; the defaults for one that it does not know."""
        return published.VANILLA.get(dataset, VanillaSettings())

    def network(self) -> nn.Module:
        """The network with the release's initialisation, without ImageNet's weights."""
        own = self.settings
        return VanillaNetwork(
            self.keypoints.count, own.input_size, own.relation_layers, own.use_position_mask
        )


class I2RNetTransPose(I2RNet):
    """I2R-Net on TransPose-H (Ding et al., IJCAI 2022)."""

    Settings = TransPoseSettings
    settings: TransPoseSettings

    @classmethod
    def published_settings(cls, dataset: str, keypoints: KeypointSet) -> TransPoseSettings:
        """The release's settings for a dataset; the defaults for one that it does not know."""
        return published.TRANSPOSE.get(dataset, TransPoseSettings())

    def network(self) -> nn.Module:
        """The network with random weights."""
        own, keypoints = self.settings, self.keypoints.count
        return TwoStageNetwork(
            TransPoseHNetwork(keypoints, own.input_size, own.intra_layers, outputs=None),
            keypoints,
            own.input_size,
            relation_layers=own.relation_layers,
            embedding=own.mask_embedding,
            use_position_mask=own.use_position_mask,
            shared_upsampling=own.shared_upsampling,
        )


class I2RNetHRFormer(I2RNet):
    """I2R-Net on HRFormer-B (Ding et al., IJCAI 2022)."""

    Settings = HRFormerSettings
    settings: HRFormerSettings

    @classmethod
    def published_settings(cls, dataset: str, keypoints: KeypointSet) -> HRFormerSettings:
        """The release's settings for a dataset; the defaults for one that it does not know."""
        return published.HRFORMER.get(dataset, HRFormerSettings())

    def network(self) -> nn.Module:
        """The network with random weights."""
        own, keypoints = self.settings, self.keypoints.count
        return TwoStageNetwork(
            HRFormerPose(keypoints, own.input_size, own.relative_position_bias, own.mask_window_padding),
            keypoints,
            own.input_size,
            relation_layers=own.relation_layers,
            embedding=own.mask_embedding,
            use_position_mask=own.use_position_mask,
        )


class I2RNetTiny(I2RNet):
    """I2R-Net on a tiny HRNet, small enough to learn and to run on a processor."""

    Settings = TinySettings

    @classmethod
    def published_settings(cls, dataset: str, keypoints: KeypointSet) -> TinySettings:
        """As for `hrnet-tiny`; nobody has published this network."""
        return published.TINY.get(dataset, TinySettings())

    def network(self) -> nn.Module:
        """The network with random weights."""
        own = self.settings
        return two_stage_tiny(
            self.keypoints.count, own.input_size, own.relation_layers, own.use_position_mask
        )
