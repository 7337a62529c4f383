"""The losses, against the release's (pinet/targets_loss.json) and PyTorch's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference.i2rnet_networks import filling
from torch import Tensor
from torch.nn import functional

from crowdbench.errors import ShapeError
from crowdbench_pinet.losses import heatmap_loss, offset_loss

DATASETS = ["crowdpose", "coco"]
BETA = 1 / 9


@pytest.fixture(scope="module")
def golden(goldens: Path) -> Any:
    return np.load(goldens / "pinet/targets_loss.npz")


@pytest.fixture(scope="module")
def facts(goldens: Path) -> Any:
    return json.loads((goldens / "pinet/targets_loss.json").read_text())["synthetic"]


def stacked(golden: Any, dataset: str, *names: str) -> Tensor:
    """Maps of both images of a batch, of several kinds one after the other."""
    images = [
        np.concatenate([golden[f"synthetic/{dataset}/image{image}/{name}"] for name in names])
        for image in (0, 1)
    ]
    return torch.from_numpy(np.stack(images))


def by_pairs(maps: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, 2 m, ...)`` to ``(B, m, ..., 2)``, and the first of each pair."""
    pairs = maps.unflatten(1, (-1, 2)).movedim(2, -1)
    return pairs, pairs[..., 0]


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_heatmap_loss_is_the_released_one(golden: Any, facts: Any, dataset: str) -> None:
    fill, targets = filling().input, stacked(golden, dataset, "heatmap", "partmap")
    keypoints = len(targets[0]) - 3
    heatmaps = 0.3 * torch.cat(
        [
            fill(f"pinet/loss/{dataset}/heat", (2, keypoints, 32, 32)),
            fill(f"pinet/loss/{dataset}/part", (2, 3, 32, 32)),
        ],
        dim=1,
    )
    weights = stacked(golden, dataset, "heatmap_mask", "partmap_mask")
    released = facts[dataset]["unweighted"]["heatmap"]
    assert heatmap_loss(heatmaps, targets, weights).item() == pytest.approx(released, rel=1e-6)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_offset_loss_is_the_released_one(golden: Any, facts: Any, dataset: str) -> None:
    maps = stacked(golden, dataset, "offset")
    noise, _ = by_pairs(filling().input(f"pinet/loss/{dataset}/offset", tuple(maps.shape)))
    targets, _ = by_pairs(maps)
    _, weights = by_pairs(stacked(golden, dataset, "weight"))
    released = facts[dataset]["unweighted"]["offset"]
    assert offset_loss(targets + noise, targets, weights, BETA).item() == pytest.approx(released, rel=1e-6)
    # Pixels without a weight may be left out.
    told = weights > 0
    rows = offset_loss((targets + noise)[told], targets[told], weights[told], BETA)
    assert rows.item() == pytest.approx(released, rel=1e-6)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_loss_of_the_refinement_is_the_released_one(golden: Any, facts: Any, dataset: str) -> None:
    case = f"synthetic/{dataset}/batch/proposals."
    flat = torch.from_numpy(golden[f"{case}gt_offset"])
    noise = 0.2 * filling().input(f"pinet/loss/{dataset}/refined", tuple(flat.shape))
    targets, weights = flat.unflatten(2, (-1, 2)), torch.from_numpy(golden[f"{case}weight"])[..., ::2]
    released = facts[dataset]["unweighted"]["refine"]
    found = offset_loss(targets + noise.view_as(targets), targets, weights, BETA)
    assert found.item() == pytest.approx(released, rel=1e-6)


def test_without_any_weight_the_loss_is_zero_and_so_is_its_gradient() -> None:
    offsets = torch.ones(3, 4, 2, requires_grad=True)
    loss = offset_loss(offsets, torch.zeros(3, 4, 2), torch.zeros(3, 4), BETA)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert offsets.grad is not None
    assert not offsets.grad.any()
    assert offset_loss(offsets[:0], torch.zeros(0, 4, 2), torch.zeros(0, 4), BETA).item() == 0


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), beta=st.floats(0.01, 3), share=st.floats(0, 1))
def test_the_offset_loss_is_a_weighted_mean_of_pytorchs_smooth_l1(
    seed: int, beta: float, share: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    offsets, targets = torch.randn(2, 6, 5, 2, generator=rng)
    weights = torch.rand(6, 5, generator=rng) * (torch.rand(6, 5, generator=rng) < share)
    each = functional.smooth_l1_loss(offsets, targets, beta=beta, reduction="none")
    both = weights[..., None].expand_as(each)
    expected = (each * both).sum() / max(1, int((both > 0).sum()))
    torch.testing.assert_close(offset_loss(offsets, targets, weights, beta), expected)


@given(seed=st.integers(0, 2**32))
def test_perfect_predictions_cost_nothing_and_others_something(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    maps, offsets = torch.randn(2, 3, 4, 4, generator=rng), torch.randn(5, 3, 2, generator=rng)
    weights, of_offsets = torch.ones_like(maps), torch.ones(5, 3)
    assert heatmap_loss(maps, maps, weights).item() == 0
    assert offset_loss(offsets, offsets, of_offsets, BETA).item() == 0
    assert heatmap_loss(maps + 0.1, maps, weights).item() == pytest.approx(0.01, rel=1e-4)
    assert offset_loss(offsets + 1, offsets, of_offsets, BETA).item() == pytest.approx(1 - BETA / 2, 1e-4)


def test_in_half_precision_losses_are_computed_in_full() -> None:
    maps = torch.full((1, 1, 1000, 1000), 1e-3)
    half = heatmap_loss(maps.to(torch.float16), torch.zeros_like(maps), torch.ones_like(maps))
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize("wrong", [(2, 3, 4, 5), (3, 3, 4, 4)])
def test_shapes_that_disagree_are_refused(wrong: tuple[int, ...]) -> None:
    maps = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ShapeError, match="one shape"):
        heatmap_loss(maps, maps, torch.zeros(wrong))
    with pytest.raises(ShapeError, match=r"\(\.\.\., K\)"):
        offset_loss(torch.zeros(5, 3, 2), torch.zeros(5, 3, 2), torch.zeros(5, 3, 2), BETA)
