"""The single-person networks as methods: their heatmaps, and the released files that they read.

Expected values: the first stages of I2R-Net's release on deterministic weights (../shared/reference/i2rnet). For
the trunk with a head of its own nothing is published; it is held against its plan, written down once more.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from support.goldens import load_arrays
from support.reference.i2rnet_networks import Filling, build, filling
from torch import Tensor, nn
from torch.nn import functional

from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench.errors import WeightsError
from crowdbench.weights.checkpoint_file.state_dict import load_weights
from crowdbench_backbones.top_down.crops import CropBatch, Persons
from crowdbench_backbones.top_down.method import TopDownMethod

FIRST_STAGES = {"transpose-h": "i2rnet-transpose", "hrformer-b": "i2rnet-hrformer"}
METHODS = ["hrnet-w48-s", *FIRST_STAGES]
SMALL = (64, 64)


@pytest.fixture(scope="module")
def fill() -> Filling:
    return filling()


def first_stage_weights(fill: Filling, method: str, dataset: str) -> dict[str, Tensor]:
    """What a checkpoint of I2R-Net holds of its first stage, under the first stage's own names."""
    prefix = "singleformer."
    whole = build(FIRST_STAGES[method], dataset).state_dict()
    own = fill.weights["centred"]({name: value for name, value in whole.items() if name.startswith(prefix)})
    return {name.removeprefix(prefix): value for name, value in own.items()}


def loaded(method: str, dataset: str, weights: dict[str, Tensor]) -> nn.Module:
    """As a run loads a file: what the method takes of it, strictly."""
    configured = load_method(method, dataset)
    assert isinstance(configured, NetworkMethod)
    network = configured.build_network().eval()
    load_weights(network, configured.convert_state_dict(weights), "a test")
    return network


@pytest.mark.parametrize(
    ("method", "dataset"),
    [
        pytest.param("transpose-h", "coco", id="transpose-h, six layers"),
        pytest.param("hrformer-b", "crowdpose", id="hrformer-b"),
    ],
)
def test_heatmaps_are_those_of_the_released_first_stage(
    goldens: Path, fill: Filling, method: str, dataset: str
) -> None:
    variant = FIRST_STAGES[method].removeprefix("i2rnet-")
    golden = load_arrays(goldens / f"i2rnet/forward_{variant}_{dataset}_256x192.npz")
    images = fill.input(str(golden["images_name"]), tuple(golden["images_shape"]))
    network = loaded(method, dataset, first_stage_weights(fill, method, dataset))
    with torch.inference_mode():
        heatmaps = network(images[:1])  # of three, to save time
    assert np.abs(golden.values("single_centred_f64")).max() > 1
    golden.assert_close("single_centred_f64", heatmaps[:, :, ::2, ::2], rows=1, atol=1e-4)


