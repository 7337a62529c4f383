"""HRNet as a single-person pose network: the trunk's highest resolution, and one 1x1 convolution.

Letters: N crops, K keypoints, H and W of the input.
"""

from torch import Tensor, nn

from crowdbench_backbones.hrnet import HRNetTrunk
from crowdbench_backbones.sizes import require_multiple


class HRNetPose(HRNetTrunk):
    """HRNet-W48-S, the trunk of I2R-Net, with the head of pose HRNet (Sun et al., CVPR 2019, section 3).

    Args:
        keypoints: K.
        input_size: (height, width) of the crops; both divisible by 16.
    """

    def __init__(self, keypoints: int, input_size: tuple[int, int] = (256, 192)) -> None:
        require_multiple(input_size, 16)
        super().__init__(width=48, modules=(1, 4))
        self.final_layer = nn.Conv2d(48, keypoints, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)
        assert self.final_layer.bias is not None
        nn.init.zeros_(self.final_layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)``, normalised, to heatmaps ``(N, K, H / 4, W / 4)``."""
        heatmaps: Tensor = self.final_layer(self.trunk(images, wanted=[0])[0])
        return heatmaps
