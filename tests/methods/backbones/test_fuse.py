"""A network made fast is the same network."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference.random_networks import with_drawn_weights
from torch import Tensor, nn
from torch.nn import functional

from crowdbench.api.load_method import load_method
from crowdbench.api.method import NetworkMethod
from crowdbench_backbones.networks.cpu_kernels import PLAIN, ProcessorOperations
from crowdbench_backbones.networks.fuse import fold_batch_norms, optimize

METHODS = [
    "hrnet-w48-s",
    "transpose-h",
    "hrformer-b",
    "i2rnet-vanilla",
    "i2rnet-transpose",
    "i2rnet-hrformer",
]
SIZE = (64, 64)


def network(name: str) -> nn.Module:
    method = load_method(name, "ochuman", input_size=SIZE)
    assert isinstance(method, NetworkMethod)
    return with_drawn_weights(method.build_network())


def heatmaps(built: nn.Module, kind: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(5, 3, *SIZE, generator=generator).to(kind)
    masks = (torch.rand(5, 1, *SIZE, generator=generator) > 0.5).to(kind)
    with torch.inference_mode():
        found: Any = built(images, masks, [3, 2]) if hasattr(built, "use_position_mask") else built(images)
    result: Tensor = found["inter"] if isinstance(found, dict) else found
    return result


@pytest.mark.parametrize("name", METHODS)
def test_all_batch_norms_are_folded_and_the_heatmaps_stay(name: str) -> None:
    built = network(name).double()
    expected = heatmaps(built, torch.float64)
    fold_batch_norms(built)
    fold_batch_norms(built)  # once more changes nothing
    assert not any(isinstance(module, nn.BatchNorm2d) for module in built.modules())
    torch.testing.assert_close(heatmaps(built, torch.float64), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_in_float32_heatmaps_stay_to_rounding(name: str) -> None:
    built = network(name)
    exact = heatmaps(copy.deepcopy(built).double(), torch.float64)
    fast = heatmaps(optimize(copy.deepcopy(built), precision="fp32", compiled=False), torch.float32)
    assert (fast - exact).abs().max() < 1e-5 * exact.abs().max()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", METHODS)
def test_in_half_precision_heatmaps_stay_to_the_precision(name: str, precision: Any) -> None:
    if precision == "fp16" and "hrformer" in name:
        precision = "bf16"  # emulated on processors, and slow
    kind = torch.bfloat16 if precision == "bf16" else torch.float16
    built = network(name)
    expected = heatmaps(copy.deepcopy(built), torch.float32)
    fast = optimize(built, precision=precision, compiled=False)
    with torch.autocast("cpu", kind):
        found = heatmaps(fast, kind).float()
    error = (found - expected).norm() / expected.norm()
    assert 0 < error < (0.1 if precision == "bf16" else 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hrnet-w48-s", "i2rnet-transpose"])
def test_compiled_heatmaps_stay_for_any_number_of_persons(name: str) -> None:
    built = network(name)
    compiled = optimize(copy.deepcopy(built), precision="fp32", compiled=True)
    generator = torch.Generator().manual_seed(2)

    def each(network: Any) -> Any:  # what is computed for each crop by itself
        return getattr(network, "features", network)

    for persons in (1, 2, 5):
        images = torch.randn(persons, 3, *SIZE, generator=generator)
        with torch.inference_mode():
            torch.testing.assert_close(each(compiled)(images), each(built)(images), rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(
    groups=st.integers(1, 3),
    heads=st.integers(1, 3),
    tokens=st.sampled_from([1, 2, 49, 64, 65, 200, 511, 512, 513, 700, 1024]),
    channels=st.sampled_from([1, 39, 96]),
    apart=st.booleans(),
)
def test_attention_is_pytorchs_whatever_the_shape(
    groups: int, heads: int, tokens: int, channels: int, apart: bool
) -> None:
    generator = torch.Generator().manual_seed(tokens)
    shape = (groups, tokens, 3, heads, channels)
    joined = torch.randn(shape, generator=generator) * 2
    three = [x.transpose(1, 2) for x in joined.unbind(2)]
    if not apart:
        three = [x.contiguous() for x in three]
    found = ProcessorOperations().attention(*three)
    exact = functional.scaled_dot_product_attention(*(x.double() for x in three))
    assert found.shape == exact.shape
    assert (found - exact).abs().max() < 5e-5


def test_keys_that_do_not_count_are_not_attended_to() -> None:
    three = [torch.randn(2, 1, 600, 8) for _ in range(3)]
    seen = torch.arange(600)[None, None, None, :] < 30
    found = ProcessorOperations().attention(*three, seen)
    queries, keys, values = three
    exact = PLAIN.attention(queries, keys[..., :30, :], values[..., :30, :])
    torch.testing.assert_close(found, exact)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.integers(1, 9), min_size=0, max_size=2),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
)
def test_a_product_is_pytorchs_whatever_the_shape(rows: list[int], inputs: int, outputs: int) -> None:
    generator = torch.Generator().manual_seed(inputs)
    x = torch.randn(*rows, inputs, generator=generator)
    weight, bias = torch.randn(outputs, inputs, generator=generator), torch.randn(outputs)
    found = ProcessorOperations().linear(x, weight, bias)
    torch.testing.assert_close(found, functional.linear(x, weight, bias), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("folded", [True, False])
def test_a_gelu_after_a_convolution_is_pytorchs(folded: bool) -> None:
    convolution = nn.Conv2d(6, 12, 3, padding=1, stride=2, groups=2)
    norm = nn.Identity() if folded else nn.BatchNorm2d(12).eval()
    x = torch.randn(2, 6, 9, 8)
    with torch.inference_mode():
        found = ProcessorOperations().convolution_norm_gelu(convolution, norm, x)
        torch.testing.assert_close(found, functional.gelu(norm(convolution(x))))
