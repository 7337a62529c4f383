"""The two networks that a processor can train: small enough, and alike but for the relation stage."""

import copy
from typing import Any

import pytest
import torch
from safetensors.torch import save
from support.reference.random_networks import with_drawn_weights
from torch import Tensor

from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod

# What comes with the package is at most 8 MB; the rest is for a header with names and sources.
LARGEST_BYTES = 7_900_000


def configured(name: str, dataset: str) -> NetworkMethod:
    method = load_method(name, dataset)
    assert isinstance(method, NetworkMethod)
    return method


def given(name: str, persons: int) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(persons, 3, 128, 96, generator=generator)
    masks = (torch.rand(persons, 1, 128, 96, generator=generator) > 0.5).float()
    return (images, masks, [1, persons - 1]) if name.startswith("i2rnet") else (images,)


def heatmaps(found: Any) -> list[Tensor]:
    return list(found.values()) if isinstance(found, dict) else [found]


@pytest.mark.parametrize(("dataset", "keypoints"), [("crowdpose", 14), ("coco", 17)])
@pytest.mark.parametrize("name", ["hrnet-tiny", "i2rnet-tiny"])
def test_a_tiny_network_is_small_and_has_a_heatmap_for_every_keypoint(
    name: str, dataset: str, keypoints: int
) -> None:
    network = configured(name, dataset).build_network().eval()
    assert len(save(network.state_dict())) < LARGEST_BYTES
    with torch.inference_mode():
        for maps in heatmaps(network(*given(name, 3))):
            assert tuple(maps.shape) == (3, keypoints, 32, 24)


def test_the_first_stage_of_the_one_is_the_other() -> None:
    alone = configured("hrnet-tiny", "crowdpose").build_network().eval()
    related = configured("i2rnet-tiny", "crowdpose").build_network().eval()
    prefix = "singleformer."
    first = {
        name.removeprefix(prefix): value
        for name, value in related.state_dict().items()
        if name.startswith(prefix)
    }
    alone.load_state_dict(first, strict=True)
    images, masks, lengths = given("i2rnet-tiny", 3)
    with torch.inference_mode():
        torch.testing.assert_close(related(images, masks, lengths)["intra"], alone(images))


@pytest.mark.parametrize("name", ["hrnet-tiny", "i2rnet-tiny"])
def test_every_parameter_of_a_tiny_network_learns(name: str) -> None:
    network = configured(name, "crowdpose").build_network().train()
    torch.stack([maps.square().mean() for maps in heatmaps(network(*given(name, 3)))]).sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", ["hrnet-tiny", "i2rnet-tiny"])
def test_a_tiny_network_made_faster_has_the_same_heatmaps(name: str) -> None:
    method = configured(name, "crowdpose")
    network = with_drawn_weights(method.build_network())
    fast = method.optimize_for_inference(copy.deepcopy(network))
    with torch.inference_mode():
        pairs = zip(heatmaps(network(*given(name, 3))), heatmaps(fast(*given(name, 3))), strict=True)
        for plain, found in pairs:
            torch.testing.assert_close(found, plain, rtol=0, atol=1e-4 * plain.abs().max().item())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
