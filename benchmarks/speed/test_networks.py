"""The networks as `crowdbench run` computes them, against the plainest way: eager float32 on maps with the
columns together in memory, batch norms as layers, attention written out, all persons of a batch at once.

A batch is 16 images of four persons, the smallest that the released configurations test with.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from drawn_networks import with_drawn_weights
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from crowdbench.batching import ON_PROCESSOR
from crowdbench.method import NetworkMethod, Precision, load_method

IMAGES, PERSONS = 16, 4
SIZE = (256, 192)
# method: how many times faster at least
PROMISED = {"i2rnet-vanilla": 2.0, "i2rnet-transpose": 3.0, "i2rnet-hrformer": 1.5}
REPEATS = 2

Forward = Callable[[], Tensor]


def method_of(name: str) -> NetworkMethod:
    method = load_method(name, "crowdpose")
    assert isinstance(method, NetworkMethod)
    return method


@pytest.fixture(scope="module", params=PROMISED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plain(name: str) -> nn.Module:
    return with_drawn_weights(method_of(name).network())


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor, list[int]]:
    generator = torch.Generator().manual_seed(0)
    persons = IMAGES * PERSONS
    images = torch.randn(persons, 3, *SIZE, generator=generator)
    masks = torch.zeros(persons, 1, *SIZE)
    masks[:, :, 60:180, 40:120] = 1
    return images, masks, [PERSONS] * IMAGES


def plainly(network: nn.Module, inputs: tuple[Tensor, Tensor, list[int]]) -> Forward:
    def forward() -> Tensor:
        with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
            heatmaps: Tensor = network(*inputs, portion=10**6)["inter"]
            return heatmaps

    return forward


def as_run(
    name: str,
    network: nn.Module,
    inputs: tuple[Tensor, Tensor, list[int]],
    precision: Precision = "fp32",
    *,
    compiled: bool = False,
) -> Forward:
    """As `crowdbench run` computes, in batches of its default size."""
    fast = method_of(name).for_inference(copy.deepcopy(network), precision=precision, compiled=compiled)
    images, masks, lengths = inputs
    images = images.contiguous(memory_format=torch.channels_last)
    kind = next(fast.parameters()).dtype
    at_once = ON_PROCESSOR // PERSONS

    def forward() -> Tensor:
        found = []
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            for start in range(0, len(lengths), at_once):
                rows = slice(start * PERSONS, (start + at_once) * PERSONS)
                batch = images[rows].to(kind), masks[rows].to(kind), lengths[start : start + at_once]
                found.append(fast(*batch, portion=ON_PROCESSOR)["inter"].float())
        return torch.cat(found)

    return forward


def timed(*functions: Forward) -> tuple[list[float], list[Tensor]]:
    """Of each, the seconds of its quickest call, and its heatmaps. They take turns: busy moments hit all."""
    best = [float("inf")] * len(functions)
    found: list[Tensor] = []
    for _ in range(REPEATS):
        found = []
        for index, function in enumerate(functions):
            start = time.perf_counter()
            found.append(function())
            best[index] = min(best[index], time.perf_counter() - start)
    return best, found


def test_a_network_is_faster_than_the_plainest_way_and_the_heatmaps_are_equal(
    benchmark: Any, name: str, plain: nn.Module, inputs: tuple[Tensor, Tensor, list[int]]
) -> None:
    slow, fast = plainly(plain, inputs), as_run(name, plain, inputs)
    bf16 = as_run(name, plain, inputs, "bf16")
    benchmark.pedantic(fast, rounds=1)
    (slow_s, fast_s, bf16_s), (expected, found, _) = timed(slow, fast, bf16)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    persons = IMAGES * PERSONS
    ratio = slow_s / fast_s
    benchmark.extra_info.update(
        plain_ms_per_person=1e3 * slow_s / persons,
        ms_per_person=1e3 * fast_s / persons,
        ratio=ratio,
        bf16_ms_per_person=1e3 * bf16_s / persons,
        bf16_ratio=slow_s / bf16_s,
        threads=torch.get_num_threads(),
        has_matrix_units=torch.cpu._is_amx_tile_supported(),
    )
    assert ratio >= PROMISED[name]
    if name == "i2rnet-vanilla" and torch.cpu._is_amx_tile_supported():
        assert slow_s / bf16_s >= 5
