"""I2R-Net vanilla against the released network.

Expected values: the release's forward passes on deterministic weights (../shared/reference/i2rnet), in
float32 and float64; weights are drawn from each tensor's name by the generators that lie beside the values.
"""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from crowdbench.errors import ShapeError
from crowdbench_i2rnet.encoder import SelfAttention
from crowdbench_i2rnet.network import I2RNetVanillaNetwork
from crowdbench_i2rnet.settings import VANILLA

KEYPOINTS = {"crowdpose": 14, "ochuman": 17, "coco": 17}
FORWARDS = [
    "crowdpose_256x192",
    "crowdpose_256x192_len1",
    "crowdpose_256x192_len3",
    "ochuman_256x192",
    "coco_256x192",
]


@pytest.fixture(scope="module", autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def filling(reference: Path) -> Iterator[dict[str, Callable[..., Any]]]:
    sys.path.insert(0, str(reference))  # one of the two imports the other by its bare name
    plain = load_module(reference / "fill.py")
    centred = load_module(reference / "i2rnet/fill_centered.py")
    yield {
        "plain": plain.fill_state_dict,
        "centred": centred.fill_state_dict_centered,
        "input": plain.fill_input,
    }
    sys.path.remove(str(reference))


def build(dataset: str) -> I2RNetVanillaNetwork:
    return I2RNetVanillaNetwork(
        KEYPOINTS[dataset], use_position_mask=VANILLA[dataset].use_position_mask
    ).eval()


@pytest.fixture(scope="module")
def crowdpose_network(filling: dict[str, Callable[..., Any]]) -> I2RNetVanillaNetwork:
    network = build("crowdpose")
    network.load_state_dict(filling["centred"](network.state_dict()))
    return network


def masks_of(rectangles: Any, size: tuple[int, int]) -> Tensor:
    masks = torch.zeros(len(rectangles), 1, *size)
    for mask, (x0, y0, x1, y1) in zip(masks, rectangles, strict=True):
        mask[0, y0:y1, x0:x1] = 1
    return masks


@pytest.mark.parametrize("dataset", ["crowdpose", "ochuman", "coco"])
def test_the_state_dict_is_the_released_one_key_for_key(reference: Path, dataset: str) -> None:
    manifest = json.loads((reference / "i2rnet/manifest.json").read_text())["configs"]
    config = manifest[f"interformer_{dataset}_w48_pure_en6"]
    network = build(dataset)
    entries = [
        [key, list(value.shape), str(value.dtype).removeprefix("torch.")]
        for key, value in network.state_dict().items()
    ]
    assert entries == config["state_dict"]
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert trainable == config["parameters_trainable"]


@pytest.mark.parametrize("name", FORWARDS)
def test_heatmaps_equal_the_released_ones(
    reference: Path, filling: dict[str, Callable[..., Any]], name: str
) -> None:
    golden = np.load(reference / f"i2rnet/forward_vanilla_{name}.npz")
    network = build(name.split("_", maxsplit=1)[0])
    images = filling["input"](str(golden["images_name"]), tuple(golden["images_shape"]))
    masks = masks_of(golden["rectangles"], (256, 192))
    lengths = golden["length"].tolist()
    template = network.state_dict()
    with torch.inference_mode():
        network.load_state_dict(filling["plain"](template))
        output = network(images, masks, lengths)
        assert output["intra"] is None
        np.testing.assert_allclose(output["inter"], golden["multi"], rtol=0, atol=1e-5)
        for kind, expected in (("plain", "multi_f64"), ("centred", "multi_centred_f64")):
            network.float().load_state_dict(filling[kind](template))
            double = network.double()(images.double(), masks.double(), lengths)["inter"]
            np.testing.assert_allclose(double[:, :, ::2, ::2], golden[expected], rtol=0, atol=1e-5)


def test_the_sine_table_is_the_released_one(reference: Path) -> None:
    golden = np.load(reference / "i2rnet/sine_table_64x48_96.npz")
    table = build("coco").pos_embedding.detach().numpy().reshape(64, 48, 96)
    np.testing.assert_allclose(
        table[:, :, :48], np.broadcast_to(golden["y_part"][:, None], (64, 48, 48)), atol=1e-6
    )
    np.testing.assert_allclose(
        table[:, :, 48:], np.broadcast_to(golden["x_part"][None], (64, 48, 48)), atol=1e-6
    )


SMALL = (64, 48)


def small_batch(seed: int, persons: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(persons, 3, *SMALL, generator=generator)
    masks = (torch.rand(persons, 1, *SMALL, generator=generator) > 0.5).float()
    return images, masks


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any), seed=st.integers(0, 99))
def test_an_image_comes_out_the_same_alone_and_in_any_batch(
    crowdpose_network: I2RNetVanillaNetwork, lengths: list[int], seed: int
) -> None:
    images, masks = small_batch(seed, sum(lengths))
    with torch.inference_mode():
        together = crowdpose_network(images, masks, lengths)["inter"]
        start = 0
        for length in lengths:
            end = start + length
            if length:
                alone = crowdpose_network(images[start:end], masks[start:end], [length])["inter"]
                torch.testing.assert_close(together[start:end], alone, rtol=0, atol=2e-5)
            start = end


