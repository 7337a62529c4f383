"""What training begins with: ImageNet's trunks, first stages, whole networks; and what is refused.

The files are drawn here, with the names that the published ones have.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench.errors import WeightsError
from crowdbench_backbones.networks.hrformer import HRFormerPose
from crowdbench_backbones.networks.transpose_h import TransPoseHNetwork

SMALL = (64, 64)
ALL = [
    "hrnet-tiny",
    "i2rnet-tiny",
    "hrnet-w48-s",
    "i2rnet-vanilla",
    "transpose-h",
    "i2rnet-transpose",
    "hrformer-b",
    "i2rnet-hrformer",
]
State = dict[str, Tensor]


def configured(name: str, dataset: str = "crowdpose", size: tuple[int, int] = SMALL) -> NetworkMethod:
    method = load_method(name, dataset, input_size=size)
    assert isinstance(method, NetworkMethod)
    return method


def new(method: NetworkMethod) -> nn.Module:
    torch.manual_seed(0)
    return method.build_network()


def drawn(state: Mapping[str, Tensor], seed: int = 1) -> State:
    """Other values of the same shapes."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator) if value.is_floating_point() else value + 3
        for name, value in state.items()
    }


@cache
def weights_of(name: str, dataset: str = "crowdpose") -> State:
    return drawn(new(configured(name, dataset)).state_dict())


@cache
def classifier(name: str) -> State:
    """An ImageNet network: the trunk, with a stage more than the pose network has, and heads."""
    whole = weights_of("hrnet-w48-s" if name == "hrnet" else "hrformer-b")
    state = {
        key.removeprefix("backbone."): value
        for key, value in whole.items()
        if not key.startswith(("final_layer", "keypoint_head"))
    }
    return {
        **state,
        "stage4.9.branches.0.0.conv1.weight": torch.zeros(48, 48, 3, 3),
        "incre_modules.0.0.conv1.weight": torch.zeros(32, 48, 1, 1),
        "final_layer.0.weight": torch.zeros(2048, 1024, 1, 1),
        "classifier.weight": torch.zeros(1000, 2048),
    }


def started(name: str, state: State, dataset: str = "crowdpose") -> tuple[list[str], State, State]:
    """The names that were set, and the weights before and after."""
    method = configured(name, dataset)
    network = new(method)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    names = method.initialize_from(network, state, "start.pth")
    return names, before, network.state_dict()


def set_as_said(names: list[str], before: State, after: State, given: Mapping[str, Tensor]) -> None:
    """What was set is what was given, and nothing else has changed."""
    assert len(names) == len(set(names)) > 0
    for key, value in after.items():
        torch.testing.assert_close(
            value, given[key] if key in names else before[key], rtol=0, atol=0, msg=key
        )


@pytest.mark.parametrize("name", ALL)
def test_a_network_continues_from_weights_of_its_own(name: str) -> None:
    names, before, after = started(name, weights_of(name))
    assert set(names) == set(after)
    set_as_said(names, before, after, weights_of(name))


@pytest.mark.parametrize("name", ALL)
def test_weights_of_its_own_that_are_not_whole_are_refused(name: str) -> None:
    lacking = dict(weights_of(name))
    (gone,) = (key for key in lacking if key in ("final_layer.bias", "keypoint_head.final_layer.bias"))
    del lacking[gone]
    with pytest.raises(WeightsError, match=rf"start\.pth(?s:.*){gone}"):
        started(name, lacking)


@pytest.mark.parametrize("name", ALL)
def test_weights_for_other_keypoints_are_refused(name: str) -> None:
    with pytest.raises(WeightsError, match="shape"):
        started(name, drawn(new(configured(name, "coco")).state_dict()))


@pytest.mark.parametrize("name", ALL)
def test_weights_of_something_else_are_refused(name: str) -> None:
    with pytest.raises(WeightsError, match=r"start\.pth"):
        started(name, {"layers.0.weight": torch.zeros(3, 3)})


TRUNKS = [
    ("hrnet-w48-s", "hrnet", ""),
    ("i2rnet-vanilla", "hrnet", ""),
    ("transpose-h", "hrnet", ""),
    ("i2rnet-transpose", "hrnet", "singleformer."),
    ("hrformer-b", "hrformer", "backbone."),
    ("i2rnet-hrformer", "hrformer", "singleformer.backbone."),
]


