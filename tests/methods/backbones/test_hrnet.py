"""HRNet's trunk beyond what I2R-Net's golden numbers cover."""

import pytest
import torch

from crowdbench_backbones.networks.hrnet import HRNetTrunk


@pytest.mark.parametrize(
    ("width", "modules", "channels"),
    [
        pytest.param(48, (1, 4), [48, 96, 192], id="W48-S"),
        pytest.param(32, (1, 4, 3), [32, 64, 128, 256], id="W32"),
    ],
)
def test_each_resolution_has_half_the_pixels_and_twice_the_channels(
    width: int, modules: tuple[int, ...], channels: list[int]
) -> None:
    trunk = HRNetTrunk(width, modules).eval()
    with torch.inference_mode():
        maps = trunk.trunk(torch.randn(1, 3, 64, 32))
    assert [tuple(x.shape) for x in maps] == [
        (1, count, 16 >> index, 8 >> index) for index, count in enumerate(channels)
    ]


@pytest.mark.parametrize("training", [True, False])
def test_asking_for_one_resolution_gives_the_same_map(training: bool) -> None:
    torch.manual_seed(0)
    trunk = HRNetTrunk(16, (1, 1), blocks=1).train(training)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        everything = trunk.trunk(images)
        (lowest,) = trunk.trunk(images, wanted=[2])
        (highest,) = trunk.trunk(images, wanted=[0])
    torch.testing.assert_close(lowest, everything[2])
    torch.testing.assert_close(highest, everything[0])