class PlainHRNet:
    """HRNet-W48-S from a state dict: three resolutions of 48, 96 and 192 channels, and a 1x1 convolution."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state
        self.read: set[str] = set()

    def __call__(self, images: Tensor) -> Tensor:
        x = self.unit("", images, "conv1", "bn1", stride=2).relu()
        x = self.unit("", x, "conv2", "bn2", stride=2).relu()
        for index in range(4):
            x = self.bottleneck(f"layer1.{index}.", x)
        maps = [
            self.unit("transition1.0.", x, "0", "1").relu(),
            self.unit("transition1.1.0.", x, "0", "1", stride=2).relu(),
        ]
        maps = self.module("stage2.0.", maps)
        maps.append(self.unit("transition2.2.0.", maps[-1], "0", "1", stride=2).relu())
        for index in range(4):
            maps = self.module(f"stage3.{index}.", maps)
        return functional.conv2d(maps[0], self.take("final_layer.weight"), self.take("final_layer.bias"))

    def take(self, name: str) -> Tensor:
        self.read.add(name)
        return self.state[name]

    def unit(self, prefix: str, x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        """A convolution that keeps the size up to its stride, and its norm."""
        kernel = self.take(f"{prefix}{conv}.weight")
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        mean, variance, weight, bias = (
            self.take(f"{prefix}{norm}.{part}")[:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def bottleneck(self, prefix: str, x: Tensor) -> Tensor:
        y = self.unit(prefix, x, "conv1", "bn1").relu()
        y = self.unit(prefix, y, "conv2", "bn2").relu()
        y = self.unit(prefix, y, "conv3", "bn3")
        widens = f"{prefix}downsample.0.weight" in self.state
        return (y + (self.unit(f"{prefix}downsample.", x, "0", "1") if widens else x)).relu()

    def module(self, prefix: str, maps: list[Tensor]) -> list[Tensor]:
        """Four basic blocks on every map, then every map is told of every other."""
        maps = list(maps)
        for branch in range(len(maps)):
            for block in range(4):
                own = f"{prefix}branches.{branch}.{block}."
                y = self.unit(own, maps[branch], "conv1", "bn1").relu()
                maps[branch] = (self.unit(own, y, "conv2", "bn2") + maps[branch]).relu()
        return [
            torch.stack([self.brought(f"{prefix}fuse_layers.{i}.{j}.", x, j, i) for j, x in enumerate(maps)])
            .sum(dim=0)
            .relu()
            for i in range(len(maps))
        ]

    def brought(self, prefix: str, x: Tensor, source: int, target: int) -> Tensor:
        """To the width and resolution of another map."""
        if source > target:
            x = self.unit(prefix, x, "0", "1")
            for axis in (2, 3):
                x = x.repeat_interleave(2 ** (source - target), dim=axis)
        for step in range(target - source):
            x = self.unit(f"{prefix}{step}.", x, "0", "1", stride=2)
            if step < target - source - 1:
                x = x.relu()
        return x


def test_heatmaps_of_the_trunk_are_a_convolution_of_its_highest_resolution(fill: Filling) -> None:
    network = fill.into(build("hrnet-w48-s", "crowdpose", SMALL)).double()
    images = fill.input("single/hrnet", (2, 3, *SMALL)).double()
    plain = PlainHRNet(network.state_dict())
    with torch.inference_mode():
        expected = plain(images)
        torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-9)
    assert expected.shape == (2, 14, 16, 16)
    assert expected.std() > 0.1
    unused = {name for name in plain.state if name not in plain.read and "num_batches" not in name}
    assert unused == set()


UPSTREAM_EXTRA = [
    "deconv_layers.0.weight",
    *(f"deconv_layers.1.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
]


@pytest.mark.parametrize("file", ["TransPose", "I2R-Net"])
def test_of_a_released_transpose_just_what_it_never_uses_is_left_out(fill: Filling, file: str) -> None:
    """TransPose's own files hold an upsampling, I2R-Net's the trunk's lower resolutions."""
    state = first_stage_weights(fill, "transpose-h", "crowdpose")
    method = load_method("transpose-h", "crowdpose")
    assert isinstance(method, NetworkMethod)
    lower = {name for name in state if name.startswith(("stage3.3.fuse_layers.1", "stage3.3.fuse_layers.2"))}
    assert len(lower) > 20
    if file == "TransPose":
        state = {name: value for name, value in state.items() if name not in lower}
        state |= {name: torch.ones(96) for name in UPSTREAM_EXTRA}
    taken = method.convert_state_dict(state)
    assert set(state) - set(taken) == (set(UPSTREAM_EXTRA) if file == "TransPose" else lower)
    network = loaded("transpose-h", "crowdpose", state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("stranger", ["deconv.0.weight", "stage3.3.fuse_layers.3.0.weight", "head.weight"])
def test_a_transpose_file_with_anything_else_is_refused(fill: Filling, stranger: str) -> None:
    state = first_stage_weights(fill, "transpose-h", "crowdpose") | {stranger: torch.ones(1)}
    with pytest.raises(WeightsError, match=f"1 unexpected: {stranger}"):
        loaded("transpose-h", "crowdpose", state)


def test_a_transpose_file_that_lacks_something_is_refused(fill: Filling) -> None:
    state = first_stage_weights(fill, "transpose-h", "crowdpose")
    del state["stage3.3.fuse_layers.0.1.0.weight"]
    with pytest.raises(WeightsError, match="1 missing: stage3.3.fuse_layers.0.1.0.weight"):
        loaded("transpose-h", "crowdpose", state)


def crops(count: int) -> CropBatch:
    """Crops of noise, of one person each."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, *SMALL, 3), generator=generator, dtype=torch.uint8)
    persons = Persons(
        centers=np.full((count, 2), 32, np.float32),
        scales=np.full((count, 2), 0.5, np.float32),
        boxes=np.tile([0.0, 0, 64, 64], (count, 1)),
        scores=np.ones(count),
    )
    return CropBatch(pixels, persons, [1] * count)


@pytest.fixture(scope="module", params=METHODS)
def small(request: pytest.FixtureRequest, fill: Filling) -> tuple[TopDownMethod, nn.Module]:
    """In float64: what is equal there is equal to the last bits."""
    method = load_method(request.param, "crowdpose", input_size=SMALL)
    assert isinstance(method, TopDownMethod)
    return method, fill.into(method.build_network().eval()).double()


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_heatmaps_of_a_crop_do_not_depend_on_the_others_in_its_batch(
    small: tuple[TopDownMethod, nn.Module], mirrored: bool
) -> None:
    method, network = small
    batch = crops(3)
    with torch.inference_mode():
        together = method.heatmaps(network, batch, mirrored, torch.float64)
        for order in ([0], [2, 0], [1, 1, 2]):
            other = dataclasses.replace(batch, pixels=batch.pixels[order], lengths=[len(order)])
            heatmaps = method.heatmaps(network, other, mirrored, torch.float64)
            torch.testing.assert_close(heatmaps, together[order], rtol=0, atol=1e-9)
    assert (together[0] - together[1]).abs().max() > 1e-3
