"""What a training of PINet begins with."""

import pytest
import torch
from support.reference.pinet_networks import pinet
from torch import Tensor, nn

from crowdbench.errors import WeightsError
from crowdbench_pinet.network import PINetNetwork


def classifier_of(network: nn.Module) -> dict[str, Tensor]:
    """Weights of the trunk as ImageNet's HRNet-W32 has them, beside those of its classifier."""
    trunk = network.get_submodule("backbone").state_dict()
    kept = {k: torch.randn_like(v) for k, v in trunk.items() if not k.endswith("num_batches_tracked")}
    return {
        **kept,
        "incre_modules.0.0.conv1.weight": torch.zeros(32, 32, 1, 1),
        "classifier.bias": torch.zeros(1000),
    }


def test_imagenets_weights_are_put_into_the_trunk_and_nowhere_else() -> None:
    method = pinet("crowdpose")
    network = method.build_network()
    assert isinstance(network, PINetNetwork)
    heads = {name: value.clone() for name, value in network.state_dict().items() if "backbone" not in name}
    state = classifier_of(network)
    names = method.initialize_from(network, state, "hrnet_w32-36af842e.pth")
    after = network.state_dict()
    assert set(names) == {
        f"backbone.{name}" for name in state if not name.startswith(("incre", "classifier"))
    }
    assert all(torch.equal(after[name], state[name.removeprefix("backbone.")]) for name in names)
    assert all(torch.equal(after[name], value) for name, value in heads.items())


def test_a_trunk_that_lacks_something_is_refused() -> None:
    method = pinet("crowdpose")
    network = method.build_network()
    state = classifier_of(network)
    lacking = {name: value for name, value in state.items() if not name.startswith("stage4.2")}
    with pytest.raises(
        WeightsError, match=r"lacks \d+ of the \d+ tensors of this network's trunk: stage4\.2"
    ):
        method.initialize_from(network, lacking, "w32.pth")
    narrow = {**state, "conv1.weight": torch.zeros(32, 3, 3, 3)}
    with pytest.raises(WeightsError, match="another shape.*conv1.weight"):
        method.initialize_from(network, narrow, "w32.pth")


def test_a_whole_network_is_put_in_whole() -> None:
    method = pinet("coco")
    torch.manual_seed(1)
    trained = method.build_network().state_dict()
    torch.manual_seed(2)
    network = method.build_network()
    assert set(method.initialize_from(network, trained, "pinet_coco.pth.tar")) == set(trained)
    assert all(torch.equal(value, trained[name]) for name, value in network.state_dict().items())
    with pytest.raises(WeightsError, match="missing"):
        method.initialize_from(
            network, {k: v for k, v in trained.items() if not k.startswith("pr.")}, "w.pth"
        )