def test_persons_of_an_image_may_come_in_any_order(crowdpose_network: I2RNetVanillaNetwork) -> None:
    images, masks = small_batch(1, 4)
    order = [2, 0, 3, 1]
    with torch.inference_mode():
        heatmaps = crowdpose_network(images, masks, [4])["inter"]
        shuffled = crowdpose_network(images[order], masks[order], [4])["inter"]
    torch.testing.assert_close(shuffled, heatmaps[order], rtol=0, atol=2e-5)


def test_a_person_influences_its_image_and_no_other(crowdpose_network: I2RNetVanillaNetwork) -> None:
    images, masks = small_batch(2, 4)
    changed = images.clone()
    changed[0] = -changed[0]
    with torch.inference_mode():
        before = crowdpose_network(images, masks, [2, 2])["inter"]
        after = crowdpose_network(changed, masks, [2, 2])["inter"]
    difference = (after - before).abs().amax(dim=(1, 2, 3))
    assert difference[1] > 1e-4
    assert (difference[2:] < 2e-5).all()


def test_the_position_mask_matters_only_where_the_settings_say_so(
    crowdpose_network: I2RNetVanillaNetwork, filling: dict[str, Callable[..., Any]]
) -> None:
    images, masks = small_batch(3, 2)
    blind = build("ochuman")
    blind.load_state_dict(filling["centred"](blind.state_dict()))
    with torch.inference_mode():
        seen = (
            crowdpose_network(images, masks, [2])["inter"]
            - crowdpose_network(images, 1 - masks, [2])["inter"]
        )
        unseen = blind(images, masks, [2])["inter"] - blind(images, 1 - masks, [2])["inter"]
    assert seen.abs().max() > 1e-4
    assert unseen.abs().max() == 0


def test_lengths_that_do_not_fit_are_refused(crowdpose_network: I2RNetVanillaNetwork) -> None:
    images, masks = small_batch(0, 3)
    with pytest.raises(ShapeError, match=r"3 crops, 3 masks and lengths \[2, 2\]"):
        crowdpose_network(images, masks, [2, 2])


def test_the_same_seed_builds_the_same_network() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(7)
        networks.append(I2RNetVanillaNetwork(14).state_dict())
    assert all(torch.equal(networks[0][key], networks[1][key]) for key in networks[0])


@pytest.mark.slow
def test_a_training_step_equals_the_released_one(
    reference: Path, filling: dict[str, Callable[..., Any]]
) -> None:
    """Loss, gradients and batch-norm statistics, padding persons included; float64, without dropout."""
    golden = json.loads((reference / "i2rnet/trainstep_vanilla_crowdpose_256x192.json").read_text())
    network = I2RNetVanillaNetwork(14)
    network.load_state_dict(filling["centred"](network.state_dict()))
    network = network.double().train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, SelfAttention):
            module.dropout = 0.0
    fill = filling["input"]
    persons = sum(golden["length"])
    images = fill(golden["images_name"], (persons, 3, 256, 192)).double()
    target = 0.1 * fill("train/target", (persons, 14, 64, 48)).double().abs()
    weight = (fill("train/weight", (persons, 14, 1)) > -1).double()[..., None]
    heatmaps = network(images, masks_of(golden["rectangles"], (256, 192)).double(), golden["length"])["inter"]
    assert heatmaps is not None
    loss = 0.5 * ((weight * (heatmaps - target)) ** 2).mean()
    loss.backward()

    np.testing.assert_allclose(loss.item(), golden["loss"], rtol=1e-6)
    for name, parameter in network.named_parameters():
        expected = golden["grad_norm"][name]
        if expected is None:
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            np.testing.assert_allclose(parameter.grad.norm(), expected, rtol=1e-4, atol=1e-9, err_msg=name)
    state = network.state_dict()
    for name, (mean, norm) in golden["running_stats_after_forward_mean_and_norm"].items():
        np.testing.assert_allclose(state[name].mean(), mean, rtol=1e-5, atol=1e-8, err_msg=name)
        np.testing.assert_allclose(state[name].norm(), norm, rtol=1e-5, err_msg=name)