@pytest.mark.parametrize(("name", "trunk", "prefix"), TRUNKS)
def test_imagenet_weights_fill_the_whole_trunk_and_nothing_else(name: str, trunk: str, prefix: str) -> None:
    state = classifier(trunk)
    names, before, after = started(name, state)
    set_as_said(names, before, after, {f"{prefix}{key}": value for key, value in state.items()})
    first_parts = ("conv1.", "bn1.", "conv2.", "bn2.", "layer1.", "transition", "stage")
    of_trunk = {key for key in after if key.startswith(tuple(f"{prefix}{part}" for part in first_parts))}
    assert set(names) == of_trunk


@pytest.mark.parametrize(("name", "trunk", "prefix"), TRUNKS)
@pytest.mark.parametrize("broken", ["lacks", "has in another shape"])
def test_imagenet_weights_that_do_not_fill_the_trunk_are_refused(
    name: str, trunk: str, prefix: str, broken: str
) -> None:
    state = dict(classifier(trunk))
    key = "stage3.3.fuse_layers.0.1.0.weight"
    if broken == "lacks":
        del state[key]
    else:
        state[key] = state[key][:, :-1]
    with pytest.raises(WeightsError, match=rf"start\.pth: {broken} 1 of (?s:.*)stage3\.3\.fuse"):
        started(name, state)


def test_counters_may_be_missing_from_imagenet_weights() -> None:
    state = {k: v for k, v in classifier("hrnet").items() if not k.endswith("num_batches_tracked")}
    names, *_ = started("i2rnet-vanilla", state)
    assert not any(name.endswith("num_batches_tracked") for name in names)


def first_stage(name: str) -> State:
    """A single-person checkpoint as the release's authors have them."""
    if name == "i2rnet-transpose":
        torch.manual_seed(2)
        network: nn.Module = TransPoseHNetwork(14, SMALL, outputs=1)
    else:
        network = HRFormerPose(14, SMALL)
    return drawn(network.state_dict(), seed=2)


@pytest.mark.parametrize("name", ["i2rnet-transpose", "i2rnet-hrformer"])
def test_a_first_stage_fills_the_first_stage_and_nothing_else(name: str) -> None:
    state = first_stage(name)
    names, before, after = started(name, state)
    assert set(names) == {f"singleformer.{key}" for key in state}
    set_as_said(names, before, after, {f"singleformer.{key}": value for key, value in state.items()})
    untouched = {key for key in after if key.startswith("singleformer.")} - set(names)
    unused = ("stage3.3.fuse_layers.1.", "stage3.3.fuse_layers.2.")
    assert all(key.removeprefix("singleformer.").startswith(unused) for key in untouched)
    assert bool(untouched) == (name == "i2rnet-transpose")


def test_the_tiny_first_stage_fills_the_tiny_first_stage() -> None:
    state = weights_of("hrnet-tiny")
    names, before, after = started("i2rnet-tiny", state)
    assert set(names) == {key for key in after if key.startswith("singleformer.")}
    set_as_said(names, before, after, {f"singleformer.{key}": value for key, value in state.items()})


@pytest.mark.parametrize(
    ("change", "fine"),
    [
        pytest.param({"deconv_layers.0.weight": torch.zeros(96, 96, 4, 4)}, True, id="upsampling, unused"),
        pytest.param({"extra.weight": torch.zeros(3)}, False, id="anything else"),
        pytest.param({"global_encoder.layers.0.linear1.bias": None}, False, id="a layer that is missing"),
        pytest.param({"pos_embedding": torch.zeros(3072, 1, 96)}, False, id="positions of another size"),
    ],
)
def test_of_a_transpose_only_what_is_unused_may_be_more_or_less(change: dict[str, Any], fine: bool) -> None:
    changed = {**first_stage("i2rnet-transpose"), **change}
    state = {key: value for key, value in changed.items() if value is not None}
    for name in ("i2rnet-transpose", "transpose-h"):
        if fine:
            names, *_ = started(name, state)
            assert not any("deconv" in key for key in names)
        else:
            with pytest.raises(WeightsError, match=next(iter(change))):
                started(name, state)


def test_a_whole_trunk_serves_a_transpose_that_needs_less_of_it() -> None:
    state = {
        k.removeprefix("singleformer."): v for k, v in weights_of("i2rnet-transpose").items() if "single" in k
    }
    names, before, after = started("transpose-h", state)
    assert set(names) == set(after)
    set_as_said(names, before, after, state)


def test_a_first_stage_of_hrformer_for_other_keypoints_is_refused_not_left_random() -> None:
    torch.manual_seed(0)
    with pytest.raises(WeightsError, match="shape"):
        started("i2rnet-hrformer", HRFormerPose(17, SMALL).state_dict())
