"""The single-person networks as methods, which predict every crop independently.

They are the first stages of I2R-Net, so that what relations among persons add can be measured.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from crowdbench.api.types import KeypointSet
from crowdbench_backbones.networks.hrformer import HRFormerPose
from crowdbench_backbones.networks.hrnet_pose import HRNetPose, hrnet_tiny
from crowdbench_backbones.networks.pretrained import start_hrformer, start_hrnet, start_transpose_h
from crowdbench_backbones.networks.transpose_h import UNUSED_FUSIONS, TransPoseHNetwork
from crowdbench_backbones.top_down.method import TopDownMethod
from crowdbench_backbones.top_down.recipes import (
    IMAGENET_HRFORMER,
    IMAGENET_HRNET,
    TINY,
    TopDownRecipe,
    published,
)
from crowdbench_backbones.top_down.settings import (
    HRFORMER,
    HRNET,
    HRNET_TINY,
    TINY_BLUR,
    TINY_SIZE,
    TRANSPOSE,
    HRFormerSettings,
    TopDownSettings,
    TransPoseSettings,
)


class HRNetW48S(TopDownMethod):
    """The trunk of I2R-Net vanilla, HRNet-W48-S, as a plain top-down network (Sun et al., CVPR 2019)."""

    published = HRNET

    def build_network(self) -> nn.Module:
        """The network with random weights."""
        return HRNetPose(self.keypoints.count, self.settings.input_size)

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TopDownRecipe:
        """The recipe of I2R-Net vanilla; none is published for this network alone."""
        return published("vanilla", dataset, keypoints, IMAGENET_HRNET)

    def initialize_from(self, network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Weights of ImageNet's HRNet-W48 into the trunk, or all of this very network."""
        return start_hrnet(network, state, source)


class HRNetTiny(TopDownMethod):
    """An HRNet small enough to learn and to run on a CPU; the first stage of I2R-Net's tiny member."""

    published = MappingProxyType(
        {**HRNET_TINY, "*": TopDownSettings(input_size=TINY_SIZE, blur_kernel=TINY_BLUR)}
    )

    def build_network(self) -> nn.Module:
        """The network with random weights."""
        return hrnet_tiny(self.keypoints.count, self.settings.input_size)

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TopDownRecipe:
        """Our own, the same on every dataset."""
        return TINY


class TransPoseH(TopDownMethod):
    """TransPose-H (Yang et al., ICCV 2021)."""

    Settings = TransPoseSettings
    settings: TransPoseSettings
    published = TRANSPOSE

    def build_network(self) -> nn.Module:
        """The network with random weights."""
        return TransPoseHNetwork(self.keypoints.count, self.settings.input_size, self.settings.layers)

    def convert_state_dict(self, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Drop what the release's file holds and its forward pass never uses.

        TransPose-H reads its heatmaps from the highest resolution only.
        """
        unused = ("deconv_layers.", *UNUSED_FUSIONS)
        return {name: value for name, value in state.items() if not name.startswith(unused)}

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TopDownRecipe:
        """The numbers of I2R-Net on this network, from ImageNet's weights."""
        return published("transpose", dataset, keypoints, IMAGENET_HRNET)

    def initialize_from(self, network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Weights of ImageNet's HRNet-W48 into the trunk, or all of this very network."""
        return start_transpose_h(network, state, source)


class HRFormerB(TopDownMethod):
    """HRFormer-B (Yuan et al., NeurIPS 2021)."""

    Settings = HRFormerSettings
    settings: HRFormerSettings
    published = HRFORMER

    def build_network(self) -> nn.Module:
        """The network with random weights."""
        return HRFormerPose(
            self.keypoints.count,
            self.settings.input_size,
            self.settings.relative_position_bias,
            self.settings.mask_window_padding,
        )

    @classmethod
    def published_recipe(cls, dataset: str, keypoints: KeypointSet) -> TopDownRecipe:
        """The numbers of I2R-Net on this network, from ImageNet's weights."""
        return published("hrformer", dataset, keypoints, IMAGENET_HRFORMER)

    def initialize_from(self, network: nn.Module, state: Mapping[str, Tensor], source: str) -> list[str]:
        """Weights of ImageNet's HRFormer-B into the trunk, or all of this very network."""
        return start_hrformer(network, state, source)
