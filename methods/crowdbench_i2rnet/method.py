"""I2R-Net as methods: three networks that run in the same way."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from crowdbench.api.types import KeypointSet, Sample
from crowdbench_backbones.networks.hrformer import HRFormerPose
from crowdbench_backbones.networks.pretrained import (
    load_whole,
    start_hrformer,
    start_hrnet,
    start_transpose_h,
)
from crowdbench_backbones.networks.transpose_h import TransPoseHNetwork
from crowdbench_backbones.top_down.augmentation import draw
from crowdbench_backbones.top_down.method import TopDownMethod
from crowdbench_backbones.top_down.recipes import TINY, TopDownRecipe
from crowdbench_backbones.top_down.training_examples import Supervised, annotated
from crowdbench_i2rnet import recipes
from crowdbench_i2rnet import settings as released
from crowdbench_i2rnet.examples import Batch, Example, collate, prepare, prepare_augmented
from crowdbench_i2rnet.person_sampling import draw_persons
from crowdbench_i2rnet.settings import HRFormerSettings, TinySettings, TransPoseSettings
from crowdbench_i2rnet.settings import Settings as VanillaSettings
from crowdbench_i2rnet.two_stage import TwoStageNetwork, two_stage_tiny
from crowdbench_i2rnet.vanilla import VanillaNetwork

# What the names of the first stage's weights begin with.
FIRST_STAGE = "singleformer."


class I2RNet(TopDownMethod):
    """What all variants share: position masks, and attention among the persons of an image.

    Subclasses set `release_name`, the variant's name in `crowdbench_i2rnet.recipes`.
    """

    settings: VanillaSettings
    release_name: ClassVar[str]

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TopDownRecipe:
        """Return the release's recipe; CrowdPose's for a dataset that the release does not have."""
        return recipes.published(cls.release_name, dataset, keypoints)

    def prepare(self, sample: Sample, rng: np.random.Generator | None = None) -> Any:
        """Cut out the persons of an image, and draw where they stand; with a generator, augmented."""
        return prepare(sample, self.settings) if rng is None else self.augmented(sample, rng)

    def augmented(self, sample: Sample, rng: np.random.Generator) -> Supervised[Example]:
        """An example to train on: of many persons one, and those that are nearest to it."""
        rows = annotated(sample)
        rows = rows[draw_persons(rng, sample.boxes_xywh[rows], self.settings.max_persons)]
        draws = draw(rng, len(rows), self.augmentation)
        return prepare_augmented(sample, rows, draws, self.augmentation, self.keypoints, self.settings)

    def joined(self, examples: Sequence[Example]) -> Batch:
        """Join the crops and masks of several images."""
        return collate(examples)

    def supervised_heatmaps(self, network: nn.Module, batch: Batch, dtype: torch.dtype) -> dict[str, Tensor]:
        """The heatmaps of both stages, or of the second if there is no first."""
        stages = network(batch.images(dtype), batch.masks(dtype), batch.groups)
        return {name: heatmaps for name, heatmaps in stages.items() if heatmaps is not None}

    def heatmaps(self, network: nn.Module, batch: Batch, mirrored: bool, dtype: torch.dtype) -> Tensor:
        """The second stage's heatmaps ``(S, K, h, w)``; mirrored persons stand in a mirrored image."""
        images, masks = batch.images(dtype), batch.masks(dtype)
        if mirrored:
            images, masks = images.flip(-1), masks.flip(-1)
        heatmaps: Tensor = network(images, masks, batch.groups, self.portion)["inter"]
        return heatmaps


class I2RNetTwoStage(I2RNet):
    """I2R-Net on a first stage, a single-person network."""

    @staticmethod
    def start_first_stage(network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Load weights into the first stage; see `crowdbench_backbones.networks.pretrained`."""
        return load_whole(network, state, source)

    def initialize_from(self, network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Weights of the first stage, or its trunk's of ImageNet, or all of this very network."""
        if any(name.startswith(FIRST_STAGE) for name in state):
            return super().initialize_from(network, state, source)
        names = self.start_first_stage(network.get_submodule(FIRST_STAGE[:-1]), state, source)
        return [f"{FIRST_STAGE}{name}" for name in names]


class I2RNetVanilla(I2RNet):
    """I2R-Net on HRNet-W48-S, the variant without an intra-human stage (Ding et al., IJCAI 2022)."""

    Settings = VanillaSettings
    published = released.VANILLA
    release_name = "vanilla"

    def build_network(self) -> nn.Module:
        """The network with the release's initialisation, without ImageNet's weights."""
        own = self.settings
        return VanillaNetwork(
            self.keypoints.count, own.input_size, own.relation_layers, own.use_position_mask
        )

    def initialize_from(self, network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Weights of ImageNet's HRNet-W48 into the trunk, or all of this very network."""
        return start_hrnet(network, state, source)


class I2RNetTransPose(I2RNetTwoStage):
    """I2R-Net on TransPose-H (Ding et al., IJCAI 2022)."""

    Settings = TransPoseSettings
    settings: TransPoseSettings
    published = released.TRANSPOSE
    release_name = "transpose"
    start_first_stage = staticmethod(start_transpose_h)

    def build_network(self) -> nn.Module:
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


class I2RNetHRFormer(I2RNetTwoStage):
    """I2R-Net on HRFormer-B (Ding et al., IJCAI 2022)."""

    Settings = HRFormerSettings
    settings: HRFormerSettings
    published = released.HRFORMER
    release_name = "hrformer"
    start_first_stage = staticmethod(start_hrformer)

    def build_network(self) -> nn.Module:
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


class I2RNetTiny(I2RNetTwoStage):
    """I2R-Net on a tiny HRNet, small enough to learn and to run on a CPU."""

    Settings = TinySettings
    published = released.TINY

    def build_network(self) -> nn.Module:
        """The network with random weights."""
        own = self.settings
        return two_stage_tiny(
            self.keypoints.count, own.input_size, own.relation_layers, own.use_position_mask
        )

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TopDownRecipe:
        """That of `hrnet-tiny`: both stages learn together, from nothing."""
        return TINY
