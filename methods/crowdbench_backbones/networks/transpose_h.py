"""TransPose-H (Yang et al., "TransPose: Keypoint Localization via Transformer", ICCV 2021).

The highest resolution of HRNet-W48-S, one token a pixel, through a Transformer; a 1x1 convolution makes
heatmaps.

Letters: N crops, K keypoints, H and W of the input, D = 96 channels of a token.
"""

from torch import Tensor, nn

from crowdbench_backbones.networks.hrnet import HRNetTrunk
from crowdbench_backbones.networks.hrnet_pose import SinglePersonNetwork
from crowdbench_backbones.networks.input_sizes import require_multiple
from crowdbench_backbones.networks.position_encoding import sine_table
from crowdbench_backbones.networks.transformer import Encoder, as_map, as_tokens

# Weights of the trunk's last module that make lower resolutions, which nothing uses.
UNUSED_FUSIONS = ("stage3.3.fuse_layers.1.", "stage3.3.fuse_layers.2.")


class TransPoseHNetwork(SinglePersonNetwork, HRNetTrunk):
    """Crops to heatmaps, each crop by itself.

    Args:
        keypoints: K.
        input_size: (height, width) of the crops; both divisible by 16. The positions fix it.
        layers: of the encoder; 4 or 6 in the published networks.
        outputs: maps that leave the trunk's last module. One is used; I2R-Net's checkpoints hold all three.
    """

    channels = 96

    def __init__(
        self,
        keypoints: int,
        input_size: tuple[int, int] = (256, 192),
        layers: int = 4,
        outputs: int | None = 1,
    ) -> None:
        require_multiple(input_size, 16)
        super().__init__(width=48, modules=(1, 4), outputs=outputs)
        table = sine_table(input_size[0] // 4, input_size[1] // 4, self.channels)
        self.pos_embedding = nn.Parameter(table, requires_grad=False)
        self.reduce = nn.Conv2d(48, self.channels, kernel_size=1, bias=False)
        self.global_encoder = Encoder(layers, self.channels)
        self.final_layer = nn.Conv2d(self.channels, keypoints, kernel_size=1)

    def features(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)``, normalized, to ``(N, D, H / 4, W / 4)``."""
        maps = self.reduce(self.trunk(images, wanted=[0])[0])
        positions = self.pos_embedding.transpose(0, 1)  # (1, L, D)
        return as_map(self.global_encoder(as_tokens(maps), positions), maps.shape[-2:])
